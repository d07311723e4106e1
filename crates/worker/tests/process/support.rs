//! A scheduler's side of one worker: its folder, its two logs, its pipes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use converge_core::ids::AttemptId;
use converge_core::objective::{At, Goal, Objective};
use converge_core::script::Script;
use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::{Preset, Settings};
use converge_protocol::frame::{Reader, encode};
use converge_protocol::message::{Assignment, Up, Work};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

/// Longest wait for anything; the beat is the slowest, after 15 s.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at what rings no bell.
const POLL: Duration = Duration::from_millis(5);

pub(crate) fn settings(learning_rate: f64) -> Settings {
    let mut settings = Settings::defaults(Preset::Tiny.into(), "/nowhere/data.tsv");
    settings.train.learning_rate = learning_rate;
    settings
}

pub(crate) fn objective() -> Objective {
    Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best }
}

pub(crate) fn assignment(folder: &Folder, attempt: i64, work: Work) -> Box<Assignment> {
    Box::new(Assignment {
        attempt: AttemptId(attempt),
        trial: None,
        attempt_number: 1,
        work,
        resume_from: None,
        attempt_directory: folder.inside(&format!("attempts/{attempt}")),
        cache_directory: folder.inside("cache"),
        checkpoint_seconds: 60.0,
        until_step: None,
        patience: None,
        gradient_checkpointing: false,
        accumulation_factor: 1,
        timeout_seconds: 600,
    })
}

pub(crate) fn scripted(folder: &Folder, attempt: i64, script: Script) -> Box<Assignment> {
    let settings = settings(1e-4);
    assignment(folder, attempt, Work::Scripted { script, settings, objective: objective() })
}

pub(crate) fn fine_tune(settings: Settings) -> Work {
    Work::FineTune {
        settings,
        seeds: TrialSeeds::new(Seed(1), 0),
        objective: objective(),
        expected_hashes: BTreeMap::new(),
    }
}

/// A step with its metrics; the values as bits, so that NaN equals itself.
pub(crate) type Observed = (u64, Vec<(String, u64)>);

/// Returns what the step frames say.
pub(crate) fn steps(frames: &[Up]) -> Vec<Observed> {
    let observed = frames.iter().filter_map(|frame| match frame {
        Up::Step { step, metrics, .. } => Some((step, metrics)),
        _ => None,
    });
    observed
        .map(|(step, metrics)| {
            let bits = |(name, value): &(String, f64)| (name.clone(), value.to_bits());
            (*step, metrics.iter().map(bits).collect())
        })
        .collect()
}

/// A worker's folder as its scheduler makes it.
pub(crate) struct Folder {
    root: tempfile::TempDir,
    disk: Option<SmallDisk>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap(), disk: None };
        folder.make_logs();
        folder
    }

    /// A folder on a disk of 64 KiB; none, with the reason printed, where it cannot be made.
    pub(crate) fn on_a_small_disk() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        match SmallDisk::mount(&root.path().join("disk")) {
            Ok(disk) => {
                let folder = Self { root, disk: Some(disk) };
                folder.make_logs();
                Some(folder)
            }
            Err(reason) => {
                println!("skipped: no small disk can be mounted here: {reason}");
                None
            }
        }
    }

    fn make_logs(&self) {
        for name in ["up.log", "down.log"] {
            File::create(self.path(name)).unwrap();
        }
    }

    /// A path in the folder as the worker sees it.
    pub(crate) fn inside(&self, name: &str) -> String {
        let directory = if self.disk.is_some() { "disk" } else { "." };
        self.root.path().join(directory).join(name).to_str().unwrap().to_owned()
    }

    /// A path in the folder as this process sees it.
    pub(crate) fn path(&self, name: &str) -> String {
        let inside = self.inside(name);
        match &self.disk {
            Some(disk) => format!("/proc/{}/root{inside}", disk.holder.id()),
            None => inside,
        }
    }

    /// A path that is not on the small disk.
    pub(crate) fn elsewhere(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    /// Appends to `down.log` without ringing.
    pub(crate) fn write_down<T: Serialize>(&self, seq: u64, message: &T) {
        let mut bytes = Vec::new();
        encode(seq, message, &mut bytes);
        let mut file = File::options().append(true).open(self.path("down.log")).unwrap();
        file.write_all(&bytes).unwrap();
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.elsewhere("stderr.log")).unwrap_or_default()
    }

    pub(crate) fn wait_for_stderr(&self, wanted: &str) {
        wait_until(wanted, || self.stderr().contains(wanted).then_some(()));
    }

    /// Leaves no byte on the small disk.
    pub(crate) fn fill_up(&self) {
        let mut file = File::create(self.path("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn make_room(&self) {
        let disk = self.disk.as_ref().unwrap();
        let status = disk
            .enter("mount")
            .args(["-o", "remount,size=16m"])
            .arg(&disk.directory)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

/// A tmpfs in a mount namespace that lives as long as its holder.
struct SmallDisk {
    holder: Child,
    directory: PathBuf,
}

impl SmallDisk {
    fn mount(directory: &Path) -> Result<Self, String> {
        fs::create_dir(directory).map_err(|error| error.to_string())?;
        let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" && echo mounted && exec cat";
        let mut holder = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, "sh"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut word = [0; 8];
        if holder.stdout.as_mut().unwrap().read_exact(&mut word).is_err() {
            let output = holder.wait_with_output().map_err(|error| error.to_string())?;
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Self { holder, directory: directory.to_owned() })
    }

    /// A command that sees the disk; it has the pid that `spawn` says.
    fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--preserve-credentials", "-U", "-m", "-t", &self.holder.id().to_string()])
            .arg(program);
        command
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A running worker and what its scheduler knows of it.
pub(crate) struct Worker<'a> {
    folder: &'a Folder,
    child: Child,
    bells: Receiver<()>,
    reader: Reader,
    read: VecDeque<Up>,
    next_down: u64,
}

impl<'a> Worker<'a> {
    pub(crate) fn start(folder: &'a Folder) -> Self {
        Self::start_on(folder, "scripted", 1)
    }

    pub(crate) fn start_on(folder: &'a Folder, device: &str, threads: u64) -> Self {
        let program = env!("CARGO_BIN_EXE_converge-worker");
        let mut command = match &folder.disk {
            Some(disk) => disk.enter(program),
            None => Command::new(program),
        };
        let stderr = folder.elsewhere("stderr.log");
        let stderr = File::options().create(true).append(true).open(stderr).unwrap();
        let mut child = command
            .arg("--directory")
            .arg(folder.inside(""))
            .args(["--device", device, "--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, bells) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while matches!(stdout.read(&mut bytes), Ok(count) if count > 0) {
                let _ = sender.send(());
            }
        });
        let reader = Reader::default();
        Self { folder, child, bells, reader, read: VecDeque::new(), next_down: 1 }
    }

    /// Starts a worker and takes its first frame.
    pub(crate) fn born(folder: &'a Folder) -> Self {
        let mut worker = Self::start(folder);
        let first = worker.next();
        assert!(matches!(first, Up::Born { .. }), "{first:?}");
        worker
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a frame and rings.
    pub(crate) fn say<T: Serialize>(&mut self, message: &T) {
        self.write(message);
        self.ring();
    }

    /// Writes a frame for the next ring.
    pub(crate) fn write<T: Serialize>(&mut self, message: &T) {
        self.folder.write_down(self.next_down, message);
        self.next_down += 1;
    }

    pub(crate) fn ring(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    }

    /// Closes the worker's stdin, as the death of its scheduler does.
    pub(crate) fn abandon(&mut self) {
        self.child.stdin = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Returns the next frame, waiting for the bell.
    pub(crate) fn next(&mut self) -> Up {
        self.next_or_end().expect("the worker ended without the awaited frame")
    }

    /// Returns the frames up to the first that `is_last`.
    pub(crate) fn until(&mut self, is_last: impl Fn(&Up) -> bool) -> Vec<Up> {
        let mut frames = vec![self.next()];
        while !is_last(&frames[frames.len() - 1]) {
            frames.push(self.next());
        }
        frames
    }

    pub(crate) fn until_ended(&mut self) -> Vec<Up> {
        self.until(|frame| matches!(frame, Up::Ended { .. }))
    }

    /// Returns all further frames once the process is gone.
    pub(crate) fn rest(&mut self) -> Vec<Up> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next_or_end() {
            frames.push(frame);
        }
        frames
    }

    /// Returns the frames that are there, without waiting.
    pub(crate) fn written(&mut self) -> Vec<Up> {
        self.look();
        self.read.drain(..).collect()
    }

    /// Returns the exit code; none: ended by a signal.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait_until("the worker's end", || self.child.try_wait().unwrap()).code()
    }

    fn next_or_end(&mut self) -> Option<Up> {
        let deadline = Instant::now() + DEADLINE;
        let mut gone = false;
        loop {
            if self.read.is_empty() {
                self.look();
            }
            if let Some(frame) = self.read.pop_front() {
                return Some(frame);
            }
            if gone {
                return None;
            }
            match self.bells.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => gone = true,
                Err(RecvTimeoutError::Timeout) => panic!("silence; {}", self.folder.stderr()),
            }
        }
    }

    /// Reads what is new. Frames are without a gap, and lines whole, unless the disk was full.
    fn look(&mut self) {
        let log = fs::read(self.folder.path("up.log")).unwrap();
        let read = self.reader.feed(&log[self.reader.offset() as usize..]);
        assert_eq!(read.hold, None);
        if self.folder.disk.is_none() {
            assert_eq!((read.torn_lines, read.repeats), (0, 0));
        }
        self.read.extend(read.frames.into_iter().map(|frame| frame.message));
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

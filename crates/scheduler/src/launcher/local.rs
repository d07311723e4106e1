//! Workers as child processes, each in a process group of its own, with pipes as door bells.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use converge_core::placement::{Offer, Place, Presence};
use converge_faults::point;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStdout, Command};
use tokio::sync::mpsc::UnboundedSender;

use super::{Program, WorkerCommand};
use crate::reactor::Exit;

/// mimalloc's setting of when freed memory goes back to the system.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Settings of how many threads PyTorch's libraries use; they take all cores otherwise, in every worker.
pub(super) const THREADS: [&str; 2] = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"];

/// A process that no other can be mistaken for, whatever becomes of its pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks after boot.
    pub process_start: u64,
    /// The kernel's boot id.
    pub boot_id: String,
}

/// A running worker. Dropping it closes the worker's stdin: it checkpoints and leaves.
#[derive(Debug)]
pub struct Process {
    /// Which process it is.
    pub identity: Identity,
    bell: File,
}

/// What a watched process does.
#[derive(Debug, PartialEq, Eq)]
pub enum Sign {
    /// It rang: there is something in its log.
    Ring,
    /// It is gone.
    Gone(Exit),
}

/// Starts a worker at a place, on its folder; `signs` hears of it, each sign made by `of`.
///
/// # Errors
/// Where the program cannot be started.
pub fn launch<T: Send + 'static>(
    command: &WorkerCommand,
    place: &Place,
    directory: &Path,
    signs: UnboundedSender<T>,
    of: impl Fn(Sign) -> T + Send + 'static,
) -> std::io::Result<Process> {
    point("launch.before");
    let stderr = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(directory.join("stderr.log"))?;
    let mut process = Command::new(&command.program.path);
    if std::env::var_os(PURGE_DELAY).is_none() {
        // Training frees and asks for the same megabytes at each step. Keeping them takes 8 to 23 % off a step
        // and adds about 0.1 GB (MiniLM, 16 x 32 tokens).
        process.env(PURGE_DELAY, "-1");
    }
    let threads = command.threads.to_string();
    let mut child = process
        .args(&command.program.arguments)
        .envs(THREADS.map(|name| (name, &threads)))
        .envs(place.environment.iter().map(|(name, value)| (name, value)))
        .arg("--directory")
        .arg(directory)
        .args(["--device", &place.argument, "--threads", &threads])
        // Every path that a worker is told is absolute; what its libraries leave behind stays in the home.
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        // The terminal's Ctrl-C is for the scheduler alone.
        .process_group(0)
        .spawn()?;
    let pid = child.id().unwrap_or_default();
    let (Some(stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("the worker has no pipes"));
    };
    point("launch.after");
    let bell = File::from(stdin.into_owned_fd()?);
    tokio::spawn(async move {
        while rang(&mut stdout).await {
            if signs.send(of(Sign::Ring)).is_err() {
                return;
            }
        }
        let exit = match child.wait().await {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            },
            Err(_) => Exit::Unknown,
        };
        // Nobody listens any more when the session is over.
        let _ = signs.send(of(Sign::Gone(exit)));
    });
    let identity =
        Identity { pid, process_start: start_of(pid).unwrap_or_default(), boot_id: boot_id() };
    Ok(Process { identity, bell })
}

/// A worker program does not say what it offers.
#[derive(Debug, thiserror::Error)]
pub enum OffersError {
    /// It could not be started.
    #[error("cannot start `{program}`")]
    Launch {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended in another way than with its list: a library that it needs is missing, as a rule.
    #[error("`{program}` does not work here ({status}){last_words}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it wrote to stderr, on lines of its own.
        last_words: String,
    },
}

/// Asks a worker program for its devices.
///
/// # Errors
/// [`OffersError`]
pub fn offers(program: &Program) -> Result<Vec<Offer>, OffersError> {
    let name = program.path.display().to_string();
    let output = std::process::Command::new(&program.path)
        .args(&program.arguments)
        .arg("--devices")
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(source) => return Err(OffersError::Launch { program: name, source }),
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_string();
        let last_words = if words.is_empty() { words } else { format!(":\n{words}") };
        return Err(OffersError::Ended {
            program: name,
            status: output.status.to_string(),
            last_words,
        });
    }
    let offer = |line: &str| {
        let mut fields = line.splitn(3, '\t');
        Some(Offer {
            device: fields.next()?.into(),
            presence: Presence::from_word(fields.next()?)?,
            description: fields.next()?.into(),
        })
    };
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(offer).collect())
}

async fn rang(stdout: &mut ChildStdout) -> bool {
    let mut bytes = [0; 512];
    matches!(stdout.read(&mut bytes).await, Ok(count) if count > 0)
}

impl Process {
    /// Tells the worker that there is something in `down.log`.
    pub fn ring(&mut self) {
        point("bell.before");
        // A worker that is gone is reported by its sign.
        let _ = self.bell.write_all(b"\n");
        point("bell.after");
    }

    /// Kills the worker at once.
    pub fn kill(&self) {
        self.identity.kill();
    }
}

impl Identity {
    /// Returns whether this very process is still there (a zombie is not).
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id() && start_of(self.pid) == Some(self.process_start)
    }

    /// Returns the largest resident set that the process has had, or has had since it last asked the kernel to forget
    /// it; none where it is gone or the kernel does not say. Unit: bytes.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Kills this very process, if it is still there.
    pub fn kill(&self) {
        if self.is_alive() {
            // It may end in between; the number cannot be another's within that time.
            let _ = kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

/// Asks a process to stop, as the first Ctrl-C does.
///
/// # Errors
/// Where the process is gone, or somebody else's.
pub fn terminate(pid: u32) -> std::io::Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM).map_err(std::io::Error::from)
}

/// Returns the kernel's boot id, or nothing where the kernel has none.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_string()
}

/// Returns the start time of a process, in clock ticks after boot; none for a zombie.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted from its end. See proc(5).
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    match fields.first() {
        Some(&("Z" | "X")) | None => None,
        Some(_) => fields.get(19)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_start_and_boot() {
        let pid = std::process::id();
        let own = Identity { pid, process_start: start_of(pid).unwrap(), boot_id: boot_id() };
        assert!(own.is_alive());
        assert!(!Identity { process_start: own.process_start + 1, ..own.clone() }.is_alive());
        assert!(!Identity { boot_id: "another".into(), ..own }.is_alive());
    }
}

//! `watch`: as a snapshot, and on a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use converge_tests::{Sandbox, binary, signal, wait};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::smoke::SCRIPTED;

const PATIENCE: Duration = Duration::from_secs(120);

/// A command on a terminal of its own, without a controlling one.
struct Seat {
    child: Child,
    keyboard: File,
    terminal: OwnedFd,
    output: Receiver<Vec<u8>>,
    shown: String,
    /// Reads what is written, until it is told to close its end.
    reader: JoinHandle<()>,
    closed: Arc<AtomicBool>,
}

impl Seat {
    fn take(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        // Inherited, the other end would stay open as long as the command runs: its terminal would never close.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let end = || pty.slave.try_clone().unwrap();
        let child = Command::new("setsid")
            .arg(binary())
            .args(arguments)
            .current_dir(sandbox.path())
            .env("CONVERGE_HOME", sandbox.home())
            .env("TERM", "xterm-256color")
            .env_remove("COLUMNS")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut screen = File::from(pty.master.try_clone().unwrap());
        let (sender, output) = channel();
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if is_closed.load(Ordering::Relaxed)
                    || sender.send(bytes[..count].to_vec()).is_err()
                {
                    return;
                }
            }
        });
        let keyboard = File::from(pty.master);
        let (terminal, shown) = (pty.slave, String::new());
        Self { child, keyboard, terminal, output, shown, reader, closed }
    }

    /// Waits until a text has been written since the last wait.
    fn wait_for(&mut self, text: &str) {
        let begun = Instant::now();
        while !self.shown.contains(text) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let bytes = self.output.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|_| panic!("`{text}` does not come: {}", self.shown));
            self.shown += &String::from_utf8_lossy(&bytes);
        }
        let end = self.shown.find(text).unwrap() + text.len();
        self.shown.drain(..end);
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        let flags = tcgetattr(&self.terminal).unwrap().local_flags;
        !flags.intersects(LocalFlags::ECHO | LocalFlags::ICANON)
    }

    /// Closes the terminal, and waits for the end.
    fn close(mut self) -> Option<i32> {
        self.closed.store(true, Ordering::Relaxed);
        // The reader waits for something to read.
        self.press("?");
        self.reader.join().unwrap();
        drop(self.keyboard);
        self.child.wait().unwrap().code()
    }

    /// Waits for the end, after which the terminal is as it was.
    fn end(mut self) -> Option<i32> {
        self.wait_for("\x1b[?25h");
        self.wait_for("\x1b[?1049l");
        let code = self.child.wait().unwrap().code();
        assert!(!self.is_raw());
        code
    }
}

/// Two trials run, four wait, and none ends by itself.
fn endless(sandbox: &Sandbox) -> Child {
    let script = "[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\n";
    sandbox.write("s.toml", format!("{SCRIPTED}{script}"));
    let child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 2);
    child
}

#[test]
fn a_snapshot_says_where_a_sweep_stands_and_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let files = || {
        let entries = std::fs::read_dir(sandbox.home()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // Readers of a write-ahead log share memory by a file; every command that reads does so.
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("sweeps.db-")).collect();
        names.sort();
        names
    };
    let before = files();
    let text = sandbox.converge(&["watch"]).expect_code(0).stdout;
    assert!(text.starts_with(" scripted  ✓ finished\n"), "{text}");
    assert!(text.contains(" ✓ 6 completed "), "{text}");
    assert!(text.contains(" trials 6 · best first\n"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("✓ completed")).count(), 6, "{text}");
    let json = sandbox.converge(&["watch", "scripted", "--json"]).expect_code(0).json();
    assert_eq!(json["state"], "finished");
    assert_eq!(json["trials"]["completed"], 6);
    assert_eq!(json["list"].as_array().unwrap().len(), 6);
    assert_eq!(files(), before);
    let none = sandbox.converge(&["watch", "other"]).expect_code(2);
    assert!(none.stderr.contains("there is no sweep `other`"), "{}", none.stderr);
}

#[test]
fn a_watcher_cancels_a_trial_stops_the_sweep_and_gives_the_terminal_back() {
    let sandbox = Sandbox::new();
    let mut scheduler = endless(&sandbox);
    let mut seat = Seat::take(&sandbox, &["watch"]);
    seat.wait_for("\x1b[?1049h");
    seat.wait_for("running");
    assert!(seat.is_raw());
    // Nothing happens to the trial before the answer.
    seat.press("c");
    seat.wait_for("cancel 1 trial?");
    seat.press("n");
    seat.press("c");
    seat.wait_for("cancel 1 trial?");
    seat.press("y");
    sandbox.wait_for("select count(*) from sweep_trials where state = 'cancelled'", 1);
    assert_eq!(sandbox.rows("select number from sweep_trials where state = 'cancelled'"), ["1"]);
    seat.press("S");
    seat.wait_for("stop sweep scripted?");
    seat.press("y");
    assert_eq!(scheduler.wait().unwrap().code(), Some(4));
    seat.wait_for("interrupted");
    seat.press("q");
    assert_eq!(seat.end(), Some(0));
}

#[test]
fn a_watcher_that_is_stopped_or_ended_by_a_signal_gives_the_terminal_back() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let mut seat = Seat::take(&sandbox, &["watch"]);
    let pid = seat.child.id();
    let is_stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    // By its key, and by the signal from outside.
    for by_key in [true, false] {
        seat.wait_for("\x1b[?1049h");
        seat.wait_for("finished");
        match by_key {
            true => seat.press("\x1a"),
            false => signal(pid.cast_signed(), Signal::SIGTSTP),
        }
        seat.wait_for("\x1b[?1049l");
        wait("the watcher is stopped", is_stopped);
        assert!(!seat.is_raw());
        signal(pid.cast_signed(), Signal::SIGCONT);
    }
    seat.wait_for("\x1b[?1049h");
    seat.wait_for("finished");
    assert!(seat.is_raw());
    signal(pid.cast_signed(), Signal::SIGTERM);
    assert_eq!(seat.end(), Some(0));
}

#[test]
fn a_watcher_ends_with_its_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let mut seat = Seat::take(&sandbox, &["watch"]);
    seat.wait_for("finished");
    assert_eq!(seat.close(), Some(0));
}

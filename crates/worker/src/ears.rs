//! What a worker hears: the door bell with `down.log` behind it, the end of stdin, signals.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::Sender;

use converge_protocol::frame::{Hold, Reader};
use converge_protocol::message::Down;
use nix::sys::signal::{SigSet, Signal};

use crate::work::Done;

/// Something for the main thread to decide on.
#[derive(Debug)]
pub(crate) enum Event {
    /// The scheduler said something.
    Down(Down),
    /// The scheduler is gone: end of stdin.
    Alone,
    /// SIGTERM.
    Terminated,
    /// The process can no longer hear.
    Broken(String),
    /// The work that was going on is over.
    Done(Done),
}

/// Blocks the signals that [`listen`] waits for, in this thread and all that it starts later; to be
/// called before there are others, since a thread that does not block SIGTERM dies of it.
pub(crate) fn block_signals() -> io::Result<()> {
    let mut blocked = heard();
    // A closed door bell is an error of write, not the end of the process.
    blocked.add(Signal::SIGPIPE);
    Ok(blocked.thread_block()?)
}

/// SIGINT and SIGHUP are the terminal's word to the scheduler: heard, and left to it.
fn heard() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
}

/// Starts the listening threads. What was in `down.log` before counts as heard first.
///
/// # Errors
/// Where `down.log` cannot be opened.
pub(crate) fn listen(directory: &Path, events: &Sender<Event>) -> io::Result<()> {
    let file = File::open(directory.join("down.log"))?;
    let log = DownLog { file, reader: Reader::default(), held: None };
    start("ears-stdin", events, |events| hear_stdin(log, events))?;
    start("ears-signals", events, hear_signals)
}

/// A thread that ends by a panic would leave the process deaf: that is an event as well.
fn start(
    name: &'static str,
    events: &Sender<Event>,
    body: impl FnOnce(&Sender<Event>) -> Result<(), String> + Send + 'static,
) -> io::Result<()> {
    let events = events.clone();
    let guarded = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| body(&events)));
        if let Err(reason) = ended.unwrap_or_else(|_| Err(format!("thread {name} panicked"))) {
            let _ = events.send(Event::Broken(reason));
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(guarded)?;
    Ok(())
}

fn hear_signals(events: &Sender<Event>) -> Result<(), String> {
    let heard = heard();
    loop {
        match heard.wait() {
            Ok(Signal::SIGTERM) => drop(events.send(Event::Terminated)),
            Ok(signal) => tracing::debug!("{signal} is for the scheduler"),
            Err(error) => return Err(format!("cannot wait for signals: {error}")),
        }
    }
}

fn hear_stdin(mut log: DownLog, events: &Sender<Event>) -> Result<(), String> {
    log.look(events)?;
    let (mut stdin, mut bells) = (io::stdin().lock(), [0; 4096]);
    loop {
        match stdin.read(&mut bells) {
            Ok(0) => {
                let _ = events.send(Event::Alone);
                return Ok(());
            }
            Ok(_) => log.look(events)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot read stdin: {error}")),
        }
    }
}

/// `down.log` and how far it was read.
struct DownLog {
    file: File,
    reader: Reader,
    held: Option<Hold>,
}

impl DownLog {
    fn look(&mut self, events: &Sender<Event>) -> Result<(), String> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.reader.offset()))
            .and_then(|_| self.file.read_to_end(&mut bytes))
            .map_err(|error| format!("cannot read `down.log`: {error}"))?;
        let read = self.reader.feed(&bytes);
        for frame in read.frames {
            let _ = events.send(Event::Down(frame.message));
        }
        match read.hold {
            Some(hold @ Hold::Foreign { .. }) => {
                return Err(format!("`down.log` was written by another version: {hold}"));
            }
            Some(hold) if self.held.as_ref() != Some(&hold) => {
                tracing::warn!("`down.log`: {hold}");
                self.held = Some(hold);
            }
            held => self.held = held,
        }
        Ok(())
    }
}

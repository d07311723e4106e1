//! `up.log`: frames of the worker, written by a thread of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use converge_faults::{Mutant, disk, is_on, point, point_after};
use converge_protocol::frame::Writer;
use converge_protocol::message::Up;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Frames that may wait to be written before the training should wait too.
const WAITING_FRAMES: usize = 1 << 16;
/// Frames that came while a write ran go into the next one together, up to about this many bytes.
const WRITE_BYTES: usize = 64 << 10;
/// Between two tries to write where there was no room.
const RETRY: Duration = Duration::from_millis(250);

/// A handle to the log. Frames of one thread stay in order; so do frames of two threads where one
/// waited for the other.
#[derive(Debug, Clone)]
pub(crate) struct UpLog {
    sender: Sender<Order>,
    /// Frames pushed and not yet written.
    waiting: Arc<AtomicUsize>,
    last_frame: Arc<Mutex<Instant>>,
}

enum Order {
    Write(Box<Up>),
    /// Answer once everything before is in the file.
    Flush(SyncSender<()>),
    /// Answer once everything before is on the disk.
    Sync(SyncSender<()>),
}

impl UpLog {
    /// Opens the log in a worker's folder, which its scheduler made and nobody has written to.
    ///
    /// # Errors
    /// Where it is absent or not empty: it has one writer for ever.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("up.log");
        let file = File::options().append(true).open(&path)?;
        if file.metadata()?.len() > 0 && !is_on(Mutant::NoBornCheck) {
            return Err(io::Error::other("`up.log` is not empty: another worker has it"));
        }
        point("up_log.opened");
        let (sender, receiver) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writing = Writing {
            path,
            file,
            frames: Writer::default(),
            waiting: Arc::clone(&waiting),
            taken: 0,
            ends_attempt: false,
            bell: Bell::new(),
            full: false,
        };
        std::thread::Builder::new().name("up_log".into()).spawn(|| writing.run(receiver))?;
        Ok(Self { sender, waiting, last_frame: Arc::new(Mutex::new(Instant::now())) })
    }

    /// Adds a frame and returns; it is written at once, or as soon as there is room.
    pub(crate) fn push(&self, message: Up) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        *self.last_frame.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        // The thread ends with the last handle, so it is there.
        let _ = self.sender.send(Order::Write(Box::new(message)));
    }

    /// Returns once all frames so far are in the file: a kill of this process no longer loses them.
    pub(crate) fn flush(&self) {
        let (sender, receiver) = sync_channel(1);
        if self.sender.send(Order::Flush(sender)).is_ok() {
            let _ = receiver.recv();
        }
    }

    /// Like [`UpLog::flush`], and a power cut no longer loses them either.
    pub(crate) fn sync(&self) {
        let (sender, receiver) = sync_channel(1);
        if self.sender.send(Order::Sync(sender)).is_ok() {
            let _ = receiver.recv();
        }
    }

    /// Like [`UpLog::flush`], for a limited time; returns whether all frames are in the file.
    pub(crate) fn flush_within(&self, limit: Duration) -> bool {
        let (sender, receiver) = sync_channel(1);
        self.sender.send(Order::Flush(sender)).is_ok() && receiver.recv_timeout(limit).is_ok()
    }

    /// Returns whether so many frames wait for room that no more should be made.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= WAITING_FRAMES
    }

    /// Returns the time since the last frame.
    pub(crate) fn silence(&self) -> Duration {
        self.last_frame.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// The writing thread's state.
struct Writing {
    path: PathBuf,
    file: File,
    frames: Writer,
    waiting: Arc<AtomicUsize>,
    /// Frames taken from the channel since all were written.
    taken: usize,
    /// One of the frames that wait ends an attempt.
    ends_attempt: bool,
    bell: Bell,
    /// The last try found no room.
    full: bool,
}

impl Writing {
    fn run(mut self, receiver: Receiver<Order>) {
        let mut flushes: Vec<SyncSender<()>> = Vec::new();
        let mut syncs: Vec<SyncSender<()>> = Vec::new();
        loop {
            let order = if self.frames.is_empty() {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                receiver.recv_timeout(RETRY)
            };
            match order {
                Ok(order) => self.take(order, &mut flushes, &mut syncs),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
            while self.frames.bytes().len() < WRITE_BYTES {
                let Ok(order) = receiver.try_recv() else { break };
                self.take(order, &mut flushes, &mut syncs);
            }
            self.write();
            if self.frames.is_empty() {
                self.waiting.fetch_sub(std::mem::take(&mut self.taken), Ordering::Relaxed);
                if !syncs.is_empty() {
                    self.sync();
                }
                for flush in flushes.drain(..).chain(syncs.drain(..)) {
                    // Who asked may have lost patience.
                    let _ = flush.try_send(());
                }
            }
        }
    }

    fn take(
        &mut self,
        order: Order,
        flushes: &mut Vec<SyncSender<()>>,
        syncs: &mut Vec<SyncSender<()>>,
    ) {
        match order {
            Order::Write(message) => {
                self.frames.push(&*message);
                self.taken += 1;
                self.ends_attempt |= matches!(*message, Up::Ended { .. });
            }
            Order::Flush(answer) => flushes.push(answer),
            Order::Sync(answer) => syncs.push(answer),
        }
    }

    fn sync(&self) {
        // A disk that cannot sync says so again when the next checkpoint is written, and that is an error.
        match self.file.sync_data() {
            Ok(()) => disk::synced(&self.path),
            Err(error) => tracing::warn!("cannot sync `up.log`: {error}"),
        }
        point("up_log.synced");
    }

    fn write(&mut self) {
        if !self.frames.is_empty() {
            point("up_log.before");
            point_after("up_log.half", || {
                let bytes = self.frames.bytes();
                let _ = self.file.write(&bytes[..bytes.len() / 2]);
            });
            if self.ends_attempt {
                point("up_log.ended.before");
            }
        }
        while !self.frames.is_empty() {
            match self.file.write(self.frames.bytes()) {
                Ok(0) => return,
                Ok(count) => {
                    // What is left begins anew on a line of its own: the next write says why.
                    self.frames.wrote(count);
                    disk::written(&self.path);
                    point("up_log.after");
                    self.bell.ring();
                    point("up_log.rung");
                    if self.frames.is_empty() && std::mem::take(&mut self.ends_attempt) {
                        point("up_log.ended.after");
                    }
                    if self.full && self.frames.is_empty() {
                        self.full = false;
                        tracing::warn!("`up.log` can be written again; nothing was lost");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !self.full {
                        self.full = true;
                        tracing::error!("cannot write `up.log`, will try again: {error}");
                    }
                    return;
                }
            }
        }
    }
}

/// Tells the scheduler that there is something to read.
struct Bell(Option<File>);

impl Bell {
    /// Takes stdout where it is a pipe; elsewhere nobody listens.
    fn new() -> Self {
        let pipe = io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        let pipe = pipe
            .filter(|file| file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()));
        if let Some(file) = &pipe
            && let Ok(flags) = fcntl(file, FcntlArg::F_GETFL)
        {
            let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
            let _ = fcntl(file, FcntlArg::F_SETFL(flags));
        }
        Self(pipe)
    }

    fn ring(&mut self) {
        // A full pipe has bells enough, a closed one has no listener.
        if let Some(pipe) = &mut self.0 {
            let _ = pipe.write(b"!");
        }
    }
}

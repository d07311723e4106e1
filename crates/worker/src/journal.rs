//! Log lines for people: to stderr for the worker, and to `log.txt` for each attempt.

use std::fs::File;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that says what is logged.
const FILTER_VARIABLE: &str = "CONVERGE_LOG";

/// Where log lines go at the moment, and the panic that was logged last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    attempt: Arc<Mutex<Option<File>>>,
    panic: Arc<Mutex<Option<String>>>,
}

impl Journal {
    /// Becomes the process's subscriber and panic hook.
    pub(crate) fn install() -> Self {
        let journal = Self::default();
        let filter =
            EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
        // Errors of the log itself go nowhere: reporting them on a full disk would panic.
        let stderr = fmt::layer()
            .with_ansi(false)
            .log_internal_errors(false)
            .with_writer(|| Deaf(io::stderr()));
        let attempt =
            fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(journal.clone());
        let installed = tracing_subscriber::registry()
            .with(filter)
            .with(stderr)
            .with(attempt)
            .try_init()
            .is_ok();
        if !installed {
            tracing::warn!("the process logs elsewhere already: attempts get no log of their own");
        }
        let hook = journal.clone();
        std::panic::set_hook(Box::new(move |info| hook.note_panic(info)));
        journal
    }

    /// Log lines go to `log.txt` in `directory` too, after what is there.
    pub(crate) fn open_attempt(&self, directory: &Path) -> io::Result<()> {
        let file = File::options().create(true).append(true).open(directory.join("log.txt"))?;
        *lock(&self.attempt) = Some(file);
        Ok(())
    }

    /// Log lines go to stderr only.
    pub(crate) fn close_attempt(&self) {
        *lock(&self.attempt) = None;
    }

    /// Returns message and place of the first panic since it was last asked for.
    pub(crate) fn take_panic(&self) -> Option<String> {
        lock(&self.panic).take()
    }

    fn note_panic(&self, info: &PanicHookInfo<'_>) {
        let message = info.payload_as_str().unwrap_or("(no message)");
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
        let message = format!("{message}{}", place.unwrap_or_default());
        let backtrace = std::backtrace::Backtrace::force_capture();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        // A panic of one thread makes others panic that wait for it: the first is the cause.
        lock(&self.panic).get_or_insert_with(|| message.clone());
        tracing::error!("thread {thread} panicked: {message}\n{backtrace}");
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = AttemptWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        AttemptWriter(lock(&self.attempt))
    }
}

/// Locks, also after a panic elsewhere: a log line is never in pieces.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to the log of the running attempt, if there is one.
pub(crate) struct AttemptWriter<'a>(MutexGuard<'a, Option<File>>);

impl Write for AttemptWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = self.0.as_mut() {
            let _ = file.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes as far as it goes and never complains.
struct Deaf<W>(W);

impl<W: Write> Write for Deaf<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

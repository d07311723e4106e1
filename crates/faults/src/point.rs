//! Places where a process can be made to die.

/// The environment variable that names the point: `NAME`, or `NAME:N` for the N-th time that a process reaches it.
pub const POINT_VARIABLE: &str = "CONVERGE_FAIL_POINT";

/// The environment variable that names a file, made by the process that fires: workers inherit the point from their
/// scheduler, and the next worker of the same run shall live.
pub const ONCE_VARIABLE: &str = "CONVERGE_FAIL_ONCE";

/// The environment variable that names the signals, one or more words; `SIGKILL` where it is absent. After any other the
/// process goes on.
pub const SIGNAL_VARIABLE: &str = "CONVERGE_FAIL_SIGNAL";

/// Every point, in the order in which a sweep first meets them; the tests walk them all.
pub const ALL: &[&str] = &[
    // The scheduler, before there is a sweep.
    "home.before",
    "home.after",
    "store.file.after",
    "store.copy.before",
    "store.copy.written",
    "store.copy.renamed",
    "store.migrate.before",
    "store.migrate.after",
    // What the last session left behind; each time before and after the commit.
    "recovery.before",
    "recovery.after",
    // The scheduler, while there is one.
    "store.sweep.before",
    "store.commit.before",
    "store.commit.after",
    "record.written",
    "record.renamed",
    "store.sweep.after",
    "store.worker.before",
    "store.worker.after",
    "worker_folder.before",
    "worker_folder.after",
    "launch.before",
    "launch.after",
    "attempt_folder.cleared",
    "growth.before",
    "down_log.before",
    "down_log.half",
    "down_log.after",
    "bell.before",
    "bell.after",
    "housekeeping.before",
    "housekeeping.synced",
    "housekeeping.half",
    "housekeeping.after",
    // A worker.
    "up_log.opened",
    "up_log.before",
    "up_log.half",
    "up_log.after",
    "up_log.rung",
    "up_log.synced",
    "up_log.ended.before",
    "up_log.ended.after",
    "attempt_folder.made",
    // Its training: any file that is written aside, then a checkpoint and the best weights as a whole.
    "file.begun",
    "file.written",
    "file.synced",
    "file.renamed",
    "link.made",
    "link.renamed",
    "directory.before",
    "directory.synced",
    "checkpoint.begun",
    "checkpoint.written",
    "checkpoint.renamed",
    "checkpoint.synced",
    "checkpoint.reported",
    "checkpoint.removing",
    "checkpoint.removed",
    "pause.checkpointed",
    "best.before",
    "best.after",
];

#[cfg(feature = "enabled")]
mod reached {
    use std::str::FromStr as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getpid;

    struct Plan {
        name: String,
        left: AtomicU64,
        once: Option<std::ffi::OsString>,
        signals: Vec<Signal>,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

    fn read() -> Option<Plan> {
        let text = std::env::var(super::POINT_VARIABLE).ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        let signals = std::env::var(super::SIGNAL_VARIABLE).unwrap_or("SIGKILL".into());
        let signals = signals.split_whitespace().map(Signal::from_str);
        Some(Plan {
            name: name.to_owned(),
            left: AtomicU64::new(times.parse().ok()?),
            once: std::env::var_os(super::ONCE_VARIABLE),
            signals: signals.collect::<Result<_, _>>().ok()?,
        })
    }

    /// Kills this process if this is the point, and the time, that the environment names.
    ///
    /// # Panics
    /// If the point is not among [`ALL`](super::ALL): no test would walk it.
    pub fn point(name: &'static str) {
        point_after(name, || {});
    }

    /// [`point`], with something to do first if the process is about to die: the half of a write.
    ///
    /// # Panics
    /// As [`point`].
    pub fn point_after(name: &'static str, half: impl FnOnce()) {
        assert!(super::ALL.contains(&name), "`{name}` is not in the list of fail points");
        let Some(plan) = PLAN.get_or_init(read) else { return };
        if plan.name != name || plan.left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        if let Some(once) = &plan.once {
            // Whoever makes the file fires; all others live.
            let Ok(mut file) = std::fs::File::create_new(once) else { return };
            let _ = std::io::Write::write_all(&mut file, getpid().to_string().as_bytes());
        }
        half();
        for signal in &plan.signals {
            let _ = kill(getpid(), *signal);
        }
        if plan.signals.contains(&Signal::SIGKILL) {
            // The signal is on its way; nothing more happens on this thread.
            std::thread::sleep(std::time::Duration::MAX);
        }
    }
}

#[cfg(not(feature = "enabled"))]
mod reached {
    /// Does nothing: this build has no fail points.
    #[inline]
    pub fn point(_: &'static str) {}

    /// Does nothing: this build has no fail points.
    #[inline]
    pub fn point_after(_: &'static str, _: impl FnOnce()) {}
}

pub use reached::{point, point_after};

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_point_is_listed_twice() {
        let mut names = ALL.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}

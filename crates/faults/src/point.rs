//! Places where a process can be made to die.

/// The environment variable that names the point: `NAME`, or `NAME:N` for the N-th time that it is reached.
pub const POINT_VARIABLE: &str = "CONVERGE_FAIL_POINT";

#[cfg(feature = "enabled")]
mod reached {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getpid;

    struct Plan {
        name: String,
        left: AtomicU64,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

    fn read() -> Option<Plan> {
        let text = std::env::var(super::POINT_VARIABLE).ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Plan { name: name.to_owned(), left: AtomicU64::new(times.parse().ok()?) })
    }

    /// Kills this process with SIGKILL if this is the point, and the time, that the environment names.
    pub fn point(name: &'static str) {
        let Some(plan) = PLAN.get_or_init(read) else { return };
        if plan.name == name && plan.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = kill(getpid(), Signal::SIGKILL);
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
}

pub use reached::point;

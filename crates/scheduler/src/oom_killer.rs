//! Tells a worker that the kernel killed for want of memory from one that was killed by hand, where the system can.
//!
//! A cgroup (version 2) counts the processes that the kernel's killer took from it and from those below it. Workers are
//! in the scheduler's own. One count explains one death: what it explains is claimed, so that a worker that somebody
//! kills later is not blamed on it.

use std::path::{Path, PathBuf};

/// The count of this process's cgroup, and how much of it is explained.
#[derive(Debug)]
pub struct OomKiller {
    /// `memory.events`; none: there is no such cgroup, and the two kinds of death look alike.
    events: Option<PathBuf>,
    claimed: u64,
}

impl OomKiller {
    /// Looks up this process's cgroup.
    pub fn of_this_process() -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
        Self::at(path.map(|path| Path::new("/sys/fs/cgroup").join(path).join("memory.events")))
    }

    fn at(events: Option<PathBuf>) -> Self {
        let mut killer = Self { events, claimed: 0 };
        killer.claimed = killer.kills();
        killer
    }

    /// Returns how many processes it has taken so far; 0 where that is not known.
    pub fn kills(&self) -> u64 {
        let read = |path: &PathBuf| std::fs::read_to_string(path).ok();
        self.events.as_ref().and_then(read).map_or(0, |events| count(&events))
    }

    /// Returns whether a process that SIGKILL has just ended was taken by the kernel, given the count at its launch.
    pub fn took_one(&mut self, kills_at_launch: u64) -> bool {
        let explained = self.claimed.max(kills_at_launch);
        let took = self.kills() > explained;
        if took {
            self.claimed = explained + 1;
        }
        took
    }
}

/// Reads the count from `memory.events`: see the kernel's cgroup-v2 documentation.
fn count(events: &str) -> u64 {
    let line = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kill_explains_one_death() {
        let directory = tempfile::tempdir().unwrap();
        let events = directory.path().join("memory.events");
        let write = |kills: u64| {
            let text = format!("low 0\nhigh 0\nmax 9\noom 4\noom_kill {kills}\noom_group_kill 0\n");
            std::fs::write(&events, text).unwrap();
        };
        write(3);
        let mut killer = OomKiller::at(Some(events.clone()));
        let first = killer.kills();
        assert!(!killer.took_one(first), "what was counted before explains nothing");
        write(4);
        assert!(killer.took_one(first));
        assert!(!killer.took_one(first), "its neighbour was killed by hand");
        // Two others of the cgroup were taken before the next worker began: no death of it.
        write(6);
        let second = killer.kills();
        assert!(!killer.took_one(second));
        write(8);
        assert!(killer.took_one(second) && killer.took_one(second) && !killer.took_one(second));
    }

    #[test]
    fn without_a_cgroup_nothing_is_told_apart() {
        let mut killer = OomKiller::at(None);
        assert_eq!(killer.kills(), 0);
        assert!(!killer.took_one(0));
    }
}

//! Tells a worker that the kernel killed for want of memory from one that was killed by hand, where the system can.
//!
//! A cgroup counts the processes that the kernel's killer took from it; version 2 also from those below it. Workers are
//! in the scheduler's own. One count explains one death: what it explains is claimed, so that a worker that somebody
//! kills later is not blamed on it.

use std::path::{Path, PathBuf};

/// The count of this process's cgroup, and how much of it is explained.
#[derive(Debug)]
pub struct OomKiller {
    /// The file with the count; none: there is no such cgroup, and the two kinds of death look alike.
    counter: Option<PathBuf>,
    claimed: u64,
}

impl OomKiller {
    /// Looks up this process's cgroup.
    pub fn of_this_process() -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::at(counters(&own).into_iter().find(|counter| counter.is_file()))
    }

    fn at(counter: Option<PathBuf>) -> Self {
        let mut killer = Self { counter, claimed: 0 };
        killer.claimed = killer.kills();
        killer
    }

    /// Returns how many processes it has taken so far; 0 where that is not known.
    pub fn kills(&self) -> u64 {
        let read = |path: &PathBuf| std::fs::read_to_string(path).ok();
        self.counter.as_ref().and_then(read).map_or(0, |text| count(&text))
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

/// Returns where the count may be, given `/proc/PID/cgroup`: see cgroups(7) and the kernel's documentation of both
/// versions. Where both are there, version 1 has the memory.
fn counters(cgroups: &str) -> Vec<PathBuf> {
    let path = |controls: &dyn Fn(&str) -> bool| {
        let fields = cgroups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let mut own = fields.filter(|(controllers, _)| controls(controllers));
        own.next().map(|(_, path)| path.trim_start_matches('/').to_owned())
    };
    let root = Path::new("/sys/fs/cgroup");
    let first = path(&|controllers| controllers.split(',').any(|name| name == "memory"));
    let second = path(&|controllers| controllers.is_empty());
    let first = first.map(|path| root.join("memory").join(path).join("memory.oom_control"));
    first.into_iter().chain(second.map(|path| root.join(path).join("memory.events"))).collect()
}

/// Reads the count; the line is the same in both versions.
fn count(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
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
    fn the_count_is_found_in_either_version() {
        let at = |cgroups: &str| -> Vec<String> {
            counters(cgroups).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            at("0::/user.slice/a.scope\n"),
            ["/sys/fs/cgroup/user.slice/a.scope/memory.events"]
        );
        assert_eq!(
            at("9:name=systemd:/\n4:cpu,memory:/docker/b\n0::/\n"),
            ["/sys/fs/cgroup/memory/docker/b/memory.oom_control", "/sys/fs/cgroup/memory.events"]
        );
        assert_eq!(at(""), Vec::<String>::new());
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7);
    }

    #[test]
    fn without_a_cgroup_nothing_is_told_apart() {
        let mut killer = OomKiller::at(None);
        assert_eq!(killer.kills(), 0);
        assert!(!killer.took_one(0));
    }
}

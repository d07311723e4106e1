//! The simulated process table: few pids, soon given again.

use std::collections::BTreeMap;

use converge_core::ids::WorkerId;
use converge_scheduler::launcher::local::Identity;

/// Pids there are, as long as they suffice.
const PIDS: u32 = 12;

/// Whose process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Worker(WorkerId),
    /// Nobody may signal it, or wait for it.
    Stranger,
}

/// Running processes by pid.
#[derive(Debug)]
pub(crate) struct Processes {
    running: BTreeMap<u32, (u64, Owner)>,
    next_pid: u32,
    /// In clock ticks after boot; no two processes that had the same pid started in the same tick.
    next_start: u64,
    boot: u64,
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self { running: BTreeMap::new(), next_pid: 2, next_start: 1, boot: 1 }
    }

    /// Starts a process.
    pub(crate) fn start(&mut self, owner: Owner) -> Identity {
        let pids = PIDS.max(self.running.len() as u32 + 1);
        while self.running.contains_key(&self.next_pid) {
            self.next_pid = 2 + (self.next_pid - 1) % pids;
        }
        self.start_as(self.next_pid, owner)
    }

    fn start_as(&mut self, pid: u32, owner: Owner) -> Identity {
        let process_start = self.next_start;
        self.next_start += 1;
        self.running.insert(pid, (process_start, owner));
        Identity { pid, process_start, boot_id: format!("boot {}", self.boot) }
    }

    /// Ends a process; another takes its pid at once if it is to be `reused`.
    pub(crate) fn end(&mut self, identity: &Identity, reused: bool) {
        if self.owner(identity).is_some() {
            self.running.remove(&identity.pid);
            if reused {
                self.start_as(identity.pid, Owner::Stranger);
            }
        }
    }

    /// Ends the first stranger there is, or starts one.
    pub(crate) fn stir(&mut self) {
        let stranger = self.running.iter().find(|(_, (_, owner))| *owner == Owner::Stranger);
        match stranger.map(|(pid, _)| *pid) {
            Some(pid) => {
                self.running.remove(&pid);
            }
            None => {
                self.start(Owner::Stranger);
            }
        }
    }

    /// Ends everything and begins with the first pid again, at the first tick of another boot.
    pub(crate) fn reboot(&mut self) {
        *self = Self { boot: self.boot + 1, ..Self::new() };
    }

    /// Returns whose process this very one is, if it runs.
    pub(crate) fn owner(&self, identity: &Identity) -> Option<Owner> {
        let (start, owner) = self.running.get(&identity.pid)?;
        let same = *start == identity.process_start;
        (same && identity.boot_id == format!("boot {}", self.boot)).then_some(*owner)
    }
}

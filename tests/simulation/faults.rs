//! What goes wrong in a history: which kinds, and how often, is drawn once from its seed.
//!
//! Each history has about half of the kinds, so that some combinations come undiluted.

use crate::dice::Dice;

/// Something that befalls the machine between two turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The scheduler is killed between two rounds.
    SchedulerDies,
    /// The scheduler is killed somewhere in its next write to the store, or right after it.
    SchedulerDiesCommitting,
    /// The scheduler is killed after a commit, before an action or in the middle of one.
    SchedulerDiesActing,
    /// A worker is killed.
    WorkerDies,
    /// A worker and the scheduler are killed.
    BothDie,
    /// All processes end, and the machine starts anew: pids are given again from the first.
    Reboot,
    /// A worker is stopped (SIGSTOP) and goes on later.
    WorkerStops,
    /// The disk fails somewhere in the next write to the store: it is rolled back, and the session ends.
    StoreFails,
    /// Another process holds the database at the next write.
    StoreBusy,
    /// The disk is full, until somebody makes room.
    StoreFull,
    /// The time of day is set forward or back.
    WallJumps,
    /// The machine as a whole stands still for longer than a worker may be silent.
    LongSilence,
    /// The user, or the system, asks the sweep to stop.
    Interrupt,
    /// A piece of a log reads as NULs.
    LogHole,
    /// A process that is no worker comes or goes.
    Stranger,
    /// Somebody adds the same grid again.
    GridAgain,
}

impl Fault {
    const ALL: [Self; 16] = [
        Self::SchedulerDies,
        Self::SchedulerDiesCommitting,
        Self::SchedulerDiesActing,
        Self::WorkerDies,
        Self::BothDie,
        Self::Reboot,
        Self::WorkerStops,
        Self::StoreFails,
        Self::StoreBusy,
        Self::StoreFull,
        Self::WallJumps,
        Self::LongSilence,
        Self::Interrupt,
        Self::LogHole,
        Self::Stranger,
        Self::GridAgain,
    ];
}

/// The faults of one history. A number `n` stands for "once in `n` times", 0 for never.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Turns after which nothing goes wrong any more.
    pub(crate) until_turn: u64,
    /// How often a turn brings a fault.
    rate: u64,
    /// The kinds that come, the more frequent ones repeated.
    kinds: Vec<Fault>,
    /// A worker's write stops in the middle of a frame.
    pub(crate) short_write: u64,
    /// The tail of a worker's log stands there twice.
    pub(crate) repeat: u64,
    /// What was written last is not visible yet.
    pub(crate) late: u64,
    /// A worker goes on talking about an attempt that is over, or that is another's.
    pub(crate) chatter: u64,
    /// A worker ends, or hangs, before its first word.
    pub(crate) stillborn: u64,
    /// A worker cannot be started.
    pub(crate) no_launch: u64,
    /// `down.log` cannot be written.
    pub(crate) no_send: u64,
    /// `up.log` cannot be read.
    pub(crate) no_read: u64,
    /// A worker is not seen by the next scheduler, nor does it see that its own is gone: it lives on in another
    /// container.
    pub(crate) unseen: u64,
    /// A process that ends has its pid taken by another.
    pub(crate) pid_reuse: u64,
    /// A killed process takes its time to be gone.
    pub(crate) slow_death: u64,
    /// NULs stand at the end of a dead worker's log.
    pub(crate) nul_tail: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn calm(&self) -> Self {
        Self { until_turn: self.until_turn, ..Self::none() }
    }

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut kinds = Vec::new();
        for kind in Fault::ALL {
            if dice.one_in(2) {
                for _ in 0..=dice.roll(3) {
                    kinds.push(kind);
                }
            }
        }
        let mut sometimes = |n: u64| if dice.one_in(2) { n } else { 0 };
        Self {
            short_write: sometimes(8),
            repeat: sometimes(12),
            late: sometimes(4),
            chatter: sometimes(2),
            stillborn: sometimes(12),
            no_launch: sometimes(24),
            no_send: sometimes(48),
            no_read: sometimes(96),
            unseen: sometimes(3),
            pid_reuse: sometimes(2),
            slow_death: sometimes(2),
            nul_tail: sometimes(4),
            rate: [8, 16, 32, 64][dice.place(4)],
            until_turn: 30 + dice.roll(120),
            kinds,
        }
    }

    /// Returns what goes wrong in a turn, if anything does.
    pub(crate) fn in_turn(&self, dice: &mut Dice) -> Option<Fault> {
        if !dice.one_in(self.rate) || self.kinds.is_empty() {
            return None;
        }
        Some(self.kinds[dice.place(self.kinds.len())])
    }
}

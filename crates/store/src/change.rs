//! What the scheduler tells the store: facts from workers' logs and its own decisions, in the order they hold.

use std::collections::BTreeMap;

use converge_core::early_stop::Verdict;
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::items::ItemResults;
use converge_core::trial::{AttemptEnding, TrialState};

use crate::sweep::NewTrial;
use crate::word::SweepState;

/// One change of the stored state. A batch of them is one transaction: see [`crate::Store::apply`].
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The process of a worker runs.
    WorkerSpawned {
        /// Made by [`crate::Store::new_worker`].
        worker: WorkerId,
        /// Process id.
        pid: u32,
        /// Start time of the process in clock ticks after boot; with `boot_id`, a pid that is never used again.
        process_start: u64,
        /// The kernel's boot id.
        boot_id: String,
    },
    /// The worker's first frame was read.
    WorkerBorn {
        /// The worker.
        worker: WorkerId,
        /// What it runs on: CPU features, device name, threads.
        machine: BTreeMap<String, String>,
        /// Its version of converge.
        version: String,
    },
    /// `up.log` was read up to here. Belongs in the same batch as the changes made from those frames.
    LogRead {
        /// The worker whose log it is.
        worker: WorkerId,
        /// Bytes read so far; never goes back.
        offset: u64,
        /// Sequence number wanted next; never goes back.
        next_seq: u64,
        /// Torn lines skipped in this reading; added to the worker's count.
        torn_lines: u64,
    },
    /// Frames were written to `down.log`, or will be after this batch is committed.
    DownLogged {
        /// The worker whose log it is.
        worker: WorkerId,
        /// Sequence number of the next frame to write; never goes back.
        next_seq: u64,
    },
    /// Frames of a dead attempt came and were refused; added to the worker's count.
    StaleFrames {
        /// The worker that sent them.
        worker: WorkerId,
        /// How many.
        count: u64,
    },
    /// The process of a worker is over, and its log was read to the end.
    WorkerEnded {
        /// The worker. None of its attempts may be open.
        worker: WorkerId,
        /// How it ended, for people: `exit 0`, `signal 9`.
        exit: String,
    },
    /// A worker was given a trial: opens an attempt, and the trial is running.
    ///
    /// Earlier attempts count up to `from_step` only, and the trial's metrics are computed anew if that cuts
    /// something off.
    Leased {
        /// A number never used before, such as [`crate::SweepRecord::next_attempt_id`] and upwards.
        attempt: AttemptId,
        /// The trial; must be queued.
        trial: TrialId,
        /// 1 + the trial's attempts so far.
        number: u64,
        /// The worker; must not have ended.
        worker: WorkerId,
        /// 0, or the step of a checkpoint of this trial that was applied before.
        from_step: u64,
        /// The attempt's own directory, relative to the home.
        directory: String,
        /// Sequence number in `down.log` of the frame that will say so; at least the worker's next one.
        down_seq: u64,
        /// Times the accumulation of the settings; 1 unless the trial ran out of memory.
        accumulation_factor: u64,
    },
    /// The worker has begun to train.
    Started {
        /// The attempt; must be open.
        attempt: AttemptId,
    },
    /// The metrics of one step.
    Observed {
        /// The attempt; must be open.
        attempt: AttemptId,
        /// After the attempt's last step.
        step: u64,
        /// The frame's sequence number in `up.log`.
        seq: u64,
        /// Name and value; NaN and infinities are kept.
        metrics: Vec<(String, f64)>,
        /// What the model said of each validation example, where the step was evaluated.
        items: Option<ItemResults>,
    },
    /// A checkpoint is on disk, whole. It becomes the trial's resume point.
    Checkpointed {
        /// The attempt; must be open.
        attempt: AttemptId,
        /// Its last step.
        step: u64,
        /// Where it is, relative to the home.
        directory: String,
        /// The frame's sequence number in `up.log`.
        seq: u64,
    },
    /// An attempt is over. Belongs in one batch with the [`Change::TrialState`] that follows from it.
    AttemptEnded {
        /// The attempt; must be open.
        attempt: AttemptId,
        /// How.
        ending: AttemptEnding,
        /// Last step that it is known to have done; less than what was observed counts as what was observed.
        last_step: u64,
        /// Sequence number in `up.log` after which nothing is taken from this attempt.
        closed_seq: u64,
        /// Best weights that it left on disk; none: the trial keeps what it has.
        best: Option<BestWeights>,
        /// Peak resident memory of the process (or of the device, where that is less). Unit: bytes.
        peak_memory_bytes: Option<u64>,
    },
    /// What an attempt left in its logs. Belongs in one batch with the [`Change::AttemptEnded`] before it.
    Evidence {
        /// The attempt; must have ended.
        attempt: AttemptId,
        /// The ends of its logs.
        evidence: Evidence,
        /// Peak memory as seen from outside, for an attempt that could not say so itself. Unit: bytes.
        peak_memory_bytes: Option<u64>,
    },
    /// A rung was reached: the evaluation there was observed. Once more where its attempt has to do it again.
    Reached {
        /// The trial.
        trial: TrialId,
        /// Which rung: from 0.
        rung: u64,
        /// Its step in this trial.
        step: u64,
        /// What the trial is compared by.
        standing: RungStanding,
    },
    /// What was decided about a trial at a rung. Belongs in one batch with the [`Change::TrialState`] that follows.
    Decided {
        /// The trial; must have reached the rung.
        trial: TrialId,
        /// Which rung: from 0.
        rung: u64,
        /// What.
        decision: RungDecision,
    },
    /// A trial's new state, as [`TrialState::next`] says. Never `Running`: that is [`Change::Leased`].
    ///
    /// `Completed` sets the trial's objective from its metrics. `Queued` after `Failed` or `Cancelled` forgives the
    /// failures so far: they are no longer charged.
    TrialState {
        /// The trial; none of its attempts may be open.
        trial: TrialId,
        /// Its new state.
        state: TrialState,
    },
    /// A sweep that grows while it runs has a new trial, queued and without attempts. Belongs in one batch with what it
    /// follows from; the sweep's record is written before that is committed.
    TrialAdded {
        /// A number never used before: [`crate::SweepRecord::next_trial_id`] and upwards.
        trial: TrialId,
        /// Its sweep.
        sweep: SweepId,
        /// From 1 within the sweep; above those of all its trials.
        number: u64,
        /// What it is.
        new: Box<NewTrial>,
    },
    /// The checkpoint to go on from, where it is not the newest; none: from the start, or deleted.
    ResumePoint {
        /// The trial.
        trial: TrialId,
        /// One of its checkpoints.
        point: Option<ResumePoint>,
    },
    /// A trial's best weights changed on disk; none: deleted.
    BestWeights {
        /// The trial.
        trial: TrialId,
        /// What there is now.
        weights: Option<BestWeights>,
    },
    /// Where a sweep stands.
    SweepState {
        /// The sweep.
        sweep: SweepId,
        /// Its new state.
        state: SweepState,
    },
}

/// What a trial is compared by at a rung.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RungStanding {
    /// The objective up to there; none: not observed, or NaN only.
    pub value: Option<f64>,
    /// What can be compared example by example, as [`converge_core::early_stop::Marks::to_bytes`] gives it.
    pub marks: Option<Vec<u8>>,
}

/// What was decided about a trial at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungDecision {
    /// Whether it goes on.
    pub verdict: Verdict,
    /// Its place among those that it was compared with: from 1.
    pub rank: u64,
    /// How many those were, itself included.
    pub among: u64,
    /// Its place among those that were promoted there, from 0; 0 where it was stopped.
    pub place: u64,
}

/// The ends of an attempt's logs, bounded in lines and bytes by who reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Of its own log.
    pub log: String,
    /// Of what its worker wrote to stderr.
    pub stderr: String,
}

/// Weights of the best evaluation of a trial, on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct BestWeights {
    /// Step of that evaluation.
    pub step: u64,
    /// The objective there.
    pub value: f64,
    /// Where they are, relative to the home.
    pub directory: String,
}

/// A checkpoint from which a trial can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    /// Steps done in it.
    pub step: u64,
    /// Where it is, relative to the home.
    pub directory: String,
}

impl Change {
    /// Returns the kind of change, for messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::WorkerSpawned { .. } => "worker spawned",
            Self::WorkerBorn { .. } => "worker born",
            Self::LogRead { .. } => "log read",
            Self::DownLogged { .. } => "down log written",
            Self::StaleFrames { .. } => "stale frames",
            Self::WorkerEnded { .. } => "worker ended",
            Self::Leased { .. } => "leased",
            Self::Started { .. } => "started",
            Self::Observed { .. } => "observed",
            Self::Checkpointed { .. } => "checkpointed",
            Self::AttemptEnded { .. } => "attempt ended",
            Self::Evidence { .. } => "evidence",
            Self::Reached { .. } => "reached",
            Self::Decided { .. } => "decided",
            Self::TrialState { .. } => "trial state",
            Self::TrialAdded { .. } => "trial added",
            Self::ResumePoint { .. } => "resume point",
            Self::BestWeights { .. } => "best weights",
            Self::SweepState { .. } => "sweep state",
        }
    }
}

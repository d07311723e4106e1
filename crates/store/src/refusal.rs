//! Why a change is refused: it contradicts what is stored. A defect of converge, or a damaged log.

use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such sweep.
    #[error("there is no sweep with id {0}")]
    NoSweep(SweepId),
    /// No such trial.
    #[error("there is no trial with id {0}")]
    NoTrial(TrialId),
    /// No such worker.
    #[error("there is no worker with id {0}")]
    NoWorker(WorkerId),
    /// The worker has ended.
    #[error("worker {0} has ended")]
    WorkerEnded(WorkerId),
    /// A worker cannot end before its attempts.
    #[error("attempt {attempt} of worker {worker} is open")]
    WorkerHasAttempt {
        /// The worker.
        worker: WorkerId,
        /// Its open attempt.
        attempt: AttemptId,
    },
    /// A log's offset or sequence number would go back: its frames would count twice.
    #[error("the log of worker {worker} would go back from {from} to {to}")]
    LogGoesBack {
        /// The worker.
        worker: WorkerId,
        /// Stored offset or sequence number.
        from: u64,
        /// The one given.
        to: u64,
    },
    /// No attempt with this number is open: the fence.
    #[error("attempt {0} is not open")]
    AttemptNotOpen(AttemptId),
    /// An attempt that is there and over is needed.
    #[error("no attempt {0} has ended")]
    AttemptNotEnded(AttemptId),
    /// An attempt's number was used before.
    #[error("attempt {0} exists already")]
    AttemptExists(AttemptId),
    /// The attempt's number within the trial has a gap or repeats.
    #[error("the next attempt of trial {trial} has number {expected}, not {number}")]
    AttemptNumber {
        /// The trial.
        trial: TrialId,
        /// 1 + its attempts so far.
        expected: u64,
        /// The one given.
        number: u64,
    },
    /// A trial in another state than the change needs.
    #[error("trial {trial} is {state}")]
    TrialIs {
        /// The trial.
        trial: TrialId,
        /// Its state.
        state: String,
    },
    /// The state does not follow from the trial's last attempt.
    #[error("trial {trial} cannot be {state}: its last attempt is not")]
    NotSoEnded {
        /// The trial.
        trial: TrialId,
        /// The state given.
        state: &'static str,
    },
    /// A batch would leave a running trial without open attempt, or the other way round.
    #[error("the batch would leave trial {trial} {state} with {open} open attempts")]
    LeftHalf {
        /// The trial.
        trial: TrialId,
        /// Its state after the batch.
        state: String,
        /// Its open attempts after the batch.
        open: u64,
    },
    /// No committed checkpoint of the trial has this step, or it was cut off.
    #[error("trial {trial} has no checkpoint at step {step} to go on from")]
    NoCheckpoint {
        /// The trial.
        trial: TrialId,
        /// The step given.
        step: u64,
    },
    /// The trial has not reached the rung, or it is decided.
    #[error("trial {trial} does not wait at rung {rung}")]
    NotAtRung {
        /// The trial.
        trial: TrialId,
        /// The rung given.
        rung: u64,
    },
    /// A step was seen before.
    #[error("step {step} of attempt {attempt} is not past its last step {last_step}")]
    StepNotPast {
        /// The attempt.
        attempt: AttemptId,
        /// The step given.
        step: u64,
        /// Its last step.
        last_step: u64,
    },
    /// A step before the attempt began.
    #[error("step {step} is before attempt {attempt} began, at {from_step}")]
    StepBefore {
        /// The attempt.
        attempt: AttemptId,
        /// The step given.
        step: u64,
        /// Where it began.
        from_step: u64,
    },
    /// The same metric twice in one step.
    #[error("metric `{metric}` stands twice in step {step} of attempt {attempt}")]
    MetricTwice {
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: u64,
        /// The metric.
        metric: String,
    },
    /// Answers and losses that are not as many, or more than are kept.
    #[error(
        "the item results of step {step} of attempt {attempt} are too many, or do not fit together"
    )]
    ItemsUnfit {
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: u64,
    },
    /// A new trial that is there already: its id, its number, or its configuration with this seed.
    #[error("sweep {sweep} cannot have trial {number} with id {trial} added: {why}")]
    NotNew {
        /// The sweep.
        sweep: SweepId,
        /// The id given.
        trial: TrialId,
        /// The number given.
        number: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A text that would not be found again.
    #[error("{0} is empty")]
    Empty(&'static str),
}

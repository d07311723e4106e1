//! What scheduler and worker say to each other.

use std::collections::BTreeMap;

use converge_core::facts::Facts;
use converge_core::ids::{AttemptId, TrialId};
use converge_core::inspection::Inspection;
use converge_core::items::ItemResults;
use converge_core::objective::Objective;
use converge_core::problem::Problem;
use converge_core::script::Script;
use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::Settings;
use converge_core::trial::AttemptEnding;
use serde::{Deserialize, Serialize};

/// Worker to scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Up {
    /// The first frame of a worker's life.
    Born {
        /// Process id.
        pid: u32,
        /// Version of the worker binary.
        version: String,
        /// The device that it trains on, as it was asked for.
        device: String,
        /// Threads it may use.
        threads: u64,
        /// Facts by name: `architecture`, `os`, `cpu_model`, `cpu_features` (those that decide which
        /// kernels are chosen), `kernel`, `hostname`; what cannot be found out is absent.
        machine: BTreeMap<String, String>,
    },
    /// Answers [`Down::Prepare`]: one entry a case, in the order of the cases.
    Prepared {
        /// The static facts.
        facts: Vec<Facts>,
    },
    /// Answers [`Down::Inspect`].
    Inspected {
        /// What stands in the file.
        inspection: Inspection,
    },
    /// Answers [`Down::Prepare`] where a case cannot be run, and [`Down::Inspect`] where the file cannot be read.
    Refused {
        /// All problems of all cases.
        problems: Vec<Problem>,
    },
    /// Answers [`Down::Assign`]: the work begins.
    Started {
        /// The attempt.
        attempt: AttemptId,
        /// Steps already done: the first step frame has the next number.
        from_step: u64,
    },
    /// A step is done; one frame carries all its metrics, those of an evaluation included.
    Step {
        /// The attempt.
        attempt: AttemptId,
        /// The step, counted from 1.
        step: u64,
        /// Metrics by name.
        #[serde(with = "crate::number::pairs")]
        metrics: Vec<(String, f64)>,
        /// What the model said of each validation example, where the step was evaluated.
        #[serde(
            with = "converge_core::packed::items_text",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        items: Option<ItemResults>,
    },
    /// A checkpoint is complete and on disk. Metrics of its steps stand before it.
    Checkpoint {
        /// The attempt.
        attempt: AttemptId,
        /// The last step that it holds.
        step: u64,
        /// Where it is; absolute.
        directory: String,
    },
    /// The last frame of an attempt.
    Ended {
        /// The attempt.
        attempt: AttemptId,
        /// The last step done.
        step: u64,
        /// How it ended.
        ending: AttemptEnding,
        /// The weights of the best evaluation, where they were kept.
        best: Option<Best>,
        /// Largest resident set of the process: since the attempt began where the system can tell
        /// (Linux), else since the process began.
        peak_memory_bytes: Option<u64>,
    },
    /// Nothing to say, but there was progress since the last frame: a training that hangs has no beat.
    Beat,
    /// The last frame of a worker's life that ended by itself.
    Bye,
}

/// The weights of a trial's best evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Step of the evaluation.
    pub step: u64,
    /// The objective there.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// Where the weights are; absolute.
    pub directory: String,
}

/// Scheduler to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Down {
    /// Validate model and data, fill the cache, answer with facts or problems.
    Prepare {
        /// Distinct combinations of settings.
        cases: Vec<Settings>,
        /// Seed of the splits.
        split_seed: Seed,
        /// Where tokenised data is kept; absolute.
        cache_directory: String,
    },
    /// Look at a data file that nobody has described yet.
    Inspect {
        /// The file; absolute.
        path: String,
    },
    /// Run an attempt.
    Assign(Box<Assignment>),
    /// Checkpoint the running attempt, end it as released, and stay. Without one: nothing.
    Release,
    /// No more work: release what runs, say goodbye and leave.
    Exit,
}

/// One attempt, complete: nothing else is looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The attempt: named in every frame about it.
    pub attempt: AttemptId,
    /// Its trial: no worker asks, but with it the logs alone say whose the attempt was. Logs before it was added lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialId>,
    /// The how manieth attempt of its trial, from 1.
    pub attempt_number: u64,
    /// What to do.
    pub work: Work,
    /// Where to go on from; none: from the start.
    pub resume_from: Option<ResumeFrom>,
    /// The attempt's own folder: checkpoints, best weights, `log.txt`. Absolute; made if absent.
    pub attempt_directory: String,
    /// Where tokenised data is kept; absolute.
    pub cache_directory: String,
    /// Least time between two checkpoints. Unit: seconds.
    pub checkpoint_seconds: f64,
    /// Whether layers are computed again in the backward pass.
    pub gradient_checkpointing: bool,
    /// Times `gradient_accumulation` of the settings: 1, or more after the trial ran out of memory. The examples of
    /// a step stay the same.
    pub accumulation_factor: u64,
    /// The step after whose evaluation it pauses: a checkpoint, and its end; none: it runs to the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_step: Option<u64>,
    /// Evaluations without a better objective after which it completes early; none: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Without progress for so long the attempt is hung; beats come several times as often. Unit: seconds.
    pub timeout_seconds: u64,
}

/// A checkpoint of an earlier attempt of the same trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeFrom {
    /// The last step that it holds.
    pub step: u64,
    /// Where it is; absolute.
    pub directory: String,
}

/// What an attempt does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// A fine-tune.
    FineTune {
        /// What and how to train.
        settings: Settings,
        /// Its randomness.
        seeds: TrialSeeds,
        /// Decides which evaluation is the best.
        objective: Objective,
        /// SHA-256 (hex) by role, as in the facts of the sweep: other contents are a failure.
        expected_hashes: BTreeMap<String, String>,
    },
    /// A scripted trial: no training.
    Scripted {
        /// Length and end.
        script: Script,
        /// Shape its curves.
        settings: Settings,
        /// Decides which evaluation is the best.
        objective: Objective,
    },
}

//! What one fine-tune is asked to do, what it reports on the way, and how it can end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_core::failure::FailureClass;
use converge_core::items::ItemResults;
use converge_core::objective::Objective;
use converge_core::problem::Problem;
use converge_core::seed::TrialSeeds;
use converge_core::settings::Settings;

/// One fine-tune.
#[derive(Debug, Clone)]
pub struct Job {
    /// How, from what and on what to train.
    pub settings: Settings,
    /// Every random choice of the trial.
    pub seeds: TrialSeeds,
    /// Decides which weights are the best.
    pub objective: Objective,
    /// Where tokenised data is kept between trials.
    pub cache_directory: PathBuf,
    /// Where checkpoints and best weights of this attempt go.
    pub attempt_directory: PathBuf,
    /// The checkpoint directory of an earlier attempt to go on from.
    pub resume_from: Option<PathBuf>,
    /// Least time between two checkpoints; stretched so that writing stays under 3 % of the time. Zero: a checkpoint
    /// after every step, whatever that takes.
    ///
    /// # Units
    /// Seconds.
    pub checkpoint_seconds: f64,
    /// The step after whose evaluation it pauses, as [`Ending::Paused`]; none: it runs to the last one. The schedule is
    /// that of the whole training either way.
    pub until_step: Option<u64>,
    /// Evaluations without a better objective after which it completes early, with its best weights; none: it never
    /// does. Without effect where the objective is that of the last evaluation.
    pub patience: Option<u64>,
    /// Computes each layer again in the backward pass instead of keeping what it needs. On the device `cpu` no bit
    /// changes.
    pub gradient_checkpointing: bool,
    /// Times [`gradient_accumulation`](converge_core::settings::TrainSettings::gradient_accumulation): the examples of a
    /// step stay the same, in more and smaller micro-batches. Checkpoints fit whatever it is.
    pub accumulation_factor: u64,
    /// A name out of [`devices`](crate::devices).
    pub device: String,
    /// What [`Facts::content_hashes`](converge_core::facts::Facts) said when the sweep was made.
    /// Roles that are not named here are not checked.
    pub expected_hashes: BTreeMap<String, String>,
}

/// Listens to a fine-tune and may stop it; it can change nothing else.
pub trait Observer {
    /// Takes all metrics of one step, those of its evaluation included. Steps count from 1.
    ///
    /// `items`: what the model said of each validation example, where the step was evaluated and the split is not too
    /// large for that. Not where the loss is not finite.
    fn observe(&mut self, step: u64, metrics: &[(String, f64)], items: Option<ItemResults>);

    /// Takes note that a checkpoint is durable: a crash of the machine loses nothing up to `step`, and the training that
    /// goes on from it observes all steps after that.
    fn checkpointed(&mut self, step: u64, directory: &Path);

    /// Says whether to go on. Asked after every step and between the batches of an evaluation and
    /// the micro-batches of a step, so that a stop never waits for long: a step that was cut short
    /// is done again after a resume, an evaluation too.
    fn control(&mut self) -> Control;
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Write a checkpoint and return [`Ending::Stopped`].
    Stop,
}

/// How a fine-tune ended, when nothing failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All steps were done, or all that the patience allowed.
    Completed {
        /// How many.
        steps: u64,
        /// The best weights by the objective; none if it never had a value.
        best: Option<BestWeights>,
    },
    /// A quantity stopped being finite: a result, not a failure. Its observation came first.
    Diverged {
        /// The step at which it did.
        step: u64,
        /// The name of its metric.
        quantity: String,
    },
    /// It is where the job said; there is a checkpoint after `step`.
    Paused {
        /// That step; it was observed.
        step: u64,
    },
    /// The observer asked for it; there is a checkpoint after `step`.
    Stopped {
        /// The last step that was observed; one more may be done, if its evaluation was cut short.
        step: u64,
    },
}

/// The weights at the best evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct BestWeights {
    /// The step that was evaluated.
    pub step: u64,
    /// The objective there.
    pub value: f64,
    /// Holds `model.safetensors`, `config.json` and `tokenizer.json` as Hugging Face's libraries
    /// read them.
    pub directory: PathBuf,
}

/// Why a fine-tune failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FineTuneError {
    class: FailureClass,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl FineTuneError {
    /// Decides about the retry.
    pub fn class(&self) -> FailureClass {
        self.class
    }

    /// Makes a failure of unusable data or model files.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Data, message: message.into(), source: None }
    }

    /// Makes a failure of a configuration that cannot be run.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Config, message: message.into(), source: None }
    }

    /// Makes a failure of the problems that `prepare` would have reported.
    pub(crate) fn problems(class: FailureClass, problems: &[Problem]) -> Self {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Self { class, message: lines.join("\n"), source: None }
    }

    /// Makes a failure of an operation on a file: `disk_full` where there was no room, else `data`.
    pub(crate) fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let class = match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => FailureClass::DiskFull,
            std::io::ErrorKind::OutOfMemory => FailureClass::Oom,
            _ => FailureClass::Data,
        };
        let message = format!("cannot {doing} `{}`", path.display());
        Self { class, message, source: Some(Box::new(source)) }
    }

    /// Adds a cause.
    pub(crate) fn because(
        mut self,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_class_of_its_own() {
        let class = |code: i32| {
            let error = std::io::Error::from_raw_os_error(code);
            FineTuneError::io("write", Path::new("x"), error).class()
        };
        const EACCES: i32 = 13;
        const ENOSPC: i32 = 28;
        assert_eq!(class(ENOSPC), FailureClass::DiskFull);
        assert_eq!(class(EACCES), FailureClass::Data);
    }
}

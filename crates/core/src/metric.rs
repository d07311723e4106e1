//! Names of the metrics that a fine-tune records. A metric is a series with a split: `validation/accuracy`.
//!
//! What an evaluation records is the table [`METRICS`]; `docs/metrics.md` shows the same.

use crate::objective::Goal;
use crate::task::Task;

/// Training loss of a step: mean over its examples, dropout on, label smoothing and class weights included.
pub const TRAIN_LOSS: &str = "train/loss";
/// Learning rate in force at a step, without the head's multiplier and without layer-wise decay.
pub const LEARNING_RATE: &str = "train/learning_rate";
/// Wall time of a step, evaluation and checkpoint not included. Unit: seconds.
pub const STEP_SECONDS: &str = "train/seconds";
/// Unpadded tokens of a step.
pub const TOKENS: &str = "train/tokens";
/// Global gradient norm before clipping.
pub const GRADIENT_NORM: &str = "train/gradient_norm";
/// Prefix of the gradient norm of a layer group, on a stride: `train/gradient_norm/top`.
pub const GRADIENT_NORM_OF: &str = "train/gradient_norm/";
/// Prefix of |ΔW| / |W| of a layer group, of one update, on the same stride: `train/update_ratio/top`.
pub const UPDATE_RATIO_OF: &str = "train/update_ratio/";
/// How much of Adam's step epsilon takes, on the stride: the mean of ε / (√v̂ + ε) over the encoder's layers.
pub const EPSILON_SHARE: &str = "train/epsilon_share";
/// What a step's own batch lost by its update, on the stride: loss before less loss after, with the same dropout masks.
pub const SAME_BATCH_DROP: &str = "train/same_batch_drop";
/// What it would have lost were the loss a plane, on the stride: - gradient · ΔW.
pub const EXPECTED_DROP: &str = "train/expected_drop";
/// Prefix of |W - W0| / |W0| of a layer group at an evaluation: `travel/head`.
pub const TRAVEL_OF: &str = "travel/";
/// Split names as they stand before the slash; `train_subset` is the fixed part of training, dropout off.
pub const EVALUATED_SPLITS: [&str; 2] = ["validation", "train_subset"];
/// Infix of the F1 of a class or label: `validation/f1/positive`.
pub const F1_OF: &str = "f1/";
/// Infix of the recall of a class or label: `validation/recall/positive`.
pub const RECALL_OF: &str = "recall/";
/// Infix of the share of predictions that fell on a class or label: `validation/predicted/positive`.
pub const PREDICTED_OF: &str = "predicted/";

/// Layer groups in which gradient norms and travel are recorded, from input to output.
pub const LAYER_GROUPS: [&str; 5] = ["embeddings", "bottom", "middle", "top", "head"];

/// What an evaluation records of a split.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name after the split; one that ends in a slash is followed by the name of a class or label.
    pub name: &'static str,
    /// Tasks that have it.
    pub tasks: &'static [Task],
    /// Which values are better; none: neither, and it is no objective.
    pub goal: Option<Goal>,
    /// Whether its values lie between 0 and 1 and are shown as a percentage.
    pub is_share: bool,
    /// What it is, with what happens where it is not defined.
    pub meaning: &'static str,
    /// Whose function gives the same number.
    pub reference: &'static str,
}

use Goal::{Maximize, Minimize};
use Task::{Classes, MultiLabel, Regression};

macro_rules! metrics {
    ($($name:literal [$($task:ident)*] $goal:expr, $is_share:literal, $meaning:literal, $reference:literal;)*) => {
        /// What an evaluation records, in the order in which documents show it.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name, tasks: &[$($task),*], goal: $goal, is_share: $is_share, meaning: $meaning,
            reference: $reference,
        }),*];
    };
}

metrics! {
    "loss" [Classes MultiLabel Regression] Some(Minimize), false,
        "without label smoothing and class weights. Classes: the mean of -log p of the right class. Multi-label: the mean of the binary cross-entropy over examples and labels. Regression: the mean squared error",
        "`torch.nn.CrossEntropyLoss`, `BCEWithLogitsLoss`, `MSELoss`";
    "accuracy" [Classes MultiLabel] Some(Maximize), true,
        "share of examples with the right answer. Multi-label: with all labels right (subset accuracy)",
        "`sklearn.metrics.accuracy_score`";
    "macro_f1" [Classes MultiLabel] Some(Maximize), true,
        "mean of the F1 of the classes or labels. A class that neither occurs nor is answered does not count; a label then counts as 0",
        "`sklearn.metrics.f1_score(average=\"macro\", zero_division=0)`";
    "micro_f1" [MultiLabel] Some(Maximize), true,
        "F1 over all pairs of example and label; 0 where none is there or answered",
        "`sklearn.metrics.f1_score(average=\"micro\", zero_division=0)`";
    "mcc" [Classes] Some(Maximize), false,
        "Matthews' correlation of answers and classes, from -1 to 1; 0 where answers or classes are all the same",
        "`sklearn.metrics.matthews_corrcoef`";
    "auroc" [Classes MultiLabel] Some(Maximize), true,
        "area under the ROC curve. Two classes: of the second one's probability. More: the mean over classes, each against the rest. Multi-label: the mean over labels. Classes and labels that all or no examples have do not count; absent where none is left",
        "`sklearn.metrics.roc_auc_score`, by class or label";
    "rmse" [Regression] Some(Minimize), false,
        "root of the mean squared error, in units of the label",
        "`sklearn.metrics.root_mean_squared_error`";
    "mae" [Regression] Some(Minimize), false,
        "mean absolute error, in units of the label",
        "`sklearn.metrics.mean_absolute_error`";
    "pearson" [Regression] Some(Maximize), false,
        "linear correlation of answers and labels; absent where either are all the same",
        "`scipy.stats.pearsonr`";
    "spearman" [Regression] Some(Maximize), false,
        "correlation of their ranks, equal values sharing the mean of theirs; absent where either are all the same",
        "`scipy.stats.spearmanr`";
    "f1/" [Classes MultiLabel] Some(Maximize), true,
        "F1 of a class or label. Absent for a class that neither occurs nor is answered; 0 for such a label",
        "`sklearn.metrics.f1_score(average=None, zero_division=0)`";
    "recall/" [Classes MultiLabel] Some(Maximize), true,
        "share of the examples of a class or label that were answered so; absent without examples",
        "`sklearn.metrics.recall_score(average=None)`";
    "loss_deviation" [Classes MultiLabel Regression] None, false,
        "standard deviation of the loss between examples: what the noise of a batch's loss follows from",
        "`numpy.std` of the losses that `loss` is the mean of";
    "confidence" [Classes] None, true,
        "mean of the probability that the model gives to its own answer",
        "the mean of the largest probability";
    "confidently_wrong" [Classes] Some(Minimize), true,
        "share of examples where a wrong class has a probability over 0.9. On `train_subset`, where training has just begun to fit: examples whose label may be wrong",
        "the mean of that";
    "predicted/" [Classes MultiLabel] None, true,
        "share of all examples that a class or label was answered to: 1 for one class means a collapsed model",
        "the mean of the answers";
}

impl Metric {
    /// Returns the metric of a name without its split.
    pub fn find(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| match metric.name.ends_with('/') {
            true => name.strip_prefix(metric.name).is_some_and(|class| !class.is_empty()),
            false => metric.name == name,
        })
    }

    /// Returns the name as documents show it, with `CLASS` where the name of one follows.
    pub fn shown(&self) -> String {
        if self.name.ends_with('/') { format!("{}CLASS", self.name) } else { self.name.into() }
    }
}

/// Returns a metric's name without its split: `accuracy` of `validation/accuracy`.
pub fn name_of(metric: &str) -> &str {
    metric.split_once('/').map_or(metric, |(_, name)| name)
}

/// Returns whether the values of `metric`, which has a split, lie between 0 and 1 and are shown as a percentage.
pub fn is_share(metric: &str) -> bool {
    Metric::find(name_of(metric)).is_some_and(|metric| metric.is_share)
}

/// Returns whether larger values of `metric` are better.
pub fn larger_is_better(metric: &str) -> bool {
    let (split, name) = metric.split_once('/').unwrap_or(("", metric));
    match Metric::find(name) {
        Some(known) => known.goal != Some(Minimize),
        None => !(split == "train" && (name == "seconds" || name.starts_with("gradient_norm"))),
    }
}

/// Returns what a model that answers a task is ranked by, where nothing else is said.
pub fn default_of(task: Task) -> &'static str {
    match task {
        Classes => "validation/accuracy",
        MultiLabel => "validation/macro_f1",
        Regression => "validation/pearson",
    }
}

/// Returns what could be said instead, where an objective cannot be this metric: a list.
///
/// `task` is none where it depends on the data: then every task's metrics will do.
pub fn not_an_objective(metric: &str, has_validation: bool, task: Option<Task>) -> Option<String> {
    let fits = |metric: &Metric| {
        metric.goal.is_some() && task.is_none_or(|task| metric.tasks.contains(&task))
    };
    let is_one = match metric.split_once('/') {
        Some(("validation", name)) => has_validation && Metric::find(name).is_some_and(fits),
        Some(("train_subset", name)) => Metric::find(name).is_some_and(fits),
        _ => metric == TRAIN_LOSS,
    };
    let list = || {
        let names: Vec<String> =
            METRICS.iter().filter(|metric| fits(metric)).map(Metric::shown).collect();
        let names = names.join(", ");
        match has_validation {
            true => {
                format!("train/loss, or validation/ or train_subset/ followed by one of {names}")
            }
            false => format!(
                "without validation data: train/loss, or train_subset/ followed by one of {names}"
            ),
        }
    };
    (!is_one).then(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_its_metric() {
        let found = |name: &str| Metric::find(name).map(|metric| metric.name);
        assert_eq!(found("accuracy"), Some("accuracy"));
        assert_eq!(found("f1/a/b"), Some("f1/"));
        assert_eq!(found("f1/"), None);
        assert_eq!(found("f1"), None);
        assert_eq!(found("accurate"), None);
    }

    #[test]
    fn errors_losses_and_times_are_better_when_smaller() {
        for name in
            ["train/loss", "validation/loss", "validation/rmse", "validation/mae", "train/seconds"]
        {
            assert!(!larger_is_better(name), "{name}");
        }
        for name in
            ["validation/accuracy", "validation/f1/loss", "validation/pearson", "travel/head"]
        {
            assert!(larger_is_better(name), "{name}");
        }
        assert!(!larger_is_better("train/gradient_norm/top"));
    }

    #[test]
    fn an_objective_fits_its_task() {
        let fits = |metric: &str, task| not_an_objective(metric, true, task).is_none();
        for task in Task::ALL {
            assert!(fits(default_of(task), Some(task)));
            assert!(fits(default_of(task), None));
            assert!(fits("train/loss", Some(task)));
        }
        assert!(!fits("validation/accuracy", Some(Regression)));
        assert!(!fits("validation/predicted/a", None));
        assert!(!fits("train/accuracy", None));
        let list = not_an_objective("validation/mcc", true, Some(Regression)).unwrap();
        assert!(list.ends_with("loss, rmse, mae, pearson, spearman"), "{list}");
        assert!(not_an_objective("validation/loss", false, None).is_some());
        assert!(not_an_objective("train_subset/loss", false, None).is_none());
    }
}

//! Names of the metrics that a fine-tune records. A metric is a series with a split: `validation/accuracy`.

/// Training loss of a step: mean over its examples, dropout on, label smoothing and class weights included.
pub const TRAIN_LOSS: &str = "train/loss";
/// Learning rate in force at a step, without the head's multiplier.
pub const LEARNING_RATE: &str = "train/learning_rate";
/// Wall time of a step, evaluation and checkpoint not included. Unit: seconds.
pub const STEP_SECONDS: &str = "train/seconds";
/// Unpadded tokens of a step.
pub const TOKENS: &str = "train/tokens";
/// Global gradient norm before clipping.
pub const GRADIENT_NORM: &str = "train/gradient_norm";
/// Prefix of the gradient norm of a layer group, on a stride: `train/gradient_norm/top`.
pub const GRADIENT_NORM_OF: &str = "train/gradient_norm/";
/// Prefix of |W - W0| / |W0| of a layer group at an evaluation: `travel/head`.
pub const TRAVEL_OF: &str = "travel/";
/// Split names as they stand before the slash; `train_subset` is the fixed part of training, dropout off.
pub const EVALUATED_SPLITS: [&str; 2] = ["validation", "train_subset"];
/// Names after the slash at an evaluation.
pub const EVALUATION_METRICS: [&str; 3] = ["loss", "accuracy", "macro_f1"];
/// Infix of the recall of a class: `validation/recall/positive`.
pub const RECALL_OF: &str = "recall/";
/// Infix of the share of predictions that fell on a class: `validation/predicted/positive`.
pub const PREDICTED_OF: &str = "predicted/";

/// Layer groups in which gradient norms and travel are recorded, from input to output.
pub const LAYER_GROUPS: [&str; 5] = ["embeddings", "bottom", "middle", "top", "head"];

/// Returns whether larger values of `metric` are better.
pub fn larger_is_better(metric: &str) -> bool {
    let name = metric.split('/').nth(1).unwrap_or(metric);
    !(name == "loss" || name == "seconds" || name.starts_with("gradient_norm"))
}

/// Returns whether an objective may be this metric, given whether there is a validation split.
pub fn is_objective(metric: &str, has_validation: bool) -> bool {
    let Some((split, name)) = metric.split_once('/') else { return false };
    let known_name = EVALUATION_METRICS.contains(&name)
        || (split != "train"
            && name.strip_prefix(RECALL_OF).is_some_and(|class| !class.is_empty()));
    match split {
        "validation" => has_validation && known_name,
        "train_subset" => known_name,
        "train" => name == "loss",
        _ => false,
    }
}

//! What settings, model and data do not allow together. Each of the three may be sound by itself.

use crate::facts::Facts;
use crate::metric::{Metric, default_of, name_of, not_an_objective};
use crate::objective::Objective;
use crate::problem::Problem;
use crate::settings::{ClassWeights, Freeze, Pooling, Sampling, Settings, TrainSettings};
use crate::sweep::Sweep;
use crate::task::Task;

/// What of model and data decides which settings make sense.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What the model learns to answer.
    pub task: Task,
    /// Names of its classes or labels.
    pub labels: &'a [String],
    /// Encoder layers in use.
    pub layers: u64,
}

impl<'a> From<&'a Facts> for Ground<'a> {
    fn from(facts: &'a Facts) -> Self {
        Self { task: facts.task, labels: &facts.labels, layers: facts.model.layers }
    }
}

/// Returns what is wrong with the settings of a training.
pub fn problems(train: &TrainSettings, ground: Ground<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |key: &str, message: String, hint: &str| {
        let problem = Problem::new(format!("train.{key}"), message);
        problems.push(if hint.is_empty() { problem } else { problem.hint(hint) });
    };
    let Ground { task, labels, layers } = ground;
    let is_for_classes = |what: &str| {
        format!("{what}, and only a task of classes has those; the task is {}", task.word())
    };
    if task != Task::Classes {
        let hint = "leave it out, or say what the task is in `[data] task`";
        if train.class_weights != ClassWeights::None {
            add("class_weights", is_for_classes("weighs classes"), hint);
        }
        if train.label_smoothing > 0.0 {
            add("label_smoothing", is_for_classes("spreads mass over classes"), hint);
        }
        if train.sampling == Sampling::Balanced {
            add("sampling", is_for_classes("shows all classes equally often"), hint);
        }
    } else if let ClassWeights::Given(weights) = &train.class_weights {
        if weights.len() != labels.len() {
            let classes = labels.len();
            let message = format!("has {} weights, the data has {classes} classes", weights.len());
            add("class_weights", message, &format!("in the order {}", labels.join(", ")));
        }
        if weights.iter().any(|weight| !(weight.is_finite() && *weight > 0.0)) {
            add("class_weights", "must be positive numbers".into(), "");
        }
    }
    let frozen = match train.freeze {
        Freeze::None | Freeze::Embeddings => 0,
        Freeze::Layers(frozen) => frozen,
        Freeze::Encoder => layers,
    };
    if frozen > layers {
        add("freeze", format!("is {frozen}: the model has {layers} layers"), "");
    } else if train.reinit_layers > layers {
        let message = format!("is {}: the model has {layers} layers", train.reinit_layers);
        add("reinit_layers", message, "");
    } else if frozen.saturating_add(train.reinit_layers) > layers {
        let message = format!(
            "draws the upper {} of {layers} layers anew, and `freeze` keeps the lower {frozen}",
            train.reinit_layers
        );
        add("reinit_layers", message, "a layer that is drawn anew has to train");
    }
    if train.reinit_pooler && train.pooling == Pooling::Mean {
        let message = "is true: with pooling \"mean\" there is no pooler".into();
        add("reinit_pooler", message, "leave it out, or write pooling = \"cls\"");
    }
    if train.head_learning_rate.is_some() && train.head_learning_rate_multiplier != 1.0 {
        add("head_learning_rate", BOTH_HEAD_RATES.into(), "remove one of the two");
    }
    problems
}

/// Why a head cannot have both.
pub(crate) const BOTH_HEAD_RATES: &str =
    "and `head_learning_rate_multiplier` both say how fast the head learns";

/// Returns what is wrong with the settings of any configuration of a sample, each once. `settings` comes with the facts
/// of its case.
pub fn of_all<'a>(settings: impl Iterator<Item = (Settings, &'a Facts)>) -> Vec<Problem> {
    let mut all: Vec<Problem> = Vec::new();
    for (settings, facts) in settings {
        for problem in problems(&settings.train, facts.into()) {
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
    }
    all
}

/// Returns the objective of a sweep, now that its data are known.
///
/// # Errors
/// An objective that the task does not have, or a class that the data do not have.
pub fn objective(sweep: &Sweep, facts: &[Facts]) -> Result<Objective, Problem> {
    let mut objective = sweep.objective.clone();
    let place = "sweep.objective";
    let tasks = |facts: &[Facts]| -> Vec<Task> {
        Task::ALL.into_iter().filter(|task| facts.iter().any(|one| one.task == *task)).collect()
    };
    let tasks = tasks(facts);
    if sweep.objective_follows_task
        && objective.metric.starts_with("validation/")
        && let [task] = tasks.as_slice()
    {
        objective.metric = default_of(*task).into();
    }
    let has_validation = facts.iter().all(|facts| facts.validation.is_some());
    for task in tasks {
        if let Some(list) = not_an_objective(&objective.metric, has_validation, Some(task)) {
            let message = format!("`{}` does not fit the task, {}", objective.metric, task.word());
            return Err(Problem::new(place, message).hint(list));
        }
    }
    let name = name_of(&objective.metric);
    let class = Metric::find(name)
        .filter(|metric| metric.name.ends_with('/'))
        .and_then(|metric| name.strip_prefix(metric.name));
    if let Some(class) = class
        && let Some(lacking) =
            facts.iter().find(|facts| !facts.labels.iter().any(|label| label == class))
    {
        let message = format!("`{}`: the data have no class `{class}`", objective.metric);
        let shown: Vec<String> =
            lacking.labels.iter().take(20).map(|label| format!("`{label}`")).collect();
        return Err(Problem::new(place, message).hint(format!("they have {}", shown.join(", "))));
    }
    Ok(objective)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Sweep {
        let text = format!(
            "[sweep]\nname = \"x\"\n{text}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n"
        );
        crate::sweep_file::read(&text, "s.toml", &[]).unwrap()
    }

    fn facts(task: Task, labels: &[&str]) -> Facts {
        let split = serde_json::json!({
            "examples": 10, "class_counts": [5, 5], "token_lengths": [1, 2, 3, 4],
            "truncated_share": 0.0, "unknown_token_share": 0.0,
        });
        let facts = serde_json::json!({
            "content_hashes": {}, "task": task, "labels": labels, "train": split,
            "validation": split, "test": null, "max_length": 8, "duplicates_between_splits": 0,
            "model": {
                "parameters": 1, "hidden_size": 1, "layers": 6, "heads": 1, "intermediate_size": 1,
                "vocabulary_size": 1, "max_positions": 8,
            },
        });
        serde_json::from_value(facts).unwrap()
    }

    #[test]
    fn an_objective_that_is_not_named_is_that_of_the_data() {
        let metric = |facts: &[Facts]| objective(&sweep(""), facts).map(|found| found.metric);
        assert_eq!(metric(&[facts(Task::Classes, &["a", "b"])]), Ok("validation/accuracy".into()));
        let number = || facts(Task::Regression, &["score"]);
        assert_eq!(metric(&[number()]), Ok("validation/pearson".into()));
        // Trials of both could not be ranked together.
        let mixed = metric(&[number(), facts(Task::Classes, &["a", "b"])]).unwrap_err();
        assert_eq!(
            mixed.to_string(),
            "sweep.objective: `validation/accuracy` does not fit the task, regression"
        );
        let named = sweep("objective = { metric = \"validation/loss\" }");
        let both = objective(&named, &[number(), facts(Task::Classes, &["a", "b"])]);
        assert_eq!(both.map(|found| found.metric), Ok("validation/loss".into()));
    }

    #[test]
    fn an_objective_of_a_class_needs_the_class() {
        let of = |class: &str, task| {
            let text = format!("objective = {{ metric = \"validation/f1/{class}\" }}");
            objective(&sweep(&text), &[facts(task, &["a", "b/c"])])
                .map_err(|problem| problem.message)
        };
        assert!(of("a", Task::Classes).is_ok() && of("b/c", Task::MultiLabel).is_ok());
        assert_eq!(
            of("b", Task::Classes),
            Err("`validation/f1/b`: the data have no class `b`".into())
        );
        assert!(of("a", Task::Regression).is_err());
    }

    #[test]
    fn layers_are_drawn_anew_only_where_they_train() {
        let told = |reinit_layers, freeze, pooling, reinit_pooler| -> Vec<String> {
            let train = TrainSettings {
                reinit_layers,
                freeze,
                pooling,
                reinit_pooler,
                ..TrainSettings::defaults()
            };
            let facts = facts(Task::Classes, &["a", "b"]);
            problems(&train, (&facts).into()).iter().map(ToString::to_string).collect()
        };
        let cls = Pooling::Cls;
        assert_eq!(told(6, Freeze::Embeddings, cls, true), [""; 0]);
        assert_eq!(told(2, Freeze::Layers(4), cls, false), [""; 0]);
        assert_eq!(
            told(3, Freeze::Layers(4), cls, false),
            [
                "train.reinit_layers: draws the upper 3 of 6 layers anew, and `freeze` keeps the lower 4"
            ]
        );
        assert_eq!(told(1, Freeze::Encoder, cls, false).len(), 1);
        assert_eq!(told(0, Freeze::Encoder, cls, false), [""; 0]);
        assert_eq!(
            told(7, Freeze::None, cls, false),
            ["train.reinit_layers: is 7: the model has 6 layers"]
        );
        assert_eq!(
            told(0, Freeze::None, Pooling::Mean, true),
            ["train.reinit_pooler: is true: with pooling \"mean\" there is no pooler"]
        );
    }
}

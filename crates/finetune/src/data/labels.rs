//! What the labels of a data set mean: the task, the names of its classes, and the right answer to each example.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use converge_core::problem::Problem;
use converge_core::settings::DataSettings;
use converge_core::task::Task;

use crate::data::table::list_of;
use crate::data::tokens::FileTokens;

/// Problems with labels that are listed; more of them have the same cause.
const LISTED_PROBLEMS: usize = 20;
/// More different whole numbers than this are no classes, if there are few examples of each.
const MOST_NUMBERED_CLASSES: usize = 100;
/// Fewer examples of each than this are few.
const FEW_EXAMPLES: usize = 10;
/// Most bins of equal size that the numbers of a regression are divided into.
const MOST_BINS: usize = 10;
/// Least examples of a bin.
const LEAST_OF_BIN: usize = 10;

/// The right answer to an example.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// Number of the class.
    Class(usize),
    /// Whether it has each label.
    Labels(Arc<[bool]>),
    /// The number.
    Number(f64),
}

/// How the labels of all files of a data set are understood: as those of the training file are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) task: Task,
    /// Why it is that.
    pub(crate) reason: String,
    /// Names of classes or labels, in the order of their numbers; the column of a regression.
    pub(crate) names: Vec<String>,
    separator: Option<String>,
    strata: Strata,
}

/// What examples are drawn by, so that every split has its share of each kind.
#[derive(Debug, Clone, PartialEq)]
enum Strata {
    /// The class.
    Classes,
    /// The rarest label that an example has: by label, how many examples of the training file have it.
    Rarest(Vec<usize>),
    /// The bin that a number falls into: where each but the first begins.
    Bins(Vec<f64>),
}

/// The labels of one file: by number of the label in the file.
pub(crate) struct FileTargets {
    pub(crate) targets: Arc<[Target]>,
    pub(crate) strata: Arc<[u32]>,
}

impl Meaning {
    /// Finds out what the labels of the training file mean.
    ///
    /// # Errors
    /// Labels that the task cannot have, and too few of them.
    pub(crate) fn of(settings: &DataSettings, file: &FileTokens) -> Result<Self, Vec<Problem>> {
        let (task, reason) = decide(settings, file);
        let separator = settings.label_separator.clone();
        if separator.is_some() && task != Task::MultiLabel {
            let message = format!("divides labels, and the task is {}", task.word());
            let hint = "leave it out, or write task = \"multi_label\"";
            return Err(vec![Problem::new("data.label_separator", message).hint(hint)]);
        }
        let mut meaning =
            Self { task, reason, names: Vec::new(), separator, strata: Strata::Classes };
        let texts = || file.labels.iter().map(|(label, _)| label.as_str());
        let path = &settings.train;
        let mut problems = Vec::new();
        match task {
            Task::Classes => {
                for (label, line) in &file.labels {
                    if list_of(label).is_some() && problems.len() < LISTED_PROBLEMS {
                        let message = "has a list of labels, and the task is classes";
                        problems.push(
                            Problem::new(format!("{path}:{line}"), message)
                                .hint("write task = \"multi_label\" in [data]"),
                        );
                    }
                }
                meaning.names = classes(texts());
                if problems.is_empty() && meaning.names.len() < 2 {
                    let message = format!("has a single class, `{}`", meaning.names.join(""));
                    problems.push(
                        Problem::new(path, message)
                            .hint("check `[data] label`; two or more are needed"),
                    );
                }
            }
            Task::MultiLabel => {
                let names: BTreeSet<&str> =
                    texts().flat_map(|text| meaning.divided(text)).collect();
                let names = classes(names.into_iter());
                if names.is_empty() {
                    problems.push(Problem::new(path, "has no label at all"));
                }
                let mut counts = vec![0; names.len()];
                let numbers = numbered(&names);
                for example in &file.examples {
                    let (text, _) = &file.labels[example.label as usize];
                    for name in meaning.divided(text).into_iter().collect::<BTreeSet<_>>() {
                        counts[numbers[name]] += 1;
                    }
                }
                meaning.names = names;
                meaning.strata = Strata::Rarest(counts);
            }
            Task::Regression => {
                meaning.names = vec![settings.label.clone()];
                let of_label: Vec<Option<f64>> = texts().map(number).collect();
                // Labels that are no numbers are problems of the file, and told with those of the others.
                let numbers: Vec<f64> = file
                    .examples
                    .iter()
                    .filter_map(|example| of_label[example.label as usize])
                    .collect();
                let mut distinct = numbers.iter();
                let first = distinct.next();
                if distinct.all(|number| Some(number) == first)
                    && numbers.len() == file.examples.len()
                {
                    let value = first.copied().unwrap_or_default();
                    let message = format!("has the same number everywhere, {value}");
                    problems.push(Problem::new(path, message).hint("check `[data] label`"));
                }
                meaning.strata = Strata::Bins(bins(numbers));
            }
        }
        if problems.is_empty() { Ok(meaning) } else { Err(problems) }
    }

    /// Returns how the labels of a file are understood for a model that is trained already; nothing is drawn by them.
    pub(crate) fn known(task: Task, names: &[String], separator: Option<String>) -> Self {
        let reason = "as the model was trained".to_owned();
        Self { task, reason, names: names.to_vec(), separator, strata: Strata::Classes }
    }

    /// Returns the right answers of a file, and adds a problem for each label that is none.
    pub(crate) fn targets(
        &self,
        file: &FileTokens,
        path: &str,
        train_path: &str,
        problems: &mut Vec<Problem>,
    ) -> FileTargets {
        let numbers = numbered(&self.names);
        let (mut targets, mut strata) = (Vec::new(), Vec::new());
        for (label, line) in &file.labels {
            let target = self.target(label, &numbers).unwrap_or_else(|wrong| {
                if problems.len() < LISTED_PROBLEMS {
                    problems.push(self.problem(&wrong, format!("{path}:{line}"), train_path));
                }
                Target::Class(0)
            });
            strata.push(self.stratum(&target));
            targets.push(target);
        }
        FileTargets { targets: targets.into(), strata: strata.into() }
    }

    /// # Errors
    /// The label that is none.
    fn target(&self, text: &str, numbers: &BTreeMap<&str, usize>) -> Result<Target, String> {
        let wrong = |label: &str| label.to_owned();
        match self.task {
            Task::Classes => {
                let class = numbers.get(text).copied();
                class.map(Target::Class).ok_or_else(|| match list_of(text) {
                    Some(list) => list.join(", "),
                    None => wrong(text),
                })
            }
            Task::MultiLabel => {
                let mut has = vec![false; self.names.len()];
                for label in self.divided(text) {
                    has[*numbers.get(label).ok_or_else(|| wrong(label))?] = true;
                }
                Ok(Target::Labels(has.into()))
            }
            Task::Regression => {
                number(text).map(Target::Number).ok_or_else(|| match list_of(text) {
                    Some(_) => "(a list)".to_owned(),
                    None => wrong(text),
                })
            }
        }
    }

    fn problem(&self, label: &str, place: String, train_path: &str) -> Problem {
        if self.task == Task::Regression {
            return Problem::new(place, format!("label `{label}` is not a finite number"))
                .hint("write task = \"classes\" in [data] if the labels are names");
        }
        let shown: Vec<String> =
            self.names.iter().take(10).map(|name| format!("`{name}`")).collect();
        let what = if self.task == Task::Classes { "classes" } else { "labels" };
        let message = format!("label `{label}` does not occur in `{train_path}`");
        Problem::new(place, message)
            .hint(format!("the {what} of the training file are {}", shown.join(", ")))
    }

    /// Returns the labels that a multi-label cell holds.
    fn divided<'a>(&self, text: &'a str) -> Vec<&'a str> {
        if let Some(list) = list_of(text) {
            return list;
        }
        let parts: Vec<&str> = match &self.separator {
            Some(separator) => text.split(separator.as_str()).collect(),
            None => vec![text],
        };
        parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
    }

    fn stratum(&self, target: &Target) -> u32 {
        let stratum = match (&self.strata, target) {
            (Strata::Rarest(counts), Target::Labels(has)) => {
                let own = (0..counts.len()).filter(|label| has[*label]);
                own.min_by_key(|label| counts[*label]).unwrap_or(counts.len())
            }
            (Strata::Bins(bounds), Target::Number(number)) => {
                bounds.partition_point(|bound| bound <= number)
            }
            (_, Target::Class(class)) => *class,
            _ => 0,
        };
        stratum as u32
    }
}

fn numbered(names: &[String]) -> BTreeMap<&str, usize> {
    names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect()
}

/// Returns the task and why it is that.
fn decide(settings: &DataSettings, file: &FileTokens) -> (Task, String) {
    let column = &settings.label;
    if let Some(task) = settings.task.task() {
        return (task, "as `[data] task` says".to_owned());
    }
    if file.labels.iter().any(|(label, _)| list_of(label).is_some()) {
        return (Task::MultiLabel, format!("`{column}` holds lists"));
    }
    if settings.label_separator.is_some() {
        return (Task::MultiLabel, "`[data] label_separator` is given".to_owned());
    }
    let numbers: Option<Vec<f64>> = file.labels.iter().map(|(label, _)| number(label)).collect();
    let Some(numbers) = numbers else {
        return (Task::Classes, format!("`{column}` holds names"));
    };
    let (distinct, examples) = (numbers.len(), file.examples.len());
    if let Some(place) = numbers.iter().position(|number| number.fract() != 0.0) {
        let shown = &file.labels[place].0;
        return (
            Task::Regression,
            format!("`{column}` holds numbers with fractions, such as {shown}"),
        );
    }
    if distinct > MOST_NUMBERED_CLASSES && examples < distinct * FEW_EXAMPLES {
        let reason =
            format!("`{column}` holds {distinct} different numbers in {examples} examples");
        return (Task::Regression, reason);
    }
    (Task::Classes, format!("`{column}` holds {distinct} different whole numbers"))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Returns where bins of about equal size begin, but for the first.
fn bins(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    let count = (numbers.len() / LEAST_OF_BIN).clamp(1, MOST_BINS);
    let mut bounds: Vec<f64> = (1..count).map(|bin| numbers[bin * numbers.len() / count]).collect();
    bounds.dedup();
    bounds
}

/// Returns the distinct labels in the order of their classes: by value if all of them are integers,
/// else by name.
pub(crate) fn classes<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let distinct: BTreeSet<&str> = labels.collect();
    let mut classes: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        // Stable: `01` and `1` are two names of one value.
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
    }
    classes
}

#[cfg(test)]
mod tests;

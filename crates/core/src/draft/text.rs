//! The sweep file that `init` writes.

use std::fmt::Write as _;

use super::{Roles, Wishes};
use crate::facts::Facts;
use crate::inspection::Inspection;
use crate::task::Task;

/// What a draft is made of.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Name of the sweep.
    pub name: &'a str,
    /// The data file, as it is to be written.
    pub data: &'a str,
    /// A folder, `hf:org/name`, or `tiny`.
    pub model: &'a str,
    /// What stands in the file.
    pub inspection: &'a Inspection,
    /// Which column holds what.
    pub roles: &'a Roles,
    /// What the user said.
    pub wishes: &'a Wishes,
    /// What a worker found out; none before one was asked.
    pub facts: Option<&'a Facts>,
    /// What it costs, in words; nothing before that is known.
    pub cost: &'a str,
    /// Where it is written.
    pub output: &'a str,
}

/// What is searched, and for how long each trial trains.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Learning rates.
    pub learning_rates: &'static [&'static str],
    /// Batch sizes.
    pub batch_sizes: &'static [u64],
    /// Passes over the training split.
    pub epochs: u64,
    /// Why these rates.
    pub why_rates: &'static str,
    /// Why so many epochs.
    pub why_epochs: &'static str,
}

/// Classes of which the largest has so many times as many examples as the smallest are uneven.
const UNEVEN: f64 = 2.0;
/// A hidden size up to this makes a small model.
const SMALL_HIDDEN: u64 = 512;
/// From so many rows on a tenth is enough to validate on.
const MANY_ROWS: u64 = 20_000;
/// Fewer examples of a class than this say little about it.
const FEW_EXAMPLES: u64 = 10;

impl Grid {
    /// Returns a grid that is sensible for a model and so many training examples.
    ///
    /// # Source
    /// Rates and batch sizes: Devlin et al. 2019 (A.3) for BERT of full size, Turc et al. 2019 for small ones. Epochs:
    /// Mosbach et al. 2021 and Zhang et al. 2021, who find that fine-tuning on few examples stops too early.
    pub fn of(model: &str, hidden_size: Option<u64>, train_examples: u64) -> Self {
        let (learning_rates, why_rates): (&'static [&'static str], _) = match hidden_size {
            _ if model == "tiny" => (&["1e-3", "5e-3", "1e-2"], "random weights need large ones"),
            Some(width) if width <= SMALL_HIDDEN => (
                &["5e-5", "1e-4", "3e-4"],
                "small models take larger ones than BERT-base's 2e-5 to 5e-5",
            ),
            _ => (&["2e-5", "3e-5", "5e-5"], "those of the BERT paper"),
        };
        let (epochs, why_epochs) = match train_examples {
            0..1000 => (10, "few examples need many passes"),
            1000..5000 => (5, "some thousand examples"),
            5000..50_000 => (3, "as in the BERT paper"),
            _ => (2, "many examples"),
        };
        let batch_sizes: &'static [u64] =
            if train_examples > MANY_ROWS { &[32] } else { &[16, 32] };
        Self { learning_rates, batch_sizes, epochs, why_rates, why_epochs }
    }

    /// Returns the number of its points.
    pub fn trials(&self) -> u64 {
        (self.learning_rates.len() * self.batch_sizes.len()) as u64
    }
}

/// Writes the file.
pub fn draft(draft: &Draft<'_>) -> String {
    let Draft { inspection, facts, .. } = *draft;
    let examples = facts.map_or(inspection.rows * 4 / 5, |facts| facts.train.examples);
    let grid = Grid::of(draft.model, facts.map(|facts| facts.model.hidden_size), examples);
    let mut text = opening(draft, &grid);
    let _ = write!(
        text,
        "[sweep]\nname = {}\nmethod = \"grid\"      # every combination; \"sobol\" and \"random\" draw, with max_trials in [budget]\n\
         seed = 42            # every split, draw and mask follows from it\n\
         replicates = 1       # 3 tell a difference from luck, for three times the time; see also `racing`\n\
         baseline = true      # the defaults too, beside the search: what the best one gains is told against them\n{}\n",
        quoted(draft.name),
        objective(facts),
    );
    let sizes: Vec<_> = grid.batch_sizes.iter().map(ToString::to_string).collect();
    let _ = write!(
        text,
        "[parameters]\n# What decides most: {}.\nlearning_rate = {{ values = [{}] }}\n",
        grid.why_rates,
        grid.learning_rates.join(", ")
    );
    if grid.batch_sizes.len() > 1 {
        let _ = writeln!(text, "batch_size = {{ values = [{}] }}", sizes.join(", "));
    }
    text += "# Seldom worth a search before these two: optimizer, warmup_ratio, weight_decay, dropout, pooling.\n\n[train]\n";
    if let [one] = grid.batch_sizes {
        let _ = writeln!(text, "batch_size = {one}");
    }
    let _ = writeln!(text, "epochs = {}           # {}", grid.epochs, grid.why_epochs);
    text += &training_notes(facts);
    text += &model_and_data(draft);
    text
}

fn opening(draft: &Draft<'_>, grid: &Grid) -> String {
    let Draft { inspection, roles, .. } = *draft;
    let mut text = format!(
        "# A first sweep over {}, written by `converge init`: it runs as it is.\n#\n",
        one_line(draft.data)
    );
    let mut say = |what: &str, words: String| {
        let _ = writeln!(text, "# {what:<9} {}", one_line(&words));
    };
    say("file", format!("{}, {} rows", inspection.format.told(), inspection.rows));
    say("text", format!("`{}`, {}", roles.text.name, roles.text.why));
    if let Some(pair) = &roles.text_pair {
        say("text_pair", format!("`{}`, {}", pair.name, pair.why));
    }
    say("label", format!("`{}`, {}", roles.label.name, roles.label.why));
    if !roles.others.is_empty() {
        say(
            "not used",
            roles.others.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        );
    }
    if let Some(facts) = draft.facts {
        say("task", task_words(facts));
    }
    say(
        "grid",
        format!(
            "{} learning rates × {} batch sizes = {} trials, and the defaults beside them",
            grid.learning_rates.len(),
            grid.batch_sizes.len(),
            grid.trials()
        ),
    );
    if !draft.cost.is_empty() {
        say("cost", draft.cost.into());
    }
    say("look", format!("converge plan {}", draft.output));
    say("start", format!("converge run {}", draft.output));
    text + "\n"
}

/// Describes the task, with the classes and their counts.
pub fn task_words(facts: &Facts) -> String {
    let counts = || {
        let pairs = facts.labels.iter().zip(&facts.train.class_counts);
        let shown: Vec<_> =
            pairs.take(10).map(|(label, count)| format!("{label} {count}")).collect();
        let more = facts.labels.len().saturating_sub(10);
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        format!("{}{rest}", shown.join(", "))
    };
    match facts.task {
        Task::Classes => {
            format!("{} classes (training examples: {})", facts.labels.len(), counts())
        }
        Task::MultiLabel => {
            format!("any of {} labels (training examples: {})", facts.labels.len(), counts())
        }
        Task::Regression => "a number (regression)".into(),
    }
}

/// Returns how many times as many examples the largest class has as the smallest.
fn unevenness(facts: &Facts) -> f64 {
    let counts = &facts.train.class_counts;
    let (least, most) = (counts.iter().min(), counts.iter().max());
    match (least, most) {
        (Some(least), Some(most)) => *most as f64 / (*least).max(1) as f64,
        _ => 1.0,
    }
}

fn objective(facts: Option<&Facts>) -> String {
    match facts {
        Some(facts) if facts.task == Task::Classes && unevenness(facts) >= UNEVEN => format!(
            "# Macro-F1, since the classes are uneven: always answering the largest has an accuracy of {:.0} %.\n\
             objective = {{ metric = \"validation/macro_f1\", goal = \"maximize\" }}\n",
            facts.train.majority_share() * 100.0
        ),
        Some(facts) if facts.task == Task::Classes => {
            "objective = { metric = \"validation/accuracy\", goal = \"maximize\" }\n".into()
        }
        // The default objective fits the task.
        _ => String::new(),
    }
}

fn training_notes(facts: Option<&Facts>) -> String {
    let Some(facts) = facts else { return "\n".into() };
    let mut text = format!(
        "# max_length = \"auto\" is {} tokens here; {:.1} % of the training texts are longer and are cut\n",
        facts.max_length,
        facts.train.truncated_share * 100.0
    );
    if facts.task == Task::Classes && unevenness(facts) >= UNEVEN {
        text += "# class_weights = \"balanced\"      # counts rare classes as much as frequent ones: try it in [parameters]\n";
    }
    let few: Vec<_> = facts
        .labels
        .iter()
        .zip(&facts.train.class_counts)
        .filter(|(_, count)| **count < FEW_EXAMPLES)
        .map(|(label, count)| one_line(&format!("{label} ({count})")))
        .take(5)
        .collect();
    if facts.task == Task::Classes && !few.is_empty() {
        let _ = writeln!(text, "# few training examples: {}", few.join(", "));
    }
    text + "\n"
}

fn model_and_data(draft: &Draft<'_>) -> String {
    let Draft { inspection, roles, facts, .. } = *draft;
    let mut text = String::from("[model]\n");
    text += &match draft.model {
        "tiny" => {
            "preset = \"tiny\"      # random weights: shows that everything works, learns little\n"
                .into()
        }
        path => format!("path = {}\n", quoted(path)),
    };
    let _ = write!(
        text,
        "\n[data]\ntrain = {}\ntext = {}\n",
        quoted(draft.data),
        quoted(&roles.text.name)
    );
    if let Some(pair) = &roles.text_pair {
        let _ = writeln!(text, "text_pair = {}", quoted(&pair.name));
    }
    let _ = writeln!(text, "label = {}", quoted(&roles.label.name));
    if let Some(task) = draft.wishes.task {
        let _ = writeln!(text, "task = \"{}\"", task.word());
    }
    let fraction = if inspection.rows >= MANY_ROWS { "0.1" } else { "0.2" };
    let _ = writeln!(
        text,
        "validation_fraction = {fraction}      # or validation = \"FILE\", which is not split off"
    );
    if facts.is_none_or(|facts| facts.train.examples > 2000) {
        text += "# train_limit = 2000           # for a quick first look\n";
    }
    text
}

/// Writes a text as TOML does.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// A stranger's names must not begin a line of their own.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

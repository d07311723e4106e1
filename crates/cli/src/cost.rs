//! What a sweep will take: measured where it was, guessed from sizes where not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use converge_core::cost::{Cost, Estimate, Forecast, Work, class, evaluated_examples, forecast};
use converge_core::facts::Facts;
use converge_core::materialise::PlannedTrial;
use converge_core::steps::evaluations;
use converge_dashboard::terminal::number::{bytes, duration};
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_scheduler::machine;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::capacity::Situation;
use crate::drive::Prepared;
use crate::output;
use crate::report::Report;

/// What a core does in a training: 9e10 were seen on a Zen 4 that did nothing else. Unit: floating-point operations a
/// second.
const CORE: f64 = 6e10;
/// Classes that are measured at most; the others follow from the nearest by arithmetic.
const MOST: usize = 8;
/// Classes that a table shows.
const SHOWN: usize = 12;
/// What tells classes apart that differ in nothing else.
const DATA_AND_MODEL: &str = "data and model";
/// Entries that the home keeps.
const KEPT: usize = 1000;

/// The trials of a sweep by what their steps cost.
pub(crate) struct Classes {
    /// One entry each.
    pub(crate) all: Vec<Class>,
    /// For each trial its class.
    of_trial: Vec<usize>,
}

/// Trials whose steps cost the same.
pub(crate) struct Class {
    /// What its trials agree in, machine, model and data included.
    key: Value,
    /// What tells it from the other classes, for people.
    pub(crate) name: String,
    /// Its first trial: a place in the plan.
    pub(crate) first: usize,
    /// Its trials.
    trials: u64,
    /// Operations of a step.
    operations: f64,
}

/// What was measured of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Time.
    pub(crate) cost: Cost,
    /// Memory of a worker, where the system could tell. Unit: bytes.
    pub(crate) peak: Option<u64>,
}

impl Class {
    /// Returns how long a processor takes for a step, by arithmetic alone. Unit: seconds.
    pub(crate) fn guessed_step_seconds(&self, threads: u64) -> f64 {
        self.operations / (CORE * threads.max(1) as f64)
    }
}

impl Classes {
    /// Sorts planned trials that so many workers with so many threads each are to train.
    pub(crate) fn of(
        prepared: &Prepared,
        planned: &[PlannedTrial],
        workers: u64,
        threads: u64,
    ) -> Self {
        let situation = json!(Situation::of(prepared));
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut classes = Self { all: Vec::new(), of_trial: Vec::new() };
        let mut parts: Vec<Value> = Vec::new();
        for (index, trial) in planned.iter().enumerate() {
            let facts = &prepared.facts[trial.case];
            let class = class(&trial.settings.train, facts);
            let place = *places.entry(json!([trial.case, class]).to_string()).or_insert_with(|| {
                let key = json!({
                    "situation": situation, "workers": workers, "threads": threads, "class": class,
                    "model": facts.model, "max_length": facts.max_length, "content": facts.content_hashes,
                    "gradient_checkpointing": prepared.run.gradient_checkpointing,
                });
                let batch_size = trial.settings.train.batch_size.min(facts.train.examples);
                classes.all.push(Class {
                    key,
                    name: String::new(),
                    first: index,
                    trials: 0,
                    operations: 3.0 * per_example(facts) * batch_size as f64,
                });
                let mut part = class;
                part[DATA_AND_MODEL] = (trial.case + 1).into();
                parts.push(part);
                classes.all.len() - 1
            });
            classes.all[place].trials += 1;
            classes.of_trial.push(place);
        }
        for (class, name) in classes.all.iter_mut().zip(names(&parts)) {
            class.name = name;
        }
        classes
    }

    /// Returns those that are to be measured: all, or a few from the cheapest to the dearest.
    pub(crate) fn chosen(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by(|left, right| {
            self.all[*left].operations.total_cmp(&self.all[*right].operations)
        });
        if order.len() <= MOST {
            order.sort_unstable();
            return order;
        }
        (0..MOST).map(|place| order[place * (order.len() - 1) / (MOST - 1)]).collect()
    }

    /// Returns what each class costs, if those that are to be measured have been.
    fn costs(&self, known: &Costs) -> Option<Vec<Measured>> {
        let chosen: Option<Vec<(usize, &Measured)>> = self
            .chosen()
            .into_iter()
            .map(|index| Some((index, known.of(&self.all[index].key)?)))
            .collect();
        let chosen = chosen.filter(|chosen| !chosen.is_empty())?;
        let cost = |index: usize| {
            let own = self.all[index].operations;
            // Its own figures before those of another that does as much.
            let distance =
                |other: usize| (other != index, (own / self.all[other].operations).ln().abs());
            let nearest = chosen.iter().min_by(|left, right| {
                let (left, right) = (distance(left.0), distance(right.0));
                left.0.cmp(&right.0).then(left.1.total_cmp(&right.1))
            });
            nearest.map(|(other, measured)| {
                let ratio = if index == *other { 1.0 } else { own / self.all[*other].operations };
                let step = measured.cost.step;
                let step = Estimate { mean: step.mean * ratio, error: step.error * ratio };
                Measured { cost: Cost { step, ..measured.cost }, peak: measured.peak }
            })
        };
        (0..self.all.len()).map(cost).collect()
    }
}

/// Names classes by what not all of them have; by data and model only where nothing else tells them apart.
fn names(parts: &[Value]) -> Vec<String> {
    let name = |part: &Value, with_data: bool| {
        let entries = part.as_object().into_iter().flatten();
        let told = entries
            .filter(|(key, value)| parts.iter().any(|other| other[key.as_str()] != **value))
            .filter(|(key, _)| with_data || *key != DATA_AND_MODEL);
        let words: Vec<String> = told
            .map(|(key, value)| match value.as_str() {
                Some(word) => format!("{key}={word}"),
                None if key == "drops" => {
                    format!("dropout={}", if any(value) { "yes" } else { "no" })
                }
                None => format!("{key}={value}"),
            })
            .collect();
        if words.is_empty() { "all".to_string() } else { words.join(" ") }
    };
    let short: Vec<String> = parts.iter().map(|part| name(part, false)).collect();
    let is_one = |name: &String| short.iter().filter(|other| *other == name).count() == 1;
    match short.iter().all(is_one) {
        true => short,
        false => parts.iter().map(|part| name(part, true)).collect(),
    }
}

fn any(flags: &Value) -> bool {
    flags.as_array().into_iter().flatten().any(|flag| flag.as_bool() == Some(true))
}

/// What was measured in this home, by class.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Costs(Vec<(Value, Measured)>);

impl Costs {
    /// Reads them; a file that is not there, or of another version, holds none.
    pub(crate) fn read(home: &Home) -> Self {
        let text = std::fs::read(path(home)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn of(&self, key: &Value) -> Option<&Measured> {
        self.0.iter().find(|(of, _)| of == key).map(|(_, measured)| measured)
    }

    /// Keeps what was found of a class, in place of what was found earlier.
    pub(crate) fn add(&mut self, class: &Class, measured: Measured) {
        self.0.retain(|(of, _)| *of != class.key);
        self.0.push((class.key.clone(), measured));
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    /// Writes them into the home.
    pub(crate) fn write(&self, home: &Home) -> Result<(), Report> {
        let aside = path(home).with_extension("tmp");
        std::fs::write(&aside, serde_json::to_vec_pretty(self)?)?;
        Ok(std::fs::rename(&aside, path(home))?)
    }
}

fn path(home: &Home) -> PathBuf {
    home.root().join("costs.json")
}

/// How long a sweep will take.
pub(crate) enum Outlook {
    /// Every class was measured here, with as many workers.
    Measured { forecast: Forecast, costs: Vec<Measured> },
    /// From sizes alone. Unit: seconds.
    Guessed(f64),
    /// Nobody knows what this device does.
    Unknown,
}

impl Outlook {
    /// Returns how long planned trials take, as far as it is known.
    pub(crate) fn of(
        classes: &Classes,
        known: &Costs,
        prepared: &Prepared,
        planned: &[PlannedTrial],
        workers: u64,
    ) -> Self {
        if let Some(costs) = classes.costs(known) {
            let work: Vec<Work> = planned
                .iter()
                .zip(&classes.of_trial)
                .map(|(trial, class)| {
                    let facts = &prepared.facts[trial.case];
                    let times = evaluations(facts.train.examples, &trial.settings.train);
                    Work {
                        class: *class,
                        steps: trial.total_steps,
                        evaluated: times * evaluated_examples(facts),
                    }
                })
                .collect();
            let plain: Vec<Cost> = costs.iter().map(|measured| measured.cost).collect();
            return Self::Measured { forecast: forecast(&work, &plain, workers), costs };
        }
        match guessed_seconds(prepared, planned) {
            Some(seconds) => Self::Guessed(seconds),
            None => Self::Unknown,
        }
    }

    /// Returns the time in words, for one line.
    pub(crate) fn words(&self, workers: u64) -> String {
        let with = if workers == 1 { "1 worker".into() } else { format!("{workers} workers") };
        match self {
            Self::Measured { forecast: Forecast { seconds, low, high }, .. } => format!(
                "about {} with {with} ({} to {}), from steps and evaluations measured here",
                duration(*seconds),
                duration(*low),
                duration(*high)
            ),
            Self::Guessed(seconds) => {
                format!(
                    "perhaps {}, guessed from sizes alone: `--measure` trains each cost class for a moment",
                    rounded(*seconds)
                )
            }
            Self::Unknown => {
                "not known here: `--measure` trains each cost class for a moment".into()
            }
        }
    }

    /// Returns the seconds, as far as they are known.
    pub(crate) fn seconds(&self) -> Option<f64> {
        match self {
            Self::Measured { forecast, .. } => Some(forecast.seconds),
            Self::Guessed(seconds) => Some(*seconds),
            Self::Unknown => None,
        }
    }

    /// Returns a table of the cost classes; nothing where they were not measured.
    pub(crate) fn table(
        &self,
        classes: &Classes,
        prepared: &Prepared,
        planned: &[PlannedTrial],
    ) -> String {
        let Self::Measured { costs, .. } = self else { return String::new() };
        let right = |header| (header, Align::Right);
        let mut table = Table::new([
            ("cost class", Align::Left),
            right("trials"),
            right("step"),
            right("evaluation"),
            right("start"),
            right("memory"),
        ]);
        for (class, Measured { cost, peak }) in classes.all.iter().zip(costs).take(SHOWN) {
            let examples = evaluated_examples(&prepared.facts[planned[class.first].case]) as f64;
            table.push([
                class.name.clone(),
                class.trials.to_string(),
                seconds(cost.step.mean),
                seconds(cost.evaluated_example.mean * examples),
                seconds(cost.start.mean),
                peak.map_or("-".into(), bytes),
            ]);
        }
        let mut text = table.render(output::width());
        if classes.all.len() > SHOWN {
            text += &format!("... and {} more classes\n", classes.all.len() - SHOWN);
        }
        text
    }

    /// Returns all of it for programs.
    pub(crate) fn json(&self, classes: &Classes, workers: u64) -> Value {
        match self {
            Self::Measured { forecast: Forecast { seconds, low, high }, costs } => {
                let classes: Vec<Value> = classes
                    .all
                    .iter()
                    .zip(costs)
                    .map(|(class, Measured { cost, peak })| {
                        json!({
                            "class": class.name, "trials": class.trials, "cost": cost, "peak_memory_bytes": peak,
                        })
                    })
                    .collect();
                json!({
                    "measured": true, "seconds": seconds, "low": low, "high": high, "workers": workers,
                    "classes": classes,
                })
            }
            Self::Guessed(seconds) => {
                json!({ "measured": false, "seconds": seconds, "workers": workers })
            }
            Self::Unknown => Value::Null,
        }
    }
}

/// Returns how long a processor takes for some trials by arithmetic alone; none on another device. Unit: seconds.
pub(crate) fn guessed_seconds(prepared: &Prepared, planned: &[PlannedTrial]) -> Option<f64> {
    if prepared.chosen.device != "cpu" {
        return None;
    }
    let operations: f64 = planned
        .iter()
        .map(|trial| {
            let facts = &prepared.facts[trial.case];
            let train = &trial.settings.train;
            let examples =
                trial.total_steps as f64 * train.batch_size.min(facts.train.examples) as f64;
            let evaluated =
                evaluated_examples(facts) as f64 * evaluations(facts.train.examples, train) as f64;
            // Forward is two operations a weight and token, backward twice that.
            per_example(facts) * (3.0 * examples + evaluated)
        })
        .sum();
    Some(operations / (CORE * machine::look().cores as f64))
}

/// Returns the operations of a forward pass over one example.
pub(crate) fn per_example(facts: &Facts) -> f64 {
    let model = &facts.model;
    let layer =
        4 * model.hidden_size * model.hidden_size + 2 * model.hidden_size * model.intermediate_size;
    let [_, median, _, _] = facts.train.token_lengths;
    2.0 * (model.layers * layer * median.min(facts.max_length)).max(1) as f64
}

/// A guess has no digits to spare.
pub(crate) fn rounded(seconds: f64) -> String {
    let unit = if seconds < 60.0 {
        5.0
    } else if seconds < 3600.0 {
        60.0
    } else {
        600.0
    };
    duration((seconds / unit).ceil() * unit).trim_end_matches(" 00 s").to_string()
}

/// A short time with two digits.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.0995 => format!("{:.0} ms", seconds * 1000.0),
        ..10.0 => format!("{seconds:.2} s"),
        _ => duration(seconds),
    }
}

//! `converge compare`: two trials or configurations side by side, and whether what they differ in is more than noise.

mod verdict;

use std::collections::BTreeSet;

use converge_core::key::KEYS;
use converge_core::metric::Metric;
use converge_core::objective::{At, Goal, Objective};
use converge_core::ranking::mean;
use converge_core::statistics::paired::{Difference, Discordant};
use converge_core::statistics::standing::CONFIDENCE;
use converge_core::trial::TrialState;
use converge_dashboard::terminal::number::{Kind, count, duration, general, kind_of, of_metric};
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_scheduler::trials::definition;
use converge_store::{MetricExtremes, Reader, SweepSummary, TrialDetail};
use serde_json::{Value, json};

use crate::arguments::CompareArguments;
use crate::commands::best::{self, sureness};
use crate::commands::curve::number;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::selector::{self, Known};
use crate::{home as homes, output};
use verdict::{Verdict, verdict};

/// Runs the command.
pub(crate) fn run(arguments: &CompareArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let record = reader.sweep(summary.id)?;
    let record = record.ok_or_else(|| Report::usage("there is no sweep yet", "start one"))?;
    let objective = best::objective(&reader, &summary, arguments.metric.as_deref())?;
    let sides = [&arguments.first, &arguments.second]
        .map(|selector| Side::find(&reader, &summary, selector, &objective));
    let [first, second] = sides;
    let sides = [first?, second?];
    let compared = Compared {
        settings: settings(&sides),
        metrics: metrics(&reader, &sides, &objective)?,
        verdict: verdict(&reader, &record, &definition(&record)?, &sides, &objective)?,
        objective,
        sides,
    };
    if arguments.json {
        output::json(&compared.json(&summary))?;
    } else {
        output::data(&compared.text());
    }
    Ok(ExitCode::Done)
}

/// Some trials: one, or the replicates of a configuration.
struct Side {
    trials: Vec<TrialDetail>,
    /// The objective of each, and the step that it is from.
    values: Vec<(f64, u64)>,
}

impl Side {
    fn find(
        reader: &Reader,
        summary: &SweepSummary,
        selector: &str,
        objective: &Objective,
    ) -> Result<Self, Report> {
        let ranking = best::ranking(reader, summary, &summary.objective, 1)?;
        let known = Known {
            last: summary.last_number,
            refit: reader.newest_refit(summary.id)?,
            ranking: &ranking.ranked,
        };
        let numbers: BTreeSet<u64> = selector::numbers(selector, &known)?.into_iter().collect();
        let (mut trials, mut values) = (Vec::new(), Vec::new());
        for number in numbers {
            let Some(detail) = reader.trial(summary.id, number)? else { continue };
            let of_metric = detail.metrics.iter().find(|found| found.metric == objective.metric);
            let Some((value, step)) = of_metric.and_then(|found| chosen(found, objective)) else {
                return Err(Report::usage(
                    format!("trial {number} has no value of {}", objective.metric),
                    "`--metric` compares by another; `converge trials` shows where trials stand",
                ));
            };
            trials.push(detail);
            values.push((value, step));
        }
        one_configuration(selector, &trials)?;
        Ok(Self { trials, values })
    }

    fn numbers(&self) -> Vec<u64> {
        self.trials.iter().map(|detail| detail.trial.number).collect()
    }

    fn name(&self) -> String {
        sureness::named(&self.numbers())
    }

    /// Returns the trials that were not trained to their end, or not yet.
    fn unfinished(&self) -> impl Iterator<Item = &TrialDetail> {
        self.trials.iter().filter(|detail| detail.trial.state != TrialState::Completed)
    }

    fn mean(&self) -> f64 {
        mean(&self.values.iter().map(|(value, _)| *value).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    }
}

/// Refuses trials of several configurations: their mean is that of no configuration, and seeds pair them by chance.
fn one_configuration(selector: &str, trials: &[TrialDetail]) -> Result<(), Report> {
    let Some(first) = trials.first().map(|detail| &detail.trial) else { return Ok(()) };
    let mut others = trials.iter().map(|detail| &detail.trial);
    let Some(other) = others.find(|other| other.fingerprint != first.fingerprint) else {
        return Ok(());
    };
    let (first, other) = (first.number, other.number);
    Err(Report::usage(
        format!("`{selector}` mixes configurations: trials {first} and {other} differ"),
        format!(
            "name trials of one configuration on each side; these two are compared by `converge compare {first} {other}`"
        ),
    ))
}

/// Returns what counts of a metric, and its step; nothing of one that was never a number.
fn chosen(found: &MetricExtremes, objective: &Objective) -> Option<(f64, u64)> {
    match (objective.at, objective.goal) {
        (At::Best, Goal::Maximize) => found.max,
        (At::Best, Goal::Minimize) => found.min,
        (At::Last, _) => (!found.last.is_nan()).then_some((found.last, found.last_step)),
    }
}

/// Returns `p = 0.12`, or that it is too small to matter.
fn chance(p: f64) -> String {
    match p {
        0.001..0.095 => format!("p = {p:.3}"),
        0.095.. => format!("p = {p:.2}"),
        _ => "p < 0.001".into(),
    }
}

/// A metric and its value on both sides.
type MetricRow = (String, [Option<f64>; 2]);

/// What was found out.
struct Compared {
    sides: [Side; 2],
    objective: Objective,
    /// Those that differ: name and both values.
    settings: Vec<(&'static str, [String; 2])>,
    /// Means over the trials of a side.
    metrics: Vec<MetricRow>,
    verdict: Verdict,
}

fn settings(sides: &[Side; 2]) -> Vec<(&'static str, [String; 2])> {
    let documents = [0, 1].map(|side: usize| {
        let trials = sides[side].trials.iter();
        trials.map(|detail| serde_json::to_value(&detail.settings).unwrap_or_default()).collect()
    });
    let shown = |documents: &Vec<Value>, section: &str, field: &str| {
        let values: BTreeSet<String> = documents
            .iter()
            .map(|document| match &document[section][field] {
                Value::Null => "-".into(),
                Value::String(text) => text.clone(),
                Value::Number(value) if value.is_f64() => {
                    general(value.as_f64().unwrap_or(f64::NAN))
                }
                other => other.to_string(),
            })
            .collect();
        values.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut differing = Vec::new();
    for key in KEYS {
        let (section, field) = key.section();
        let values = [0, 1].map(|side: usize| shown(&documents[side], section, field));
        if values[0] != values[1] {
            differing.push((key.name, values));
        }
    }
    differing
}

/// Returns the plain metrics of the evaluations at which the objective counts, as means over the trials of a side.
fn metrics(
    reader: &Reader,
    sides: &[Side; 2],
    objective: &Objective,
) -> Result<Vec<MetricRow>, Report> {
    let mut names: Vec<String> = vec![objective.metric.clone()];
    for detail in sides.iter().flat_map(|side| &side.trials) {
        for found in &detail.metrics {
            let plain = found.metric.strip_prefix("validation/").is_some_and(|name| {
                Metric::find(name)
                    .is_some_and(|metric| metric.goal.is_some() && metric.name == name)
            });
            if plain && !names.contains(&found.metric) {
                names.push(found.metric.clone());
            }
        }
    }
    let mut found = Vec::new();
    for name in names {
        let mut values = [None, None];
        for (side, value) in sides.iter().zip(&mut values) {
            let mut of_trials = Vec::new();
            for (detail, (own, step)) in side.trials.iter().zip(&side.values) {
                of_trials.push(if name == objective.metric {
                    Some(*own)
                } else {
                    let curve = reader.curve(detail.trial.id, &name)?;
                    curve.iter().find(|point| point.step == *step).map(|point| point.value)
                });
            }
            let of_trials: Option<Vec<f64>> = of_trials.into_iter().collect();
            *value = of_trials.and_then(|values| mean(&values));
        }
        found.push((name, values));
    }
    Ok(found)
}

impl Compared {
    fn text(&self) -> String {
        let [first, second] = [0, 1].map(|side: usize| self.sides[side].name());
        let mut text = String::new();
        let columns = |what: &'static str| {
            [(what, Align::Left), (first.as_str(), Align::Right), (second.as_str(), Align::Right)]
        };
        let mut table = Table::new(columns("setting"));
        for (name, values) in &self.settings {
            let name = name.strip_prefix("train.").unwrap_or(name);
            table.push([name.to_string(), values[0].clone(), values[1].clone()]);
        }
        if self.settings.is_empty() {
            text += "no setting differs\n";
        } else {
            text += &table.render(output::width());
        }
        let mut table = Table::new(columns("metric"));
        for (name, values) in &self.metrics {
            let cell =
                |value: Option<f64>| value.map_or("-".to_string(), |value| of_metric(name, value));
            table.push([name.clone(), cell(values[0]), cell(values[1])]);
        }
        let seconds = [0, 1].map(|side: usize| self.seconds(side));
        table.push(["training time".to_string(), duration(seconds[0]), duration(seconds[1])]);
        text.push('\n');
        text += &table.render(output::width());
        text.push('\n');
        text += &sureness::text(&self.rows(&first, &second));
        text
    }

    /// Returns the mean time of a side's trials. Unit: seconds.
    fn seconds(&self, side: usize) -> f64 {
        let trials = &self.sides[side].trials;
        let all: i64 = trials.iter().map(|detail| detail.trial.attempts_ms).sum();
        all as f64 / 1000.0 / trials.len().max(1) as f64
    }

    fn rows(&self, first: &str, second: &str) -> Vec<sureness::Row> {
        let metric = self.objective.metric.as_str();
        let is_share = kind_of(metric) == Kind::Share;
        let signed = |value: f64| match is_share {
            true => format!("{:+.1}", value * 100.0),
            false if value > 0.0 => format!("+{}", general(value)),
            false => general(value),
        };
        let unit = if is_share { " points" } else { "" };
        let told = |difference: &Difference| {
            format!(
                "{}{unit} of {metric} for {first} ({})",
                signed(difference.value),
                sureness::interval_of(difference.interval, signed)
            )
        };
        // Test and interval are two procedures: what only one of them sees may be noise.
        let is_apart = |difference: &Difference| {
            let interval = difference.interval;
            difference.p <= 1.0 - CONFIDENCE && (interval.low > 0.0 || interval.high < 0.0)
        };
        let verdict = |difference: &Difference| match is_apart(difference) {
            true => {
                let is_better = match self.objective.goal {
                    Goal::Maximize => difference.value > 0.0,
                    Goal::Minimize => difference.value < 0.0,
                };
                let (place, name) = if is_better { (0, first) } else { (1, second) };
                let verb = if self.sides[place].trials.len() == 1 { "is" } else { "are" };
                format!("{name} {verb} better")
            }
            false => "it may be noise".into(),
        };
        match &self.verdict {
            Verdict::Examples { difference, discordant, examples } => {
                let mut rows = vec![("difference", told(difference))];
                let mut p = difference.p;
                if let Some(discordant) = discordant {
                    let Discordant { first: one, second: other } = discordant;
                    rows.push((
                        "examples",
                        format!(
                            "of {}, {} are right in {first} alone and {} in {second} alone (McNemar's test: {})",
                            count(*examples as u64),
                            count(*one),
                            count(*other),
                            chance(discordant.mid_p())
                        ),
                    ));
                    if metric == "validation/accuracy" {
                        p = discordant.mid_p();
                    }
                }
                let difference = Difference { p, ..*difference };
                rows.push((
                    "so",
                    format!(
                        "{}; this is about these two trained models, not about other seeds",
                        verdict(&difference)
                    ),
                ));
                rows
            }
            Verdict::Seeds { difference, seeds } => vec![
                ("difference", told(difference)),
                (
                    "so",
                    format!(
                        "{}, by {seeds} seeds that both have, on this validation split",
                        verdict(difference)
                    ),
                ),
            ],
            Verdict::Unknown(why) => {
                let unfinished = self.sides.iter().flat_map(Side::unfinished);
                let unfinished: Vec<String> = unfinished
                    .map(|TrialDetail { trial, .. }| {
                        let (step, of) = (trial.last_step.unwrap_or(0), trial.total_steps);
                        let state = trial.state.word();
                        format!("trial {} is {state}, at step {step} of {of}", trial.number)
                    })
                    .collect();
                let difference = self.sides[0].mean() - self.sides[1].mean();
                let mut rows = Vec::new();
                if !unfinished.is_empty() {
                    rows.push(("trained", unfinished.join("; ")));
                }
                rows.extend([
                    ("difference", format!("{}{unit} of {metric} for {first}", signed(difference))),
                    ("how sure", format!("not known: {why}")),
                ]);
                rows
            }
        }
    }

    fn json(&self, summary: &SweepSummary) -> Value {
        let side = |place: usize| {
            let side = &self.sides[place];
            json!({
                "trials": side.numbers(),
                "mean": number(side.mean()),
                "values": side.values.iter().map(|(value, _)| number(*value)).collect::<Vec<_>>(),
                "seconds": self.seconds(place),
                "unfinished": side
                    .unfinished()
                    .map(|TrialDetail { trial, .. }| json!({
                        "trial": trial.number,
                        "state": trial.state.word(),
                        "last_step": trial.last_step,
                        "total_steps": trial.total_steps,
                    }))
                    .collect::<Vec<_>>(),
            })
        };
        let settings: serde_json::Map<String, Value> = self
            .settings
            .iter()
            .map(|(name, values)| ((*name).to_string(), json!(values)))
            .collect();
        let metrics: serde_json::Map<String, Value> = self
            .metrics
            .iter()
            .map(|(name, values)| (name.clone(), json!(values.map(|value| value.map(number)))))
            .collect();
        let paired = match &self.verdict {
            Verdict::Examples { difference, discordant, examples } => json!({
                "by": "examples",
                "difference": difference,
                "examples": examples,
                "discordant": discordant,
                "mcnemar_p": discordant.map(Discordant::mid_p),
                "mcnemar_exact_p": discordant.map(Discordant::exact),
            }),
            Verdict::Seeds { difference, seeds } => {
                json!({ "by": "seeds", "difference": difference, "seeds": seeds })
            }
            Verdict::Unknown(why) => json!({ "by": null, "missing": why }),
        };
        json!({
            "sweep": summary.name,
            "objective": self.objective,
            "sides": [side(0), side(1)],
            "settings": settings,
            "metrics": metrics,
            "confidence": CONFIDENCE,
            "paired": paired,
        })
    }
}

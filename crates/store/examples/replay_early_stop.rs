//! Replays early stopping on the recorded curves of sweeps that ran in full: what each rule would have cost, and found.
//!
//! `cargo run --release -p converge-store --example replay_early_stop DATABASE [SWEEP...]`: all finished sweeps of the
//! home where none is named. A trial that goes on has the curve that it had, since rungs change nothing of a training.
//! Ties are told as in a sweep: by the answers to each validation example where they were kept.
//!
//! Columns: steps done, of all (mean, and the largest of the sweeps); the best value among the trials that went on to
//! the end, and how far it is behind the best of the full sweep, in points and in standard errors of that best
//! (binomial: one model on so many examples); in how many sweeps it is at most one of them behind.

use std::collections::BTreeMap;
use std::io::Write;

use converge_core::early_stop::{EarlyStop, Ended, Known, Ladder, Marks, Rule, Standing, Verdict};
use converge_core::facts::Facts;
use converge_core::objective::{At, Objective};
use converge_core::sweep::Sweep;
use converge_store::Reader;

type Failure = Box<dyn std::error::Error>;

/// A trial that ran in full.
struct Recorded {
    facts: usize,
    settings: converge_core::settings::Settings,
    total_steps: u64,
    /// Step and value of each evaluation.
    curve: Vec<(u64, f64)>,
    /// What can be compared example by example, of the evaluations of which it is known.
    marks: BTreeMap<u64, Marks>,
}

/// A sweep that ran in full.
struct Grid {
    name: String,
    objective: Objective,
    facts: Vec<Facts>,
    trials: Vec<Recorded>,
}

/// What a rule makes of a sweep.
struct Outcome {
    steps: u64,
    best: Option<f64>,
}

fn main() -> Result<(), Failure> {
    let usage = "usage: replay_early_stop DATABASE [SWEEP...]";
    let mut arguments = std::env::args().skip(1);
    let reader = Reader::open(arguments.next().ok_or(usage)?)?;
    let named: Vec<String> = arguments.collect();
    let mut grids = Vec::new();
    for sweep in reader.sweeps()? {
        if named.is_empty() || named.contains(&sweep.name) {
            grids.push(read(&reader, sweep.id, sweep.name)?);
        }
    }
    let mut out = std::io::stdout().lock();
    for grid in &grids {
        let all: u64 = grid.trials.iter().map(|trial| trial.total_steps).sum();
        let best = grid.best(grid.trials.iter());
        let trials = grid.trials.len();
        writeln!(out, "{}: {trials} trials, {all} steps, best {best:?}", grid.name)?;
    }
    writeln!(
        out,
        "\n{:<34} {:>7} {:>7} {:>8} {:>8} {:>7} {:>8}",
        "rule", "steps", "most", "best", "behind", "in SE", "within"
    )?;
    for (name, rule) in rules() {
        let (mut shares, mut bests, mut behind, mut errors) = (vec![], vec![], vec![], vec![]);
        for grid in &grids {
            let all: u64 = grid.trials.iter().map(|trial| trial.total_steps).sum();
            let outcome = grid.replay(rule);
            shares.push(outcome.steps as f64 / all as f64);
            if let (Some(found), Some(best)) = (outcome.best, grid.best(grid.trials.iter())) {
                let gap = (best - found).abs();
                bests.push(found);
                behind.push(gap);
                errors.push(gap / grid.standard_error(best));
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let most = shares.iter().copied().fold(0.0, f64::max);
        let within = errors.iter().filter(|error| **error <= 1.0).count();
        writeln!(
            out,
            "{name:<34} {:>6.1}% {:>6.1}% {:>8.4} {:>8.4} {:>7.2} {:>8}",
            100.0 * mean(&shares),
            100.0 * most,
            mean(&bests),
            mean(&behind),
            mean(&errors),
            format!("{within}/{}", errors.len()),
        )?;
    }
    Ok(())
}

/// The rules that are tried, with their names.
fn rules() -> Vec<(String, EarlyStop)> {
    let mut rules = vec![("none".to_string(), EarlyStop::default())];
    let mut add = |rule: EarlyStop, more: &str| {
        let ties = if rule.ties { "" } else { ", no ties" };
        rules.push((format!("{}{more}{ties}", rule.rule.word()), rule));
    };
    for ties in [true, false] {
        let plain = |rule| EarlyStop { rule, ties, ..EarlyStop::default() };
        for keep in [1.0, 2.0, 3.0, 6.0] {
            add(EarlyStop { keep: Some(keep), ..plain(Rule::TopK) }, &format!(" keep={keep}"));
        }
        add(plain(Rule::TopK), " keep=1/3");
        for eta in [2, 3, 4] {
            add(EarlyStop { eta, ..plain(Rule::Halving) }, &format!(" eta={eta}"));
            add(EarlyStop { eta, ..plain(Rule::Asha) }, &format!(" eta={eta}"));
        }
        for first in [0.25, 0.5] {
            add(
                EarlyStop { first, keep: Some(3.0), ..plain(Rule::TopK) },
                &format!(" keep=3 first={first}"),
            );
            add(EarlyStop { first, ..plain(Rule::Halving) }, &format!(" eta=3 first={first}"));
        }
        add(plain(Rule::Median), "");
    }
    rules
}

fn read(reader: &Reader, id: converge_core::ids::SweepId, name: String) -> Result<Grid, Failure> {
    let record = reader.sweep(id)?.ok_or("the sweep is gone")?;
    let sweep: Sweep = serde_json::from_str(&record.definition)?;
    let mut trials = Vec::new();
    for trial in reader.trials(id)?.iter().filter(|trial| trial.kind.is_ranked()) {
        let curve = reader.curve(trial.id, &sweep.objective.metric)?;
        let evaluations: Vec<_> = curve.iter().map(|point| (trial.id, point.step)).collect();
        let items = reader.item_results(&evaluations)?;
        let marks = curve.iter().zip(items).filter_map(|(point, items)| {
            Some((point.step, Marks::of(&items?, &sweep.objective.metric)?))
        });
        trials.push(Recorded {
            facts: usize::try_from(trial.facts_index)?,
            settings: reader.settings(trial.id)?.ok_or("a trial has no settings")?,
            total_steps: trial.total_steps,
            curve: curve.iter().map(|point| (point.step, point.value)).collect(),
            marks: marks.collect(),
        });
    }
    Ok(Grid { name, objective: sweep.objective, facts: record.facts, trials })
}

impl Grid {
    /// Returns what a trial stands with after a step.
    fn value(&self, trial: &Recorded, until: u64) -> Option<f64> {
        let mut seen =
            trial.curve.iter().filter(|(step, _)| *step <= until).map(|(_, value)| *value);
        match self.objective.at {
            At::Last => seen.next_back(),
            At::Best => {
                seen.reduce(
                    |best, value| {
                        if self.objective.improves(value, best) { value } else { best }
                    },
                )
            }
        }
    }

    fn best<'a>(&self, trials: impl Iterator<Item = &'a Recorded>) -> Option<f64> {
        let values = trials.filter_map(|trial| self.value(trial, u64::MAX));
        values.reduce(|best, value| if self.objective.improves(value, best) { value } else { best })
    }

    fn examples(&self) -> u64 {
        self.facts
            .first()
            .and_then(|facts| facts.validation.as_ref())
            .map_or(0, |split| split.examples)
    }

    fn standard_error(&self, share: f64) -> f64 {
        (share * (1.0 - share) / self.examples().max(1) as f64).sqrt()
    }

    fn replay(&self, rule: EarlyStop) -> Outcome {
        let rungs: Vec<Vec<u64>> = self
            .trials
            .iter()
            .map(|trial| rule.rungs(self.facts[trial.facts].train.examples, &trial.settings.train))
            .collect();
        let known = (0..self.trials.len() as u64)
            .map(|trial| Known { trial, batch: 0, rungs: Vec::new(), ended: None })
            .collect();
        let mut ladder = Ladder::new(rule, self.objective.clone(), known);
        let standing = |trial: &Recorded, until| Standing {
            value: self.value(trial, until),
            examples: self.examples(),
            marks: trial.marks.get(&until).cloned(),
        };
        let mut steps: Vec<u64> = vec![0; self.trials.len()];
        let mut ready: Vec<usize> = (0..self.trials.len()).collect();
        let mut survivors = Vec::new();
        while !ready.is_empty() {
            for place in std::mem::take(&mut ready) {
                let (trial, key) = (&self.trials[place], place as u64);
                let rung = usize::try_from(ladder.next_rung(key)).unwrap_or(usize::MAX);
                match rungs[place].get(rung) {
                    Some(step) => {
                        steps[place] = *step;
                        ladder.reach(key, standing(trial, *step));
                    }
                    None => {
                        steps[place] = trial.total_steps;
                        survivors.push(trial);
                        ladder.end(key, Ended::Completed(standing(trial, u64::MAX)));
                    }
                }
            }
            let promoted =
                ladder.decide().into_iter().filter(|made| made.verdict == Verdict::Promoted);
            ready.extend(promoted.filter_map(|made| usize::try_from(made.trial).ok()));
        }
        Outcome { steps: steps.iter().sum(), best: self.best(survivors.into_iter()) }
    }
}

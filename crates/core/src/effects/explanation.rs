//! Everything that `explain` has to say of a sweep.

use std::collections::BTreeMap;

use serde::Serialize;

use super::candidate::{Candidate, Outcome, Seen, Space, cost};
use super::constant::Constant;
use super::draws::Draws;
use super::edge::{Edge, edges};
use super::expected_best::{ExpectedBest, expected_best, gain_at_most};
use super::heat_map::HeatMap;
use super::importance::{self, Effort, Importances, NoImportances};
use super::ladder::{Ladder, best};
use super::sensitivity::{Sensitivity, sensitivities};
use super::variance::{NoShares, PartKind, Variance, shares};
use crate::objective::{Goal, Objective};
use crate::search_space::Configuration;
use crate::sweep::{Method, Sweep};
use crate::trial::TrialKind;

/// What mattered in a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What trials are compared by.
    pub objective: Objective,
    /// How the trials ended.
    pub standing: Standing,
    /// What a constant answer gets; none where that is not known.
    pub constant: Option<Constant>,
    /// The configuration with the best mean.
    pub best: Option<BestConfiguration>,
    /// Parameters with more than one value, from the one that matters most.
    pub parameters: Vec<String>,
    /// Shares of the variance, of a full grid.
    pub variance: Option<Variance>,
    /// Why there are none.
    pub no_variance: Option<NoShares>,
    /// What decides whether a configuration works.
    pub working: Option<Importances>,
    /// Why that is not known.
    pub no_working: Option<NoImportances>,
    /// What decides which of those that work are the best.
    pub among_best: Option<Importances>,
    /// Why that is not known.
    pub no_among_best: Option<NoImportances>,
    /// Levels of each parameter, in the order of `parameters`.
    pub isolation: Vec<Ladder>,
    /// Edges at which the best configuration lies.
    pub edges: Vec<Edge>,
    /// The best value by the number of configurations, of independent draws.
    pub expected_best: Vec<ExpectedBest>,
    /// Whether the configurations are independent draws.
    pub independent: bool,
    /// What half as many further draws would add at most, on average.
    pub further_gain: Option<FurtherGain>,
    /// Learning-rate sensitivity, by optimizer.
    pub sensitivity: Vec<Sensitivity>,
    /// The two parameters that matter most.
    pub heat_map: Option<HeatMap>,
}

/// How the trials of a search ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Configurations of which a trial ended.
    pub configurations: u64,
    /// Of these, those that work: all trials completed, and are mostly better than a constant answer.
    pub working: u64,
    /// All trials.
    pub trials: u64,
    /// Completed with a value.
    pub completed: u64,
    /// Of these, no better than a constant answer.
    pub at_chance: u64,
    /// Diverged.
    pub diverged: u64,
    /// Failed.
    pub failed: u64,
    /// Stopped early; left out of everything.
    pub stopped: u64,
    /// Wait, run, or were cancelled.
    pub open: u64,
}

/// The configuration with the best mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestConfiguration {
    /// Its values.
    pub configuration: Configuration,
    /// Mean of the objective.
    pub mean: f64,
}

/// What further draws would add.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FurtherGain {
    /// So many more.
    pub configurations: u64,
    /// The most that they add on average.
    pub at_most: f64,
}

/// Explains a sweep by its trials: those of the search, and no others.
pub fn explain(
    sweep: &Sweep,
    trials: &[Seen],
    objective: &Objective,
    constant: Option<Constant>,
) -> Explanation {
    let goal = objective.goal;
    let space = Space::new(sweep, trials);
    let candidates = space.candidates(trials, goal, constant.as_ref());
    let mut draws = Draws::new(sweep.seed, "explain");

    let variance = shares(&space, &candidates, &mut draws);
    let axes = importance::axes(&space, &candidates);
    let working = importance::of_working(&axes, &candidates, Effort::default(), &mut draws);
    // A full grid is told exactly; there the coarser answer would only contradict.
    let among_best = match &variance {
        Ok(_) => None,
        Err(_) => Some(importance::of_best(&axes, &candidates, Effort::default(), &mut draws)),
    };

    let mut ladders: Vec<Ladder> = (0..space.parameters.len())
        .map(|place| Ladder::new(&space, place, &candidates, goal))
        .collect();
    let weights = weights(variance.as_ref().ok(), &among_best, &working);
    let matters = matters(variance.as_ref().ok(), &among_best);
    let breaks = |name: &str| {
        let mut found = working.iter().flat_map(|working| &working.parameters);
        found.any(|one| one.parameter == name && one.significant)
    };
    let edges = edges(&space, &ladders, &candidates, &|name| matters.get(name).copied(), &breaks);

    ladders
        .retain(|ladder| ladder.levels.iter().filter(|level| level.counts.trials > 0).count() > 1);
    ladders.sort_by(|left, right| {
        let weight = |ladder: &Ladder| weights.get(&ladder.parameter).copied().unwrap_or(0.0);
        weight(right).total_cmp(&weight(left)).then(right.spread().total_cmp(&left.spread()))
    });
    let heat_map =
        pair(&space, &ladders).map(|(left, right)| HeatMap::new(left, right, &candidates, goal));

    // Which are stopped early depends on the others.
    let is_whole = !trials.iter().any(|trial| trial.outcome == Outcome::Stopped);
    let independent = is_independent(sweep.method) && is_whole;
    let drawn = if independent { drawn(&candidates, goal, constant.as_ref()) } else { Vec::new() };
    let back = |gain: ExpectedBest| ExpectedBest { value: cost(-gain.value, goal), ..gain };
    let further = drawn.len() / 2;
    let (variance, no_variance) = split(variance);
    let (working, no_working) = split(working);
    let (among_best, no_among_best) = among_best.map_or((None, None), split);
    Explanation {
        objective: objective.clone(),
        standing: standing(trials, &candidates),
        constant,
        best: best(&candidates).and_then(|place| {
            let mean = cost(candidates[place].cost?, goal);
            Some(BestConfiguration { configuration: candidates[place].configuration.clone(), mean })
        }),
        parameters: ladders.iter().map(|ladder| ladder.parameter.clone()).collect(),
        variance,
        no_variance,
        working,
        no_working,
        among_best,
        no_among_best,
        edges,
        expected_best: expected_best(&drawn).into_iter().map(back).collect(),
        independent,
        further_gain: (further > 1)
            .then(|| gain_at_most(&drawn, further))
            .flatten()
            .map(|at_most| FurtherGain { configurations: further as u64, at_most }),
        sensitivity: sensitivities(&space, &candidates, goal, constant.as_ref()),
        heat_map,
        isolation: ladders,
    }
}

/// Returns whether what a method tries does not depend on what it has tried before.
fn is_independent(method: Method) -> bool {
    matches!(method, Method::Random)
}

/// Returns the values of independent draws, larger being better. One that came to nothing counts as the constant answer,
/// or as the worst that did not.
fn drawn(candidates: &[Candidate<'_>], goal: Goal, constant: Option<&Constant>) -> Vec<f64> {
    let own = || candidates.iter().filter(|one| one.kind != TrialKind::Enqueued);
    let Some(worst) = own().filter_map(|one| one.cost).reduce(f64::max) else {
        return Vec::new();
    };
    let floor = constant.map_or(worst, |constant| cost(constant.value, goal)).max(worst);
    own().map(|one| -one.cost.unwrap_or(floor)).collect()
}

fn standing(trials: &[Seen], candidates: &[Candidate<'_>]) -> Standing {
    let mut standing = Standing {
        configurations: candidates.len() as u64,
        working: candidates.iter().filter(|one| one.works()).count() as u64,
        at_chance: candidates.iter().map(|one| one.counts.at_chance).sum(),
        ..Standing::default()
    };
    for trial in trials {
        standing.trials += 1;
        match trial.outcome {
            Outcome::Value(_) => standing.completed += 1,
            Outcome::Diverged => standing.diverged += 1,
            Outcome::Failed => standing.failed += 1,
            Outcome::Stopped => standing.stopped += 1,
            Outcome::Open => standing.open += 1,
        }
    }
    standing
}

/// Returns how much each parameter matters, by the best answer that there is.
fn weights(
    variance: Option<&Variance>,
    among_best: &Option<Result<Importances, NoImportances>>,
    working: &Result<Importances, NoImportances>,
) -> BTreeMap<String, f64> {
    let mut weights: BTreeMap<String, f64> = BTreeMap::new();
    if let Some(variance) = variance {
        for part in &variance.parts {
            // Each of several has its part in it.
            let each = part.share / part.parameters.len().max(1) as f64;
            for name in &part.parameters {
                *weights.entry(name.clone()).or_default() += each;
            }
        }
    } else if let Some(Ok(found)) = among_best.as_ref().or(Some(working)) {
        weights.extend(found.parameters.iter().map(|one| (one.parameter.clone(), one.share)));
    } else if let Ok(found) = working {
        weights.extend(found.parameters.iter().map(|one| (one.parameter.clone(), one.share)));
    }
    weights
}

/// Returns which parameters have an effect beyond noise, as far as that is known.
fn matters(
    variance: Option<&Variance>,
    among_best: &Option<Result<Importances, NoImportances>>,
) -> BTreeMap<String, bool> {
    let mut matters: BTreeMap<String, bool> = BTreeMap::new();
    for part in variance.iter().flat_map(|variance| &variance.parts) {
        if let (Some(significant), true) = (part.significant, part.kind != PartKind::Noise) {
            for name in &part.parameters {
                *matters.entry(name.clone()).or_default() |= significant;
            }
        }
    }
    if let Some(Ok(found)) = among_best {
        matters.extend(found.parameters.iter().map(|one| (one.parameter.clone(), one.significant)));
    }
    matters
}

/// Returns the first two parameters, neither of which decides about the values of the other.
fn pair<'a>(space: &Space, ladders: &'a [Ladder]) -> Option<(&'a Ladder, &'a Ladder)> {
    let asks = |asking: &Ladder, asked: &Ladder| {
        space
            .parameters
            .iter()
            .filter(|parameter| parameter.name == asking.parameter)
            .any(|parameter| parameter.depends_on().any(|name| name == asked.parameter))
    };
    let first = ladders.first()?;
    let second = ladders[1..].iter().find(|other| !asks(first, other) && !asks(other, first))?;
    Some((first, second))
}

fn split<T, E>(result: Result<T, E>) -> (Option<T>, Option<E>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    }
}

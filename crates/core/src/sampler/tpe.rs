//! TPE: draws that follow the results of earlier trials.
//!
//! A draw is a function of (sweep, index, history), so that a resumed sweep, which reads its history from the
//! database, goes on with the draws that it would have made anyway.
//!
//! # Source
//! Bergstra et al., *Algorithms for Hyper-Parameter Optimization*, 2011; every choice as in Optuna 5's `TPESampler`
//! (ten trials first, the best tenth against the others, joint densities, a pending trial taken as a bad one), but for
//! five. The first draws are quasi-random. There are more candidates. Lists of numbers have an order. What exists in
//! one case only is modelled jointly with what else exists there. Nothing is drawn twice.
//!
//! Our own and not a crate: `tpe` models one parameter at a time, and `optimizer` and `parzen` hold the study
//! themselves and draw from generators with a state. What is needed is a function of a history, over cases and
//! constraints.

mod axis;
mod model;
mod normal;
mod parzen;

use std::collections::BTreeSet;

use super::drawn::FRUITLESS_DRAWS;
use super::sobol::Sequence;
use super::{Dry, dependency_order, drawn, written};
use crate::objective::Goal;
use crate::search_space::Configuration;
use crate::sweep::Sweep;
use model::Model;

/// Results that the model needs before it draws; until then draws are those of [Sobol](crate::sweep::Method::Sobol).
pub const STARTUP: u64 = 10;

/// An earlier configuration of the search, enqueued ones included, as far as a draw may know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known<'a> {
    /// Its values.
    pub configuration: &'a Configuration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// Its objective.
    Value(f64),
    /// Diverged or failed: behind all others.
    Worst,
    /// Not known yet, or not to be looked at yet: taken as a bad one, so that draws in a row are not all the same.
    Pending,
    /// There will be none (cancelled, or the same experiment as another): it is not drawn again, and says nothing.
    Without,
}

/// Returns the configuration of trial `index`, from what is known of all those before it, in their order.
///
/// It is none of `history`, and none that `is_taken` says is there already in another form (the same experiment
/// written otherwise: fingerprints are equal).
///
/// # Errors
/// Why there is none: the search space is exhausted, or the constraints refuse all.
pub fn draw(
    sweep: &Sweep,
    index: u64,
    history: &[Known<'_>],
    is_taken: &dyn Fn(&Configuration) -> bool,
) -> Result<Configuration, Dry> {
    let is_free = |configuration: &Configuration| {
        sweep.constraint_on(configuration).is_none()
            && history.iter().all(|one| one.configuration != configuration)
            && !is_taken(configuration)
    };
    let finished = history.iter().filter(|one| one.outcome.is_known()).count();
    if (finished as u64) < STARTUP {
        return free(sweep, &is_free, 1).map(|mut found| found.pop().expect("one at least"));
    }
    let (good, others) = split(sweep, history, finished);
    let model = Model { sweep, good, others, seed: sweep.seed.stream("tpe", index) };
    if let Some(configuration) = model.propose(&is_free) {
        return Ok(configuration);
    }
    // All that the model would try is there already: the best of what is left, as far as it can be found.
    let left = free(sweep, &is_free, LEFT)?;
    let scored = left.into_iter().map(|one| (model.score(&one), one));
    let best = scored.reduce(|best, one| if one.0 > best.0 { one } else { best });
    Ok(best.expect("one at least").1)
}

/// Configurations that are compared where the model's own candidates are all there already.
const LEFT: usize = 64;

impl Outcome {
    /// Whether something came of it.
    fn is_known(&self) -> bool {
        match self {
            Self::Value(_) | Self::Worst => true,
            Self::Pending | Self::Without => false,
        }
    }
}

/// Returns the best tenth, and all others that say something; both in the order of the trials.
fn split<'a>(
    sweep: &Sweep,
    history: &[Known<'a>],
    finished: usize,
) -> (Vec<&'a Configuration>, Vec<&'a Configuration>) {
    let smaller_is_better = |value: f64| match sweep.objective.goal {
        Goal::Minimize => value,
        Goal::Maximize => -value,
    };
    let value_of = |outcome: Outcome| match outcome {
        Outcome::Value(value) if !value.is_nan() => Some(smaller_is_better(value)),
        _ => None,
    };
    let places = history.iter().enumerate();
    let mut ranked: Vec<(usize, f64)> =
        places.filter_map(|(place, one)| Some((place, value_of(one.outcome)?))).collect();
    // Stable: of equal ones the earlier.
    ranked.sort_by(|left, right| left.1.total_cmp(&right.1));
    let best = finished.div_ceil(10).min(MOST_GOOD);
    let best: BTreeSet<usize> = ranked.iter().take(best).map(|(place, _)| *place).collect();
    let (mut good, mut others) = (Vec::new(), Vec::new());
    for (place, one) in history.iter().enumerate() {
        if best.contains(&place) {
            good.push(one.configuration);
        } else if one.outcome != Outcome::Without {
            others.push(one.configuration);
        }
    }
    (good, others)
}

/// Trials that count as good at most.
const MOST_GOOD: usize = 25;

/// Returns how many configurations need no results: trial `n` is drawn from those of trials 1 to `n - ahead`, and the
/// model needs [`STARTUP`] of them.
pub(super) fn drawn_ahead(sweep: &Sweep) -> usize {
    let free = STARTUP.saturating_add(sweep.ahead).saturating_sub(1);
    drawn::wanted(sweep).min(usize::try_from(free).unwrap_or(usize::MAX))
}

/// Returns the first draws of the Sobol sequence that are not there yet: one at least, `most` at most.
fn free(
    sweep: &Sweep,
    is_free: &dyn Fn(&Configuration) -> bool,
    most: usize,
) -> Result<Vec<Configuration>, Dry> {
    let (sequence, order) = (Sequence::new(sweep), dependency_order(sweep));
    let mut drawn: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    let mut constrained = !sweep.constraints.is_empty();
    let (mut index, mut fruitless) = (0, 0);
    while found.len() < most && fruitless < FRUITLESS_DRAWS {
        let configuration = drawn::draw(sweep, &order, |place| sequence.unit(index, place));
        (index, fruitless) = (index + 1, fruitless + 1);
        if !drawn.insert(written(&configuration)) {
            continue;
        }
        let is_refused = sweep.constraint_on(&configuration).is_some();
        constrained &= is_refused;
        if !is_refused {
            // What is known stands at the beginning of the sequence, and does not count.
            fruitless = 0;
            if is_free(&configuration) {
                found.push(configuration);
            }
        }
    }
    match found.is_empty() {
        false => Ok(found),
        true if constrained => Err(Dry::Constrained),
        true => Err(Dry::Exhausted),
    }
}

#[cfg(test)]
mod tests;

//! TPE: draws that follow the results of earlier trials.
//!
//! A draw is a function of (sweep, index, history), so that a resumed sweep, which reads its history from the
//! database, goes on with the draws that it would have made anyway.

use std::collections::BTreeSet;

use super::drawn::FRUITLESS_DRAWS;
use super::sobol::Sequence;
use super::{Dry, dependency_order, drawn, written};
use crate::search_space::Configuration;
use crate::sweep::Sweep;

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
    /// It was stopped early, at this step, with this objective: behind all that have a value, those that came further
    /// first.
    Stopped {
        /// Steps done.
        step: u64,
        /// Objective so far.
        value: f64,
    },
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
    let _ = index;
    startup(sweep, history, is_taken)
}

/// Returns how many configurations need no results: trial `n` is drawn from those of trials 1 to `n - ahead`, and the
/// model needs [`STARTUP`] of them.
pub(super) fn drawn_ahead(sweep: &Sweep) -> usize {
    let free = STARTUP.saturating_add(sweep.ahead).saturating_sub(1);
    drawn::wanted(sweep).min(usize::try_from(free).unwrap_or(usize::MAX))
}

/// Returns the first draw of the Sobol sequence that is not there yet.
fn startup(
    sweep: &Sweep,
    history: &[Known<'_>],
    is_taken: &dyn Fn(&Configuration) -> bool,
) -> Result<Configuration, Dry> {
    let known: BTreeSet<String> = history.iter().map(|one| written(one.configuration)).collect();
    let (sequence, order) = (Sequence::new(sweep), dependency_order(sweep));
    let mut constrained = !sweep.constraints.is_empty();
    // Every draw in a row that is there already may be followed by as many that bring nothing.
    for index in 0..FRUITLESS_DRAWS + known.len() as u64 {
        let configuration = drawn::draw(sweep, &order, |place| sequence.unit(index, place));
        if sweep.constraint_on(&configuration).is_some() {
            continue;
        }
        if !known.contains(&written(&configuration)) && !is_taken(&configuration) {
            return Ok(configuration);
        }
        constrained = false;
    }
    Err(if constrained { Dry::Constrained } else { Dry::Exhausted })
}

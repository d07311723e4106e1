//! Chooses the configurations of a sweep: a function of the sweep alone, so there is nothing to save.

mod grid;
mod random;

use crate::search_space::Configuration;
use crate::sweep::{Method, Sweep};
use crate::trial::TrialKind;

/// The configurations of a sweep, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Distinct configurations.
    pub configurations: Vec<Configuration>,
    /// Draws or grid points left out because an earlier one was equal, or beyond `budget.max_trials`.
    pub skipped: u64,
    /// What the trials are.
    pub kind: TrialKind,
}

/// Returns the configurations of a sweep.
pub fn sample(sweep: &Sweep) -> Sample {
    match sweep.method {
        Method::Grid => grid::sample(sweep),
        Method::Random => random::sample(sweep),
    }
}

/// Returns a sound order to decide parameters in: none before those that its cases depend on.
fn dependency_order(sweep: &Sweep) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let named = |name: &str| sweep.parameters.iter().position(|parameter| parameter.name == name);
    // Conditions have no circles (checked when read), so each round decides at least one parameter.
    while order.len() < sweep.parameters.len() {
        let ready = (0..sweep.parameters.len()).find(|index| {
            !order.contains(index)
                && sweep.parameters[*index]
                    .depends_on()
                    .all(|name| named(name).is_none_or(|other| order.contains(&other)))
        });
        order.push(ready.expect("conditions have no circles"));
    }
    order
}

#[cfg(test)]
mod tests;

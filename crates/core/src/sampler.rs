//! Chooses the configurations of a sweep: a function of the sweep alone, or of it and its results so far, so there is
//! nothing to save.

mod drawn;
mod enqueued;
mod grid;
mod latin_hypercube;
mod sobol;
mod splitmix;
pub mod tpe;

pub(crate) use enqueued::complete;

use crate::baseline;
use crate::search_space::Configuration;
use crate::sweep::{Method, Sweep};
use crate::trial::TrialKind;

/// Configurations left out by a constraint that [`LeftOut`] names.
const NAMED: usize = 3;

/// The configurations of a sweep, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Distinct configurations: enqueued ones first.
    pub configurations: Vec<Configuration>,
    /// What the trials of each are.
    pub kinds: Vec<TrialKind>,
    /// Draws or grid points left out because an earlier one was equal, or beyond `budget.max_trials`.
    pub skipped: u64,
    /// What each constraint left out, in the order of the file.
    pub left_out: Vec<LeftOut>,
    /// Why a sweep that draws has fewer configurations than it was asked for.
    pub dry: Option<Dry>,
}

/// Points of the search space that a constraint left out; one that fits several counts for the first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first few of them.
    pub first: Vec<Configuration>,
}

impl LeftOut {
    fn add(&mut self, configuration: &Configuration) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(configuration.clone());
        }
    }
}

/// Why draws come to an end before there are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dry {
    /// The search space holds no more configurations.
    Exhausted,
    /// Constraints refuse one draw after the other.
    Constrained,
}

/// Returns the configurations of a sweep, the baseline's before all others; of an adaptive one, those that need no
/// results.
pub fn sample(sweep: &Sweep) -> Sample {
    let mut sample = search(sweep);
    if sweep.baseline {
        sample.configurations.insert(0, baseline::configuration(sweep));
        sample.kinds.insert(0, TrialKind::Baseline);
    }
    sample
}

fn search(sweep: &Sweep) -> Sample {
    match sweep.method {
        Method::Grid => grid::sample(sweep),
        Method::Random => drawn::random(sweep),
        Method::Sobol => sobol::sample(sweep, drawn::wanted(sweep)),
        Method::LatinHypercube => latin_hypercube::sample(sweep),
        Method::Tpe => sobol::sample(sweep, tpe::drawn_ahead(sweep)),
    }
}

/// Returns the one written form of a configuration.
fn written(configuration: &Configuration) -> String {
    serde_json::json!(configuration).to_string()
}

/// Returns a sound order to decide parameters in: none before those that its cases depend on.
pub(crate) fn dependency_order(sweep: &Sweep) -> Vec<usize> {
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

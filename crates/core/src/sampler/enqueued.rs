//! Configurations that the user named: they come before the search, count, and are ranked.

use std::collections::BTreeSet;

use super::{LeftOut, Sample, dependency_order, written};
use crate::search_space::Configuration;
use crate::sweep::{Method, Sweep};
use crate::trial::TrialKind;

/// Draws for what an enqueued configuration leaves open have indices of their own, from here.
const FIRST_INDEX: u64 = 1 << 63;

/// Returns a sample that holds the enqueued configurations, each once.
pub(super) fn sample(sweep: &Sweep) -> Sample {
    let mut known = BTreeSet::new();
    let mut configurations = Vec::new();
    for (index, given) in sweep.enqueue.iter().enumerate() {
        // What cannot be completed was refused when the file was read.
        let Ok(configuration) = complete(sweep, given, index) else { continue };
        if known.insert(written(&configuration)) {
            configurations.push(configuration);
        }
    }
    Sample {
        skipped: (sweep.enqueue.len() - configurations.len()) as u64,
        kinds: vec![TrialKind::Enqueued; configurations.len()],
        configurations,
        left_out: vec![LeftOut::default(); sweep.constraints.len()],
        dry: None,
    }
}

/// Returns the whole configuration that the `index`-th enqueued one stands for.
///
/// A sweep that draws does so for what is left open, as Optuna does. A grid draws nothing: there only a parameter of a single
/// value may be left out. A value may lie outside the searched ones, and a key that is not searched may be given too.
///
/// # Errors
/// What is wrong with it, as fragments of sentences.
pub(crate) fn complete(
    sweep: &Sweep,
    given: &Configuration,
    index: usize,
) -> Result<Configuration, Vec<String>> {
    let (mut configuration, mut wrong, mut missing) =
        (Configuration::new(), Vec::new(), Vec::new());
    for parameter in dependency_order(sweep).into_iter().map(|place| &sweep.parameters[place]) {
        let name = &parameter.name;
        let value_of = |name: &str| {
            configuration
                .get(name)
                .or_else(|| given.get(name))
                .cloned()
                .or_else(|| sweep.fixed(name))
        };
        let case = parameter.active_case(&value_of).map(|case| &parameter.cases[case]);
        let value = match (case, given.get(name)) {
            (Some(_), Some(value)) => value.clone(),
            (None, Some(_)) => {
                let mut cases = parameter.cases.iter().map(ToString::to_string);
                let when = cases.next().unwrap_or_default();
                wrong.push(format!("`{name}` has no place here: it is searched{when} only"));
                continue;
            }
            (None, None) => continue,
            (Some(case), None) => match (sweep.method, case.domain.grid().as_deref()) {
                (_, Some([single])) => single.clone(),
                (Method::Grid, _) => {
                    missing.push(format!("`{name}`"));
                    continue;
                }
                (_, _) => case.domain.at(sweep.seed.draw(FIRST_INDEX + index as u64, name)),
            },
        };
        configuration.insert(name.clone(), value);
    }
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        wrong.push(format!("{} {verb} missing, and a grid draws nothing", missing.join(", ")));
    }
    for (name, value) in given {
        let searched = sweep.parameters.iter().any(|parameter| parameter.name == *name);
        // What all trials have anyway makes no other configuration.
        if !searched && !sweep.fixed(name).is_some_and(|fixed| fixed.means(value)) {
            configuration.insert(name.clone(), value.clone());
        }
    }
    if wrong.is_empty() { Ok(configuration) } else { Err(wrong) }
}

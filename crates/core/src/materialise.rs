//! From a sweep and the facts about its model and data to its trials.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::fingerprint::fingerprint;
use crate::sampler::Sample;
use crate::search_space::Configuration;
use crate::settings::Settings;
use crate::steps::total_steps;
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// The distinct combinations of settings that a worker has to prepare, and which one each configuration uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Cases {
    /// One settings each; they differ in model, data, `max_length`, `pooling` or `precision`.
    pub settings: Vec<Settings>,
    /// For each configuration of the sample its place in `settings`.
    pub of_configuration: Vec<usize>,
}

/// A trial before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTrial {
    /// Its values.
    pub configuration: Configuration,
    /// Everything that decides what it computes, but for its seeds.
    pub settings: Settings,
    /// The same for its replicates.
    pub fingerprint: String,
    /// Which seed, from 0.
    pub replicate: u64,
    /// Its case.
    pub case: usize,
    /// Steps until it is complete.
    pub total_steps: u64,
    /// What it is for.
    pub kind: TrialKind,
}

/// Whether a worker prepares something else for another value of a setting, by the name that users write.
pub(crate) fn changes_preparation(name: &str) -> bool {
    ["max_length", "pooling", "precision"].contains(&name)
        || name.starts_with("model.")
        || name.starts_with("data.")
}

/// Returns everything that draws of an adaptive sweep can need prepared, beside what its first sample needs: settings
/// that differ in it, one for each combination of values.
///
/// A combination that no draw can have (a case rules it out) may be among them.
pub fn possible_cases(sweep: &Sweep) -> Vec<Settings> {
    let mut configurations = vec![Configuration::new()];
    for parameter in sweep.parameters.iter().filter(|one| changes_preparation(&one.name)) {
        let values: Vec<_> = parameter
            .cases
            .iter()
            .flat_map(|case| case.domain.grid().unwrap_or_default())
            .collect();
        // Where no case holds, the fixed setting does.
        let may_be_absent = parameter.cases.iter().all(|case| !case.when.is_empty());
        configurations = configurations
            .into_iter()
            .flat_map(|one| {
                let with = values.iter().map(|value| {
                    let mut with = one.clone();
                    with.insert(parameter.name.clone(), value.clone());
                    with
                });
                let mut all: Vec<Configuration> = with.collect();
                if may_be_absent {
                    all.push(one);
                }
                all
            })
            .collect();
    }
    let mut keys: Vec<String> = Vec::new();
    let all = configurations.iter().map(|configuration| sweep.settings_of(configuration));
    all.filter(|settings| {
        let key = preparation(settings);
        let is_new = !keys.contains(&key);
        keys.extend(is_new.then_some(key));
        is_new
    })
    .collect()
}

/// Returns what a worker prepares for settings, as a text to compare.
pub fn preparation(settings: &Settings) -> String {
    let train = &settings.train;
    let ways = (train.max_length, train.pooling, train.precision);
    serde_json::json!([settings.model, settings.data, ways]).to_string()
}

/// Returns what has to be prepared for a sample.
pub fn cases(sweep: &Sweep, sample: &Sample) -> Cases {
    let mut keys: Vec<String> = Vec::new();
    let mut cases = Cases { settings: Vec::new(), of_configuration: Vec::new() };
    for configuration in &sample.configurations {
        let settings = sweep.settings_of(configuration);
        let key = preparation(&settings);
        let case = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            keys.push(key);
            cases.settings.push(settings);
            keys.len() - 1
        });
        cases.of_configuration.push(case);
    }
    cases
}

/// Returns the trials of a sweep, replicate by replicate, and how many configurations were left out because an
/// earlier one is the same experiment.
pub fn trials(
    sweep: &Sweep,
    sample: &Sample,
    cases: &Cases,
    facts: &[Facts],
) -> (Vec<PlannedTrial>, u64) {
    let mut seen: BTreeMap<String, ()> = BTreeMap::new();
    let (mut first, mut skipped) = (Vec::new(), 0);
    let places = cases.of_configuration.iter().zip(&sample.kinds);
    for (configuration, (case, kind)) in sample.configurations.iter().zip(places) {
        let settings = sweep.settings_of(configuration);
        let facts = &facts[*case];
        let fingerprint =
            fingerprint(&settings, &facts.content_hashes, sweep.seed, &sweep.objective);
        if seen.insert(fingerprint.clone(), ()).is_some() {
            skipped += 1;
            continue;
        }
        first.push(PlannedTrial {
            total_steps: total_steps(facts.train.examples, &settings.train),
            configuration: configuration.clone(),
            settings,
            fingerprint,
            replicate: 0,
            case: *case,
            kind: *kind,
        });
    }
    // One seed of everything before the second of anything: an early look covers the whole space.
    let all = (0..sweep.replicates)
        .flat_map(|replicate| {
            first.iter().map(move |trial| PlannedTrial { replicate, ..trial.clone() })
        })
        .collect();
    (all, skipped)
}

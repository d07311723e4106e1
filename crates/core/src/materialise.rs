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

/// Returns what has to be prepared for a sample.
pub fn cases(sweep: &Sweep, sample: &Sample) -> Cases {
    let mut keys: Vec<String> = Vec::new();
    let mut cases = Cases { settings: Vec::new(), of_configuration: Vec::new() };
    for configuration in &sample.configurations {
        let settings = sweep.settings_of(configuration);
        let train = &settings.train;
        let ways = (train.max_length, train.pooling, train.precision);
        let key = serde_json::json!([settings.model, settings.data, ways]).to_string();
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

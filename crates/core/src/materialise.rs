//! From a sweep and the facts about its model and data to its trials.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::facts::Facts;
use crate::fingerprint::fingerprint;
use crate::sampler::{Sample, sample};
use crate::search_space::Configuration;
use crate::settings::Settings;
use crate::steps::total_steps;
use crate::sweep::{Method, Sweep};
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

/// Returns settings of each case that the draws of an adaptive sweep can need: they differ in what a worker prepares.
///
/// Nobody knows before which of them will be drawn, and the scheduler has no data to look at then.
pub fn possible_cases(sweep: &Sweep) -> Vec<Settings> {
    let mut names: Vec<&str> = Vec::new();
    let mut wanted: Vec<&str> = sweep.parameters.iter().map(|one| one.name.as_str()).collect();
    wanted.retain(|name| changes_preparation(name));
    // With what their conditions depend on.
    while let Some(name) = wanted.pop() {
        if let Some(one) = sweep.parameters.iter().find(|one| one.name == name)
            && !names.contains(&name)
        {
            names.push(name);
            wanted.extend(one.depends_on());
        }
    }
    let known = |name: &str| {
        names.contains(&name) || sweep.parameters.iter().all(|parameter| parameter.name != name)
    };
    let parameters =
        sweep.parameters.iter().filter(|one| names.contains(&one.name.as_str())).cloned();
    let constraints =
        sweep.constraints.iter().filter(|one| one.names().into_iter().all(known)).cloned();
    let part = Sweep {
        method: Method::Grid,
        parameters: parameters.collect(),
        constraints: constraints.collect(),
        enqueue: Vec::new(),
        baseline: false,
        budget: Budget::default(),
        ..sweep.clone()
    };
    let mut keys = BTreeSet::new();
    let settings = sample(&part).configurations.into_iter().map(|mut configuration| {
        configuration.retain(|name, _| changes_preparation(name));
        sweep.settings_of(&configuration)
    });
    settings.filter(|settings| keys.insert(preparation(settings))).collect()
}

/// Returns what a worker prepares for settings, as a text to compare.
pub fn preparation(settings: &Settings) -> String {
    let train = &settings.train;
    let ways = (train.max_length, train.pooling, train.precision);
    serde_json::json!([settings.model, settings.data, ways]).to_string()
}

/// Returns what has to be prepared for a sample; where draws follow from results, all that may be needed comes first.
pub fn cases(sweep: &Sweep, sample: &Sample) -> Cases {
    let settings = if sweep.method.is_adaptive() { possible_cases(sweep) } else { Vec::new() };
    let mut keys: Vec<String> = settings.iter().map(preparation).collect();
    let mut cases = Cases { settings, of_configuration: Vec::new() };
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

/// Returns the trials of a sweep, replicate by replicate, the baseline first, and how many configurations were left out because an
/// earlier one is the same experiment.
pub fn trials(
    sweep: &Sweep,
    sample: &Sample,
    cases: &Cases,
    facts: &[Facts],
) -> (Vec<PlannedTrial>, u64) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let (mut first, mut skipped) = (Vec::new(), 0);
    let mut baseline = None;
    let places = cases.of_configuration.iter().zip(&sample.kinds);
    for (configuration, (case, kind)) in sample.configurations.iter().zip(places) {
        let settings = sweep.settings_of(configuration);
        let facts = &facts[*case];
        let fingerprint =
            fingerprint(&settings, &facts.content_hashes, sweep.seed, &sweep.objective);
        if *kind != TrialKind::Baseline && !seen.insert(fingerprint.clone()) {
            skipped += 1;
            continue;
        }
        let trial = PlannedTrial {
            total_steps: total_steps(facts.train.examples, &settings.train),
            configuration: configuration.clone(),
            settings,
            fingerprint,
            replicate: 0,
            case: *case,
            kind: *kind,
        };
        match kind {
            TrialKind::Baseline => baseline = Some(trial),
            _ => first.push(trial),
        }
    }
    // What the search holds anyway needs no trial of its own.
    if let Some(baseline) = baseline.filter(|baseline| !seen.contains(&baseline.fingerprint)) {
        first.insert(0, baseline);
    }
    // One seed of everything before the second of anything: an early look covers the whole space.
    let all = (0..sweep.replicates)
        .flat_map(|replicate| {
            first.iter().map(move |trial| PlannedTrial { replicate, ..trial.clone() })
        })
        .collect();
    (all, skipped)
}

//! From a sweep and the facts about its model and data to its trials.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::facts::Facts;
use crate::fingerprint::fingerprint;
use crate::key::Key;
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

/// Settings of `[train]` that decide what has to be prepared; all of `[model]` and `[data]` do.
const WAYS: [&str; 3] = ["train.max_length", "train.pooling", "train.precision"];

/// Returns what decides how a trial's model and data are prepared, in one written form.
pub fn case_key(settings: &Settings) -> String {
    let train = &settings.train;
    let ways = (train.max_length, train.pooling, train.precision);
    serde_json::json!([settings.model, settings.data, ways]).to_string()
}

/// Returns settings of each case that a sweep may need whose draws follow from results; of any other none.
///
/// Nobody knows before which of them will be drawn, and the scheduler has no data to look at then.
pub fn product(sweep: &Sweep) -> Vec<Settings> {
    if !sweep.method.is_adaptive() {
        return Vec::new();
    }
    let key = |name: &str| Key::find(name);
    let decides = |key: &Key| key.section().0 != "train" || WAYS.contains(&key.name);
    let mut names: Vec<&str> = Vec::new();
    let mut wanted: Vec<&str> = sweep.parameters.iter().map(|one| one.name.as_str()).collect();
    wanted.retain(|name| key(name).is_some_and(decides));
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
    let part = Sweep {
        method: Method::Grid,
        parameters: sweep
            .parameters
            .iter()
            .filter(|one| names.contains(&one.name.as_str()))
            .cloned()
            .collect(),
        constraints: sweep
            .constraints
            .iter()
            .filter(|one| one.names().into_iter().all(known))
            .cloned()
            .collect(),
        enqueue: Vec::new(),
        baseline: false,
        budget: Budget::default(),
        ..sweep.clone()
    };
    let mut keys = BTreeSet::new();
    let settings = sample(&part).configurations.into_iter().map(|mut configuration| {
        configuration.retain(|name, _| key(name).is_some_and(decides));
        sweep.settings_of(&configuration)
    });
    settings.filter(|settings| keys.insert(case_key(settings))).collect()
}

/// Returns what has to be prepared for a sample; where draws follow from results, all that may be needed comes first.
pub fn cases(sweep: &Sweep, sample: &Sample) -> Cases {
    let mut cases = Cases { settings: product(sweep), of_configuration: Vec::new() };
    let mut keys: Vec<String> = cases.settings.iter().map(case_key).collect();
    for configuration in &sample.configurations {
        let settings = sweep.settings_of(configuration);
        let key = case_key(&settings);
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

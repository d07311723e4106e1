//! Growing a stored sweep by a changed file: what may change, and which trials that adds.
//!
//! Old trials stay what they are, under their numbers. So nothing may change that they have in common and that
//! decides results: then old and new trials would be ranked side by side and not be comparable. What the search
//! varies may change, since each trial carries its own values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::facts::Facts;
use crate::fingerprint::{Difference, differences, fingerprint};
use crate::key::{KEYS, Key};
use crate::materialise::PlannedTrial;
use crate::problem::Problem;
use crate::search_space::Configuration;
use crate::settings::Settings;
use crate::sweep::{Method, Sweep};
use crate::trial::TrialKind;
use crate::value::Value;

/// A trial that the sweep has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present<'a> {
    /// Number within the sweep.
    pub number: u64,
    /// Of configuration and sweep.
    pub fingerprint: &'a str,
    /// Which seed, from 0.
    pub replicate: u64,
    /// Whether it is one of the baseline, beside the search.
    pub is_baseline: bool,
}

/// What a changed file makes of a sweep's trials.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// Trials that the sweep does not have yet, in the order in which they are appended.
    pub added: Vec<PlannedTrial>,
    /// Numbers of trials that the file no longer asks for; they stay.
    pub left_over: Vec<u64>,
    /// Whether the search would hold the configuration of the baseline: that stays beside it, with all its seeds.
    pub is_baseline_searched: bool,
}

/// A combination of model and data that was prepared when the sweep was made.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownCase {
    /// Settings of one of its trials.
    pub settings: Settings,
    /// What was found then.
    pub facts: Facts,
}

/// Returns where the definitions of two sweeps differ: what makes it this sweep first, then what may change freely.
pub fn changes(old: &Sweep, new: &Sweep) -> Vec<Difference> {
    let mut found = differences(&comparable(old), &comparable(new));
    let free = |sweep: &Sweep| json!({ "run": sweep.run, "budget": sweep.budget, "failure": sweep.failure });
    found.extend(differences(&free(old), &free(new)));
    for difference in &mut found {
        for side in [&mut difference.old, &mut difference.new] {
            // Texts that were made for people need no quotes around them.
            if let Ok(serde_json::Value::String(text)) = serde_json::from_str(side) {
                *side = text;
            }
        }
    }
    found
}

fn comparable(sweep: &Sweep) -> serde_json::Value {
    let parameters: BTreeMap<&str, String> =
        sweep.parameters.iter().map(|one| (one.name.as_str(), one.to_string())).collect();
    let mut document = json!({
        "sweep": {
            "method": sweep.method, "seed": sweep.seed, "replicates": sweep.replicates,
            "objective": sweep.objective,
        },
        "parameters": parameters,
    });
    if sweep.method.is_adaptive() {
        document["sweep"]["ahead"] = json!(sweep.ahead);
    }
    if sweep.racing {
        document["sweep"]["racing"] = json!(true);
        document["sweep"]["max_replicates"] = json!(sweep.max_replicates);
    }
    if sweep.baseline {
        document["sweep"]["baseline"] = json!(true);
    }
    let numbered = |lines: Vec<String>| -> BTreeMap<String, String> {
        (1..).map(|number: usize| number.to_string()).zip(lines).collect()
    };
    let values = |one: &Configuration| -> String {
        let values: Vec<_> = one.iter().map(|(name, value)| format!("{name}={value}")).collect();
        values.join(" ")
    };
    document["enqueue"] = json!(numbered(sweep.enqueue.iter().map(values).collect()));
    document["constraints"] =
        json!(numbered(sweep.constraints.iter().map(ToString::to_string).collect()));
    document["early_stop"] = json!(sweep.early_stop);
    for key in fixed_keys(sweep) {
        document[key.name] = json!(sweep.fixed(key.name).map(|value| value.to_string()));
    }
    document
}

/// Keys that no parameter sets.
fn fixed_keys(sweep: &Sweep) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| !is_parameter(sweep, key))
}

fn is_parameter(sweep: &Sweep, key: &Key) -> bool {
    sweep.parameters.iter().any(|parameter| parameter.name == key.short_name())
}

/// Returns why old and new trials could not be compared, all reasons at once. Contents are another matter: see
/// [`match_cases`].
///
/// `configurations` are those of the trials that there are.
pub fn objections(old: &Sweep, new: &Sweep, configurations: &[&Configuration]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut object = |key: &str, old: String, new: String, why: &str| {
        problems.push(Problem::new(key, format!("{old} -> {new}: {why}")));
    };
    if old.method != new.method {
        let why = "a sweep keeps the way in which its configurations are chosen";
        object("sweep.method", old.method.word().into(), new.method.word().into(), why);
    }
    if old.seed != new.seed {
        let why = "splits, data order and masks of the old trials follow from the seed";
        object("sweep.seed", old.seed.0.to_string(), new.seed.0.to_string(), why);
    }
    if old.objective != new.objective {
        let shown = |sweep: &Sweep| json!(sweep.objective).to_string();
        let why = "the old trials are ranked, and their best weights were kept, by the old one";
        object("sweep.objective", shown(old), shown(new), why);
    }
    if old.method == Method::LatinHypercube && new.method == Method::LatinHypercube {
        let strata = |sweep: &Sweep| {
            let enqueued = sweep.enqueue.len() as u64;
            sweep.budget.max_trials.unwrap_or(0).saturating_sub(enqueued)
        };
        if strata(old) != strata(new) {
            let why = "all draws of a Latin hypercube follow from how many there are beside the enqueued ones; a Sobol sequence can grow";
            let shown = |sweep: &Sweep| strata(sweep).to_string();
            object("budget.max_trials", shown(old), shown(new), why);
        }
    }
    if old.ahead != new.ahead && old.method == new.method {
        let why = "which results a draw knows follows from it";
        object("sweep.ahead", old.ahead.to_string(), new.ahead.to_string(), why);
    }
    if old.early_stop != new.early_stop {
        let shown = |sweep: &Sweep| json!(sweep.early_stop).to_string();
        let why = "the old trials were promoted and stopped by the old one";
        object("early_stop", shown(old), shown(new), why);
    }
    if old.method == new.method && old.method.draws() {
        for name in changed_parameters(old, new) {
            let shown = |sweep: &Sweep| {
                let found = sweep.parameters.iter().find(|parameter| parameter.name == name);
                found.map_or("(none)".to_string(), ToString::to_string)
            };
            let why = "all draws follow from the parameters; only `max_trials` can grow";
            object(&format!("parameters.{name}"), shown(old), shown(new), why);
        }
        if old.constraints != new.constraints {
            let why = "which draws are kept follows from them; only `max_trials` and [[enqueue]] can grow";
            object(
                "constraints",
                old.constraints.len().to_string(),
                new.constraints.len().to_string(),
                why,
            );
        }
    }
    for key in fixed_keys(old).filter(|key| !is_parameter(new, key)) {
        let shown = |sweep: &Sweep| {
            sweep.fixed(key.name).map_or("(none)".to_string(), |value| value.to_string())
        };
        if sets_apart(key, old, new, configurations) {
            let message =
                format!("{} -> {}: the old trials have it otherwise", shown(old), shown(new));
            problems.push(Problem::new(key.name, message).hint(as_parameter(key, old, new)));
        }
    }
    problems
}

fn changed_parameters(old: &Sweep, new: &Sweep) -> BTreeSet<String> {
    let by_name = |sweep: &Sweep| -> BTreeMap<String, String> {
        let cases = |cases| json!(cases).to_string();
        sweep.parameters.iter().map(|one| (one.name.clone(), cases(&one.cases))).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names = old.keys().chain(new.keys());
    names.filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

/// Returns whether the new value of a fixed key would have made any of the old trials another experiment.
fn sets_apart(key: &Key, old: &Sweep, new: &Sweep, configurations: &[&Configuration]) -> bool {
    let (section, field) = key.section();
    let (mut document, new) = (json!(old.settings), json!(new.settings));
    if document[section][field] == new[section][field] {
        return false;
    }
    document[section][field] = new[section][field].clone();
    let Ok(settings) = serde_json::from_value(document) else { return true };
    let changed = Sweep { settings, ..old.clone() };
    let print = |sweep: &Sweep, configuration: &Configuration| {
        let settings = sweep.settings_of(configuration);
        fingerprint(&settings, &BTreeMap::new(), sweep.seed, &sweep.objective)
    };
    configurations.iter().any(|one| print(old, one) != print(&changed, one))
}

/// Writes a fixed key as a parameter with both values.
fn as_parameter(key: &Key, old: &Sweep, new: &Sweep) -> String {
    let shown = |sweep: &Sweep| match sweep.fixed(key.name) {
        Some(Value::Text(text)) => Some(format!("\"{text}\"")),
        value => value.map(|value| value.to_string()),
    };
    let values: Vec<String> = [shown(old), shown(new)].into_iter().flatten().collect();
    let name = match key.short_name() {
        name if name.contains('.') => format!("\"{name}\""),
        name => name.to_string(),
    };
    format!("to compare both, make it a parameter: {name} = {{ values = [{}] }}", values.join(", "))
}

/// Returns, for each case of the changed sweep, its place among those that were prepared before; none where it is
/// new.
///
/// # Errors
/// A problem for each role whose content is no longer what it was: the fingerprints of old trials cover the old
/// one.
pub fn match_cases(
    old: &Sweep,
    new: &Sweep,
    known: &[KnownCase],
    cases: &[Settings],
    facts: &[Facts],
) -> Result<Vec<Option<usize>>, Vec<Problem>> {
    let fixed: Vec<&Key> = fixed_keys(old).filter(|key| !is_parameter(new, key)).collect();
    // Fixed values were compared one by one, and the content behind fixed paths is compared here.
    let of = |settings: &Settings| {
        let train = &settings.train;
        let ways = json!([train.max_length, train.pooling, train.precision]);
        let mut document = json!(settings);
        for key in &fixed {
            let (section, field) = key.section();
            document[section][field] = serde_json::Value::Null;
        }
        json!([document["model"], document["data"], ways]).to_string()
    };
    let (mut places, mut roles) = (Vec::new(), BTreeSet::new());
    for (settings, facts) in cases.iter().zip(facts) {
        let place = known.iter().position(|one| of(&one.settings) == of(settings));
        if let Some(place) = place {
            let (then, now) = (&known[place].facts.content_hashes, &facts.content_hashes);
            let all = then.keys().chain(now.keys());
            roles.extend(all.filter(|role| then.get(*role) != now.get(*role)).cloned());
        }
        places.push(place);
    }
    if roles.is_empty() {
        return Ok(places);
    }
    let problem = |role: String| {
        Problem::new(role, "its content is not what the old trials were trained and judged with")
    };
    Err(roles.into_iter().map(problem).collect())
}

/// Sorts the trials of the changed sweep: those that are there already are never added again.
///
/// What was drawn from results is not in `planned`, nor are seeds that were won in a race: they are not left over.
pub fn growth(new: &Sweep, present: &[Present<'_>], planned: Vec<PlannedTrial>) -> Growth {
    let key = |trial: &PlannedTrial| (trial.fingerprint.clone(), trial.replicate);
    let wanted: BTreeSet<(String, u64)> = planned.iter().map(key).collect();
    let configurations: BTreeSet<&str> = wanted.iter().map(|(print, _)| print.as_str()).collect();
    let there: BTreeSet<(&str, u64)> =
        present.iter().map(|trial| (trial.fingerprint, trial.replicate)).collect();
    let baseline = present.iter().find(|one| one.is_baseline).map(|one| one.fingerprint);
    let is_beside = |trial: &PlannedTrial| {
        trial.kind != TrialKind::Baseline && baseline == Some(trial.fingerprint.as_str())
    };
    let is_baseline_searched = planned.iter().any(is_beside);
    let left_over = |trial: &&Present<'_>| {
        let grown =
            new.method.is_adaptive() || (new.racing && configurations.contains(trial.fingerprint));
        !grown && !wanted.contains(&(trial.fingerprint.to_string(), trial.replicate))
    };
    Growth {
        left_over: present.iter().filter(left_over).map(|trial| trial.number).collect(),
        added: planned
            .into_iter()
            .filter(|trial| !there.contains(&(trial.fingerprint.as_str(), trial.replicate)))
            .filter(|trial| !is_beside(trial))
            .collect(),
        is_baseline_searched,
    }
}

#[cfg(test)]
mod tests;

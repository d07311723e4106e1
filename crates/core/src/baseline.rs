//! The baseline: what the defaults are worth, for the gain over them. `[sweep] baseline = true` asks for it.
//!
//! Each searched setting of `[train]` has its default, each searched one of `[model]` and `[data]` the first value of its
//! range, since these have no default that would mean anything; all else is as in the search. It stands beside the search:
//! it does not count, and is not ranked. Where the search itself holds that configuration, there is no second trial of it.

use crate::facts::Facts;
use crate::fingerprint::fingerprint;
use crate::key::Key;
use crate::sampler::dependency_order;
use crate::search_space::{Configuration, Domain};
use crate::sweep::Sweep;
use crate::trial::TrialKind;

/// Returns the configuration of the defaults.
pub fn configuration(sweep: &Sweep) -> Configuration {
    let mut configuration = Configuration::new();
    for parameter in dependency_order(sweep).into_iter().map(|place| &sweep.parameters[place]) {
        let name = &parameter.name;
        let value_of = |name: &str| configuration.get(name).cloned().or_else(|| sweep.fixed(name));
        let Some(case) = parameter.active_case(&value_of) else { continue };
        let is_of_train = Key::find(name).is_some_and(|key| key.section().0 == "train");
        let value = match is_of_train {
            true => sweep.fixed(name),
            false => first(&parameter.cases[case].domain),
        };
        // Some have none: a rate of its own for the head, say. Then none is set.
        if let Some(value) = value {
            configuration.insert(name.clone(), value);
        }
    }
    configuration
}

/// Returns whether a trial is what the baseline is, be it the baseline itself or one of the search.
///
/// `facts` are those of the trial.
pub fn is_it(sweep: &Sweep, facts: &Facts, chosen: &Configuration, print: &str) -> bool {
    let configuration = configuration(sweep);
    // Fingerprints leave out paths, which are told apart by their contents: those of the trial here.
    let elsewhere = |name: &str| Key::find(name).is_none_or(|key| key.section().0 != "train");
    let differs = |name: &String| elsewhere(name) && configuration.get(name) != chosen.get(name);
    if configuration.keys().chain(chosen.keys()).any(differs) {
        return false;
    }
    let settings = sweep.settings_of(&configuration);
    fingerprint(&settings, &facts.content_hashes, sweep.seed, &sweep.objective) == print
}

/// Returns the trials that show what the baseline is worth: those that were made for it, or else those of the search with
/// its configuration. `trials` come with their facts.
pub fn trials<'a, T>(
    sweep: &Sweep,
    trials: impl IntoIterator<Item = (T, TrialKind, &'a Facts, &'a Configuration, &'a str)>,
) -> Vec<T> {
    let (mut apart, mut within) = (Vec::new(), Vec::new());
    for (trial, kind, facts, chosen, print) in trials {
        if kind == TrialKind::Baseline {
            apart.push(trial);
        } else if kind.is_ranked() && is_it(sweep, facts, chosen, print) {
            within.push(trial);
        }
    }
    if apart.is_empty() { within } else { apart }
}

fn first(domain: &Domain) -> Option<crate::value::Value> {
    let points = domain.grid().unwrap_or_default();
    Some(points.into_iter().next().unwrap_or_else(|| domain.at(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn sweep(text: &str) -> Sweep {
        let text = format!(
            "[sweep]\nname = \"x\"\nbaseline = true\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n{text}"
        );
        crate::sweep_file::read(&text, "s.toml", &[]).unwrap()
    }

    #[test]
    fn searched_settings_have_their_defaults_and_data_the_first_value() {
        let sweep = sweep(
            "train_limit = 70\n[train]\nepochs = 1\n[parameters]\nlearning_rate = { values = [1e-3, 1e-4] }\n\
             optimizer = { values = [\"sgd\", \"adamw\"] }\n\
             momentum = { values = [0.9], when = { optimizer = \"sgd\" } }\n\
             head_learning_rate = { values = [1e-3] }\n\
             \"data.validation_limit\" = { values = [50, 100] }",
        );
        let expected = Configuration::from([
            ("learning_rate".to_string(), Value::Float(2e-5)),
            ("optimizer".to_string(), Value::Text("adamw".into())),
            ("data.validation_limit".to_string(), Value::Integer(50)),
        ]);
        assert_eq!(configuration(&sweep), expected);
        let settings = sweep.settings_of(&expected);
        assert_eq!((settings.train.epochs, settings.data.train_limit), (1, Some(70)));
        assert_eq!(settings.train.head_learning_rate, None);
    }

    #[test]
    fn it_is_the_first_trial_and_has_as_many_seeds_as_the_others() {
        let sweep = sweep("[parameters]\nbatch_size = { values = [8, 32] }");
        let sweep = Sweep { replicates: 2, ..sweep };
        let planned = crate::growth::tests::planned(&sweep);
        let shown: Vec<_> = planned
            .iter()
            .map(|one| (one.kind, one.replicate, one.settings.train.batch_size))
            .collect();
        let of = |replicate| {
            let grid = |size| (TrialKind::Grid, replicate, size);
            [(TrialKind::Baseline, replicate, 16), grid(8), grid(32)]
        };
        assert_eq!(shown, [of(0), of(1)].concat());
    }

    #[test]
    fn where_the_search_holds_it_there_is_no_second_trial_and_it_is_found() {
        let sweep = sweep("[parameters]\nbatch_size = { values = [8, 16] }");
        let planned = crate::growth::tests::planned(&sweep);
        assert!(planned.iter().all(|one| one.kind == TrialKind::Grid));
        assert_eq!(planned.len(), 2);
        let facts = crate::growth::tests::facts();
        let found = trials(
            &sweep,
            planned.iter().zip(1..).map(|(one, number)| {
                (number, one.kind, &facts, &one.configuration, one.fingerprint.as_str())
            }),
        );
        assert_eq!(found, [2]);
    }
}

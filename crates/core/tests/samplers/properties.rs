//! What holds for every draw of every method.

use std::collections::BTreeSet;

use converge_core::sampler::tpe::{Known, Outcome, draw};
use converge_core::sampler::{Dry, sample};
use converge_core::search_space::{Configuration, Domain};
use converge_core::sweep::Sweep;
use converge_core::sweep_file::read;
use proptest::prelude::*;

use crate::functions::{all, parameters, sweep};
use crate::regret::search;

/// Every kind of domain, and cases.
const SPACE: &str = "\
optimizer = { values = [\"adamw\", \"sgd\", \"rmsprop\"] }
batch_size = { values = [32, 8, 16] }
epochs = { min = 2, max = 11, step = 3 }
dropout = { min = 0.0, max = 0.3, step = 0.1 }
warmup_ratio = { min = 0.0, max = 0.5 }
weight_decay = { value = 0.01 }
learning_rate = [
  { distribution = \"log_uniform_values\", min = 1e-6, max = 1e-3, when = { optimizer = [\"adamw\", \"rmsprop\"] } },
  { distribution = \"log_uniform_values\", min = 1e-3, max = 1.0, when = { optimizer = \"sgd\" } } ]
momentum = { min = 0.0, max = 0.99, when = { optimizer = \"sgd\" } }
pooling = { values = [\"cls\", \"mean\"], when = { batch_size = [8, 16] } }
";

fn drawing(method: &str, seed: u64, trials: u64) -> Sweep {
    sweep(method, seed, trials, &parameters(SPACE))
}

fn text(configuration: &Configuration) -> String {
    serde_json::to_string(configuration).unwrap()
}

/// Asserts that each parameter is there exactly where a case of it holds, with a value of that case.
fn assert_sound(sweep: &Sweep, configuration: &Configuration) {
    let value_of = |name: &str| configuration.get(name).cloned().or_else(|| sweep.fixed(name));
    let mut expected = 0;
    for parameter in &sweep.parameters {
        let value = configuration.get(&parameter.name);
        let Some(case) = parameter.active_case(&value_of) else {
            assert_eq!(value, None, "{} in {}", parameter.name, text(configuration));
            continue;
        };
        expected += 1;
        let value = value.unwrap_or_else(|| panic!("{} is missing", parameter.name));
        let is_inside = match &parameter.cases[case].domain {
            Domain::Uniform { min, max, .. } | Domain::LogUniform { min, max, .. } => {
                (*min..=*max).contains(&value.number().unwrap())
            }
            domain => domain.grid().unwrap().contains(value),
        };
        assert!(is_inside, "{} = {value}", parameter.name);
    }
    assert_eq!(configuration.len(), expected);
}

/// A result as noisy as a real one, of any kind; a function of the configuration.
fn outcome(configuration: &Configuration) -> Outcome {
    let number = text(configuration).bytes().fold(7u64, |sum, byte| {
        sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(byte)) ^ (sum >> 29)
    });
    match number % 10 {
        0 => Outcome::Worst,
        1 => Outcome::Pending,
        2 => Outcome::Without,
        3 => Outcome::Value(f64::NAN),
        _ => Outcome::Value((number % 1000) as f64),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn draws_lie_in_their_domains_and_cases_and_none_comes_twice(seed in any::<u32>(), count in 1..120u64) {
        for method in ["random", "sobol", "latin_hypercube", "tpe"] {
            let sweep = drawing(method, u64::from(seed), count);
            let found = sample(&sweep).configurations;
            prop_assert_eq!(found.len() as u64, if method == "tpe" { count.min(13) } else { count });
            let distinct: BTreeSet<String> = found.iter().map(text).collect();
            prop_assert_eq!(distinct.len(), found.len());
            found.iter().for_each(|configuration| assert_sound(&sweep, configuration));
        }
    }

    #[test]
    fn a_longer_sequence_begins_with_the_shorter_one(seed in any::<u32>(), few in 1..50u64, more in 0..50u64) {
        for method in ["random", "sobol", "tpe"] {
            let short = sample(&drawing(method, u64::from(seed), few)).configurations;
            let long = sample(&drawing(method, u64::from(seed), few + more)).configurations;
            prop_assert_eq!(&long[..short.len()], &short[..]);
        }
    }

    #[test]
    fn an_adaptive_draw_is_sound_whatever_came_of_the_others(seed in any::<u32>(), count in 10..60usize) {
        let sweep = drawing("tpe", u64::from(seed), 1000);
        let mut found = sample(&sweep).configurations;
        let history = |found: &[Configuration]| found.iter().map(outcome).collect::<Vec<_>>();
        while found.len() < count {
            let outcomes = history(&found);
            let known: Vec<_> = found
                .iter()
                .zip(outcomes)
                .map(|(configuration, outcome)| Known { configuration, outcome })
                .collect();
            let next = draw(&sweep, found.len() as u64 + 1, &known, &|_| false).unwrap();
            // Nothing else goes into it: asked again, it answers the same.
            prop_assert_eq!(&next, &draw(&sweep, found.len() as u64 + 1, &known, &|_| false).unwrap());
            assert_sound(&sweep, &next);
            prop_assert!(!found.contains(&next));
            found.push(next);
        }
    }
}

#[test]
fn each_stratum_of_a_latin_hypercube_is_hit_once() {
    let space =
        parameters("warmup_ratio = { min = 0.0, max = 0.5 }\ndropout = { min = 0.0, max = 0.1 }\n");
    let found = sample(&sweep("latin_hypercube", 5, 37, &space)).configurations;
    for (name, range) in [("warmup_ratio", 0.5), ("dropout", 0.1)] {
        let mut strata: Vec<u64> =
            found.iter().map(|one| (one[name].number().unwrap() / range * 37.0) as u64).collect();
        strata.sort_unstable();
        assert!(strata.into_iter().eq(0..37), "{name}");
    }
}

#[test]
fn a_small_space_is_drawn_to_its_end_and_then_said_to_be_exhausted() {
    let small = parameters(
        "batch_size = { values = [8, 16, 32] }\npooling = { values = [\"cls\", \"mean\"] }\nepochs = { min = 1, max = 4 }\n",
    );
    for method in ["sobol", "latin_hypercube"] {
        let found = sample(&sweep(method, 1, 100, &small));
        assert_eq!((found.configurations.len(), found.dry), (24, Some(Dry::Exhausted)), "{method}");
    }
    let mut adaptive = sweep("tpe", 1, 24, &small);
    adaptive.ahead = 2;
    let loss = |one: &Configuration| {
        one["epochs"].number().unwrap() - one["batch_size"].number().unwrap() / 8.0
    };
    let found = search(&adaptive, loss);
    assert_eq!(found.iter().map(text).collect::<BTreeSet<_>>().len(), 24);
    let known: Vec<_> = found
        .iter()
        .map(|configuration| Known { configuration, outcome: Outcome::Value(loss(configuration)) })
        .collect();
    assert_eq!(draw(&adaptive, 25, &known, &|_| false), Err(Dry::Exhausted));
    // One that is there already in another form is not drawn either.
    let (last, before) = known.split_last().unwrap();
    let is_last = |one: &Configuration| one == last.configuration;
    assert_eq!(draw(&adaptive, 24, before, &is_last), Err(Dry::Exhausted));
    assert_eq!(draw(&adaptive, 24, before, &|_| false).as_ref(), Ok(last.configuration));
}

#[test]
fn a_draw_that_follows_results_obeys_constraints() {
    let text = "[sweep]\nname = \"x\"\nmethod = \"tpe\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n\
                [budget]\nmax_trials = 40\n[parameters]\nepochs = { min = 1, max = 50 }\nwarmup_ratio = { min = 0.0, max = 0.5 }\n\
                [[constraints]]\nunless = \"epochs < 20\"\n";
    let sweep = read(text, "s.toml", &[]).unwrap();
    // The fewer epochs the better, so that it is drawn to what it may not have.
    let epochs = |one: &Configuration| -one["epochs"].number().unwrap();
    let found = search(&sweep, epochs);
    assert!(found.iter().all(|one| epochs(one) <= -20.0));
    let near = found[13..].iter().filter(|one| epochs(one) > -30.0).count();
    assert!(near > 13, "{near} of {}", found.len() - 13);
}

#[test]
fn results_that_are_not_to_be_looked_at_yet_change_nothing() {
    let [branin, ..] = all();
    let sweep = sweep("tpe", 3, 30, &branin.parameters);
    let found = search(&sweep, branin.regret);
    let first: Vec<_> = found[..20]
        .iter()
        .enumerate()
        .map(|(place, configuration)| Known {
            configuration,
            outcome: match place < 17 {
                true => Outcome::Value((branin.regret)(configuration)),
                false => Outcome::Pending,
            },
        })
        .collect();
    assert_eq!(draw(&sweep, 21, &first, &|_| false).as_ref(), Ok(&found[20]));
}

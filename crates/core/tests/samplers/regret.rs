//! TPE's regret against that of Optuna's.

use converge_core::sampler::sample;
use converge_core::sampler::tpe::{Known, Outcome, draw};
use converge_core::search_space::Configuration;
use converge_core::sweep::Sweep;
use serde::Deserialize;

use crate::functions::{Function, all, sweep};

#[derive(Deserialize)]
struct Goldens {
    trials: u64,
    optuna: Vec<Golden>,
}

/// What Optuna's sampler reached in so many studies, each with a seed of its own.
#[derive(Deserialize)]
struct Golden {
    name: String,
    ahead: u64,
    regrets: Vec<f64>,
}

/// Returns the configurations of a whole sweep by TPE, each drawn from the results of those before it.
pub(crate) fn search(sweep: &Sweep, regret: fn(&Configuration) -> f64) -> Vec<Configuration> {
    let (wanted, ahead) = (sweep.budget.max_trials.unwrap() as usize, sweep.ahead as usize);
    let mut found = sample(sweep).configurations;
    while found.len() < wanted {
        let told = (found.len() + 1).saturating_sub(ahead);
        let history: Vec<Known<'_>> = found
            .iter()
            .enumerate()
            .map(|(place, configuration)| Known {
                configuration,
                outcome: match place < told {
                    true => Outcome::Value(regret(configuration)),
                    false => Outcome::Pending,
                },
            })
            .collect();
        let next = draw(sweep, found.len() as u64 + 1, &history, &|_| false).unwrap();
        found.push(next);
    }
    found
}

fn least(function: &Function, seed: u64, trials: u64, ahead: u64, method: &str) -> f64 {
    let mut sweep = sweep(method, seed, trials, &function.parameters);
    sweep.ahead = ahead;
    let found = match method {
        "tpe" => search(&sweep, function.regret),
        _ => sample(&sweep).configurations,
    };
    assert_eq!(found.len(), trials as usize);
    found.iter().map(function.regret).fold(f64::INFINITY, f64::min)
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|share| {
        let place = share * (values.len() - 1) as f64;
        let (below, above) = (values[place as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    })
}

/// Compares ours with Optuna's over the first so many seeds, and prints the quartiles of both and of what follows no
/// results.
fn compare(studies: usize, aheads: &[u64]) {
    let goldens: Goldens = serde_json::from_str(include_str!("../goldens/regret.json")).unwrap();
    let functions = all();
    let mut worse = Vec::new();
    println!("{:<10} {:>5}  regret: lower quartile, median, upper quartile", "", "ahead");
    for golden in goldens.optuna.into_iter().filter(|golden| aheads.contains(&golden.ahead)) {
        let function = functions.iter().find(|function| function.name == golden.name).unwrap();
        let ours = |method| {
            let seeds = 0..studies as u64;
            let found =
                seeds.map(|seed| least(function, seed, goldens.trials, golden.ahead, method));
            quartiles(found.collect())
        };
        let (found, optuna) = (ours("tpe"), quartiles(golden.regrets[..studies].to_vec()));
        for (who, [low, median, high]) in [
            ("optuna", optuna),
            ("tpe", found),
            ("sobol", ours("sobol")),
            ("random", ours("random")),
        ] {
            println!(
                "{:<10} {:>5}  {low:.5} {median:.5} {high:.5}  {who}",
                golden.name, golden.ahead
            );
        }
        if found[1] > optuna[1] {
            worse.push(format!("{} {}: {} > {}", golden.name, golden.ahead, found[1], optuna[1]));
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

#[test]
fn the_median_regret_is_at_most_that_of_optunas() {
    compare(30, &[1]);
}

/// Medians of 30 vary by a sixth; those of 100 by a tenth. Half a minute on one core.
#[test]
#[ignore = "over a hundred seeds, and four trials at a time too"]
fn over_a_hundred_seeds_it_is_too() {
    compare(100, &[1, 4]);
}

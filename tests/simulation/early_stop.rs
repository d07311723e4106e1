//! Sweeps with rungs: whatever is killed when, the same trials are promoted and stopped, by the same values, with the
//! same ranks, as if nothing had been.
//!
//! ```text
//! SIMULATION_SEEDS=0..5000 cargo nextest run --release -p converge-tests --test simulation promotions_are
//! SEED=123 cargo nextest run --release -p converge-tests --test simulation promotions_of_one_seed
//! ```

use std::time::Instant;

use crate::sweep::Sweep;
use crate::{Simulation, named_seeds};

/// Histories of a run without other wishes.
const HISTORIES: u64 = 600;

fn play(seeds: std::ops::Range<u64>) {
    let simulation = Simulation::of(Sweep::early_stopping());
    let (started, mut turns) = (Instant::now(), 0);
    let histories = seeds.end - seeds.start;
    for seed in seeds {
        turns += simulation.play(seed, false).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    println!("{histories} histories of {turns} turns in {:?}", started.elapsed());
}

#[test]
fn promotions_are_those_of_an_undisturbed_run() {
    let (first, end) = named_seeds().unwrap_or((0, HISTORIES));
    play(first..end);
}

#[test]
fn promotions_of_one_seed() {
    let seed = std::env::var("SEED").map_or(0, |seed| seed.parse().unwrap());
    let simulation = Simulation::of(Sweep::early_stopping());
    let turns = simulation.play(seed, true).unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("seed {seed}: {turns} turns, 0 violations");
}

#[test]
fn undisturbed_sweeps_promote_and_stop() {
    for (sweep, played) in &Simulation::of(Sweep::early_stopping()).0 {
        let count = |word: &str| played.rungs.iter().filter(|row| row.contains(word)).count();
        let rule = sweep.definition.early_stop.rule;
        assert!(count("promoted") > 0 && count("stopped") > 0, "{rule:?}: {:?}", played.rungs);
        let ends = |word: &str| played.outcomes.values().filter(|one| one.state == word).count();
        assert!(ends("completed") > 0 && ends("stopped") > 0, "{rule:?}: {:?}", played.outcomes);
    }
}

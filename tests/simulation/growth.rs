//! Sweeps that grow while they run: whatever happens, and however many workers there are, they get the same trials.

use std::time::Instant;

use crate::history::{Manner, Played, disturbed, undisturbed};
use crate::named_seeds;
use crate::sweep::Sweep;

/// Histories of a run without other wishes; `SIMULATION_SEEDS=0..5000` plays those of a release.
const HISTORIES: u64 = 300;

/// Plays each sweep undisturbed, for each number of workers, and tells the histories to come what they have to find.
fn references() -> Vec<(Sweep, Played)> {
    let mut all: Vec<(Sweep, Played)> = Vec::new();
    for sweeps in Sweep::growing() {
        let first = all.len();
        for mut sweep in sweeps {
            let played = undisturbed(&sweep).unwrap_or_else(|violation| panic!("{violation:?}"));
            assert!(played.trials.len() > sweep.first, "{} trials: none was added", sweep.first);
            if let Some((_, with_one)) = all.get(first) {
                assert_eq!(played.trials, with_one.trials, "with {} workers", sweep.workers);
                assert_eq!(played.outcomes, with_one.outcomes, "with {} workers", sweep.workers);
            }
            sweep.trials.clone_from(&played.trials);
            sweep.unplayed = false;
            all.push((sweep, played));
        }
    }
    all
}

#[test]
fn sweeps_that_grow_get_the_same_trials_whatever_is_killed() {
    let references = references();
    let started = Instant::now();
    let (first, end) = named_seeds().unwrap_or((0, HISTORIES));
    let mut turns = 0;
    for seed in first..end {
        let (sweep, reference) = &references[usize::try_from(seed).unwrap() % references.len()];
        let played = disturbed(sweep, seed, Manner::default()).unwrap_or_else(|violation| {
            panic!("seed {seed}, turn {}: {}", violation.turn, violation.what)
        });
        assert_eq!(played.outcomes, reference.outcomes, "seed {seed}");
        turns += played.turns;
    }
    let histories = end - first;
    println!("{histories} histories of {turns} turns in {:?}, 0 violations", started.elapsed());
}

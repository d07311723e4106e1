//! The order of configurations and the counts that the writer keeps: always what reading every trial would give.

use converge_core::ids::TrialId;
use converge_core::objective::{At, Goal};
use converge_core::ranking::{Ranked, Scored, rank};
use converge_core::trial::AttemptEnding;
use converge_store::{RankedTrial, Reader};

use crate::home::{Home, METRIC, checkpointed, ended, observed, query, queued, sweep, trial};

/// Ranks as `best` does.
fn ranked(home: &Home, trials: Vec<RankedTrial>) -> Vec<Ranked> {
    let scored: Vec<Scored> = trials
        .into_iter()
        .map(|trial| Scored {
            trial: trial.number,
            fingerprint: trial.fingerprint,
            configuration: trial.configuration,
            value: trial.objective.filter(|_| !trial.diverged).map(|objective| objective.value),
        })
        .collect();
    rank(&scored, &home.store.read().sweep(home.sweep).unwrap().unwrap().objective)
}

fn check(home: &Home, what: &str) {
    let read = home.store.read();
    let objective = read.sweep(home.sweep).unwrap().unwrap().objective;
    let all = ranked(home, read.ranking(home.sweep, &objective).unwrap());
    assert_eq!(read.ranked_configurations(home.sweep).unwrap(), all.len() as u64, "{what}");
    for most in [0, 1, 2, 5, usize::MAX] {
        let best = ranked(home, read.best_ranking(home.sweep, &objective, most).unwrap());
        assert_eq!(best, all[..most.min(all.len())], "{what}, the best {most}");
    }
    if let Some(mean) = all.first().and_then(|first| first.mean) {
        let summary = read.sweep_named("first").unwrap().unwrap();
        assert_eq!(summary.best, Some(mean), "{what}");
    }
    let counted =
        "SELECT state, count(*), sum(total_steps) FROM sweep_trials GROUP BY state ORDER BY 1";
    let kept = "SELECT state, trials, steps FROM trial_counts WHERE trials > 0 ORDER BY 1";
    assert_eq!(query(&home.path(), kept), query(&home.path(), counted), "{what}");
}

#[test]
fn the_kept_order_is_that_of_the_ranking_whatever_happened() {
    for seed in 0..48 {
        let mut trials = Vec::new();
        // Replicates come replicate by replicate, as sweeps make them; some configurations have fewer.
        for replicate in 0..3 {
            trials.extend((0..8 - 3 * replicate).map(|name| {
                let mut trial = trial(&format!("f{name}"), replicate);
                trial.total_steps = 10 + name;
                trial
            }));
        }
        let goal = if seed % 2 == 0 { Goal::Maximize } else { Goal::Minimize };
        let mut new = sweep("first", goal, trials);
        new.objective.at = if seed % 4 < 2 { At::Best } else { At::Last };
        let number = new.trials.len() as u64;
        let mut home = Home::of(&new);
        let what = format!("seed {seed}");
        home.end_at_random(number, seed, |home| check(home, &what));
    }
}

#[test]
fn the_mean_is_that_of_the_ranking_to_the_bit() {
    let trials = (0..3).map(|replicate| trial("a", replicate)).collect();
    let mut home = Home::of(&sweep("first", Goal::Maximize, trials));
    // 0.1 + 0.2 + 0.3 is another number in another order, or with the sum that SQLite takes.
    for (number, value) in [(3, 0.3), (1, 0.1), (2, 0.2)] {
        home.complete(number, &[value]);
    }
    let mean = (0.1 + 0.2 + 0.3) / 3.0;
    assert_eq!(home.store.read().sweep_named("first").unwrap().unwrap().best, Some(mean));
    check(&home, "three replicates");
}

#[test]
fn a_sweep_is_read_without_its_final_trials() {
    let mut home = Home::new(5);
    home.complete(1, &[0.5]);
    home.complete(4, &[0.75, 0.25]);
    home.diverge(2, &[0.9]);
    let lease = home.lease(TrialId(5), 1, 0);
    home.apply(&[lease]);
    let record = home.store.read().sweep(home.sweep).unwrap().unwrap();
    let open: Vec<_> = record
        .open_trials
        .iter()
        .map(|trial| (trial.number, trial.state.word(), trial.attempts))
        .collect();
    assert_eq!(open, [(3, "queued", 0), (5, "running", 1)]);
    assert_eq!((record.counts.total(), record.counts.ended()), (5, 3));
    assert_eq!(record.completed_steps, 200);
    let best = record.best.unwrap();
    assert_eq!((best.number, best.value, best.configuration.len()), (4, 0.75, 2));
    assert_eq!(home.store.read().facts(home.sweep).unwrap(), record.facts);
}

#[test]
fn what_final_trials_have_on_disk_is_found_without_reading_them() {
    let mut home = Home::new(3);
    home.complete(1, &[0.5]);
    let lease = home.lease(TrialId(2), 1, 0);
    let best = converge_store::BestWeights { step: 1, value: 0.25, directory: "best".into() };
    home.apply(&[
        lease,
        observed(2, 1, &[(METRIC, 0.25)]),
        checkpointed(2, 1),
        converge_store::Change::BestWeights { trial: TrialId(2), weights: Some(best.clone()) },
    ]);
    let found = |read: &Reader| {
        let weights = read.kept_weights(home.sweep).unwrap();
        let weights: Vec<_> =
            weights.into_iter().map(|kept| (kept.trial.0, kept.weights)).collect();
        (weights, read.uncleaned(home.sweep).unwrap())
    };
    assert_eq!(found(home.store.read()), (vec![], vec![1]), "the other is running");
    home.store
        .apply(
            &[
                ended(2, AttemptEnding::Completed),
                converge_store::Change::TrialState {
                    trial: TrialId(2),
                    state: converge_core::trial::TrialState::Completed,
                },
            ],
            9_000,
        )
        .unwrap();
    assert_eq!(found(home.store.read()), (vec![(2, best)], vec![1, 2]));
}

#[test]
fn a_released_trial_is_counted_where_it_is() {
    let mut home = Home::new(2);
    for number in 1..=3 {
        let lease = home.lease(TrialId(1), number, 0);
        home.apply(&[lease]);
        check(&home, "running");
        home.apply(&[ended(number as i64, AttemptEnding::Released), queued(TrialId(1))]);
        check(&home, "queued again");
    }
}

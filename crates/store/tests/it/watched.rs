//! Parts of a list of trials, in each order, and curves as they grow.

use converge_core::ids::{AttemptId, TrialId};
use converge_core::objective::Goal;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::{Change, Standing, SweepSteps, TrialOrder, TrialWindow};

use crate::home::{Home, METRIC, OTHER, checkpointed, ended, observed, queued, sweep, trial};

/// Two runs, one failed, one diverged, three completed, two wait; the third has two replicates.
fn mixed() -> Home {
    let mut trials: Vec<_> = (1..=8).map(|number| trial(&format!("f{number}"), 0)).collect();
    trials.push(trial("f3", 1));
    let mut home = Home::of(&sweep("first", Goal::Maximize, trials));
    home.complete(2, &[0.5, 0.6]);
    home.complete(3, &[0.7]);
    home.complete(9, &[0.9]);
    home.complete(6, &[0.95]);
    home.diverge(4, &[0.99]);
    home.fail(5);
    let leases = [home.lease(TrialId(1), 1, 0), home.lease(TrialId(8), 1, 0)];
    home.apply(&leases);
    home
}

fn numbers(home: &Home, window: TrialWindow) -> (Vec<u64>, u64) {
    let (trials, total) = home.store.read().watched_trials(home.sweep, &window).unwrap();
    (trials.into_iter().map(|trial| trial.number).collect(), total)
}

#[test]
fn each_order_lists_every_trial_once_in_parts_of_any_size_and_backwards() {
    let home = mixed();
    for (order, expected) in [
        (TrialOrder::Number, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (TrialOrder::Standing, [1, 8, 5, 4, 2, 3, 6, 9, 7]),
        (TrialOrder::Rank, [6, 3, 9, 2, 4, 1, 8, 5, 7]),
    ] {
        for reversed in [false, true] {
            let mut expected = expected.to_vec();
            if reversed {
                expected.reverse();
            }
            for count in 1..=10 {
                let mut listed = Vec::new();
                for offset in (0..12).step_by(count) {
                    let window = TrialWindow {
                        order,
                        reversed,
                        only: None,
                        offset: offset as u64,
                        count: count as u64,
                    };
                    let (part, total) = numbers(&home, window);
                    assert_eq!(total, 9);
                    listed.extend(part);
                }
                assert_eq!(listed, expected, "{order:?}, {count} at a time");
            }
        }
    }
}

#[test]
fn a_list_can_be_of_one_standing() {
    let home = mixed();
    let list = |order, only| {
        numbers(
            &home,
            TrialWindow { order, reversed: false, only: Some(only), offset: 0, count: 9 },
        )
    };
    for order in [TrialOrder::Number, TrialOrder::Standing, TrialOrder::Rank] {
        assert_eq!(list(order, Standing::Failed), (vec![5], 1));
        assert_eq!(list(order, Standing::Running), (vec![1, 8], 2));
        assert_eq!(list(order, Standing::Cancelled), (vec![], 0));
    }
    assert_eq!(list(TrialOrder::Rank, Standing::Completed), (vec![6, 3, 9, 2], 4));
    assert_eq!(list(TrialOrder::Number, Standing::Completed), (vec![2, 3, 6, 9], 4));
}

#[test]
fn a_watched_trial_says_where_it_stands() {
    let mut home = mixed();
    home.apply(&[
        observed(7, 1, &[(METRIC, 0.25), (OTHER, 0.5)]),
        observed(7, 2, &[(OTHER, f64::NAN)]),
    ]);
    let window =
        TrialWindow { order: TrialOrder::Number, reversed: false, only: None, offset: 0, count: 9 };
    let (trials, _) = home.store.read().watched_trials(home.sweep, &window).unwrap();
    let running = &trials[0];
    assert_eq!((running.standing, running.last_step, running.attempts), (Standing::Running, 2, 1));
    assert_eq!(running.objective, Some(0.25));
    assert!(running.loss.unwrap().is_nan(), "NaN is a value");
    assert_eq!(trials[4].failure.as_deref(), Some("data: bad data"));
    let waiting = &trials[6];
    assert_eq!((waiting.standing, waiting.attempts, waiting.loss), (Standing::Queued, 0, None));
    // Places by configuration: that of the two replicates has the mean 0.8.
    let ranks: Vec<_> =
        (1..=9).map(|number| home.store.read().rank_of(home.sweep, number).unwrap()).collect();
    assert_eq!(ranks, [None, Some(3), Some(2), None, None, Some(1), None, None, Some(2)]);
}

#[test]
fn a_curve_is_read_on_from_where_it_was_and_ends_where_a_successor_began() {
    let mut home = Home::new(1);
    let lease = home.lease(TrialId(1), 1, 0);
    home.apply(&[lease]);
    for step in 1..=6 {
        home.apply(&[observed(1, step, &[(OTHER, step as f64), (METRIC, 0.5)])]);
    }
    home.apply(&[checkpointed(1, 4)]);
    let part = |home: &Home, range| {
        let mut found = Vec::new();
        let visit = |place, step, value: f64| found.push((place, step, value));
        home.store.read().curve_part(TrialId(1), &["none", OTHER], range, visit).unwrap();
        found
    };
    assert_eq!(part(&home, (0, 2)), [(1, 1, 1.0), (1, 2, 2.0)]);
    assert_eq!(part(&home, (4, u64::MAX)), [(1, 5, 5.0), (1, 6, 6.0)]);
    assert_eq!(
        home.store.read().sweep_steps(home.sweep).unwrap(),
        SweepSteps { done: 6, total: 100 }
    );
    // Released, and taken up from the checkpoint: steps 5 and 6 are done again.
    home.apply(&[ended(1, AttemptEnding::Abandoned), queued(TrialId(1))]);
    assert_eq!(
        home.store.read().sweep_steps(home.sweep).unwrap(),
        SweepSteps { done: 4, total: 100 }
    );
    let lease = home.lease(TrialId(1), 2, 4);
    home.apply(&[lease, observed(2, 5, &[(OTHER, 50.0)])]);
    assert_eq!(part(&home, (3, 100)), [(1, 4, 4.0), (1, 5, 50.0)]);
    let attempt = AttemptId(2);
    home.apply(&[
        Change::Observed {
            attempt,
            step: 6,
            seq: 99,
            metrics: vec![(OTHER.into(), f64::NAN)],
            items: None,
        },
        ended(2, AttemptEnding::Completed),
        Change::TrialState { trial: TrialId(1), state: TrialState::Completed },
    ]);
    assert!(part(&home, (5, 100))[0].2.is_nan());
}

//! What the page of `serve` reads.

use converge_core::ids::TrialId;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::Change;

use crate::home::{Home, METRIC, OTHER, checkpointed, ended, observed, queued};

const TRIAL: TrialId = TrialId(1);

#[test]
fn a_thin_curve_has_what_counts_of_each_attempt() {
    let mut home = Home::new(1);
    let lease = home.lease(TRIAL, 1, 0);
    let first = (1..=40).map(|step| observed(1, step, &[(METRIC, 1.0), (OTHER, 2.0)]));
    let mut changes: Vec<Change> = vec![lease];
    changes.extend(first);
    changes.extend([checkpointed(1, 20), ended(1, AttemptEnding::Released), queued(TRIAL)]);
    home.apply(&changes);
    let lease = home.lease(TRIAL, 2, 20);
    let mut changes = vec![lease];
    changes.extend((21..=60).map(|step| observed(2, step, &[(METRIC, 3.0)])));
    home.apply(&changes);
    let reader = home.store.read();
    let curve = reader.thin_curve(TRIAL, METRIC, 0, 100).unwrap();
    let expected: Vec<(u64, f64)> =
        (1..=60).map(|step| (step, if step <= 20 { 1.0 } else { 3.0 })).collect();
    assert_eq!((curve.points, curve.observations), (expected, 60));
    let thin = reader.thin_curve(TRIAL, METRIC, 0, 6).unwrap();
    assert_eq!(thin.means.iter().map(|mean| mean.1).collect::<Vec<_>>(), [1.0, 3.0, 3.0]);
    assert_eq!((thin.points[0], thin.points[thin.points.len() - 1]), ((1, 1.0), (60, 3.0)));
    let all = reader.thin_curves(TRIAL, 15, 100).unwrap();
    assert_eq!(
        all[OTHER].points.iter().map(|point| point.0).collect::<Vec<_>>(),
        [16, 17, 18, 19, 20]
    );
    assert_eq!(all[METRIC].observations, 45);
}

#[test]
fn the_marker_moves_when_a_trial_begins_or_ends_and_not_while_it_runs() {
    let mut home = Home::new(3);
    let sweep = home.sweep;
    let mut before = home.store.read().trials_marker(sweep).unwrap();
    let mut moved = |home: &Home| {
        let now = home.store.read().trials_marker(sweep).unwrap();
        std::mem::replace(&mut before, now.clone()) != now
    };
    assert!(!moved(&home));
    let lease = home.lease(TRIAL, 1, 0);
    home.apply(&[lease]);
    assert!(moved(&home), "one was leased");
    home.apply(&[observed(1, 1, &[(METRIC, 0.5)])]);
    assert!(!moved(&home), "it runs");
    home.apply(&[ended(1, AttemptEnding::Released), queued(TRIAL)]);
    assert!(moved(&home), "it was released");
    home.complete(2, &[0.5]);
    assert!(moved(&home), "another one began and ended in between");
    let cancelled = Change::TrialState { trial: TrialId(3), state: TrialState::Cancelled };
    home.apply(&[cancelled]);
    assert!(moved(&home), "one was cancelled");
}

#[test]
fn a_header_adds_up_the_steps_that_are_done() {
    let mut home = Home::new(4);
    home.complete(1, &[0.5]);
    home.fail(2);
    let lease = home.lease(TrialId(3), 1, 0);
    home.apply(&[lease, observed(2 + 1, 7, &[(METRIC, 0.25)])]);
    let header = home.store.read().sweep_header(home.sweep).unwrap();
    // All of the complete one, one of the failed one, seven of that which runs; a hundred each of the last two.
    assert_eq!((header.steps_done, header.steps_total), (108, 301));
    assert_eq!(header.devices, [("cpu".to_owned(), 1)]);
    let best = header.best.unwrap();
    assert_eq!((best.trial, best.mean, best.replicates), (1, Some(0.5), 1));
    let values = home.store.read().metric_values(home.sweep, METRIC).unwrap();
    assert_eq!(
        values.iter().map(|value| (value.trial, value.max)).collect::<Vec<_>>(),
        [(1, Some(0.5)), (2, Some(0.5)), (3, Some(0.25))]
    );
    let ids = home.store.read().trial_ids(home.sweep, &[3, 9, 1]).unwrap();
    assert_eq!(ids, [Some(TrialId(3)), None, Some(TrialId(1))]);
}

//! What was said of each validation example, and the looks at the test split.

use converge_core::failure::FailureClass;
use converge_core::ids::TrialId;
use converge_core::items::{Answers, ItemResults};
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::{Change, NewTestLook, Reader};

use crate::home::{Home, METRIC, checkpointed, ended, failed, observed, query, queued};

fn said(classes: &[u32]) -> ItemResults {
    ItemResults {
        answers: Answers::Classes { classes: classes.to_vec() },
        losses: classes.iter().map(|class| 0.25 + *class as f32).collect(),
    }
}

/// A step that was evaluated.
fn evaluated(attempt: i64, step: u64, items: ItemResults) -> Change {
    match observed(attempt, step, &[(METRIC, 0.5)]) {
        Change::Observed { attempt, step, seq, metrics, .. } => {
            Change::Observed { attempt, step, seq, metrics, items: Some(items) }
        }
        other => other,
    }
}

#[test]
fn they_come_back_as_they_were_and_only_where_there_are_some() {
    let mut home = Home::new(2);
    let lease = home.lease(TrialId(1), 1, 0);
    let plain = observed(1, 1, &[(METRIC, 0.25)]);
    home.apply(&[
        lease,
        plain,
        evaluated(1, 2, said(&[0, 1, 1])),
        evaluated(1, 4, said(&[1, 1, 1])),
    ]);
    let asked = [(TrialId(1), 4), (TrialId(1), 1), (TrialId(1), 2), (TrialId(2), 2)];
    let found = home.store.read().item_results(&asked).unwrap();
    assert_eq!(found, [Some(said(&[1, 1, 1])), None, Some(said(&[0, 1, 1])), None]);
    let found = Reader::open(home.path()).unwrap().item_results(&asked[..1]).unwrap();
    assert_eq!(found, [Some(said(&[1, 1, 1]))]);
}

#[test]
fn what_a_resume_cuts_off_does_not_count_but_stays() {
    let mut home = Home::new(1);
    let trial = TrialId(1);
    let lease = home.lease(trial, 1, 0);
    home.apply(&[
        lease,
        evaluated(1, 2, said(&[0, 0])),
        checkpointed(1, 2),
        evaluated(1, 4, said(&[0, 1])),
        ended(1, failed(FailureClass::Killed)),
        queued(trial),
    ]);
    let lease = home.lease(trial, 2, 2);
    home.apply(&[lease]);
    let at =
        |home: &Home, step| home.store.read().item_results(&[(trial, step)]).unwrap().remove(0);
    assert_eq!((at(&home, 2), at(&home, 4)), (Some(said(&[0, 0])), None));
    home.apply(&[evaluated(2, 4, said(&[1, 1]))]);
    assert_eq!(at(&home, 4), Some(said(&[1, 1])));
    assert_eq!(query(&home.path(), "SELECT count(*) FROM item_results"), ["3"]);
}

#[test]
fn what_cannot_be_packed_falls_with_its_batch() {
    let mut home = Home::new(1);
    let lease = home.lease(TrialId(1), 1, 0);
    home.apply(&[lease]);
    let uneven = ItemResults { losses: vec![0.0], ..said(&[0, 1]) };
    let why = home.refused(&[evaluated(1, 1, uneven)]);
    assert_eq!(why, "the item results of step 1 of attempt 1 are too many, or do not fit together");
    // The step was not kept either: it can come again.
    home.apply(&[evaluated(1, 1, said(&[0, 1]))]);
}

#[test]
fn a_kilobyte_does_not_take_a_page_of_its_own() {
    let mut home = Home::new(1);
    let lease = home.lease(TrialId(1), 1, 0);
    home.apply(&[lease]);
    let classes: Vec<u32> = (0..512).map(|example| example % 2).collect();
    let evaluations: Vec<Change> =
        (1..=400).map(|step| evaluated(1, step, said(&classes))).collect();
    home.apply(&evaluations);
    home.apply(&[
        ended(1, AttemptEnding::Completed),
        Change::TrialState { trial: TrialId(1), state: TrialState::Completed },
    ]);
    let bytes = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE '%item_results%'";
    let pages: f64 = query(&home.path(), bytes)[0].parse().unwrap();
    let each = pages / 400.0;
    println!("{each} bytes an evaluation of 512 examples");
    assert!(each < 1_500.0, "{each} bytes an evaluation");
}

#[test]
fn looks_at_the_test_split_are_counted_over_the_sweep_and_kept_for_ever() {
    let mut home = Home::new(2);
    home.complete(1, &[0.5]);
    home.complete(2, &[0.75]);
    let look = |trial, accuracy| NewTestLook {
        trial: TrialId(trial),
        step: 1,
        examples: 200,
        metrics: vec![("test/loss".into(), f64::NAN), ("test/accuracy".into(), accuracy)],
    };
    assert_eq!(home.store.read().test_looks(home.sweep).unwrap(), []);
    assert_eq!(home.store.add_test_look(home.sweep, &look(2, 0.5), 7_000).unwrap(), 1);
    assert_eq!(home.store.add_test_look(home.sweep, &look(1, 0.25), 8_000).unwrap(), 2);
    let looks = Reader::open(home.path()).unwrap().test_looks(home.sweep).unwrap();
    let told: Vec<_> = looks
        .iter()
        .map(|look| (look.look, look.trial, look.step, look.examples, look.at_ms))
        .collect();
    assert_eq!(told, [(1, 2, 1, 200, 7_000), (2, 1, 1, 200, 8_000)]);
    assert_eq!(looks[1].metrics["test/accuracy"], 0.25);
    assert!(looks[0].metrics["test/loss"].is_nan());
    let unknown = home.store.add_test_look(home.sweep, &look(9, 0.5), 9_000);
    assert!(unknown.is_err(), "{unknown:?}");
    assert_eq!(home.store.read().test_looks(home.sweep).unwrap().len(), 2);
}

use super::*;
use crate::made_up::{self, Shape};

fn poor() -> Record {
    let shape = Shape { accuracy: 0.6, evaluated: 0.97, travel: 0.01, ..Shape::default() };
    let mut record = made_up::record(&shape);
    record.number = 2;
    record.fingerprint = "b".into();
    record
}

#[test]
fn what_nothing_explains_is_inconclusive_and_says_what_is_missing() {
    let records = [made_up::record(&Shape::default()), poor()];
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(2).unwrap();
    let Verdict::Inconclusive { missing } = &diagnosis.verdict else { panic!("{diagnosis:?}") };
    assert_eq!(missing, &["a trial that differs from this one in a single setting and works"]);
    assert_eq!(
        diagnosis.standing(&records[0].objective),
        "accuracy 60.0 %, where trial 1 reached 84.0 %"
    );
}

#[test]
fn data_on_which_another_trial_works_are_no_cause() {
    let few = Shape { counts: vec![32, 32], ..Shape::default() };
    let flat = Shape {
        accuracy: 0.5,
        train_accuracy: 0.5,
        evaluated: 1.0,
        train_evaluated: 1.0,
        loss: [1.0; 3],
        ..few.clone()
    };
    let failing = Record { number: 2, fingerprint: "b".into(), ..made_up::record(&flat) };
    let causes = |records: &[Record]| -> Vec<Cause> {
        let diagnosis = Cases::new(records, Thresholds::default()).diagnose(2).unwrap();
        diagnosis
            .cause()
            .into_iter()
            .chain(diagnosis.alternates.iter().map(|claim| claim.cause))
            .collect()
    };
    assert!(causes(std::slice::from_ref(&failing)).contains(&Cause::TooLittleData));
    let works = Record { facts: failing.facts.clone(), ..made_up::record(&few) };
    assert!(!causes(&[works, failing]).contains(&Cause::TooLittleData));
}

#[test]
fn signals_that_were_not_recorded_are_named() {
    let mut record = made_up::record(&Shape { accuracy: 0.5, ..Shape::default() });
    record.curves.retain(|name, _| name == "validation/accuracy" || name == "train/loss");
    let records = [record];
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(1).unwrap();
    let Verdict::Inconclusive { missing } = diagnosis.verdict else { panic!("{diagnosis:?}") };
    assert_eq!(missing.len(), 4, "{missing:?}");
}

#[test]
fn a_trial_that_has_not_begun_is_not_judged() {
    let mut record = made_up::record(&Shape::default());
    record.curves.clear();
    record.end = End::Open;
    let records = [record];
    let diagnosis = Cases::new(&records, Thresholds::default()).diagnose(1).unwrap();
    assert_eq!(diagnosis.verdict, Verdict::NotJudged { reason: "it has not begun".into() });
    assert!(Cases::new(&records, Thresholds::default()).diagnose(7).is_none());
}

//! Sweeps' records: what lies beside the database makes the same rows again; and rows that contradict each other.

use converge_core::ids::TrialId;
use converge_core::objective::Goal;
use converge_store::{Contradiction, Extension, Store, records};

use crate::home::{Home, query, raw, sweep, trial};

const SWEEPS: &str = "SELECT id, name, identity, definition, source_path, source_text, overrides, facts, \
                      objective_metric, objective_goal, objective_at, created_at_ms, version FROM sweeps";
const TRIALS: &str = "SELECT id, sweep, number, kind, fingerprint, replicate, facts_index, total_steps, \
                      created_at_ms, configuration, settings, charged_from FROM sweep_trials ORDER BY id";

#[test]
fn a_record_makes_the_same_rows_again() {
    let mut home = Home::new(3);
    home.complete(1, &[0.5]);
    let second = sweep("second", Goal::Minimize, vec![trial("g1", 0), trial("g1", 1)]);
    let id = home.store.create_sweep(&second, 5_000).unwrap();
    let more = Extension { trials: vec![trial("g2", 0)], ..Extension::default() };
    home.store.extend_sweep(id, &more, 6_000).unwrap();
    let (old_sweeps, old_trials) = (query(&home.path(), SWEEPS), query(&home.path(), TRIALS));
    assert_eq!((old_sweeps.len(), old_trials.len()), (2, 6));

    let path = home.directory.path().join("again.db");
    let mut again = Store::create_or_open(&path).unwrap();
    let found = records(&home.path()).unwrap();
    assert_eq!(found.len(), 2);
    for (id, record) in found {
        assert_eq!(again.restore_sweep(&record).unwrap(), id);
    }
    assert_eq!(query(&path, SWEEPS), old_sweeps);
    assert_eq!(query(&path, TRIALS), old_trials);
    assert_eq!(query(&path, "SELECT DISTINCT state FROM sweep_trials"), ["queued"]);
    assert_eq!(query(&path, "SELECT count(name) FROM trials_wide"), ["6"]);
    // A second time it is refused, whole.
    let (_, record) = records(&home.path()).unwrap().remove(0);
    again.restore_sweep(&record).unwrap_err();
    assert_eq!(query(&path, TRIALS), old_trials);
}

#[test]
fn a_damaged_record_makes_nothing() {
    let home = Home::new(3);
    let (_, record) = records(&home.path()).unwrap().remove(0);
    let text = std::fs::read_to_string(&record).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "a head and three trials");
    let path = home.directory.path().join("again.db");
    let mut again = Store::create_or_open(&path).unwrap();
    let cut = lines[..3].join("\n");
    let other = text.replacen("\"version\":1", "\"version\":9", 1);
    let garbled = text.replacen("[2,", "[\"x\",", 1);
    assert_ne!(garbled, text);
    for damaged in ["", "{", "[]", &cut, &other, &garbled] {
        std::fs::write(&record, damaged).unwrap();
        again.restore_sweep(&record).unwrap_err();
        assert_eq!(query(&path, "SELECT count(*) FROM sweeps"), ["0"], "{damaged}");
    }
}

#[test]
fn a_sweep_without_record_gets_one() {
    let home = Home::new(2);
    assert_eq!(home.store.read().sweeps_without_record().unwrap(), []);
    let (id, record) = records(&home.path()).unwrap().remove(0);
    let before = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    let missing = home.store.read().sweeps_without_record().unwrap();
    assert_eq!(missing, [(id, "first".to_owned())]);
    home.store.write_record(id).unwrap();
    assert_eq!(std::fs::read(&record).unwrap(), before);
}

#[test]
fn each_contradiction_is_found_and_mended() {
    let spoil = |sql: &str| {
        let mut home = Home::new(3);
        home.complete(1, &[0.5, 0.75]);
        let lease = home.lease(TrialId(2), 1, 0);
        home.apply(&[lease]);
        assert_eq!(home.store.read().contradictions(true).unwrap(), []);
        raw(&home.path()).execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
        home
    };
    let trial = TrialId(1);
    for (sql, expected) in [
        (
            "UPDATE sweep_trials SET state = 'running' WHERE id = 3",
            Contradiction::RunningWithoutAttempt { trial: TrialId(3) },
        ),
        (
            "UPDATE sweep_trials SET state = 'queued' WHERE id = 2",
            Contradiction::AttemptOfIdleTrial {
                attempt: converge_core::ids::AttemptId(2),
                state: "queued".into(),
            },
        ),
        (
            "UPDATE workers SET ended_at_ms = 1, exit = 'x'",
            Contradiction::AttemptOfEndedWorker { attempt: converge_core::ids::AttemptId(2) },
        ),
        ("UPDATE trial_metrics SET min = 0.1", Contradiction::WrongExtremes { trial }),
        (
            "UPDATE sweep_trials SET objective_step = 9 WHERE id = 1",
            Contradiction::WrongObjective { trial },
        ),
        ("DROP VIEW trials_wide", Contradiction::WrongView),
    ] {
        let mut home = spoil(sql);
        let found = home.store.read().contradictions(true).unwrap();
        assert_eq!(found, [expected], "{sql}");
        assert!(found[0].can_be_mended());
        home.store.mend(&found, 9_000).unwrap();
        assert_eq!(home.store.read().contradictions(true).unwrap(), [], "{sql}");
        assert_eq!(home.store.read().integrity().unwrap(), Vec::<String>::new());
        assert_eq!(home.trial(1).objective.unwrap().value, 0.75);
    }
    // Nobody can say what such a trial did: it is only told.
    let mut home = spoil("UPDATE attempts SET ending = 'released' WHERE id = 1");
    let found = home.store.read().contradictions(true).unwrap();
    assert!(matches!(found[..], [Contradiction::EndedWithoutAttempt { .. }]), "{found:?}");
    assert!(!found[0].can_be_mended());
    home.store.mend(&found, 9_000).unwrap();
    assert_eq!(home.store.read().contradictions(true).unwrap(), found);
}

//! A batch that is interrupted at any point of its work leaves the old database; applied again, it goes in.

use converge_core::failure::FailureClass;
use converge_core::ids::TrialId;
use converge_core::trial::{AttemptEnding, TrialState};

use crate::change::{BestWeights, Change};
use crate::home::{Home, METRIC, checkpointed, dump, ended, failed, observed, query, queued};
use crate::sweep::Extension;

/// Lets SQLite do so many instructions in all, then interrupts it: as a kill or an error would, between any two.
fn interrupt_after(home: &mut Home, instructions: Option<u64>) {
    let connection = home.store.reader.connection_mut();
    let mut done = 0;
    let countdown = instructions.map(|instructions| {
        move || {
            // Once: the rollback that follows is left alone.
            done += 1;
            done == instructions
        }
    });
    connection.progress_handler(1, countdown).unwrap();
}

/// A batch that does a bit of everything; the trial had an attempt until step 8, of which 4 count.
fn prepared() -> (Home, Vec<Change>) {
    let mut home = Home::new(2);
    let trial = TrialId(1);
    let first = home.lease(trial, 1, 0);
    home.apply(&[
        first,
        observed(1, 4, &[(METRIC, 0.5)]),
        checkpointed(1, 4),
        observed(1, 8, &[(METRIC, 0.75)]),
        ended(1, failed(FailureClass::Killed)),
        queued(trial),
    ]);
    let batch = vec![
        home.lease(trial, 2, 4),
        observed(2, 5, &[(METRIC, 0.25), ("new/metric", 1.0)]),
        checkpointed(2, 5),
        observed(2, 6, &[(METRIC, 0.375), ("new/metric", f64::NAN)]),
        Change::LogRead { worker: home.worker, offset: 99, next_seq: 17, torn_lines: 1 },
        Change::AttemptEnded {
            attempt: converge_core::ids::AttemptId(2),
            ending: AttemptEnding::Completed,
            last_step: 6,
            closed_seq: 16,
            best: Some(BestWeights { step: 4, value: 0.5, directory: "best".into() }),
            peak_memory_bytes: Some(1),
        },
        Change::TrialState { trial, state: TrialState::Completed },
    ];
    (home, batch)
}

#[test]
fn a_batch_is_whole_or_not_there_wherever_it_is_interrupted() {
    let (mut whole, batch) = prepared();
    whole.store.apply(&batch, 9_000).unwrap();
    let after = dump(&whole.path());

    let (mut home, batch) = prepared();
    let before = dump(&home.path());
    let mut interrupted = 0;
    for instructions in (1..20_000).step_by(5) {
        interrupt_after(&mut home, Some(instructions));
        let done = home.store.apply(&batch, 9_000);
        interrupt_after(&mut home, None);
        let found = dump(&home.path());
        // This way of interrupting can also come after the commit, before SQLite has said so.
        if done.is_ok() || found == after {
            break;
        }
        interrupted += 1;
        assert_eq!(found, before, "after {instructions} instructions");
    }
    assert!(interrupted > 100, "{interrupted} interruptions");
    // What the store had in memory was as old as the database each time, or this would differ.
    assert_eq!(dump(&home.path()), after);
    assert_eq!(query(&home.path(), "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(query(&home.path(), "PRAGMA foreign_key_check"), Vec::<String>::new());
}

#[test]
fn a_sweep_is_whole_or_not_there_wherever_its_creation_is_interrupted() {
    let mut home = Home::new(1);
    let mut new = crate::home::trial("f2", 0);
    new.configuration.insert("momentum".into(), converge_core::value::Value::Float(0.9));
    let extension = Extension { trials: vec![new], ..Extension::default() };
    let before = dump(&home.path());
    let mut interrupted = 0;
    for instructions in (1..20_000).step_by(7) {
        interrupt_after(&mut home, Some(instructions));
        let done = home.store.extend_sweep(home.sweep, &extension, 5);
        interrupt_after(&mut home, None);
        if done.is_ok() {
            break;
        }
        if dump(&home.path()) != before {
            // SQLite looks at the handler once more after its commit: what is there must then be whole.
            assert_eq!(query(&home.path(), "SELECT count(*) FROM sweep_trials"), ["2"]);
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 50, "{interrupted} interruptions");
    assert_eq!(query(&home.path(), "SELECT momentum FROM trials_wide"), ["NULL", "0.9"]);
}

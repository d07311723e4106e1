//! What readers see, beside a writer and after it.

use std::ops::ControlFlow;

use converge_core::ids::TrialId;
use converge_core::objective::{At, Goal, Objective};
use converge_core::trial::TrialKind;
use converge_store::{NewTrial, ReadError, Reader, TrialCounts};

use crate::home::{Home, METRIC, OTHER, observed, raw, sweep, trial};

#[test]
fn a_missing_database_is_said_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sweeps.db");
    let error = Reader::open(&path).unwrap_err();
    assert!(matches!(error, ReadError::Missing { .. }));
    assert_eq!(error.to_string(), format!("there is no database at `{}`", path.display()));
    assert!(!path.exists(), "looking makes nothing");
}

#[test]
fn a_reader_sees_what_is_committed_while_a_writer_is_in_a_transaction() {
    let mut home = Home::new(2);
    home.complete(1, &[0.5]);
    let reader = Reader::open(home.path()).unwrap();
    let version = reader.data_version().unwrap();
    assert_eq!(reader.data_version().unwrap(), version);

    let writer = raw(&home.path());
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE sweeps SET name = 'changed'").unwrap();
    assert_eq!(reader.sweeps().unwrap()[0].name, "first");
    assert_eq!(Reader::open(home.path()).unwrap().sweeps().unwrap()[0].name, "first");
    assert_eq!(reader.data_version().unwrap(), version);
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(reader.sweeps().unwrap()[0].name, "changed");
    assert_ne!(reader.data_version().unwrap(), version);
}

#[test]
fn a_reader_cannot_write() {
    let home = Home::new(1);
    let reader = Reader::open(home.path()).unwrap();
    drop(home.store);
    assert_eq!(reader.sweeps().unwrap().len(), 1);
    drop(reader);
    let names: Vec<_> = std::fs::read_dir(home.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.contains(&"sweeps.db".to_owned()), "{names:?}");
}

#[test]
fn sweeps_are_counted_by_state() {
    let mut home = Home::new(4);
    home.complete(1, &[0.5]);
    home.diverge(2, &[0.5]);
    let lease = home.lease(TrialId(3), 1, 0);
    home.apply(&[lease]);
    let summary = home.store.read().sweep_named("first").unwrap().unwrap();
    let counts =
        TrialCounts { queued: 1, running: 1, completed: 1, diverged: 1, ..TrialCounts::default() };
    assert_eq!(summary.trials, counts);
    assert_eq!((counts.total(), counts.ended()), (4, 2));
    assert_eq!(home.store.read().sweep_named("none").unwrap(), None);
}

#[test]
fn the_latest_sweep_is_the_one_worked_on_last() {
    let mut home = Home::new(1);
    let second = home.store.create_sweep(&sweep("second", Goal::Maximize, vec![]), 2).unwrap();
    let latest = |home: &Home| home.store.read().latest_sweep().unwrap().unwrap().name;
    assert_eq!(latest(&home), "first", "a sweep that never ran is not the latest");
    home.store.open_session(&crate::home::new_session(second), 3).unwrap();
    assert_eq!(latest(&home), "second");
    home.store.open_session(&crate::home::new_session(home.sweep), 4).unwrap();
    assert_eq!(latest(&home), "first");
}

#[test]
fn ranking_takes_any_metric_and_names_what_diverged() {
    let mut home = Home::of(&sweep(
        "first",
        Goal::Maximize,
        vec![trial("a", 0), trial("a", 1), trial("b", 0), trial("b", 1)],
    ));
    home.complete(1, &[0.5, 0.75, 0.25]);
    home.diverge(2, &[0.9]);
    home.complete(3, &[f64::NAN]);
    let objective = |metric: &str, goal, at| Objective { metric: metric.into(), goal, at };
    let ranking = |objective: &Objective| {
        let ranked = home.store.read().ranking(home.sweep, objective).unwrap();
        let short = ranked.into_iter().map(|trial| {
            let value = trial.objective.map(|objective| (objective.value, objective.step));
            (trial.number, trial.fingerprint, trial.replicate, trial.diverged, value)
        });
        short.collect::<Vec<_>>()
    };
    let best = ranking(&objective(METRIC, Goal::Maximize, At::Best));
    let expected = [
        (1, "a".to_owned(), 0, false, Some((0.75, 2))),
        (2, "a".to_owned(), 1, true, Some((0.9, 1))),
        (3, "b".to_owned(), 0, false, None),
    ];
    assert_eq!(best, expected);
    let last = ranking(&objective(METRIC, Goal::Maximize, At::Last));
    assert_eq!(last[0].4, Some((0.25, 3)));
    let smallest = ranking(&objective(METRIC, Goal::Minimize, At::Best));
    assert_eq!(smallest[0].4, Some((0.25, 3)));
    let unknown = ranking(&objective("no/such", Goal::Minimize, At::Best));
    assert_eq!(unknown.iter().map(|trial| trial.4).collect::<Vec<_>>(), [None, None, None]);
}

#[test]
fn running_trials_show_their_last_values() {
    let mut home = Home::new(3);
    home.complete(1, &[0.5]);
    let lease = home.lease(TrialId(3), 1, 0);
    home.apply(&[
        lease,
        observed(2, 1, &[(OTHER, 0.7), (METRIC, 0.5)]),
        observed(2, 2, &[(OTHER, 0.6)]),
    ]);
    let running = home.store.read().running_trials(home.sweep).unwrap();
    assert_eq!(running.len(), 1);
    let trial = &running[0];
    assert_eq!((trial.number, trial.attempt_number, trial.last_step), (3, 1, 2));
    assert_eq!((trial.total_steps, trial.device.as_str()), (100, "cpu"));
    let last: Vec<_> = trial
        .metrics
        .iter()
        .map(|metric| (metric.metric.as_str(), metric.last, metric.last_step))
        .collect();
    assert_eq!(last, [(OTHER, 0.6, 2), (METRIC, 0.5, 1)]);
    assert_eq!(home.store.read().sweep_metrics(home.sweep).unwrap(), [OTHER, METRIC]);
}

#[test]
fn observations_come_one_by_one_until_the_visitor_has_enough() {
    let mut home = Home::new(2);
    home.complete(2, &[0.5, 0.25]);
    home.complete(1, &[0.75, 1.0]);
    let mut seen = Vec::new();
    let mut collect = |limit: usize| {
        seen.clear();
        let read = home.store.read();
        read.observations(home.sweep, |observation| {
            assert_eq!((observation.metric, observation.attempt), (METRIC, 1));
            seen.push((observation.trial, observation.step, observation.value));
            if seen.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
        seen.clone()
    };
    assert_eq!(collect(9), [(1, 1, 0.75), (1, 2, 1.0), (2, 1, 0.5), (2, 2, 0.25)]);
    assert_eq!(collect(2), [(1, 1, 0.75), (1, 2, 1.0)]);
    home.store.read().data_version().unwrap();
}

#[test]
fn a_row_that_is_not_as_promised_is_named_not_guessed() {
    let home = Home::new(1);
    raw(&home.path()).execute_batch("UPDATE sweep_trials SET settings = '{\"train\":1}'").unwrap();
    let error = home.store.read().settings(TrialId(1)).unwrap_err();
    assert_eq!(error.to_string(), "cannot read a trial's settings from the database");
    assert_eq!(error.source.to_string(), "the database is damaged");
}

/// Cleaning comes after the commit that ended a trial: a session that was killed may have missed its workers' last.
#[test]
fn the_last_trials_of_a_killed_session_are_not_cleaned_up_after() {
    let mut home = Home::new(5);
    for trial in 1..=3 {
        home.complete(trial, &[0.5]);
    }
    assert_eq!(home.store.read().uncleaned(home.sweep).unwrap(), [2, 3]);
    let lease = home.lease(TrialId(4), 1, 0);
    home.apply(&[lease]);
    assert_eq!(home.store.read().uncleaned(home.sweep).unwrap(), [3], "one that runs is not final");
    home.store.close_session(home.session, "interrupted", 9_000).unwrap();
    assert_eq!(home.store.read().uncleaned(home.sweep).unwrap(), [3], "to clean again is no harm");
}

#[test]
fn a_trial_beside_the_search_is_neither_counted_nor_ranked() {
    let refit = NewTrial { kind: TrialKind::Refit, ..trial("refit", 0) };
    let trials = vec![trial("a", 0), trial("b", 0), refit];
    let mut home = Home::of(&sweep("first", Goal::Maximize, trials));
    home.complete(1, &[0.5]);
    let summary = |home: &Home| home.store.read().sweep_named("first").unwrap().unwrap();
    let before = summary(&home);
    assert_eq!((before.trials.total(), before.beside.queued, before.last_number), (2, 1, 3));
    assert_eq!(home.store.read().newest_refit(home.sweep).unwrap(), None);

    home.complete(3, &[0.9]);
    let after = summary(&home);
    assert_eq!((after.trials, after.best), (before.trials, Some(0.5)));
    assert_eq!(after.beside, TrialCounts { completed: 1, ..TrialCounts::default() });
    assert!(!after.is_over(), "a trial of the search is left");
    home.complete(2, &[0.4]);
    assert!(summary(&home).is_over());
    let objective = after.objective.clone();
    let reader = home.store.read();
    for ranked in [
        reader.ranking(home.sweep, &objective).unwrap(),
        reader.best_ranking(home.sweep, &objective, 9).unwrap(),
    ] {
        let mut numbers: Vec<u64> = ranked.iter().map(|trial| trial.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
    }
    assert_eq!(reader.ranked_configurations(home.sweep).unwrap(), 2);
    assert_eq!(reader.newest_refit(home.sweep).unwrap(), Some(3));
    assert_eq!(reader.number_of(home.sweep, "refit", 0).unwrap(), Some(3));
    assert_eq!(reader.number_of(home.sweep, "refit", 1).unwrap(), None);
    let holdings = reader.holdings().unwrap().trials;
    assert_eq!(holdings.iter().map(|trial| trial.ranked).collect::<Vec<_>>(), [true, true, false]);
}

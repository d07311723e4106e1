//! Creating and extending sweeps, sessions and workers.

use converge_core::failure::FailureClass;
use converge_core::ids::{SweepId, TrialId};
use converge_core::objective::Goal;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::{Change, Extension, NewTrial, SessionError, Source, SweepError, SweepState};

use crate::home::{
    Home, METRIC, checkpointed, dump, ended, facts, failed, new_session, observed, query, queued,
    sweep, trial,
};

#[test]
fn a_sweep_is_read_back_as_it_was_created() {
    let new = sweep("first", Goal::Maximize, vec![trial("a", 0), trial("a", 1), trial("b", 0)]);
    let home = Home::of(&new);
    let record = home.store.read().sweep(home.sweep).unwrap().unwrap();
    assert_eq!((&record.name, &record.identity), (&new.name, &new.identity));
    assert_eq!((&record.definition, &record.source_text), (&new.definition, &new.source_text));
    assert_eq!((&record.source_path, &record.overrides), (&new.source_path, &new.overrides));
    assert_eq!((&record.facts, &record.objective), (&new.facts, &new.objective));
    assert_eq!((record.state, record.created_at_ms), (SweepState::Running, 1_000));
    let reader = home.store.read();
    for (number, (trial, asked)) in (1..).zip(record.open_trials.iter().zip(&new.trials)) {
        assert_eq!((trial.number, trial.kind), (number, asked.kind));
        assert_eq!(trial.configuration, asked.configuration);
        assert_eq!((&trial.fingerprint, trial.replicate), (&asked.fingerprint, asked.replicate));
        assert_eq!((&trial.state, trial.attempts), (&TrialState::Queued, 0));
        assert_eq!((&trial.objective, trial.last_step), (&None, None));
        assert_eq!(reader.settings(trial.id).unwrap().as_ref(), Some(&asked.settings));
    }
    assert_eq!((record.open_trials.len(), record.counts.queued), (3, 3));
    assert_eq!(record.next_attempt_id.0, 1);
    let worker = &record.open_workers[0];
    assert_eq!(
        (worker.id, worker.pid, worker.directory.as_str()),
        (home.worker, None, "workers/1")
    );
    assert_eq!((worker.up_offset, worker.up_next_seq, worker.down_next_seq), (0, 1, 1));
    assert_eq!(reader.sweep(SweepId(9)).unwrap(), None);
    assert_eq!(reader.settings(TrialId(99)).unwrap(), None);
}

#[test]
fn a_name_is_taken_once() {
    let mut home = Home::new(1);
    let error = home.store.create_sweep(&sweep("first", Goal::Minimize, vec![]), 1).unwrap_err();
    assert_eq!(error.to_string(), "there is a sweep named `first` already");
    assert!(matches!(error, SweepError::NameTaken { identity, .. } if identity == "ab".repeat(32)));
}

#[test]
fn a_sweep_that_is_refused_leaves_nothing() {
    let mut home = Home::new(1);
    let before = dump(&home.path());
    let mut lost = trial("c", 0);
    lost.facts_index = 1;
    let mut broken = sweep("broken", Goal::Maximize, vec![]);
    broken.definition = "{".into();
    let wrong = [
        (
            sweep("x", Goal::Maximize, vec![trial("a", 0), trial("b", 0), trial("a", 0)]),
            "trial 3 repeats the configuration and replicate of an earlier trial",
        ),
        (
            sweep("x", Goal::Maximize, vec![trial("a", 0), lost]),
            "trial 2 has facts 1, but the sweep has 1 of them",
        ),
        (broken, "a row would break a rule of the database"),
    ];
    for (sweep, message) in wrong {
        assert_eq!(home.store.create_sweep(&sweep, 1).unwrap_err().to_string(), message);
        assert_eq!(dump(&home.path()), before);
    }
}

#[test]
fn an_extension_appends_trials_and_facts() {
    let mut home = Home::new(2);
    let mut added = trial("f3", 0);
    added.facts_index = 1;
    let extension = Extension {
        definition: Some(("cd".repeat(32), "{\"more\":true}".into())),
        source: Some(Source {
            path: "/home/me/more.toml".into(),
            text: "# more\n".into(),
            overrides: vec!["epochs=6".into()],
        }),
        facts: vec![facts()],
        trials: vec![added, trial("f1", 1)],
    };
    home.apply(&[Change::SweepState { sweep: home.sweep, state: SweepState::Finished }]);
    home.store.extend_sweep(home.sweep, &Extension::default(), 4_000).unwrap();
    assert_eq!(query(&home.path(), "SELECT state FROM sweeps"), ["finished"]);
    home.store.extend_sweep(home.sweep, &extension, 5_000).unwrap();
    let record = home.store.read().sweep(home.sweep).unwrap().unwrap();
    assert_eq!((record.identity, record.definition), ("cd".repeat(32), "{\"more\":true}".into()));
    assert_eq!(record.state, SweepState::Interrupted);
    assert_eq!(record.source_path.as_deref(), Some("/home/me/more.toml"));
    assert_eq!((record.source_text.as_str(), record.overrides.len()), ("# more\n", 1));
    assert_eq!(record.facts, [facts(), facts()]);
    let numbers: Vec<_> = record.open_trials.iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(record.open_trials[3].created_at_ms, 5_000);

    let repeated = Extension { trials: vec![trial("f2", 0)], ..Extension::default() };
    let error = home.store.extend_sweep(home.sweep, &repeated, 1).unwrap_err();
    assert!(matches!(error, SweepError::RepeatedTrial { number: 5 }), "{error:?}");
    let error = home.store.extend_sweep(SweepId(9), &repeated, 1).unwrap_err();
    assert!(matches!(error, SweepError::Unknown { sweep: SweepId(9) }), "{error:?}");
}

#[test]
fn a_trial_is_added_whole_with_its_counts_its_parameters_and_its_record() {
    let mut home = Home::new(2);
    let record = home.store.read().sweep(home.sweep).unwrap().unwrap();
    assert_eq!(record.next_trial_id, TrialId(3));
    let mut new = trial("drawn", 0);
    new.configuration.insert("dropout".into(), converge_core::value::Value::Float(0.25));
    let own = home.sweep;
    let added = |id: i64, number: u64, new: &NewTrial| Change::TrialAdded {
        trial: TrialId(id),
        sweep: own,
        number,
        new: Box::new(new.clone()),
    };
    let (first, second) = (added(3, 3, &new), added(4, 4, &trial("f1", 1)));
    let before = dump(&home.path());
    let lost = NewTrial { facts_index: 1, ..new.clone() };
    for (change, why) in [
        (added(2, 3, &new), "the id is taken"),
        (added(3, 2, &new), "the number is taken"),
        (added(3, 3, &trial("f1", 0)), "it has this configuration with this seed already"),
        (added(3, 3, &lost), "the sweep has no such facts"),
    ] {
        let refused = home.refused(&[change]);
        assert!(refused.ends_with(why), "{refused}");
        assert_eq!(dump(&home.path()), before);
    }
    let lease = home.lease(TrialId(3), 1, 0);
    // Leased in the batch that adds it.
    home.apply(&[first, second, lease]);
    let counted = query(&home.path(), "SELECT state, trials FROM trial_counts WHERE trials > 0");
    assert_eq!(counted, ["queued|3", "running|1"]);
    assert_eq!(query(&home.path(), "SELECT dropout FROM trials_wide WHERE trial = 3"), ["0.25"]);
    let names = query(&home.path(), "SELECT name FROM parameters ORDER BY name");
    assert!(names.contains(&"dropout".to_string()), "{names:?}");
    let (_, file) = converge_store::records(&home.path()).unwrap().remove(0);
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 5, "a head and four");
}

#[test]
fn sessions_and_workers_follow_each_other() {
    let mut home = Home::new(1);
    let first = home.session;
    home.apply(&[Change::SweepState { sweep: home.sweep, state: SweepState::Interrupted }]);
    home.store.close_session(first, "interrupted", 3_000).unwrap();
    let again = home.store.close_session(first, "finished", 3_001).unwrap_err();
    assert_eq!(again.to_string(), "there is no open session with id 1");
    let error = home.store.new_worker(first, "cpu", |id| format!("workers/{id}"), 1).unwrap_err();
    assert!(matches!(error, SessionError::NotOpen { .. }));

    let second = home.store.open_session(&new_session(home.sweep), 4_000).unwrap();
    assert_eq!(query(&home.path(), "SELECT state FROM sweeps"), ["running"]);
    let worker = home.store.new_worker(second, "cuda:0", |id| format!("workers/{id}"), 1).unwrap();
    assert_eq!(worker.0, 2);
    let summary = home.store.read().latest_sweep().unwrap().unwrap();
    assert_eq!((summary.started_at_ms, summary.ended_at_ms), (Some(1_001), None));
    // The first session was closed without ending its worker: it is still to be looked after.
    let open = home.store.read().open_workers().unwrap();
    assert_eq!(open.iter().map(|worker| worker.id.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn sessions_and_attempts_add_up_to_what_was_used() {
    let mut home = Home::new(2);
    let (sweep, first) = (home.sweep, home.session);
    let lease = home.lease(TrialId(1), 1, 0);
    home.apply(&[
        lease,
        observed(1, 40, &[(METRIC, 0.5)]),
        checkpointed(1, 40),
        observed(1, 60, &[(METRIC, 0.5)]),
        ended(1, failed(FailureClass::Killed)),
        queued(TrialId(1)),
    ]);
    let lease = home.lease(TrialId(1), 2, 40);
    home.apply(&[lease, observed(2, 50, &[(METRIC, 0.5)])]);
    // 60 of the first attempt, 20 of them in vain, and 10 of the second so far.
    assert_eq!(home.store.read().steps_done(sweep).unwrap(), 70);

    let open = home.store.read().open_sessions().unwrap();
    assert_eq!((open[0].id, open[0].sweep, open[0].started_at_ms), (first, sweep, 1_001));
    assert_eq!(open[0].directories, ["workers/1"]);
    assert_eq!(home.store.read().closed_wall_ms(sweep).unwrap(), 0);
    home.store.close_session(first, "killed", 3_001).unwrap();
    // A clock that was set back takes nothing off.
    let second = home.store.open_session(&new_session(sweep), 9_000).unwrap();
    home.store.close_session(second, "interrupted", 8_000).unwrap();
    assert_eq!(home.store.read().closed_wall_ms(sweep).unwrap(), 2_000);
    assert_eq!(home.store.read().open_sessions().unwrap(), []);
    let definition = home.store.read().definition(sweep).unwrap();
    assert_eq!(definition.as_deref(), Some(r#"{"sweep":{"method":"grid"}}"#));
}

#[test]
fn a_scheduler_that_was_killed_finds_its_open_attempts() {
    let mut home = Home::new(2);
    let leases = [home.lease(TrialId(1), 1, 0), home.lease(TrialId(2), 1, 0)];
    home.apply(&leases[..1]);
    home.apply(&[ended(1, AttemptEnding::Abandoned), queued(TrialId(1))]);
    home.apply(&leases[1..]);
    let path = home.path();
    drop(home.store);
    let store = converge_store::Store::create_or_open(&path).unwrap();
    let record = store.read().sweep(home.sweep).unwrap().unwrap();
    assert_eq!(record.next_attempt_id.0, 3);
    let open = &record.open_workers[0].open_attempts;
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].id.0, open[0].trial.0, open[0].number, open[0].down_seq), (2, 2, 1, 2));
}

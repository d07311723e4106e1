//! A home for tests: a database in a directory of its own, a sweep, a worker, and short names for changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::seed::Seed;
use converge_core::settings::{Preset, Settings};
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_core::value::Value;
use converge_store::{Change, NewSession, NewSweep, NewTrial, SessionId, Store, TrialRecord};

pub(crate) const METRIC: &str = "validation/accuracy";
pub(crate) const OTHER: &str = "train/loss";

/// A home with one sweep, one session and one worker.
pub(crate) struct Home {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) sweep: SweepId,
    pub(crate) session: SessionId,
    pub(crate) worker: WorkerId,
    now_ms: i64,
    next_down_seq: u64,
    next_attempt: i64,
}

impl Home {
    /// Makes a home whose sweep has `trials` configurations of one replicate.
    pub(crate) fn new(trials: u64) -> Self {
        let trials = (1..=trials).map(|number| trial(&format!("f{number}"), 0)).collect();
        Self::of(&sweep("first", Goal::Maximize, trials))
    }

    pub(crate) fn of(new: &NewSweep) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut store = Store::create_or_open(directory.path().join("sweeps.db")).expect("a store");
        let sweep = store.create_sweep(new, 1_000).expect("a sweep");
        let session = store.open_session(&new_session(sweep), 1_001).expect("a session");
        let worker = store
            .new_worker(session, "cpu", |id| format!("workers/{id}"), 1_002)
            .expect("a worker");
        Self {
            directory,
            store,
            sweep,
            session,
            worker,
            now_ms: 2_000,
            next_down_seq: 1,
            next_attempt: 1,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("sweeps.db")
    }

    /// Applies a batch that must go in.
    pub(crate) fn apply(&mut self, changes: &[Change]) {
        self.now_ms += 1;
        self.store.apply(changes, self.now_ms).expect("the batch is right");
    }

    /// Applies a batch that must be refused, and returns why.
    pub(crate) fn refused(&mut self, changes: &[Change]) -> String {
        let before = dump(&self.path());
        let error = self.store.apply(changes, self.now_ms).expect_err("the batch is wrong");
        assert_eq!(dump(&self.path()), before, "a refused batch leaves nothing behind");
        std::error::Error::source(&error).unwrap_or(&error).to_string()
    }

    /// Makes the change that leases a trial of this home, with the next numbers.
    pub(crate) fn lease(&mut self, trial: TrialId, number: u64, from_step: u64) -> Change {
        let attempt = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        self.next_down_seq += 1;
        Change::Leased {
            attempt,
            trial,
            number,
            worker: self.worker,
            from_step,
            directory: format!("attempts/{attempt}"),
            down_seq: self.next_down_seq - 1,
            accumulation_factor: 1,
        }
    }

    /// Runs a trial to its end: one attempt that observes `values` of the objective at steps 1, 2, ...
    pub(crate) fn complete(&mut self, trial: i64, values: &[f64]) {
        self.run(trial, values, AttemptEnding::Completed, TrialState::Completed);
    }

    pub(crate) fn diverge(&mut self, trial: i64, values: &[f64]) {
        let ending = AttemptEnding::Diverged { step: 2, quantity: "loss".into() };
        self.run(trial, values, ending, TrialState::Diverged);
    }

    /// Runs a trial to a failure that is not retried.
    pub(crate) fn fail(&mut self, trial: i64) {
        let failure = Failure { class: FailureClass::Data, message: "bad data".into() };
        let ending = AttemptEnding::Failed(failure.clone());
        self.run(trial, &[0.5], ending, TrialState::Failed(failure));
    }

    /// Ends the trials of a home in an order, in ways and with values that follow from `seed`; few different values,
    /// so that configurations tie, and all that are not finite. Calls `check` after each.
    pub(crate) fn end_at_random(&mut self, trials: u64, seed: u64, mut check: impl FnMut(&Self)) {
        let mut drawn = 0;
        let mut below = |limit: u64| {
            drawn += 1;
            (Seed(seed).draw(drawn, "ends") * limit as f64) as u64
        };
        let mut left: Vec<i64> = (1..=trials as i64).collect();
        while !left.is_empty() {
            let trial = left.remove(below(left.len() as u64) as usize);
            let values: Vec<f64> = (0..1 + below(3))
                .map(|_| match below(16) {
                    0 | 1 => f64::NAN,
                    2 => f64::INFINITY,
                    3 => f64::NEG_INFINITY,
                    number => (number as f64 - 9.0) / 10.0,
                })
                .collect();
            match below(10) {
                0 => {}
                1 => self.fail(trial),
                2 => self.diverge(trial, &values),
                _ => self.complete(trial, &values),
            }
            check(self);
        }
    }

    fn run(&mut self, trial: i64, values: &[f64], ending: AttemptEnding, state: TrialState) {
        let trial = TrialId(trial);
        let lease = self.lease(trial, 1, 0);
        let attempt = AttemptId(self.next_attempt - 1);
        let mut changes = vec![lease, Change::Started { attempt }];
        for (step, value) in (1..).zip(values) {
            changes.push(observed(attempt.0, step, &[(METRIC, *value)]));
        }
        changes.push(ended(attempt.0, ending));
        changes.push(Change::TrialState { trial, state });
        self.apply(&changes);
    }

    pub(crate) fn trial(&self, number: u64) -> TrialRecord {
        let trial = self.store.read().trial(self.sweep, number).expect("a query");
        trial.expect("the trial").trial
    }
}

pub(crate) fn new_session(sweep: SweepId) -> NewSession {
    NewSession {
        sweep,
        pid: 100,
        boot_id: "boot".into(),
        host: "laptop".into(),
        version: "0.1.0".into(),
        machine: BTreeMap::from([("cores".into(), "2".into())]),
    }
}

pub(crate) fn observed(attempt: i64, step: u64, metrics: &[(&str, f64)]) -> Change {
    let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Change::Observed { attempt: AttemptId(attempt), step, seq: step + 10, metrics, items: None }
}

pub(crate) fn checkpointed(attempt: i64, step: u64) -> Change {
    Change::Checkpointed {
        attempt: AttemptId(attempt),
        step,
        directory: format!("attempts/{attempt}/{step}"),
        seq: step + 10,
    }
}

pub(crate) fn ended(attempt: i64, ending: AttemptEnding) -> Change {
    Change::AttemptEnded {
        attempt: AttemptId(attempt),
        ending,
        last_step: 0,
        closed_seq: 1_000,
        best: None,
        peak_memory_bytes: Some(1 << 30),
    }
}

pub(crate) fn queued(trial: TrialId) -> Change {
    Change::TrialState { trial, state: TrialState::Queued }
}

pub(crate) fn failed(class: FailureClass) -> AttemptEnding {
    AttemptEnding::Failed(Failure { class, message: format!("{} it was", class.word()) })
}

pub(crate) fn sweep(name: &str, goal: Goal, trials: Vec<NewTrial>) -> NewSweep {
    NewSweep {
        name: name.into(),
        identity: "ab".repeat(32),
        definition: r#"{"sweep":{"method":"grid"}}"#.into(),
        source_path: Some("/home/me/sweep.toml".into()),
        source_text: "[sweep]\n".into(),
        overrides: vec!["epochs=5".into()],
        facts: vec![facts()],
        objective: Objective { metric: METRIC.into(), goal, at: At::Best },
        version: "0.1.0".into(),
        trials,
    }
}

pub(crate) fn trial(fingerprint: &str, replicate: u64) -> NewTrial {
    let configuration = BTreeMap::from([
        ("learning_rate".to_owned(), Value::Float(2e-5)),
        ("name".to_owned(), Value::Text(fingerprint.to_owned())),
    ]);
    NewTrial {
        kind: TrialKind::Grid,
        configuration,
        settings: settings(),
        fingerprint: fingerprint.into(),
        replicate,
        facts_index: 0,
        total_steps: 100,
    }
}

pub(crate) fn facts() -> Facts {
    let split = SplitFacts {
        examples: 10,
        class_counts: vec![4, 6],
        targets: None,
        token_lengths: [3, 8, 20, 31],
        truncated_share: 0.1,
        unknown_token_share: 0.0,
    };
    Facts {
        content_hashes: BTreeMap::from([("train".into(), "cd".repeat(32))]),
        task: converge_core::task::Task::Classes,
        task_reason: String::new(),
        labels: vec!["negative".into(), "positive".into()],
        train: split.clone(),
        validation: Some(split),
        test: None,
        validation_answers: None,
        max_length: 32,
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
        model: ModelFacts {
            parameters: 1_000,
            hidden_size: 32,
            layers: 2,
            heads: 2,
            intermediate_size: 64,
            vocabulary_size: 100,
            max_positions: 128,
        },
    }
}

pub(crate) fn settings() -> Settings {
    Settings::defaults(Preset::Tiny.into(), "/data/train.tsv")
}

/// Opens the file beside the store, to look at what SQLite has.
pub(crate) fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).expect("a second connection")
}

/// Returns the rows of a query as text, one line a row.
pub(crate) fn query(path: &Path, sql: &str) -> Vec<String> {
    let connection = raw(path);
    let mut statement = connection.prepare(sql).expect("a query");
    let columns = statement.column_count();
    statement
        .query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|column| {
                    Ok(match row.get_ref(column)? {
                        rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                        rusqlite::types::ValueRef::Real(number) => format!("{number:?}"),
                        other => other.as_str().unwrap_or("blob").to_owned(),
                    })
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(cells.join("|"))
        })
        .expect("rows")
        .collect::<rusqlite::Result<_>>()
        .expect("rows")
}

/// Returns everything in the database as text.
pub(crate) fn dump(path: &Path) -> String {
    let tables = query(path, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let mut dump = query(path, "SELECT sql FROM sqlite_schema ORDER BY name").join("\n");
    for table in tables {
        dump += &format!("\n-- {table}\n");
        dump += &query(path, &format!("SELECT * FROM {table}")).join("\n");
    }
    dump
}

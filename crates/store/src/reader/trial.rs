//! Trials: in a list, and one with everything about it.

use std::collections::BTreeMap;

use converge_core::failure::FailureClass;
use converge_core::ids::{AttemptId, SweepId, TrialId, WorkerId};
use converge_core::settings::Settings;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use rusqlite::{Connection, Row};

use super::curve::{MetricExtremes, extremes};
use super::rungs::{RungRecord, rungs_of};
use super::{QueryError, Reader, json, row, rows};
use crate::change::{BestWeights, Evidence, ResumePoint};
use crate::objective;
use crate::sweep::Configuration;
use crate::word::{self, BESIDE};

/// A trial, without its settings: those are long, and asked for one at a time ([`Reader::settings`]).
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRecord {
    /// Unique over all sweeps of the home.
    pub id: TrialId,
    /// Its sweep.
    pub sweep: SweepId,
    /// From 1 within the sweep.
    pub number: u64,
    /// What it is for.
    pub kind: TrialKind,
    /// What the search chose for it.
    pub configuration: Configuration,
    /// The same for all replicates of the configuration.
    pub fingerprint: String,
    /// Which seed: from 0.
    pub replicate: u64,
    /// Its entry in the sweep's facts.
    pub facts_index: u64,
    /// Steps until it is complete.
    pub total_steps: u64,
    /// Where it stands.
    pub state: TrialState,
    /// Attempts so far, the open one included.
    pub attempts: u64,
    /// Failed attempts that are charged to it, by class.
    pub failures: BTreeMap<FailureClass, u64>,
    /// Accumulation factor of its newest attempt; 1: none, or as its settings say.
    pub accumulation_factor: u64,
    /// Whether that attempt ran out of memory: the next one needs a larger factor.
    pub ran_out_of_memory: bool,
    /// The checkpoint from which the next attempt goes on; none: from the start.
    pub resume: Option<ResumePoint>,
    /// Best weights on disk.
    pub best_weights: Option<BestWeights>,
    /// The sweep's objective, so far; none: not observed, or NaN only.
    pub objective: Option<ObjectiveValue>,
    /// Last step of the newest attempt; none: never leased.
    pub last_step: Option<u64>,
    /// Wall time in ended attempts, from lease to end. Unit: milliseconds.
    pub attempts_ms: i64,
    /// When it was created. Unit: Unix milliseconds.
    pub created_at_ms: i64,
    /// When its first attempt was leased. Unit: Unix milliseconds.
    pub leased_at_ms: Option<i64>,
    /// When it became final. Unit: Unix milliseconds.
    pub ended_at_ms: Option<i64>,
}

/// An objective, and where it was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectiveValue {
    /// Never NaN.
    pub value: f64,
    /// The evaluation's step.
    pub step: u64,
}

/// One attempt of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Unique over all trials of the home.
    pub id: AttemptId,
    /// From 1 within the trial.
    pub number: u64,
    /// Who carried it out.
    pub worker: WorkerId,
    /// On what.
    pub device: String,
    /// The worker's process id; none: never started.
    pub pid: Option<u32>,
    /// What the worker runs on; none: it never said.
    pub machine: Option<BTreeMap<String, String>>,
    /// Relative to the home.
    pub directory: String,
    /// Steps done before it.
    pub from_step: u64,
    /// What it did after this step does not count; none: all counts.
    pub until_step: Option<u64>,
    /// Last step that it did.
    pub last_step: u64,
    /// Sequence number wanted from `up.log` when it was leased.
    pub opened_seq: u64,
    /// Sequence number in `up.log` after which nothing was taken from it; none: open.
    pub closed_seq: Option<u64>,
    /// How it ended; none: open.
    pub ending: Option<AttemptEnding>,
    /// Peak memory, where known. Unit: bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Times the accumulation of the settings.
    pub accumulation_factor: u64,
    /// How its worker ended; of an attempt that failed, its worker's last. None: it lives, or nobody saw it.
    pub worker_exit: Option<String>,
    /// The ends of its logs, kept where it failed or was abandoned.
    pub evidence: Option<Evidence>,
    /// Unit: Unix milliseconds.
    pub leased_at_ms: i64,
    /// When training began. Unit: Unix milliseconds.
    pub started_at_ms: Option<i64>,
    /// Unit: Unix milliseconds.
    pub ended_at_ms: Option<i64>,
}

/// A checkpoint that was committed; it may be gone from disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Number of the attempt that wrote it.
    pub attempt: u64,
    /// Steps done in it.
    pub step: u64,
    /// Relative to the home.
    pub directory: String,
    /// Unit: Unix milliseconds.
    pub at_ms: i64,
}

/// One trial with everything about it but its curves.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialDetail {
    /// The trial itself.
    pub trial: TrialRecord,
    /// Everything that decided what it computed.
    pub settings: Settings,
    /// In order.
    pub attempts: Vec<AttemptRecord>,
    /// In order of attempt and step.
    pub checkpoints: Vec<CheckpointRecord>,
    /// The rungs that it has reached, in order.
    pub rungs: Vec<RungRecord>,
    /// Extremes of all its metrics, by name.
    pub metrics: Vec<MetricExtremes>,
}

impl Reader {
    /// Returns the objective of a completed trial; none where it has not completed, or never had a number.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn objective_value(&self, trial: TrialId) -> Result<Option<f64>, QueryError> {
        self.query("the objective of a trial", |connection| {
            let sql = "SELECT objective_value FROM sweep_trials WHERE id = ?1";
            Ok(row(connection, sql, [trial.0], |row| row.get(0))?.flatten())
        })
    }

    /// Returns the trials of a sweep, by number.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trials(&self, sweep: SweepId) -> Result<Vec<TrialRecord>, QueryError> {
        self.query("the trials", |connection| trials(connection, sweep, Chosen::All))
    }

    /// Returns a trial of a sweep by its number, with its settings, attempts and metrics.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn trial(&self, sweep: SweepId, number: u64) -> Result<Option<TrialDetail>, QueryError> {
        self.query("a trial", |connection| {
            let Some(trial) = trials(connection, sweep, Chosen::Number(number))?.pop() else {
                return Ok(None);
            };
            let id = trial.id;
            Ok(Some(TrialDetail {
                settings: settings(connection, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?,
                attempts: attempts(connection, id)?,
                checkpoints: checkpoints(connection, id)?,
                rungs: rungs_of(connection, id)?,
                metrics: extremes(connection, id)?,
                trial,
            }))
        })
    }

    /// Returns the number of the trial that has this fingerprint and replicate.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn number_of(
        &self,
        sweep: SweepId,
        fingerprint: &str,
        replicate: u64,
    ) -> Result<Option<u64>, QueryError> {
        self.query("a trial's number", |connection| {
            let sql = "SELECT number FROM sweep_trials
                WHERE sweep = ?1 AND fingerprint = ?2 AND replicate = ?3";
            row(connection, sql, (sweep.0, fingerprint, replicate), |row| row.get(0))
        })
    }

    /// Returns the number of the newest refit of a sweep that completed.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn newest_refit(&self, sweep: SweepId) -> Result<Option<u64>, QueryError> {
        self.query("the newest refit", |connection| {
            let sql = format!(
                "SELECT max(number) FROM sweep_trials INDEXED BY trials_beside
                WHERE sweep = ?1 AND {BESIDE} AND kind = 'refit' AND state = 'completed'"
            );
            Ok(row(connection, &sql, [sweep.0], |row| row.get(0))?.flatten())
        })
    }

    /// Returns the settings of a trial.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn settings(&self, trial: TrialId) -> Result<Option<Settings>, QueryError> {
        self.query("a trial's settings", |connection| settings(connection, trial))
    }
}

/// Which trials of a sweep are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chosen {
    All,
    /// Those that are not final.
    Open,
    /// The one of a number.
    Number(u64),
}

impl Chosen {
    /// Returns the condition, in which `?2` is [`Chosen::number`].
    ///
    /// Apart from each other, because one condition that allows for all is looked up in no index: each finished trial
    /// would then cost a pass over all.
    fn condition(self) -> &'static str {
        match self {
            Self::All => "?2 IS NULL",
            Self::Open => "sweep_trials.state IN ('queued', 'running', 'waiting') AND ?2 IS NULL",
            Self::Number(_) => "sweep_trials.number = ?2",
        }
    }

    /// Returns the index to take, where SQLite would take another.
    fn index(self) -> &'static str {
        match self {
            Self::All | Self::Number(_) => "",
            Self::Open => "INDEXED BY trials_by_state",
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::All | Self::Open => None,
            Self::Number(number) => Some(number),
        }
    }
}

/// Reads trials of a sweep, by number.
pub(super) fn trials(
    connection: &Connection,
    sweep: SweepId,
    chosen: Chosen,
) -> rusqlite::Result<Vec<TrialRecord>> {
    let objective = objective::columns("sweeps.objective_goal", "sweeps.objective_at");
    let (condition, index) = (chosen.condition(), chosen.index());
    // `settings` is last in the row and not asked for.
    let sql = format!(
        "SELECT sweep_trials.id, sweep_trials.sweep, sweep_trials.number, sweep_trials.kind, sweep_trials.fingerprint,
            sweep_trials.replicate, sweep_trials.facts_index, sweep_trials.total_steps, sweep_trials.state,
            sweep_trials.failure_class, sweep_trials.failure_message, sweep_trials.best_weights_step,
            sweep_trials.best_weights_value, sweep_trials.best_weights_directory, sweep_trials.resume_step,
            sweep_trials.resume_directory, sweep_trials.created_at_ms, sweep_trials.ended_at_ms, sweep_trials.configuration,
            sweep_trials.charged_from, {objective}
        FROM sweeps
        JOIN sweep_trials {index} ON sweep_trials.sweep = sweeps.id
        LEFT JOIN metrics ON metrics.name = sweeps.objective_metric
        LEFT JOIN trial_metrics
            ON trial_metrics.trial = sweep_trials.id AND trial_metrics.metric = metrics.id
        WHERE sweeps.id = ?1 AND {condition}
        ORDER BY sweep_trials.number"
    );
    let mut histories = histories(connection, sweep, chosen)?;
    rows(connection, &sql, (sweep.0, chosen.number()), |row| {
        let id = row.get("id")?;
        record(row, histories.remove(&id).unwrap_or_default())
    })
}

/// What a trial's attempts add up to.
#[derive(Default)]
struct History {
    attempts: u64,
    accumulation_factor: Option<u64>,
    ran_out_of_memory: bool,
    open: Option<i64>,
    failures: BTreeMap<FailureClass, u64>,
    last_step: Option<u64>,
    attempts_ms: i64,
    leased_at_ms: Option<i64>,
}

/// Reads the attempts of a sweep's trials, one pass.
fn histories(
    connection: &Connection,
    sweep: SweepId,
    chosen: Chosen,
) -> rusqlite::Result<BTreeMap<i64, History>> {
    let mut histories: BTreeMap<i64, History> = BTreeMap::new();
    let (condition, index) = (chosen.condition(), chosen.index());
    let mut statement = connection.prepare_cached(&format!(
        "SELECT attempts.trial, attempts.id, attempts.ending IS NULL AS open,
            CASE WHEN attempts.number >= sweep_trials.charged_from THEN attempts.failure_class END AS charged,
            attempts.failure_class IS 'oom' AS ran_out_of_memory, attempts.accumulation_factor,
            attempts.last_step, attempts.leased_at_ms,
            coalesce(attempts.ended_at_ms - attempts.leased_at_ms, 0) AS wall_ms
        FROM sweep_trials {index}
        JOIN attempts ON attempts.trial = sweep_trials.id
        WHERE sweep_trials.sweep = ?1 AND {condition}
        ORDER BY attempts.trial, attempts.number",
    ))?;
    let mut rows = statement.query((sweep.0, chosen.number()))?;
    while let Some(row) = rows.next()? {
        let history = histories.entry(row.get("trial")?).or_default();
        history.attempts += 1;
        history.accumulation_factor = Some(row.get("accumulation_factor")?);
        history.ran_out_of_memory = row.get("ran_out_of_memory")?;
        if row.get("open")? {
            history.open = Some(row.get("id")?);
        }
        if let Some(class) = row.get::<_, Option<String>>("charged")? {
            *history.failures.entry(word::failure_class(&class)?).or_default() += 1;
        }
        history.last_step = Some(row.get("last_step")?);
        history.attempts_ms += row.get::<_, i64>("wall_ms")?;
        history.leased_at_ms = history.leased_at_ms.or(Some(row.get("leased_at_ms")?));
    }
    Ok(histories)
}

fn record(row: &Row<'_>, history: History) -> rusqlite::Result<TrialRecord> {
    let resume = match row.get("resume_step")? {
        Some(step) => Some(ResumePoint { step, directory: row.get("resume_directory")? }),
        None => None,
    };
    let best_weights = match row.get("best_weights_step")? {
        Some(step) => Some(BestWeights {
            step,
            value: row.get::<_, Option<f64>>("best_weights_value")?.unwrap_or(f64::NAN),
            directory: row.get("best_weights_directory")?,
        }),
        None => None,
    };
    let objective = match (row.get(20)?, row.get(21)?) {
        (Some(value), Some(step)) => Some(ObjectiveValue { value, step }),
        _ => None,
    };
    Ok(TrialRecord {
        id: TrialId(row.get("id")?),
        sweep: SweepId(row.get("sweep")?),
        number: row.get("number")?,
        kind: word::trial_kind(row.get_ref("kind")?.as_str()?)?,
        configuration: json(row, "configuration")?,
        fingerprint: row.get("fingerprint")?,
        replicate: row.get("replicate")?,
        facts_index: row.get("facts_index")?,
        total_steps: row.get("total_steps")?,
        state: word::trial_state(row, history.open)?,
        attempts: history.attempts,
        failures: history.failures,
        accumulation_factor: history.accumulation_factor.unwrap_or(1),
        ran_out_of_memory: history.ran_out_of_memory,
        resume,
        best_weights,
        objective,
        last_step: history.last_step,
        attempts_ms: history.attempts_ms,
        created_at_ms: row.get("created_at_ms")?,
        leased_at_ms: history.leased_at_ms,
        ended_at_ms: row.get("ended_at_ms")?,
    })
}

fn settings(connection: &Connection, trial: TrialId) -> rusqlite::Result<Option<Settings>> {
    let sql = "SELECT settings FROM sweep_trials WHERE id = ?1";
    row(connection, sql, [trial.0], |row| json(row, "settings"))
}

fn attempts(connection: &Connection, trial: TrialId) -> rusqlite::Result<Vec<AttemptRecord>> {
    let sql = "SELECT attempts.*, workers.device, workers.pid, workers.machine,
            workers.exit AS worker_exit, evidence.log AS log, evidence.stderr AS stderr
        FROM attempts JOIN workers ON workers.id = attempts.worker
        LEFT JOIN evidence ON evidence.attempt = attempts.id
        WHERE attempts.trial = ?1
        ORDER BY attempts.number";
    rows(connection, sql, [trial.0], |row| {
        let machine = row.get_ref("machine")?.as_str_or_null()?.is_some();
        Ok(AttemptRecord {
            id: AttemptId(row.get("id")?),
            number: row.get("number")?,
            worker: WorkerId(row.get("worker")?),
            device: row.get("device")?,
            pid: row.get("pid")?,
            machine: if machine { Some(json(row, "machine")?) } else { None },
            directory: row.get("directory")?,
            from_step: row.get("from_step")?,
            until_step: row.get("until_step")?,
            last_step: row.get("last_step")?,
            opened_seq: row.get("opened_seq")?,
            closed_seq: row.get("closed_seq")?,
            ending: word::attempt_ending(row)?,
            peak_memory_bytes: row.get("peak_memory_bytes")?,
            accumulation_factor: row.get("accumulation_factor")?,
            worker_exit: row.get("worker_exit")?,
            evidence: match row.get("log")? {
                Some(log) => Some(Evidence { log, stderr: row.get("stderr")? }),
                None => None,
            },
            leased_at_ms: row.get("leased_at_ms")?,
            started_at_ms: row.get("started_at_ms")?,
            ended_at_ms: row.get("ended_at_ms")?,
        })
    })
}

fn checkpoints(connection: &Connection, trial: TrialId) -> rusqlite::Result<Vec<CheckpointRecord>> {
    let sql = "SELECT attempts.number, checkpoints.step, checkpoints.directory, checkpoints.at_ms
        FROM attempts JOIN checkpoints ON checkpoints.attempt = attempts.id
        WHERE attempts.trial = ?1
        ORDER BY attempts.number, checkpoints.step";
    rows(connection, sql, [trial.0], |row| {
        Ok(CheckpointRecord {
            attempt: row.get(0)?,
            step: row.get(1)?,
            directory: row.get(2)?,
            at_ms: row.get(3)?,
        })
    })
}

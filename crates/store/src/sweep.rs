//! Creating and extending a sweep, with all its trials, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::facts::Facts;
use converge_core::ids::{SweepId, TrialId};
use converge_core::objective::Objective;
use converge_core::settings::Settings;
use converge_core::trial::TrialKind;
use converge_core::value::Value;
use converge_faults::{Mutant, is_on, point};
use rusqlite::{Connection, OptionalExtension, named_params};

use crate::database_error::DatabaseError;
use crate::reader::summary::grows;
use crate::record::{self, RecordError};
use crate::store::Store;
use crate::word::{at_word, goal_word};
use crate::{parameter, wide};

/// One full assignment: parameter name to value.
pub type Configuration = BTreeMap<String, Value>;

/// A sweep as it is created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSweep {
    /// Unique in its home.
    pub name: String,
    /// SHA-256 (hex) over what makes it this sweep.
    pub identity: String,
    /// The normalised sweep as JSON: every default filled in, overrides applied.
    pub definition: String,
    /// The file it came from, absolute; none if it came from elsewhere.
    pub source_path: Option<String>,
    /// The text of that file.
    pub source_text: String,
    /// `KEY=VALUE` as given on the command line, in order.
    pub overrides: Vec<String>,
    /// Static facts, one entry per combination of model and data settings.
    pub facts: Vec<Facts>,
    /// How its trials are ranked.
    pub objective: Objective,
    /// Version of converge that made it.
    pub version: String,
    /// Its trials, numbered from 1 in this order.
    pub trials: Vec<NewTrial>,
}

/// A trial as it is created: queued, without attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTrial {
    /// What it is for.
    pub kind: TrialKind,
    /// What the search chose for it.
    pub configuration: Configuration,
    /// Everything that decides what it computes, but for its seeds.
    pub settings: Settings,
    /// Fingerprint of configuration and sweep: the same for its replicates.
    pub fingerprint: String,
    /// Which seed: from 0.
    pub replicate: u64,
    /// Its entry in the sweep's facts.
    pub facts_index: u64,
    /// Steps until it is complete.
    pub total_steps: u64,
}

/// What changes when a sweep is extended, or resumed with another `[run]`, `[budget]` or `[failure]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extension {
    /// The new identity and definition; none: as they are.
    pub definition: Option<(String, String)>,
    /// Where that definition comes from; none: from where the old one came.
    pub source: Option<Source>,
    /// Facts to append to the sweep's.
    pub facts: Vec<Facts>,
    /// Trials to append; their `facts_index` counts over old and new facts.
    pub trials: Vec<NewTrial>,
}

/// A sweep file as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Absolute.
    pub path: String,
    /// Its text.
    pub text: String,
    /// `KEY=VALUE` as given on the command line, in order.
    pub overrides: Vec<String>,
}

/// A sweep cannot be created or extended. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The home has a sweep of this name.
    #[error("there is a sweep named `{name}` already")]
    NameTaken {
        /// The name.
        name: String,
        /// Identity of the sweep that has it.
        identity: String,
    },
    /// The home has no such sweep.
    #[error("there is no sweep with id {sweep}")]
    Unknown {
        /// The id.
        sweep: SweepId,
    },
    /// The same configuration with the same replicate twice.
    #[error("trial {number} repeats the configuration and replicate of an earlier trial")]
    RepeatedTrial {
        /// Its number.
        number: u64,
    },
    /// A trial points to facts that are not there.
    #[error("trial {number} has facts {index}, but the sweep has {facts} of them")]
    NoFacts {
        /// Its number.
        number: u64,
        /// Where it points.
        index: u64,
        /// How many there are.
        facts: usize,
    },
    /// A value cannot be written as JSON.
    #[error("cannot write the sweep as JSON")]
    Json(#[from] serde_json::Error),
    /// Its record beside the database cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The database's answer.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<rusqlite::Error> for SweepError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(DatabaseError::of(error))
    }
}

impl Store {
    /// Creates a sweep in state `running`, with all its trials queued, and a column in `trials_wide` for each
    /// new parameter.
    ///
    /// # Durability
    /// When this returns, neither a crash nor a power cut loses it.
    ///
    /// # Errors
    /// [`SweepError`]; nothing of the sweep is kept.
    pub fn create_sweep(&mut self, sweep: &NewSweep, now_ms: i64) -> Result<SweepId, SweepError> {
        point("store.sweep.before");
        let made = self.synced_transaction(|connection| {
            let taken = connection
                .query_row("SELECT identity FROM sweeps WHERE name = ?1", [&sweep.name], |row| {
                    row.get(0)
                })
                .optional()?;
            if let Some(identity) = taken {
                return Err(SweepError::NameTaken { name: sweep.name.clone(), identity });
            }
            let id = insert_sweep(connection, sweep, now_ms)?;
            insert_trials(connection, id, &sweep.trials, sweep.facts.len(), now_ms)?;
            parameter::fill(connection, id)?;
            wide::recreate(connection)?;
            record::write(connection, id)?;
            Ok(id)
        });
        point("store.sweep.after");
        made
    }

    /// Changes a sweep's definition and appends trials to it; a finished sweep that gets some is one that was
    /// interrupted.
    ///
    /// # Durability
    /// As [`Store::create_sweep`].
    ///
    /// # Errors
    /// [`SweepError`]; the sweep is then as it was.
    pub fn extend_sweep(
        &mut self,
        sweep: SweepId,
        extension: &Extension,
        now_ms: i64,
    ) -> Result<(), SweepError> {
        self.synced_transaction(|connection| {
            let facts: Option<String> = connection
                .query_row("SELECT facts FROM sweeps WHERE id = ?1", [sweep.0], |row| row.get(0))
                .optional()?;
            let Some(facts) = facts else { return Err(SweepError::Unknown { sweep }) };
            // Old facts are kept as they stand, even where this version would write them differently.
            let mut facts: Vec<serde_json::Value> = serde_json::from_str(&facts)?;
            for added in &extension.facts {
                facts.push(serde_json::to_value(added)?);
            }
            connection.execute(
                "UPDATE sweeps SET facts = ?2 WHERE id = ?1",
                (sweep.0, serde_json::to_string(&facts)?),
            )?;
            if let Some((identity, definition)) = &extension.definition {
                connection.execute(
                    "UPDATE sweeps SET identity = ?2, definition = ?3 WHERE id = ?1",
                    (sweep.0, identity, definition),
                )?;
            }
            if let Some(source) = &extension.source {
                connection.execute(
                    "UPDATE sweeps SET source_path = ?2, source_text = ?3, overrides = ?4
                    WHERE id = ?1",
                    (
                        sweep.0,
                        &source.path,
                        &source.text,
                        serde_json::to_string(&source.overrides)?,
                    ),
                )?;
            }
            insert_trials(connection, sweep, &extension.trials, facts.len(), now_ms)?;
            // Whether another definition lets it grow further is found when it is resumed.
            let may_grow = extension.definition.as_ref().is_some_and(|(_, text)| grows(text));
            if !extension.trials.is_empty() || may_grow {
                connection.execute(
                    "UPDATE sweeps SET state = 'interrupted' WHERE id = ?1 AND state = 'finished'",
                    [sweep.0],
                )?;
            }
            parameter::fill(connection, sweep)?;
            wide::recreate(connection)?;
            record::write(connection, sweep)?;
            Ok(())
        })
    }
}

fn insert_sweep(
    connection: &Connection,
    sweep: &NewSweep,
    now_ms: i64,
) -> Result<SweepId, SweepError> {
    connection.execute(
        "INSERT INTO sweeps (
            name, identity, definition, source_path, source_text, overrides, facts,
            objective_metric, objective_goal, objective_at, state, created_at_ms, version
        ) VALUES (
            :name, :identity, :definition, :source_path, :source_text, :overrides, :facts,
            :objective_metric, :objective_goal, :objective_at, 'running', :created_at_ms, :version
        )",
        named_params! {
            ":name": sweep.name,
            ":identity": sweep.identity,
            ":definition": sweep.definition,
            ":source_path": sweep.source_path,
            ":source_text": sweep.source_text,
            ":overrides": serde_json::to_string(&sweep.overrides)?,
            ":facts": serde_json::to_string(&sweep.facts)?,
            ":objective_metric": sweep.objective.metric,
            ":objective_goal": goal_word(sweep.objective.goal),
            ":objective_at": at_word(sweep.objective.at),
            ":created_at_ms": now_ms,
            ":version": sweep.version,
        },
    )?;
    Ok(SweepId(connection.last_insert_rowid()))
}

fn insert_trials(
    connection: &Connection,
    sweep: SweepId,
    trials: &[NewTrial],
    facts: usize,
    now_ms: i64,
) -> Result<(), SweepError> {
    let mut present: BTreeSet<(String, u64)> = connection
        .prepare("SELECT fingerprint, replicate FROM sweep_trials WHERE sweep = ?1")?
        .query_map([sweep.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let last: u64 = connection.query_row(
        "SELECT coalesce(max(number), 0) FROM sweep_trials WHERE sweep = ?1",
        [sweep.0],
        |row| row.get(0),
    )?;
    for (number, trial) in (last + 1..).zip(trials) {
        let repeated = !present.insert((trial.fingerprint.clone(), trial.replicate));
        if repeated && !is_on(Mutant::NoUniqueGrid) {
            return Err(SweepError::RepeatedTrial { number });
        }
        if usize::try_from(trial.facts_index).map_or(true, |index| index >= facts) {
            return Err(SweepError::NoFacts { number, index: trial.facts_index, facts });
        }
        insert_trial(connection, None, sweep, number, trial, now_ms)?;
    }
    Ok(())
}

/// Inserts a trial, queued, under this id or the next one.
pub(crate) fn insert_trial(
    connection: &Connection,
    id: Option<TrialId>,
    sweep: SweepId,
    number: u64,
    trial: &NewTrial,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let json = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    connection
        .prepare_cached(
            "INSERT INTO sweep_trials (
                id, sweep, number, kind, fingerprint, replicate, facts_index, total_steps, state,
                created_at_ms, configuration, settings
            ) VALUES (
                :id, :sweep, :number, :kind, :fingerprint, :replicate, :facts_index, :total_steps, 'queued',
                :created_at_ms, :configuration, :settings
            )",
        )?
        .execute(named_params! {
            ":id": id.map(|id| id.0),
            ":sweep": sweep.0,
            ":number": number,
            ":kind": trial.kind.word(),
            ":fingerprint": trial.fingerprint,
            ":replicate": trial.replicate,
            ":facts_index": trial.facts_index,
            ":total_steps": trial.total_steps,
            ":created_at_ms": now_ms,
            ":configuration": serde_json::to_string(&trial.configuration).map_err(json)?,
            ":settings": serde_json::to_string(&trial.settings).map_err(json)?,
        })?;
    Ok(())
}

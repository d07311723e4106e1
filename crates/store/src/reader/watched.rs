//! What `watch` shows: of a list of trials the part that is visible, in its order, and curves as they grow.
//!
//! A long sweep is looked at several times a second: nothing here reads all trials, or a curve twice.

use converge_core::ids::{SweepId, TrialId};
use converge_core::metric::TRAIN_LOSS;
use converge_core::trial::TrialKind;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::summary::{TrialCounts, counts};
use super::{QueryError, Reader, json, rows};
use crate::objective;
use crate::sweep::Configuration;
use crate::word;

/// Where a trial stands, without the data of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Has an open attempt.
    Running,
    /// Waits for a worker.
    Queued,
    /// Did all its steps.
    Completed,
    /// Met a loss or gradient that is not finite.
    Diverged,
    /// Used up its retries.
    Failed,
    /// Is not wanted any more.
    Cancelled,
    /// Has paused at a rung, for whether it goes on.
    Waiting,
    /// Was stopped at a rung.
    Stopped,
}

/// Order of a list of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialOrder {
    /// Those that run, that went wrong, that ended, that wait.
    Standing,
    /// As `best` ranks their configurations, then those that are not ranked.
    Rank,
    /// By number.
    Number,
}

/// A part of a list of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialWindow {
    /// Which list.
    pub order: TrialOrder,
    /// From its end.
    pub reversed: bool,
    /// Only trials that stand so.
    pub only: Option<Standing>,
    /// Trials before the part.
    pub offset: u64,
    /// Trials of the part at most.
    pub count: u64,
}

/// A trial in a list that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedTrial {
    /// Unique over all sweeps of the home.
    pub id: TrialId,
    /// From 1 within the sweep.
    pub number: u64,
    /// What it is for.
    pub kind: TrialKind,
    /// Which seed: from 0.
    pub replicate: u64,
    /// What the search chose for it.
    pub configuration: Configuration,
    /// Where it stands.
    pub standing: Standing,
    /// Why it failed: class and message.
    pub failure: Option<String>,
    /// Steps until it is complete.
    pub total_steps: u64,
    /// Attempts so far; when there is one more, its curves may have lost their ends.
    pub attempts: u64,
    /// Last step of the newest attempt.
    pub last_step: u64,
    /// The sweep's objective so far; none: not observed, or NaN only.
    pub objective: Option<f64>,
    /// Last training loss; may be NaN.
    pub loss: Option<f64>,
}

/// Steps of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepSteps {
    /// Done, as far as they count.
    pub done: u64,
    /// In all. A trial that ended early counts for nothing in either.
    pub total: u64,
}

impl Standing {
    /// All of them, in the order of [`TrialOrder::Standing`].
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Waiting,
        Self::Failed,
        Self::Diverged,
        Self::Completed,
        Self::Stopped,
        Self::Queued,
        Self::Cancelled,
    ];

    /// Returns the word that is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
        }
    }

    /// Returns whether it can still change by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Running | Self::Queued | Self::Waiting)
    }

    fn of(word: &str) -> rusqlite::Result<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.word() == word)
            .ok_or_else(|| crate::database_error::unreadable("state", word.to_owned()))
    }
}

impl TrialCounts {
    /// Returns how many trials stand so.
    pub fn of(&self, standing: Standing) -> u64 {
        match standing {
            Standing::Running => self.running,
            Standing::Queued => self.queued,
            Standing::Completed => self.completed,
            Standing::Diverged => self.diverged,
            Standing::Failed => self.failed,
            Standing::Cancelled => self.cancelled,
            Standing::Waiting => self.waiting,
            Standing::Stopped => self.stopped,
        }
    }
}

impl Reader {
    /// Returns a part of a sweep's list of trials, and how long the whole list is.
    ///
    /// Costs what the part costs, and a step in an index for each trial between it and the nearer end of its kind.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn watched_trials(
        &self,
        sweep: SweepId,
        window: &TrialWindow,
    ) -> Result<(Vec<WatchedTrial>, u64), QueryError> {
        self.query("a part of the trials", |connection| {
            let parts = parts(&counts(connection, sweep)?, window);
            let total: u64 = parts.iter().map(|part| part.count).sum();
            let count = window.count.min(total.saturating_sub(window.offset));
            // The end of a list is its beginning, turned round.
            let offset = if window.reversed {
                total - window.offset.min(total) - count
            } else {
                window.offset
            };
            let mut ids = Vec::new();
            let (mut skip, mut left) = (offset, count);
            for part in parts {
                if skip >= part.count {
                    skip -= part.count;
                    continue;
                }
                let taken = left.min(part.count - skip);
                ids.extend(part.ids(connection, sweep, skip, taken)?);
                (skip, left) = (0, left - taken);
                if left == 0 {
                    break;
                }
            }
            if window.reversed {
                ids.reverse();
            }
            let trials = ids.into_iter().map(|id| watched(connection, id));
            Ok((trials.collect::<rusqlite::Result<_>>()?, total))
        })
    }

    /// Hands each value of some metrics of a trial with `after` < step <= `until` to `visit`, with the place of
    /// the metric among them; by step, as far as it counts.
    ///
    /// Costs a pass over all metrics of these steps.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn curve_part(
        &self,
        trial: TrialId,
        metrics: &[&str],
        (after, until): (u64, u64),
        mut visit: impl FnMut(usize, u64, f64),
    ) -> Result<(), QueryError> {
        self.query("a part of a curve", |connection| {
            let mut named = connection.prepare_cached("SELECT id FROM metrics WHERE name = ?1")?;
            let mut ids: Vec<Option<i64>> = Vec::new();
            for metric in metrics {
                ids.push(named.query_row([metric], |row| row.get(0)).optional()?);
            }
            let mut statement = connection.prepare_cached(
                "SELECT observations.metric, observations.step, observations.value
                FROM attempts
                CROSS JOIN observations ON observations.attempt = attempts.id
                    AND observations.step > max(attempts.from_step, ?2)
                    AND observations.step <= min(coalesce(attempts.until_step, 9223372036854775807), ?3)
                WHERE attempts.trial = ?1
                ORDER BY attempts.number",
            )?;
            let until = i64::try_from(until).unwrap_or(i64::MAX);
            let mut rows = statement.query((trial.0, after, until))?;
            while let Some(row) = rows.next()? {
                let id = row.get(0)?;
                if let Some(place) = ids.iter().position(|known| *known == Some(id)) {
                    let value = row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN);
                    visit(place, row.get(1)?, value);
                }
            }
            Ok(())
        })
    }

    /// Returns the steps that are done and that are to be done. Reads trials that run or are interrupted, and no others.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn sweep_steps(&self, sweep: SweepId) -> Result<SweepSteps, QueryError> {
        self.query("the steps of a sweep", |connection| {
            let number = |sql| connection.prepare_cached(sql)?.query_row([sweep.0], |row| row.get(0));
            let completed: u64 = number(
                "SELECT coalesce(sum(steps), 0) FROM trial_counts WHERE sweep = ?1 AND state = 'completed'",
            )?;
            let open: u64 = number(
                "SELECT coalesce(sum(steps), 0) FROM trial_counts
                WHERE sweep = ?1 AND state IN ('queued', 'running', 'waiting')",
            )?;
            let running: u64 = number(
                "SELECT coalesce(sum(attempts.last_step), 0)
                FROM sweep_trials INDEXED BY trials_by_state
                JOIN attempts ON attempts.trial = sweep_trials.id AND attempts.ending IS NULL
                WHERE sweep_trials.sweep = ?1 AND sweep_trials.state = 'running'",
            )?;
            let interrupted: u64 = number(
                "SELECT coalesce(sum(resume_step), 0) FROM sweep_trials INDEXED BY trials_with_checkpoint
                WHERE sweep = ?1 AND resume_step IS NOT NULL AND state IN ('queued', 'waiting')",
            )?;
            Ok(SweepSteps { done: completed + running + interrupted, total: completed + open })
        })
    }

    /// Returns the place of a trial's configuration in the ranking, from 1, ties by the lower trial; none: not ranked.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn rank_of(&self, sweep: SweepId, number: u64) -> Result<Option<u64>, QueryError> {
        self.query("the place of a trial", |connection| {
            let sql = "SELECT (
                    SELECT count(*) FROM configurations
                    WHERE sweep = ?1 AND (cost, first_trial) < (own.cost, own.first_trial)
                ) + 1
                FROM sweep_trials
                JOIN configurations AS own ON own.cost IS NOT NULL AND own.trial = (
                    SELECT first.id FROM sweep_trials AS first
                    WHERE first.sweep = sweep_trials.sweep AND first.fingerprint = sweep_trials.fingerprint
                    ORDER BY first.replicate LIMIT 1
                )
                WHERE sweep_trials.sweep = ?1 AND sweep_trials.number = ?2";
            super::row(connection, sql, (sweep.0, number), |row| row.get(0))
        })
    }
}

/// A stretch of a list: so many trials, and where they are.
struct Part {
    count: u64,
    of: Stretch,
}

enum Stretch {
    ByNumber,
    OfStanding(Standing),
    /// Trials of ranked configurations: best first, replicates side by side, those without a cost last.
    InRank(&'static [Standing]),
}

const RANKED: &[Standing] = &[Standing::Completed, Standing::Diverged];

impl Part {
    /// Reads the ids of some trials of this part, from its nearer end.
    fn ids(
        &self,
        connection: &Connection,
        sweep: SweepId,
        skip: u64,
        taken: u64,
    ) -> rusqlite::Result<Vec<i64>> {
        let behind = self.count - skip - taken;
        let backwards = behind < skip;
        let sql = self.of.sql(backwards);
        let skip = if backwards { behind } else { skip };
        let mut ids = rows(connection, &sql, (sweep.0, taken, skip), |row| row.get(0))?;
        if backwards {
            ids.reverse();
        }
        Ok(ids)
    }
}

impl Stretch {
    /// Returns the query for `?2` ids at most, after `?3`. All of them follow an index in either direction.
    fn sql(&self, backwards: bool) -> String {
        let (way, nulls) = if backwards { ("DESC", "FIRST") } else { ("ASC", "LAST") };
        match self {
            Self::ByNumber => format!(
                "SELECT id FROM sweep_trials WHERE sweep = ?1 ORDER BY number {way} LIMIT ?2 OFFSET ?3"
            ),
            Self::OfStanding(standing) => format!(
                "SELECT id FROM sweep_trials INDEXED BY trials_by_state
                WHERE sweep = ?1 AND state = '{}' ORDER BY id {way} LIMIT ?2 OFFSET ?3",
                standing.word()
            ),
            Self::InRank(standings) => {
                let words = standings.iter().map(|standing| format!("'{}'", standing.word()));
                format!(
                    "SELECT ranked.id
                    FROM configurations
                    CROSS JOIN sweep_trials AS named ON named.id = configurations.trial
                    CROSS JOIN sweep_trials AS ranked ON ranked.sweep = named.sweep
                        AND ranked.fingerprint = named.fingerprint AND +ranked.state IN ({})
                    WHERE configurations.sweep = ?1
                    ORDER BY configurations.cost {way} NULLS {nulls}, configurations.first_trial {way},
                        configurations.trial {way}, ranked.replicate {way}
                    LIMIT ?2 OFFSET ?3",
                    words.collect::<Vec<_>>().join(", ")
                )
            }
        }
    }
}

fn parts(counts: &TrialCounts, window: &TrialWindow) -> Vec<Part> {
    let of_standing =
        |standing: Standing| Part { count: counts.of(standing), of: Stretch::OfStanding(standing) };
    match (window.order, window.only) {
        (TrialOrder::Number, None) => {
            vec![Part { count: counts.total(), of: Stretch::ByNumber }]
        }
        (TrialOrder::Standing, None) => Standing::ALL.map(of_standing).into(),
        (TrialOrder::Rank, None) => {
            let count = RANKED.iter().map(|standing| counts.of(*standing)).sum();
            let rest = Standing::ALL.into_iter().filter(|standing| !RANKED.contains(standing));
            let first = Part { count, of: Stretch::InRank(RANKED) };
            std::iter::once(first).chain(rest.map(of_standing)).collect()
        }
        (TrialOrder::Rank, Some(Standing::Completed)) => {
            vec![Part { count: counts.completed, of: Stretch::InRank(&RANKED[..1]) }]
        }
        (TrialOrder::Rank, Some(Standing::Diverged)) => {
            vec![Part { count: counts.diverged, of: Stretch::InRank(&RANKED[1..]) }]
        }
        (_, Some(only)) => vec![of_standing(only)],
    }
}

fn watched(connection: &Connection, id: i64) -> rusqlite::Result<WatchedTrial> {
    let objective = objective::columns("sweeps.objective_goal", "sweeps.objective_at");
    let sql = format!(
        "SELECT sweep_trials.id, sweep_trials.number, sweep_trials.kind, sweep_trials.replicate, sweep_trials.total_steps,
            sweep_trials.state, sweep_trials.failure_class, sweep_trials.failure_message, sweep_trials.configuration,
            newest.number AS attempts, newest.last_step AS last_step,
            (
                SELECT last FROM trial_metrics
                WHERE trial = sweep_trials.id
                    AND metric = (SELECT id FROM metrics WHERE name = '{TRAIN_LOSS}')
            ) AS loss,
            (
                SELECT count(*) FROM trial_metrics
                WHERE trial = sweep_trials.id
                    AND metric = (SELECT id FROM metrics WHERE name = '{TRAIN_LOSS}')
            ) AS losses, {objective}
        FROM sweep_trials
        JOIN sweeps ON sweeps.id = sweep_trials.sweep
        LEFT JOIN metrics ON metrics.name = sweeps.objective_metric
        LEFT JOIN trial_metrics
            ON trial_metrics.trial = sweep_trials.id AND trial_metrics.metric = metrics.id
        LEFT JOIN attempts AS newest ON newest.id = (
            SELECT id FROM attempts WHERE trial = sweep_trials.id ORDER BY number DESC LIMIT 1
        )
        WHERE sweep_trials.id = ?1"
    );
    connection.prepare_cached(&sql)?.query_row([id], watched_of)
}

fn watched_of(row: &Row<'_>) -> rusqlite::Result<WatchedTrial> {
    let class: Option<String> = row.get("failure_class")?;
    let message: Option<String> = row.get("failure_message")?;
    let loss: Option<f64> = row.get("loss")?;
    Ok(WatchedTrial {
        id: TrialId(row.get("id")?),
        number: row.get("number")?,
        kind: word::trial_kind(row.get_ref("kind")?.as_str()?)?,
        replicate: row.get("replicate")?,
        configuration: json(row, "configuration")?,
        standing: Standing::of(row.get_ref("state")?.as_str()?)?,
        failure: class.zip(message).map(|(class, message)| format!("{class}: {message}")),
        total_steps: row.get("total_steps")?,
        attempts: row.get::<_, Option<u64>>("attempts")?.unwrap_or(0),
        last_step: row.get::<_, Option<u64>>("last_step")?.unwrap_or(0),
        objective: row.get(13)?,
        loss: (row.get::<_, u64>("losses")? > 0).then(|| loss.unwrap_or(f64::NAN)),
    })
}

//! Extremes of a trial's metrics, kept beside the curves so that ranking never reads them.

use std::collections::BTreeMap;

use converge_core::ids::TrialId;
use rusqlite::{Connection, named_params};

/// Smallest, largest and last value of one metric of one trial. NaN is never smallest or largest; infinities can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extremes {
    /// Value and its first step.
    min: Option<(f64, u64)>,
    max: Option<(f64, u64)>,
    last: f64,
    last_step: u64,
}

impl Extremes {
    /// Returns the extremes of one observation.
    pub(crate) fn of(value: f64, step: u64) -> Self {
        let known = (!value.is_nan()).then_some((value, step));
        Self { min: known, max: known, last: value, last_step: step }
    }

    /// Takes in a later observation.
    pub(crate) fn observe(&mut self, value: f64, step: u64) {
        if !value.is_nan() {
            if self.min.is_none_or(|(min, _)| value < min) {
                self.min = Some((value, step));
            }
            if self.max.is_none_or(|(max, _)| value > max) {
                self.max = Some((value, step));
            }
        }
        self.last = value;
        self.last_step = step;
    }

    /// Writes them over what is stored, whose observations all came earlier.
    pub(crate) fn merge_into(
        &self,
        connection: &Connection,
        trial: TrialId,
        metric: i64,
    ) -> rusqlite::Result<()> {
        // A later equal value changes nothing, so the first step that reached an extreme stays.
        connection
            .prepare_cached(
                "INSERT INTO trial_metrics
                (trial, metric, min, min_step, max, max_step, last, last_step)
                VALUES (:trial, :metric, :min, :min_step, :max, :max_step, :last, :last_step)
                ON CONFLICT (trial, metric) DO UPDATE SET
                    min_step = CASE WHEN min IS NULL OR excluded.min < min
                        THEN excluded.min_step ELSE min_step END,
                    min = CASE WHEN min IS NULL OR excluded.min < min
                        THEN excluded.min ELSE min END,
                    max_step = CASE WHEN max IS NULL OR excluded.max > max
                        THEN excluded.max_step ELSE max_step END,
                    max = CASE WHEN max IS NULL OR excluded.max > max
                        THEN excluded.max ELSE max END,
                    last = excluded.last,
                    last_step = excluded.last_step",
            )?
            .execute(named_params! {
                ":trial": trial.0,
                ":metric": metric,
                ":min": self.min.map(|(value, _)| value),
                ":min_step": self.min.map(|(_, step)| step),
                ":max": self.max.map(|(value, _)| value),
                ":max_step": self.max.map(|(_, step)| step),
                ":last": self.last,
                ":last_step": self.last_step,
            })?;
        Ok(())
    }
}

/// Computes a trial's extremes anew from the observations that count, and stores them.
pub(crate) fn recompute(connection: &Connection, trial: TrialId) -> rusqlite::Result<()> {
    let all = computed(connection, trial)?;
    connection.prepare_cached("DELETE FROM trial_metrics WHERE trial = ?1")?.execute([trial.0])?;
    for (metric, extremes) in all {
        extremes.merge_into(connection, trial, metric)?;
    }
    Ok(())
}

/// Returns whether what is stored of a trial's extremes is what its observations say.
pub(crate) fn is_true(connection: &Connection, trial: TrialId) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT metric, min, min_step, max, max_step, last, last_step FROM trial_metrics
        WHERE trial = ?1",
    )?;
    let stored: BTreeMap<i64, Extremes> = statement
        .query_map([trial.0], |row| {
            let extreme = |value, step| {
                let value: Option<f64> = row.get(value)?;
                let step: Option<u64> = row.get(step)?;
                Ok::<_, rusqlite::Error>(value.zip(step))
            };
            let extremes = Extremes {
                min: extreme(1, 2)?,
                max: extreme(3, 4)?,
                last: row.get::<_, Option<f64>>(5)?.unwrap_or(f64::NAN),
                last_step: row.get(6)?,
            };
            Ok((row.get(0)?, extremes))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let computed = computed(connection, trial)?;
    // NaN is not equal to itself; how it is written is.
    Ok(format!("{stored:?}") == format!("{computed:?}"))
}

/// Reads the trial's curves once: about a million observations a second.
fn computed(connection: &Connection, trial: TrialId) -> rusqlite::Result<BTreeMap<i64, Extremes>> {
    let mut statement = connection.prepare_cached(
        "SELECT observations.metric, observations.step, observations.value
        FROM attempts
        JOIN observations ON observations.attempt = attempts.id
            AND observations.step > attempts.from_step
            AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
        WHERE attempts.trial = ?1
        ORDER BY attempts.number, observations.step",
    )?;
    let mut all: BTreeMap<i64, Extremes> = BTreeMap::new();
    let mut rows = statement.query([trial.0])?;
    while let Some(row) = rows.next()? {
        let step = row.get(1)?;
        let value = row.get::<_, Option<f64>>(2)?.unwrap_or(f64::NAN);
        all.entry(row.get(0)?)
            .and_modify(|extremes| extremes.observe(value, step))
            .or_insert_with(|| Extremes::of(value, step));
    }
    Ok(all)
}

//! Curves for a screen: thinned out inside SQLite, in a way that keeps every spike.
//!
//! The steps of a curve are divided into buckets of equal width. Of each bucket the smallest and the largest value stay
//! with their steps, and its first NaN; of the whole curve the first and the last point. What is drawn through them
//! covers the same pixels as the whole curve would. Means of buckets come as well, since a smoothed line made from
//! extremes would follow the noise.

use std::collections::BTreeMap;

use converge_core::ids::TrialId;

use super::super::{QueryError, Reader};

/// A curve with at most about so many points as were asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ThinCurve {
    /// Step and value, by step; NaN and infinities as they were observed.
    pub points: Vec<(u64, f64)>,
    /// Mean step and mean value of each bucket, by step, of what is finite; empty where nothing was left out.
    pub means: Vec<(f64, f64)>,
    /// How many observations there are.
    pub observations: u64,
}

/// `?1` trial, `?2` metric or NULL for all, `?3` only steps after this one, `?4` most points, `?5` buckets.
/// The observations are read once; they lie in the order of steps, so that a later start is a shorter read.
const SQL: &str = "WITH
    points AS MATERIALIZED (
        SELECT observations.metric AS metric, observations.step AS step, observations.value AS value
        FROM attempts
        CROSS JOIN observations ON observations.attempt = attempts.id
            AND observations.step > max(attempts.from_step, ?3)
            AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
        WHERE attempts.trial = ?1
            AND (?2 IS NULL OR observations.metric = (SELECT id FROM metrics WHERE name = ?2))
    ),
    spans AS MATERIALIZED (
        SELECT metric, min(step) AS first, max(step) AS last, max(step) - min(step) + 1 AS width,
            count(*) AS observations
        FROM points GROUP BY metric
    ),
    thick AS MATERIALIZED (
        SELECT points.metric, step, value, (step - first) * ?5 / width AS bucket
        FROM points JOIN spans ON spans.metric = points.metric
        WHERE observations > ?4
    ),
    chosen AS (
        SELECT 0 AS mean, points.metric AS metric, step, value
        FROM points JOIN spans ON spans.metric = points.metric
        WHERE observations <= ?4 OR step IN (first, last)
        UNION
        SELECT 0, metric, step, min(value) FROM thick WHERE value IS NOT NULL GROUP BY metric, bucket
        UNION
        SELECT 0, metric, step, max(value) FROM thick WHERE value IS NOT NULL GROUP BY metric, bucket
        UNION
        SELECT 0, metric, min(step), NULL FROM thick WHERE value IS NULL GROUP BY metric, bucket
        UNION ALL
        SELECT 1, metric, avg(step), avg(value) FROM thick WHERE value IS NOT NULL
        GROUP BY metric, bucket
    )
    SELECT mean, metrics.name, chosen.step, chosen.value, spans.observations
    FROM chosen
    JOIN metrics ON metrics.id = chosen.metric
    JOIN spans ON spans.metric = chosen.metric
    ORDER BY metrics.name, mean, chosen.step";

impl Reader {
    /// Returns the curve of a metric of a trial after a step, with at most about `most` points; empty where there is
    /// none.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn thin_curve(
        &self,
        trial: TrialId,
        metric: &str,
        after: u64,
        most: u64,
    ) -> Result<ThinCurve, QueryError> {
        let mut curves = self.thin(trial, Some(metric), after, most)?;
        Ok(curves.remove(metric).unwrap_or_default())
    }

    /// Returns the curves of all metrics of a trial after a step, each with at most about `most` points.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn thin_curves(
        &self,
        trial: TrialId,
        after: u64,
        most: u64,
    ) -> Result<BTreeMap<String, ThinCurve>, QueryError> {
        self.thin(trial, None, after, most)
    }

    fn thin(
        &self,
        trial: TrialId,
        metric: Option<&str>,
        after: u64,
        most: u64,
    ) -> Result<BTreeMap<String, ThinCurve>, QueryError> {
        self.query("curves", |connection| {
            let mut curves: BTreeMap<String, ThinCurve> = BTreeMap::new();
            let mut statement = connection.prepare_cached(SQL)?;
            let mut rows = statement.query((trial.0, metric, after, most, (most / 2).max(1)))?;
            while let Some(row) = rows.next()? {
                let name = row.get_ref(1)?.as_str()?;
                if !curves.contains_key(name) {
                    curves.insert(name.to_owned(), ThinCurve::default());
                }
                let Some(curve) = curves.get_mut(name) else { continue };
                curve.observations = row.get(4)?;
                if row.get(0)? {
                    // An infinity on each side has no mean.
                    let mean = row.get::<_, Option<f64>>(3)?.filter(|mean| mean.is_finite());
                    if let Some(mean) = mean {
                        curve.means.push((row.get(2)?, mean));
                    }
                } else {
                    let value = row.get::<_, Option<f64>>(3)?.unwrap_or(f64::NAN);
                    curve.points.push((row.get(2)?, value));
                }
            }
            Ok(curves)
        })
    }
}

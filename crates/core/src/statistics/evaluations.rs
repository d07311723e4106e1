//! A trial counts by the best of its evaluations: what of its value is the luck of that choice.

use super::chosen::corrected;
use super::covariance::over_items;
use super::standing::Contest;
use crate::items::{ItemResults, Measure};
use crate::objective::Goal;

/// Draws of the noise of all evaluations together.
const DRAWS: usize = 2000;

/// Returns how much too good, on average, the value of a configuration is because each of its replicates counts by the
/// best of its evaluations, of which it is given what they said of each validation example; in the metric's own
/// direction: negative for a loss. 0 where it cannot be told.
///
/// The choice is made again as it is for the best of the configurations: [`corrected`].
pub(super) fn luck_of_evaluation(contest: &Contest<'_>, replicates: &[Vec<ItemResults>]) -> f64 {
    let luck: Option<Vec<f64>> =
        replicates.iter().map(|evaluations| luck(contest, evaluations)).collect();
    luck.filter(|luck| !luck.is_empty())
        .map_or(0.0, |luck| luck.iter().sum::<f64>() / luck.len() as f64)
}

fn luck(contest: &Contest<'_>, evaluations: &[ItemResults]) -> Option<f64> {
    let right = contest.right?;
    let name = contest.metric.strip_prefix("validation/")?;
    let sign = if contest.goal == Goal::Minimize { -1.0 } else { 1.0 };
    let measure = |said: &ItemResults| Measure::new(name, contest.labels, right, said);
    let measures: Option<Vec<Measure>> = evaluations.iter().map(measure).collect();
    let measures: Vec<Vec<Measure>> = measures?.into_iter().map(|one| vec![one]).collect();
    let values: Option<Vec<f64>> =
        measures.iter().map(|one| Some(sign * one[0].value(None)?)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    let covariance = over_items(&measures, right.len(), contest.seed)?.covariance;
    let draws = covariance.draw(DRAWS, contest.seed.stream("noise of evaluations", 0));
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(sign * (best - corrected(&values, &draws)))
}

//! How much a learning rate that is chosen blindly costs.

use serde::Serialize;

use super::candidate::{Candidate, Space, cost};
use super::constant::Constant;
use super::ladder::Ladder;
use crate::objective::Goal;

/// The mean loss of the objective over the learning rates tried, spread evenly over their logarithm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The optimizer, where the sweep has several; empty: all trials.
    pub optimizer: String,
    /// Smallest learning rate.
    pub low: f64,
    /// Largest.
    pub high: f64,
    /// Values or bins that it is the mean over.
    pub levels: u64,
    /// How far the objective is, on average, from that at the best learning rate. Never negative.
    pub sensitivity: f64,
    /// What counts for learning rates that are worse than it, or fail.
    pub floor: f64,
}

/// Returns the learning-rate sensitivity of each optimizer; none where it was tried with one rate only.
///
/// # Source
/// Wortsman et al. 2023 (arXiv:2309.14322): the expectation, over learning rates, of `min(loss, initial loss) - best
/// loss`. Here the loss is the objective, at each rate the best over all other parameters; for the initial loss stands
/// the constant answer, or the worst trial where that is not known.
pub(crate) fn sensitivities(
    space: &Space,
    candidates: &[Candidate<'_>],
    goal: Goal,
    constant: Option<&Constant>,
) -> Vec<Sensitivity> {
    let Some(place) =
        space.parameters.iter().position(|parameter| parameter.name == "learning_rate")
    else {
        return Vec::new();
    };
    let optimizer = |candidate: &Candidate<'_>| {
        candidate.configuration.get("optimizer").map(ToString::to_string).unwrap_or_default()
    };
    let mut optimizers: Vec<String> = candidates.iter().map(optimizer).collect();
    optimizers.sort();
    optimizers.dedup();
    let one = |name: &String| {
        let members: Vec<Candidate<'_>> =
            candidates.iter().filter(|one| optimizer(one) == *name).cloned().collect();
        of_members(space, place, &members, goal, constant)
            .map(|found| Sensitivity { optimizer: name.clone(), ..found })
    };
    optimizers.iter().filter_map(one).collect()
}

fn of_members(
    space: &Space,
    place: usize,
    members: &[Candidate<'_>],
    goal: Goal,
    constant: Option<&Constant>,
) -> Option<Sensitivity> {
    let ladder = Ladder::new(space, place, members, goal);
    // Where the logarithm of a level is, and its cost.
    let mut levels: Vec<(f64, Option<f64>)> = ladder
        .levels
        .iter()
        .filter(|level| level.counts.trials > 0)
        .filter_map(|level| {
            let middle = || Some((level.low?.ln() + level.high?.ln()) / 2.0);
            let at =
                level.value.as_ref().and_then(|value| Some(value.number()?.ln())).or_else(middle);
            Some((at?, level.best.map(|best| cost(best, goal))))
        })
        .collect();
    levels.sort_by(|left, right| left.0.total_cmp(&right.0));
    levels.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = [kept.1, next.1].into_iter().flatten().reduce(f64::min);
        }
        same
    });
    let costs = || levels.iter().filter_map(|level| level.1);
    let best = costs().reduce(f64::min)?;
    if levels.len() < 2 {
        return None;
    }
    let worst = members.iter().filter_map(|member| member.cost).reduce(f64::max)?;
    let floor = constant.map_or(worst, |constant| cost(constant.value, goal)).max(best);
    let weights = weights(&levels.iter().map(|level| level.0).collect::<Vec<_>>());
    let sensitivity = levels
        .iter()
        .zip(&weights)
        .map(|((_, cost), weight)| weight * (cost.unwrap_or(floor).min(floor) - best))
        .sum();
    Some(Sensitivity {
        optimizer: String::new(),
        low: levels.first()?.0.exp(),
        high: levels.last()?.0.exp(),
        levels: levels.len() as u64,
        sensitivity,
        floor: self::cost(floor, goal),
    })
}

/// Returns the share of the axis that is nearest to each point; the outermost reach as far out as in. Points that are
/// equally far apart have equal shares.
fn weights(points: &[f64]) -> Vec<f64> {
    let last = points.len() - 1;
    let gap = |place: usize| points[place + 1] - points[place];
    let width = |place: usize| {
        let before = if place > 0 { gap(place - 1) } else { gap(0) };
        let after = if place < last { gap(place) } else { gap(last - 1) };
        (before + after) / 2.0
    };
    let widths: Vec<f64> = (0..=last).map(width).collect();
    let sum: f64 = widths.iter().sum();
    widths.into_iter().map(|width| width / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equally_distant_rates_count_equally() {
        assert_eq!(weights(&[1.0, 2.0, 3.0, 4.0]), [0.25; 4]);
        assert_eq!(weights(&[0.0, 5.0]), [0.5; 2]);
        assert_eq!(weights(&[0.0, 1.0, 4.0]), [1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0]);
    }
}

//! Where the best lies at an edge: of the values tried, or of those that work.
//!
//! # Source
//! Tuning Playbook (Godbole et al. 2023), "Identifying bad search space boundaries" and its question on instability: a
//! search space is suspicious if its best points are near its boundary, and is to be extended there; where what lies
//! beyond fails and the best are next to it, training is unstable, and the remedy is a longer warm-up or clipping.

use serde::Serialize;

use super::candidate::{Candidate, Space};
use super::ladder::{Ladder, Run, best};
use crate::key::{Bounds, Key, Kind};
use crate::search_space::Domain;
use crate::value::Value;

/// Of the best configurations so many are asked where they lie, or a tenth.
const FEW: usize = 3;
/// With fewer levels one of them is always at an edge.
const LEVELS: usize = 3;

/// A parameter whose best value lies at an edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edge {
    /// Its name.
    pub parameter: String,
    /// When the values apply; empty: always.
    pub when: String,
    /// What it is an edge of.
    pub kind: EdgeKind,
    /// Where the edge is.
    pub side: Side,
    /// The value of the best configuration.
    pub best: Value,
    /// Of the best few configurations, those that lie there.
    pub at_edge: u64,
    /// How many the best few are.
    pub few: u64,
}

/// What an edge is one of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum EdgeKind {
    /// Of the values tried: further ones may be better.
    Tried {
        /// A value to try.
        next: Value,
    },
    /// Of the values that work: the next one fails more often than not.
    Working {
        /// Trials with the next value, or in the next bin.
        trials: u64,
        /// Those of them that came to nothing.
        lost: u64,
        /// Where the failures begin.
        from: f64,
        /// The far end of the next bin; none: a single value.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<f64>,
    },
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The smallest.
    Low,
    /// The largest.
    High,
}

/// Returns the edges at which the best configuration lies. `matters` says of a parameter whether it has an effect beyond
/// noise on what works, none where nobody knows; `breaks` whether it decides what works at all.
pub(crate) fn edges(
    space: &Space,
    ladders: &[Ladder],
    candidates: &[Candidate<'_>],
    matters: &dyn Fn(&str) -> Option<bool>,
    breaks: &dyn Fn(&str) -> bool,
) -> Vec<Edge> {
    // Where nothing learns anything, the best is one by luck.
    let Some(best) = best(candidates).filter(|best| candidates[*best].works()) else {
        return Vec::new();
    };
    let mut edges = Vec::new();
    for (place, ladder) in ladders.iter().enumerate() {
        let Some(level) = ladder.of[best] else { continue };
        let Some(run) = ladder.runs.iter().find(|run| run.levels.contains(&level)) else {
            continue;
        };
        let Some(value) = candidates[best].configuration.get(&ladder.parameter) else { continue };
        if !run.ordered || run.levels.len() < LEVELS || value.number().is_none() {
            continue;
        }
        let idle = matters(&ladder.parameter) == Some(false);
        let (at_edge, few) = few(ladder, candidates, level, run);
        let edge = |kind, side| Edge {
            parameter: ladder.parameter.clone(),
            when: ladder.levels[level].when.clone(),
            kind,
            side,
            best: value.clone(),
            at_edge,
            few,
        };
        let neighbours = [
            (Side::Low, level.checked_sub(1).filter(|other| run.levels.contains(other))),
            (Side::High, Some(level + 1).filter(|other| run.levels.contains(other))),
        ];
        for (side, neighbour) in neighbours {
            match neighbour {
                Some(_) if idle && !breaks(&ladder.parameter) => {}
                Some(neighbour) if falls(ladder, level, neighbour) => {
                    let beyond = &ladder.levels[neighbour];
                    let (near, far) = match side {
                        Side::Low => (beyond.high, beyond.low),
                        Side::High => (beyond.low, beyond.high),
                    };
                    let single = beyond.value.as_ref().and_then(Value::number);
                    let from = single.or(near);
                    edges.push(edge(
                        EdgeKind::Working {
                            trials: beyond.counts.trials,
                            lost: beyond.counts.lost(),
                            from: from.unwrap_or(f64::NAN),
                            to: far.filter(|_| single.is_none()),
                        },
                        side,
                    ));
                }
                Some(_) => {}
                // At the brink itself there is nothing to be had beyond.
                None if fails(ladder, level) => {}
                None if 2 * at_edge <= few || idle => {}
                None => {
                    let domain = &space.parameters[place].cases[run.case].domain;
                    let next = next(&ladder.parameter, ladder, run, domain, side);
                    edges.extend(next.map(|next| edge(EdgeKind::Tried { next }, side)));
                }
            }
        }
    }
    edges
}

/// Returns whether more than half of a level's trials came to nothing.
fn fails(ladder: &Ladder, level: usize) -> bool {
    let counts = ladder.levels[level].counts;
    2 * counts.lost() > counts.trials
}

/// Returns whether a level fails next to one that fails less often: where both do alike, something else is to blame.
fn falls(ladder: &Ladder, from: usize, to: usize) -> bool {
    let (here, there) = (ladder.levels[from].counts, ladder.levels[to].counts);
    fails(ladder, to) && here.lost() * there.trials < there.lost() * here.trials
}

/// Returns how many of the best few configurations of a run have a level, and how many those few are.
fn few(ladder: &Ladder, candidates: &[Candidate<'_>], level: usize, run: &Run) -> (u64, u64) {
    let in_run = |place: &Option<usize>| place.is_some_and(|place| run.levels.contains(&place));
    let mut ranked: Vec<(f64, usize)> = ladder
        .of
        .iter()
        .zip(candidates)
        .filter(|(place, _)| in_run(place))
        .filter_map(|(place, candidate)| Some((candidate.cost?, (*place)?)))
        .collect();
    ranked.sort_by(|left, right| left.0.total_cmp(&right.0));
    let few = FEW.max(ranked.len().div_ceil(10)).min(ranked.len());
    let there = ranked[..few].iter().filter(|(_, place)| *place == level).count();
    (there as u64, few as u64)
}

/// Returns a value beyond an edge: as far as the last step of a list, or a third of a range. None where the parameter
/// can take none.
fn next(name: &str, ladder: &Ladder, run: &Run, domain: &Domain, side: Side) -> Option<Value> {
    let levels = &ladder.levels[run.levels.clone()];
    let (last, before, factor) = if run.binned {
        let (low, high) = (levels.first()?.low?, levels.last()?.high?);
        let ends = if side == Side::Low { (low, high) } else { (high, low) };
        (ends.0, ends.1, 1.0 / 3.0)
    } else {
        let number = |place: usize| levels[place].value.as_ref().and_then(Value::number);
        let count = levels.len();
        let (last, before) = if side == Side::Low { (0, 1) } else { (count - 1, count - 2) };
        (number(last)?, number(before)?, 1.0)
    };
    // Where values grow by factors, so does the next one.
    let ratios = match domain {
        Domain::LogUniform { .. } => true,
        Domain::Values(_) => last > 0.0 && before > 0.0 && (last / before).ln().abs() > 0.4,
        _ => false,
    };
    let beyond =
        if ratios { last * (last / before).powf(factor) } else { last + (last - before) * factor };
    allowed(name, last, round(beyond))
}

/// Returns the nearest value to `beyond` that a key can take, if that is beyond `last`.
fn allowed(name: &str, last: f64, beyond: f64) -> Option<Value> {
    let float = |low: f64, is_low_allowed: bool, high: f64| {
        let value = if beyond > low {
            beyond
        } else if is_low_allowed {
            low
        } else {
            round(last / 2.0)
        };
        (value < high && value != last && (value < last) == (beyond < last))
            .then_some(Value::Float(value))
    };
    match Key::find(name)?.kind {
        Kind::Float(Bounds::Positive) => float(0.0, false, f64::INFINITY),
        Kind::Float(Bounds::NonNegative) => float(0.0, true, f64::INFINITY),
        Kind::Float(Bounds::Share) => float(0.0, true, 1.0),
        Kind::Float(Bounds::Factor) => float(0.0, false, 1.0 + f64::EPSILON),
        Kind::Integer(least) | Kind::ChoiceOrInteger(_, least) => {
            let value = (beyond.round() as i64).max(least);
            (value as f64 != last && ((value as f64) < last) == (beyond < last))
                .then_some(Value::Integer(value))
        }
        _ => None,
    }
}

/// Rounds to two significant digits.
fn round(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_value_is_one_that_the_key_can_take() {
        let next = |name, last, beyond| allowed(name, last, beyond).map(|value| value.to_string());
        assert_eq!(next("learning_rate", 2e-4, 8e-4), Some("8e-4".into()));
        assert_eq!(next("learning_rate", 1e-5, -1e-5), Some("5e-6".into()));
        assert_eq!(next("dropout", 0.1, -0.1), Some("0".into()));
        assert_eq!(next("dropout", 0.0, -0.1), None);
        assert_eq!(next("dropout", 0.7, 1.1), None);
        assert_eq!(next("batch_size", 32.0, 64.0), Some("64".into()));
        assert_eq!(next("epochs", 1.0, 0.5), None);
        assert_eq!(next("schedule", 1.0, 2.0), None);
    }
}

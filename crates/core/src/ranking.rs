//! Which configuration is best: by the mean over its completed replicates, never by the luckiest seed.

use std::collections::BTreeMap;

use crate::objective::{Goal, Objective};
use crate::search_space::Configuration;

/// A finished trial as the ranking sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Number within the sweep.
    pub trial: u64,
    /// Equal for the replicates of one configuration.
    pub fingerprint: String,
    /// Its values.
    pub configuration: Configuration,
    /// The objective; none where the trial diverged or never evaluated.
    pub value: Option<f64>,
}

/// A configuration with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// From 1; equal means share a rank.
    pub rank: u64,
    /// Its values.
    pub configuration: Configuration,
    /// Numbers of its trials.
    pub trials: Vec<u64>,
    /// Over the replicates that have a value; none where none has, or where one diverged.
    pub mean: Option<f64>,
    /// Smallest and largest replicate.
    pub range: Option<(f64, f64)>,
    /// Replicates that diverged.
    pub diverged: u64,
}

/// Ranks configurations. One that diverged in any replicate comes after all that did not.
pub fn rank(trials: &[Scored], objective: &Objective) -> Vec<Ranked> {
    let mut groups: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    for trial in trials {
        groups.entry(&trial.fingerprint).or_default().push(trial);
    }
    let mut ranked: Vec<Ranked> = groups.values().map(|members| summarise(members)).collect();
    ranked.sort_by(|left, right| {
        order(left, right, objective.goal).then(left.trials.cmp(&right.trials))
    });
    for index in 0..ranked.len() {
        let tied = index > 0
            && ranked[index].mean.is_some()
            && ranked[index].mean == ranked[index - 1].mean;
        ranked[index].rank = if tied { ranked[index - 1].rank } else { index as u64 + 1 };
    }
    ranked
}

/// Returns the mean of the replicates of a configuration, given in the order of their trials; none where there is
/// none, or where infinities cancel out.
///
/// The order and the plain sum are part of the rule: whoever keeps a mean has to come to the same bits.
pub fn mean(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (!mean.is_nan()).then_some(mean)
}

fn summarise(members: &[&Scored]) -> Ranked {
    let values: Vec<f64> =
        members.iter().filter_map(|trial| trial.value).filter(|value| !value.is_nan()).collect();
    let diverged = (members.len() - values.len()) as u64;
    let mean = if diverged == 0 { mean(&values) } else { None };
    let fold = |start: f64, pick: fn(f64, f64) -> f64| values.iter().copied().fold(start, pick);
    let mut trials: Vec<u64> = members.iter().map(|trial| trial.trial).collect();
    trials.sort_unstable();
    Ranked {
        rank: 0,
        configuration: members[0].configuration.clone(),
        trials,
        mean,
        range: mean.map(|_| (fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max))),
        diverged,
    }
}

fn order(left: &Ranked, right: &Ranked, goal: Goal) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (left.mean, right.mean) {
        (Some(left), Some(right)) => match goal {
            Goal::Maximize => right.total_cmp(&left),
            Goal::Minimize => left.total_cmp(&right),
        },
        (Some(_), None) => Less,
        (None, Some(_)) => Greater,
        (None, None) => Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::At;

    fn scored(trial: u64, fingerprint: &str, value: Option<f64>) -> Scored {
        Scored {
            trial,
            fingerprint: fingerprint.into(),
            configuration: Configuration::new(),
            value,
        }
    }

    fn places(trials: &[Scored], goal: Goal) -> Vec<(u64, Vec<u64>)> {
        let objective = Objective { metric: "validation/accuracy".into(), goal, at: At::Best };
        rank(trials, &objective).into_iter().map(|ranked| (ranked.rank, ranked.trials)).collect()
    }

    #[test]
    fn the_mean_of_the_replicates_counts_and_not_the_luckiest() {
        let trials = [
            scored(1, "lucky", Some(0.95)),
            scored(2, "lucky", Some(0.55)),
            scored(3, "steady", Some(0.80)),
            scored(4, "steady", Some(0.82)),
        ];
        assert_eq!(places(&trials, Goal::Maximize), [(1, vec![3, 4]), (2, vec![1, 2])]);
        assert_eq!(places(&trials, Goal::Minimize), [(1, vec![1, 2]), (2, vec![3, 4])]);
    }

    #[test]
    fn diverged_comes_last_and_equals_share_a_rank() {
        let trials = [
            scored(1, "a", None),
            scored(2, "b", Some(0.5)),
            scored(3, "c", Some(f64::NAN)),
            scored(4, "d", Some(0.5)),
            scored(5, "e", Some(0.4)),
        ];
        let expected = [(1, vec![2]), (1, vec![4]), (3, vec![5]), (4, vec![1]), (5, vec![3])];
        assert_eq!(places(&trials, Goal::Maximize), expected);
    }

    #[test]
    fn infinities_that_cancel_out_are_no_mean() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[f64::INFINITY, f64::NEG_INFINITY]), None);
        assert_eq!(mean(&[f64::INFINITY, 1.0]), Some(f64::INFINITY));
        let trials = [
            scored(1, "a", Some(f64::INFINITY)),
            scored(2, "a", Some(f64::NEG_INFINITY)),
            scored(3, "b", Some(0.5)),
        ];
        for goal in [Goal::Maximize, Goal::Minimize] {
            assert_eq!(places(&trials, goal), [(1, vec![3]), (2, vec![1, 2])]);
        }
    }

    #[test]
    fn one_diverged_replicate_ranks_a_configuration_behind_all_sound_ones() {
        let trials = [scored(1, "a", Some(0.9)), scored(2, "a", None), scored(3, "b", Some(0.1))];
        assert_eq!(places(&trials, Goal::Maximize), [(1, vec![3]), (2, vec![1, 2])]);
    }
}

//! How sure the best configuration of a sweep is: what the database knows of its contenders, put to `core::statistics`.

use std::collections::BTreeMap;

use converge_core::facts::Facts;
use converge_core::items::ItemResults;
use converge_core::objective::{At, Goal, Objective};
use converge_core::packed::MOST_BYTES;
use converge_core::search_space::Configuration;
use converge_core::statistics::standing::{Candidate, Contest, Replicate, Standing, standing};
use converge_scheduler::trials::definition;
use converge_store::{RankedTrial, Reader, SweepSummary};

use crate::cost::per_example;
use crate::report::Report;

/// Configurations that are compared: the best so many by the mean, and more of them while those at the end may be the
/// best as well.
const MOST: [usize; 3] = [50, 200, 800];
/// Products of two examples' numbers that a comparison may take: about a second.
const PRODUCTS: usize = 1_000_000_000;

/// Evaluations of a trial that its best one may owe its place to.
const EVALUATIONS: usize = 40;

/// Where a sweep stands, with what its places mean.
pub(crate) struct Compared {
    /// In the order of their first trials.
    pub(crate) contenders: Vec<Contender>,
    /// Places are those of the contenders.
    pub(crate) standing: Standing,
    /// The baseline's place.
    pub(crate) baseline: Option<usize>,
    /// Why there are no item results; none: there are.
    pub(crate) without_items: Option<WithoutItems>,
    /// Configurations that were left out: those behind the best so many.
    pub(crate) left_out: u64,
}

/// A configuration that may be the best.
pub(crate) struct Contender {
    /// Numbers of its trials, sorted.
    pub(crate) trials: Vec<u64>,
    /// Its values.
    pub(crate) configuration: Configuration,
    /// Replicates that completed with a value.
    pub(crate) replicates: usize,
    /// Work of one of them, in a unit that all share.
    pub(crate) work: Option<f64>,
}

/// Why nothing is known of single examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutItems {
    /// The metric is not one of the validation split.
    OtherSplit,
    /// The sweep was made by a converge that did not keep them.
    Old,
    /// The split is too large.
    Large,
    /// Trials were evaluated on different examples, or by an older converge.
    Mixed,
    /// They are there, but the metric does not follow from them.
    Metric,
}

impl WithoutItems {
    /// Says why, as the end of a sentence.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::OtherSplit => "the metric is not of the validation split",
            Self::Old => "trained by a converge that did not keep what was said of each example",
            Self::Large => {
                "the validation split is too large to keep what was said of each example"
            }
            Self::Mixed => "not all of these trials kept what they said of the same examples",
            Self::Metric => "this metric does not follow from what was said of each example",
        }
    }
}

/// Compares the best configurations of a sweep; none where nothing has a value yet.
pub(crate) fn compare(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
) -> Result<Option<Compared>, Report> {
    let mut compared = None;
    for most in MOST {
        compared = compare_best(reader, summary, objective, most)?;
        let Some(found) = &compared else { break };
        let next = most * 4;
        let products = found.standing.items.unwrap_or(1) * next * next;
        if !found.is_open() || products > PRODUCTS {
            break;
        }
    }
    Ok(compared)
}

/// Compares the best so many configurations.
fn compare_best(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
    most: usize,
) -> Result<Option<Compared>, Report> {
    let Some(record) = reader.sweep(summary.id)? else { return Ok(None) };
    let (trials, left_out) = best(reader, summary, objective, most)?;
    let baseline = reader.baseline(summary.id, objective)?;
    let of_baseline = baseline.first().map(|trial| trial.number);
    let groups = grouped(trials.into_iter().chain(baseline));
    let evaluations: Vec<_> = groups
        .iter()
        .flatten()
        .filter_map(|trial| Some((trial.id, trial.objective.as_ref()?.step)))
        .collect();
    let is_validation = objective.metric.starts_with("validation/");
    let items = if is_validation { reader.item_results(&evaluations)? } else { Vec::new() };
    let items: BTreeMap<_, _> = evaluations.iter().map(|(trial, _)| trial.0).zip(&items).collect();
    let item = |trial: &RankedTrial| items.get(&trial.id.0).copied().and_then(Option::as_ref);

    let firsts: Vec<_> = groups.iter().map(|group| group[0].id).collect();
    let lengths = reader.trial_lengths(&firsts)?;
    let facts = |index: u64| usize::try_from(index).ok().and_then(|index| record.facts.get(index));
    let mut contenders = Vec::new();
    let mut candidates = Vec::new();
    for (group, length) in groups.iter().zip(&lengths) {
        let examples = length.total_steps as f64 * length.batch_size as f64;
        let work = facts(length.facts_index).map(|facts| per_example(facts) * examples);
        let replicates: Vec<Replicate<'_>> =
            group.iter().filter_map(|trial| replicate(trial, item(trial))).collect();
        contenders.push(Contender {
            trials: group.iter().map(|trial| trial.number).collect(),
            configuration: group[0].configuration.clone(),
            replicates: replicates.len(),
            work,
        });
        candidates.push(Candidate {
            diverged: (group.len() - replicates.len()) as u64,
            replicates,
            failed: 0,
            cost: work,
        });
    }
    // All validation examples are the same ones in the same order, where the right answers are.
    let of_first = lengths.first().and_then(|length| facts(length.facts_index));
    let right = of_first.and_then(|facts| facts.validation_answers.as_ref());
    let others = lengths.iter().filter_map(|length| facts(length.facts_index));
    let same = others.into_iter().all(|facts| facts.validation_answers.as_ref() == right);
    let place = of_baseline
        .and_then(|number| contenders.iter().position(|one| one.trials.contains(&number)));
    let contest = Contest {
        metric: &objective.metric,
        goal: objective.goal,
        right: right.filter(|_| same),
        labels: of_first.map_or(&[][..], |facts| &facts.labels),
        candidates: &candidates,
        baseline: place,
        seed: definition(&record)?.seed,
    };
    let Some(mut standing) = standing(&contest) else { return Ok(None) };
    if objective.at == At::Best && standing.items.is_some() {
        let said = evaluations_of(reader, &groups[standing.winner], objective)?;
        standing = standing.without_luck_of_evaluation(&contest, &said);
    }
    let without_items = standing.items.is_none().then(|| {
        let kept = items.values().filter(|items| items.is_some()).count();
        let missing =
            if !same { WithoutItems::Mixed } else { why(of_first, kept, evaluations.len()) };
        if is_validation { missing } else { WithoutItems::OtherSplit }
    });
    Ok(Some(Compared { contenders, standing, baseline: place, without_items, left_out }))
}

fn why(facts: Option<&Facts>, kept: usize, wanted: usize) -> WithoutItems {
    let validation = facts.and_then(|facts| facts.validation.as_ref());
    let examples = validation.map_or(0, |split| split.examples);
    let known = facts.is_some_and(|facts| facts.validation_answers.is_some());
    match kept {
        // Two bytes an example are the losses alone.
        0 if !known && examples > (MOST_BYTES / 6) as u64 => WithoutItems::Large,
        0 => WithoutItems::Old,
        kept if kept < wanted => WithoutItems::Mixed,
        _ => WithoutItems::Metric,
    }
}

/// Returns what each trial said of each validation example at its evaluations, those with the best values.
fn evaluations_of(
    reader: &Reader,
    trials: &[RankedTrial],
    objective: &Objective,
) -> Result<Vec<Vec<ItemResults>>, Report> {
    let mut all = Vec::new();
    for trial in trials.iter().filter(|trial| trial.objective.is_some() && !trial.diverged) {
        let mut curve = reader.curve(trial.id, &objective.metric)?;
        curve.sort_by(|left, right| match objective.goal {
            Goal::Maximize => right.value.total_cmp(&left.value),
            Goal::Minimize => left.value.total_cmp(&right.value),
        });
        let steps: Vec<_> =
            curve.iter().take(EVALUATIONS).map(|point| (trial.id, point.step)).collect();
        all.push(reader.item_results(&steps)?.into_iter().flatten().collect());
    }
    Ok(all)
}

/// Returns the trials of the best configurations, and how many configurations are behind them.
fn best(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
    most: usize,
) -> Result<(Vec<RankedTrial>, u64), Report> {
    if *objective == summary.objective {
        let trials = reader.best_ranking(summary.id, objective, most)?;
        let count = grouped(trials.iter().cloned()).len();
        let all =
            if count < most { count as u64 } else { reader.ranked_configurations(summary.id)? };
        return Ok((trials, all - count as u64));
    }
    let trials = reader.ranking(summary.id, objective)?;
    let ranked = super::commands::best::ranked(trials.clone(), objective);
    let chosen: Vec<u64> =
        ranked.iter().take(most).flat_map(|ranked| ranked.trials.iter().copied()).collect();
    let left_out = ranked.len().saturating_sub(most) as u64;
    let is_chosen = |trial: &RankedTrial| chosen.contains(&trial.number);
    Ok((trials.into_iter().filter(is_chosen).collect(), left_out))
}

/// Returns trials by configuration, in the order of their first ones.
fn grouped(trials: impl Iterator<Item = RankedTrial>) -> Vec<Vec<RankedTrial>> {
    let mut groups: BTreeMap<String, Vec<RankedTrial>> = BTreeMap::new();
    for trial in trials {
        groups.entry(trial.fingerprint.clone()).or_default().push(trial);
    }
    let mut groups: Vec<Vec<RankedTrial>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|trial| trial.number);
    }
    groups.sort_by_key(|group| group[0].number);
    groups
}

fn replicate<'a>(trial: &RankedTrial, items: Option<&'a ItemResults>) -> Option<Replicate<'a>> {
    let objective = trial.objective.as_ref().filter(|_| !trial.diverged)?;
    Some(Replicate { value: objective.value, items })
}

impl Compared {
    /// Returns whether some that were left out may be the best as well: the last of those that were compared may.
    pub(crate) fn is_open(&self) -> bool {
        let tied = self.standing.indistinguishable.as_ref().map_or(0, Vec::len);
        self.left_out > 0 && 10 * tied >= 9 * self.standing.compared
    }

    /// Returns the winner.
    pub(crate) fn winner(&self) -> &Contender {
        &self.contenders[self.standing.winner]
    }

    /// Returns whether the baseline is the best.
    pub(crate) fn baseline_wins(&self) -> bool {
        self.baseline == Some(self.standing.winner)
    }

    /// Returns what it takes to train a contender, as a share of what the winner takes.
    pub(crate) fn relative_work(&self, place: usize) -> Option<f64> {
        Some(self.contenders[place].work? / self.winner().work?)
    }
}

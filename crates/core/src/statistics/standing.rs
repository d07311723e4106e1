//! Where the configurations of a sweep stand: the best one, how sure that is, and what else it could be.

use serde::Serialize;

use super::chosen::{Chosen, best_of, corrected};
use super::contenders::contenders;
use super::covariance::{Covariance, over_items};
use super::distributions::jeffreys;
use super::evaluations::luck_of_evaluation;
use super::scale::{Scale, ends};
use super::seeds::{Spread, pooled, variance};
use crate::items::{Answers, ItemResults, Measure};
use crate::metric::{is_share, name_of};
use crate::objective::Goal;
use crate::ranking::mean;
use crate::seed::Seed;

/// What is asked: the configurations of a sweep, as their trials left them.
#[derive(Debug, Clone, Copy)]
pub struct Contest<'a> {
    /// The objective's metric, such as `validation/accuracy`.
    pub metric: &'a str,
    /// Its direction.
    pub goal: Goal,
    /// The right answers of the validation set, where item results are kept.
    pub right: Option<&'a Answers>,
    /// Names of the classes or labels, in their order; for metrics that name one.
    pub labels: &'a [String],
    /// In the order of their first trials; earlier ones win ties, as in [`ranking`](crate::ranking).
    pub candidates: &'a [Candidate<'a>],
    /// The place of the baseline among them; it competes like any other.
    pub baseline: Option<usize>,
    /// The sweep's: resamples are drawn from streams of it.
    pub seed: Seed,
}

/// A configuration, as its replicates left it. Trials that run, wait or were stopped early are not part of it.
#[derive(Debug, Clone, Default)]
pub struct Candidate<'a> {
    /// Those that completed with a value, in the order of their trials.
    pub replicates: Vec<Replicate<'a>>,
    /// Those that diverged: with one, a configuration ranks behind all that have none.
    pub diverged: u64,
    /// Those that failed for good.
    pub failed: u64,
    /// What a replicate costs, in any unit that all of them share; none where it is not known.
    pub cost: Option<f64>,
}

/// One more seed of a configuration that completed with a value.
#[derive(Debug, Clone, Copy)]
pub struct Replicate<'a> {
    /// The objective.
    pub value: f64,
    /// What it said of each validation example at the evaluation that the objective is from.
    pub items: Option<&'a ItemResults>,
}

/// A range that holds the truth at the rate [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How often intervals hold the truth, and the indistinguishable set the true best.
pub const CONFIDENCE: f64 = 0.95;

/// Draws of the noise of all means together.
const DRAWS: usize = 2000;
/// The chance at which the indistinguishable set misses the true best by its formula. That knows the noise from the same
/// few results: in simulations 0.03 keeps the misses below 0.05.
const ERROR_OF_SET: f64 = 0.03;

/// What the noise of a value was taken from, and with it what an interval is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// Other seeds and other validation examples: what to expect when the configuration is trained again.
    SeedsAndItems,
    /// Other validation examples only: no configuration has two replicates. About the trained models, not about
    /// what a configuration does with another seed.
    Items,
    /// Other seeds only: item results are not kept, or the metric does not follow from them. About this validation
    /// set.
    Seeds,
    /// Neither: nothing can be said.
    Unknown,
}

/// Where a sweep stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The place of the best configuration: the first by the mean over its replicates.
    pub winner: usize,
    /// Its mean over its replicates.
    pub value: f64,
    /// What the numbers below account for.
    pub noise: Noise,
    /// Where its true value is, chosen as it was for being the best.
    pub interval: Option<Interval>,
    /// Its value without the luck that made it the best.
    pub corrected: Option<f64>,
    /// How much of its value is the luck of counting by the best of several evaluations: taken out of `interval` and
    /// `corrected`. 0 where the last one counts, or nothing is known of them.
    pub luck_of_evaluation: f64,
    /// Places of the configurations that may be the best one, by rank: the winner is the first of them.
    pub indistinguishable: Option<Vec<usize>>,
    /// The place of the cheapest of these; none where a cost is missing.
    pub cheapest: Option<usize>,
    /// The winner against the baseline; none where there is none, or where it is the winner.
    pub gain: Option<Gain>,
    /// Configurations that were compared: those that count in the ranking's first part.
    pub compared: usize,
    /// Validation examples behind the numbers; none without item results.
    pub items: Option<usize>,
    /// The spread of seeds; none without a configuration that has two replicates.
    pub seeds: Option<SeedSpread>,
    /// Replicates that diverged or failed, of all that ended.
    pub lost: Share,
}

/// The winner against the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain {
    /// The difference of their values; positive where the winner is better, also where smaller is better.
    pub value: f64,
    /// The same without the luck of the choice.
    pub corrected: Option<f64>,
    /// Where the true gain is.
    pub interval: Option<Interval>,
    /// How often a gain at least as surprising would be seen if there were none.
    pub p: Option<f64>,
}

/// How much the value of a configuration varies between seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedSpread {
    /// The standard deviation that one seed adds, pooled over configurations, sampling noise taken out.
    pub deviation: f64,
    /// Degrees of freedom behind it: replicates less configurations.
    pub degrees: u64,
}

/// A count out of many, and where the true share is (Jeffreys).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Out of how many.
    pub of: u64,
    /// Where the true share is; none of none.
    pub interval: Option<Interval>,
}

/// Returns where a sweep stands; none where no configuration has a value.
pub fn standing(contest: &Contest<'_>) -> Option<Standing> {
    let field = Field::new(contest)?;
    let Field { means, places, winner, .. } = &field;
    let winner = *winner;
    let mut standing = Standing {
        winner: places[winner],
        value: field.signed(means[winner]),
        noise: field.noise,
        interval: None,
        corrected: None,
        luck_of_evaluation: 0.0,
        indistinguishable: None,
        cheapest: None,
        gain: None,
        compared: places.len(),
        items: field.items,
        seeds: field.seeds,
        lost: lost(contest.candidates),
    };
    let baseline = contest.baseline.and_then(|of| places.iter().position(|place| *place == of));
    standing.gain = baseline.filter(|of| *of != winner).map(|of| Gain {
        value: means[winner] - means[of],
        corrected: None,
        interval: None,
        p: None,
    });
    if field.noise == Noise::Unknown {
        return Some(standing);
    }
    let scaled = field.scale.scaled(means, &field.covariance, field.items.unwrap_or(0));
    let on_scale = Chosen {
        means: &scaled.means,
        covariance: &scaled.covariance,
        winner,
        against: None,
        half_step: field.half_step * scaled.steepness[winner],
        degrees: field.degrees(winner, None),
    };
    let interval = on_scale.interval(CONFIDENCE);
    standing.interval = interval.map(|interval| {
        let Interval { low, high } = field.signed_interval(field.scale.unscaled(interval));
        let (least, most) = field.ends;
        Interval { low: low.clamp(least, most), high: high.clamp(least, most) }
    });
    let deviations = field.covariance.draw(DRAWS, contest.seed.stream("noise of the means", 0));
    standing.corrected = Some(field.signed(corrected(means, &deviations)));
    let others = (0..means.len()).filter(|place| *place != winner);
    let degrees = others.map(|place| field.degrees(winner, Some(place)));
    let mut tied = contenders(
        means,
        &field.covariance,
        field.least_error,
        degrees.fold(f64::INFINITY, f64::min),
        ERROR_OF_SET,
        &deviations,
    );
    tied.sort_by(|left, right| means[*right].total_cmp(&means[*left]).then(left.cmp(right)));
    let tied: Vec<usize> = tied.into_iter().map(|place| places[place]).collect();
    standing.cheapest = cheapest(contest.candidates, &tied);
    standing.indistinguishable = Some(tied);
    if let (Some(gain), Some(of)) = (&mut standing.gain, baseline) {
        let chosen = Chosen {
            means,
            covariance: &field.covariance,
            winner,
            against: Some(of),
            half_step: field.half_step,
            degrees: field.degrees(winner, Some(of)),
        };
        gain.corrected = chosen.median(CONFIDENCE);
        gain.interval = chosen.interval(CONFIDENCE);
        gain.p = chosen.p(0.0);
    }
    Some(standing)
}

impl Standing {
    /// Takes out the luck of counting by the best of several evaluations, given what each replicate of the winner said
    /// of each validation example at its evaluations. An interval reaches farther to the worse side by it.
    #[must_use]
    pub fn without_luck_of_evaluation(
        self,
        contest: &Contest<'_>,
        replicates: &[Vec<ItemResults>],
    ) -> Self {
        let luck = luck_of_evaluation(contest, replicates);
        let (least, most) = ends(name_of(contest.metric));
        let shifted = |interval: Interval| Interval {
            low: (interval.low - luck.max(0.0)).max(least),
            high: (interval.high - luck.min(0.0)).min(most),
        };
        Self {
            luck_of_evaluation: luck,
            corrected: self.corrected.map(|value| value - luck),
            interval: self.interval.map(shifted),
            ..self
        }
    }
}

/// The configurations that count, larger being better.
struct Field {
    places: Vec<usize>,
    means: Vec<f64>,
    winner: usize,
    smaller_is_better: bool,
    noise: Noise,
    covariance: Covariance,
    seeds: Option<SeedSpread>,
    /// By configuration: the part of its variance that is known as well as seeds are.
    of_seeds: Vec<f64>,
    items: Option<usize>,
    half_step: f64,
    least_error: f64,
    scale: Scale,
    /// Beyond them there are no values. On an open scale an interval knows nothing of them.
    ends: (f64, f64),
}

impl Field {
    fn new(contest: &Contest<'_>) -> Option<Self> {
        let smaller_is_better = contest.goal == Goal::Minimize;
        let sign = if smaller_is_better { -1.0 } else { 1.0 };
        let places = eligible(contest.candidates);
        let of = |place: usize| &contest.candidates[place].replicates;
        let values = |place: usize| of(place).iter().map(|replicate| replicate.value).collect();
        let values: Vec<Vec<f64>> = places.iter().map(|place| values(*place)).collect();
        let means: Option<Vec<f64>> =
            values.iter().map(|values| mean(values).map(|mean| sign * mean)).collect();
        let means = means.filter(|means| !means.is_empty())?;
        let winner = best_of(means.iter().copied());
        let over_items = measures(contest, &places).and_then(|(measures, items)| {
            Some((over_items(&measures, items, contest.seed)?, items))
        });
        let items = over_items.as_ref().map(|(_, items)| *items);
        // Models that learnt nothing vary less than others: that says nothing of them.
        let constant = |place: usize| {
            let items = of(places[place]).iter().map(|replicate| replicate.items);
            place != winner && items.flatten().any(|items| items.answers.are_all_the_same())
        };
        let spread = |place: usize| {
            if constant(place) {
                return None;
            }
            let between = over_items.as_ref().and_then(|(over, _)| over.between_replicates[place]);
            Some(Spread {
                variance: variance(&values[place])?,
                of_items: between.unwrap_or(0.0),
                degrees: values[place].len() as u64 - 1,
            })
        };
        let spreads: Vec<Option<Spread>> = (0..places.len()).map(spread).collect();
        let seeds = pooled(&spreads, winner);
        let mut covariance =
            over_items.map_or_else(|| Covariance::new(places.len()), |(over, _)| over.covariance);
        let of_seeds: Vec<f64> = values
            .iter()
            .map(|values| seeds.map_or(0.0, |seeds| seeds.deviation.powi(2)) / values.len() as f64)
            .collect();
        for (place, variance) in of_seeds.iter().enumerate() {
            covariance.add_variance(place, *variance);
        }
        let noise = match (seeds, items) {
            (Some(_), Some(_)) => Noise::SeedsAndItems,
            (None, Some(_)) => Noise::Items,
            (Some(_), None) => Noise::Seeds,
            (None, None) => Noise::Unknown,
        };
        // Shares of examples come in steps.
        let name = name_of(contest.metric);
        let is_share = is_share(contest.metric);
        let signed = |low, high| match smaller_is_better {
            false => Scale::Share { low, high },
            true => Scale::Share { low: -high, high: -low },
        };
        // How far an end is has to do with the examples; without them it is left aside.
        let scale = match name {
            _ if items.is_none() => Scale::Open,
            _ if is_share => signed(0.0, 1.0),
            "mcc" => signed(-1.0, 1.0),
            "pearson" | "spearman" => Scale::Correlation,
            "loss" | "rmse" | "mae" if means.iter().all(|mean| sign * mean > 0.0) => {
                Scale::Positive { negated: smaller_is_better }
            }
            _ => Scale::Open,
        };
        let step = items.filter(|_| is_share).map_or(0.0, |items| 1.0 / items as f64);
        let half_step = step / (2 * values[winner].len()) as f64;
        Some(Self {
            places,
            means,
            winner,
            smaller_is_better,
            noise,
            covariance,
            seeds,
            of_seeds,
            items,
            half_step,
            least_error: step,
            scale,
            ends: ends(name),
        })
    }

    fn signed(&self, value: f64) -> f64 {
        if self.smaller_is_better { -value } else { value }
    }

    fn signed_interval(&self, interval: Interval) -> Interval {
        match self.smaller_is_better {
            false => interval,
            true => Interval { low: -interval.high, high: -interval.low },
        }
    }

    /// # Source
    /// Satterthwaite 1946: of a sum of variances that are known each so well.
    fn degrees(&self, winner: usize, against: Option<usize>) -> f64 {
        let all = match against {
            None => self.covariance.of(winner, winner),
            Some(other) => self.covariance.of_difference(winner, other),
        };
        let of_seeds = self.of_seeds[winner] + against.map_or(0.0, |other| self.of_seeds[other]);
        let of_items = (all - of_seeds).max(0.0);
        let over = |variance: f64, degrees: f64| match degrees > 0.0 {
            true => variance * variance / degrees,
            false => 0.0,
        };
        let seeds = self.seeds.map_or(0.0, |seeds| seeds.degrees as f64);
        let items = self.items.map_or(0.0, |items| items as f64 - 1.0);
        let sum = over(of_seeds, seeds) + over(of_items, items);
        match sum > 0.0 {
            true => all * all / sum,
            // Results without any noise are no surer than their number allows.
            false => {
                if self.items.is_some() {
                    items
                } else {
                    seeds
                }
            }
        }
    }
}

/// Returns the places of those in the first part of the ranking: none of its replicates diverged; where all have one
/// that did, of those that have a value at all.
fn eligible(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let has_value = |candidate: &Candidate<'_>| {
        let finite = candidate.replicates.iter().all(|replicate| replicate.value.is_finite());
        finite && !candidate.replicates.is_empty()
    };
    let with_value = || candidates.iter().enumerate().filter(|(_, candidate)| has_value(candidate));
    let sound = with_value().filter(|(_, candidate)| candidate.diverged == 0);
    let sound: Vec<usize> = sound.map(|(place, _)| place).collect();
    if !sound.is_empty() {
        return sound;
    }
    with_value().map(|(place, _)| place).collect()
}

/// Returns the metric of every replicate, and how many examples it is over; none where one has none, or another value
/// than was recorded.
fn measures(contest: &Contest<'_>, places: &[usize]) -> Option<(Vec<Vec<Measure>>, usize)> {
    let right = contest.right?;
    let name = contest.metric.strip_prefix("validation/")?;
    let measure = |replicate: &Replicate<'_>| {
        let measure = Measure::new(name, contest.labels, right, replicate.items?)?;
        let value = measure.value(None)?;
        // Losses are kept in half precision, which is 1 part in 2048 where one example is nearly all of the loss.
        let close = (value - replicate.value).abs() <= 1e-3 * replicate.value.abs().max(1e-3);
        close.then_some(measure)
    };
    let of = |place: &usize| contest.candidates[*place].replicates.iter().map(measure).collect();
    let measures: Option<Vec<Vec<Measure>>> = places.iter().map(of).collect();
    Some((measures?, right.len()))
}

fn cheapest(candidates: &[Candidate<'_>], places: &[usize]) -> Option<usize> {
    let costs: Option<Vec<f64>> = places.iter().map(|place| candidates[*place].cost).collect();
    // The first of equals: the better one.
    let costs = costs?;
    let cheapest = (0..costs.len()).min_by(|left, right| costs[*left].total_cmp(&costs[*right]))?;
    Some(places[cheapest])
}

fn lost(candidates: &[Candidate<'_>]) -> Share {
    let lost: u64 = candidates.iter().map(|candidate| candidate.diverged + candidate.failed).sum();
    let worked: usize = candidates.iter().map(|candidate| candidate.replicates.len()).sum();
    jeffreys(lost, lost + worked as u64, CONFIDENCE)
}

#[cfg(test)]
mod tests;

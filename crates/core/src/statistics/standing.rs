//! Where the configurations of a sweep stand: the best one, how sure that is, and what else it could be.

use serde::Serialize;

use crate::items::{Answers, ItemResults};
use crate::objective::Goal;
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
    let _ = contest;
    None
}

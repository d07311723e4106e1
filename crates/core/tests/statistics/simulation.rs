//! Simulated sweeps.
//!
//! A trial answers an example right where `ability + shared difficulty + what the configuration makes of the example +
//! what the seed makes of it` is positive, all normal. The true accuracy of a trained model is then the normal
//! distribution function of its ability, and that of a configuration the mean of this over seeds.

use std::fmt;

use converge_core::items::{Answers, ItemResults, metric};
use converge_core::objective::Goal;
use converge_core::seed::Seed;
use converge_core::statistics::distributions::{normal, normal_quantile};
use converge_core::statistics::draws::Draws;
use converge_core::statistics::standing::{Candidate, Contest, Noise, Replicate, standing};

/// A kind of sweep.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// True accuracy by configuration.
    pub(crate) truth: Vec<f64>,
    pub(crate) replicates: Vec<usize>,
    pub(crate) items: usize,
    /// Deviation of a model's true accuracy between seeds.
    pub(crate) seed_deviation: f64,
    /// Share of the variance of an answer that all models have in common.
    pub(crate) shared: f64,
    /// Share of the rest that the seeds of a configuration have in common.
    pub(crate) of_configuration: f64,
    pub(crate) baseline: Option<usize>,
    /// Two classes that are as frequent and as hard as each other: macro-F1 has the same true value as accuracy.
    pub(crate) metric: &'static str,
    /// Whether item results are kept.
    pub(crate) has_items: bool,
    /// Evaluations of a trial, all as good in truth; it counts by the best of them.
    pub(crate) evaluations: usize,
    /// Share of what the seed makes of an example that is another at each evaluation.
    pub(crate) of_evaluation: f64,
}

/// What came out, over many sweeps.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) sweeps: f64,
    pub(crate) naive: f64,
    pub(crate) corrected: f64,
    pub(crate) corrected_square: f64,
    pub(crate) covered: f64,
    pub(crate) above: f64,
    pub(crate) width: f64,
    pub(crate) held: f64,
    pub(crate) size: f64,
    pub(crate) gain_covered: f64,
    pub(crate) gain_corrected: f64,
    pub(crate) gains: f64,
    pub(crate) outside: f64,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: f64| 100.0 * count / self.sweeps;
        write!(
            out,
            "naive {:+5.2} corrected {:+5.2} (rms {:4.2}, outside {:4.1}) | covered {:5.1} (above {:4.1}) width {:4.1} | held {:5.1} size {:4.1}",
            share(self.naive),
            share(self.corrected),
            100.0 * (self.corrected_square / self.sweeps).sqrt(),
            share(self.outside),
            share(self.covered),
            share(self.above),
            share(self.width),
            share(self.held),
            self.size / self.sweeps,
        )?;
        if self.gains > 0.0 {
            write!(
                out,
                " | gain covered {:5.1} corrected {:+5.2}",
                100.0 * self.gain_covered / self.gains,
                100.0 * self.gain_corrected / self.gains
            )?;
        }
        Ok(())
    }
}

impl Scenario {
    pub(crate) fn new(truth: Vec<f64>, replicates: usize, items: usize) -> Self {
        Self {
            replicates: vec![replicates; truth.len()],
            truth,
            items,
            seed_deviation: 0.007,
            shared: 0.6,
            of_configuration: 0.5,
            baseline: None,
            metric: "validation/accuracy",
            has_items: true,
            evaluations: 1,
            of_evaluation: 0.0,
        }
    }

    pub(crate) fn run(&self, sweeps: u64) -> Found {
        let mut found = Found::default();
        for sweep in 0..sweeps {
            self.simulate(Seed(7).stream("sweep", sweep), &mut found);
        }
        found
    }

    fn simulate(&self, seed: Seed, found: &mut Found) {
        let mut draws = Draws::new(seed);
        let root = f64::sqrt;
        let difficulty: Vec<f64> =
            (0..self.items).map(|_| root(self.shared) * draws.normal()).collect();
        let own = root((1.0 - self.shared) * self.of_configuration);
        let of_seed = root((1.0 - self.shared) * (1.0 - self.of_configuration));
        let classes: Vec<u32> = difficulty.iter().map(|_| u32::from(draws.unit() < 0.5)).collect();
        let right = Answers::Classes { classes: classes.clone() };
        let mut results: Vec<Vec<(f64, Vec<ItemResults>)>> = Vec::new();
        let mut trained = Vec::new();
        // What to expect of another seed on these examples.
        let mut on_split = Vec::new();
        for (truth, replicates) in self.truth.iter().zip(&self.replicates) {
            let base: Vec<f64> = difficulty.iter().map(|it| it + own * draws.normal()).collect();
            let mut of_configuration = Vec::new();
            let mut models = Vec::new();
            for _ in 0..*replicates {
                let accuracy = truth + self.seed_deviation * draws.normal();
                let ability = normal_quantile(accuracy.clamp(0.001, 0.9999));
                models.push(normal(ability));
                let name = self.metric.strip_prefix("validation/").unwrap();
                let mut answers: Vec<(f64, ItemResults)> = Vec::new();
                let kept = of_seed * root(1.0 - self.of_evaluation);
                let of_evaluation = of_seed * root(self.of_evaluation);
                let model: Vec<f64> =
                    base.iter().map(|base| ability + base + kept * draws.normal()).collect();
                for _ in 0..self.evaluations {
                    let mut answer = |(base, class): (&f64, &u32)| {
                        let noise = if of_evaluation > 0.0 { draws.normal() } else { 0.0 };
                        let is_right = base + of_evaluation * noise > 0.0;
                        if is_right { *class } else { 1 - class }
                    };
                    let said = model.iter().zip(&classes).map(&mut answer).collect();
                    let said = Answers::Classes { classes: said };
                    let items = ItemResults { answers: said, losses: vec![0.0; self.items] };
                    answers.push((metric(name, &[], &right, &items, None).unwrap(), items));
                }
                // The first of the best, which stands first.
                answers.sort_by(|left, right| right.0.total_cmp(&left.0));
                let value = answers[0].0;
                of_configuration.push((value, answers.into_iter().map(|one| one.1).collect()));
            }
            let ability = normal_quantile(*truth);
            let of_example = |base: &f64| normal((ability + base) / of_seed);
            on_split.push(base.iter().map(of_example).sum::<f64>() / self.items as f64);
            trained.push(models.iter().sum::<f64>() / models.len() as f64);
            results.push(of_configuration);
        }
        let candidates: Vec<Candidate<'_>> = results
            .iter()
            .map(|results| Candidate {
                replicates: results
                    .iter()
                    .map(|(value, items)| Replicate {
                        value: *value,
                        items: Some(&items[0]).filter(|_| self.has_items),
                    })
                    .collect(),
                ..Candidate::default()
            })
            .collect();
        let contest = Contest {
            metric: self.metric,
            goal: Goal::Maximize,
            right: Some(&right),
            labels: &[],
            candidates: &candidates,
            baseline: self.baseline,
            seed,
        };
        let mut standing = standing(&contest).unwrap();
        if self.evaluations > 1 {
            let all: Vec<Vec<ItemResults>> =
                results[standing.winner].iter().map(|(_, items)| items.clone()).collect();
            standing = standing.without_luck_of_evaluation(&contest, &all);
        }
        // Without replicates it is about the trained models, without items about these examples.
        let truth = match standing.noise {
            Noise::Items => &trained,
            Noise::Seeds => &on_split,
            _ => &self.truth,
        };
        let of_winner = truth[standing.winner];
        // Two seeds that came to the same say nothing.
        let Some(interval) = standing.interval else { return };
        let corrected = standing.corrected.unwrap();
        found.sweeps += 1.0;
        found.naive += standing.value - of_winner;
        found.corrected += corrected - of_winner;
        found.corrected_square += (corrected - of_winner).powi(2);
        found.covered += f64::from(interval.low <= of_winner && of_winner <= interval.high);
        found.outside += f64::from(corrected < interval.low || corrected > interval.high);
        found.above += f64::from(of_winner > interval.high);
        found.width += interval.high - interval.low;
        let best = (0..truth.len()).rev().max_by(|a, b| truth[*a].total_cmp(&truth[*b])).unwrap();
        let tied = standing.indistinguishable.unwrap();
        found.held += f64::from(tied.contains(&best));
        found.size += tied.len() as f64;
        if let (Some(gain), Some(baseline)) = (standing.gain, self.baseline) {
            let truth = of_winner - truth[baseline];
            let interval = gain.interval.unwrap();
            found.gains += 1.0;
            found.gain_covered += f64::from(interval.low <= truth && truth <= interval.high);
            found.gain_corrected += gain.corrected.unwrap() - truth;
        }
    }
}

/// Evenly spaced ones, from best to worst.
pub(crate) fn spread(count: usize, best: f64, step: f64) -> Vec<f64> {
    (0..count).map(|place| best - step * place as f64).collect()
}

pub(crate) fn scenarios() -> Vec<(String, Scenario)> {
    let mut all: Vec<(String, Scenario)> = Vec::new();
    for (gaps, step) in [("equal", 0.0), ("0.3 pt", 0.003), ("1 pt", 0.01)] {
        for (count, replicates, items) in [
            (5, 1, 500),
            (20, 1, 200),
            (20, 1, 500),
            (20, 1, 2000),
            (5, 3, 500),
            (20, 3, 200),
            (20, 3, 500),
            (20, 3, 2000),
            (20, 5, 500),
            (2, 3, 500),
        ] {
            let scenario = Scenario {
                baseline: Some(count / 2),
                ..Scenario::new(spread(count, 0.85, step), replicates, items)
            };
            all.push((format!("{gaps} K={count} r={replicates} n={items}"), scenario));
        }
    }
    for (best, seed_deviation) in [(0.97, 0.003), (0.85, 0.02), (0.85, 0.0)] {
        for (count, replicates, items) in [(20, 1, 200), (20, 3, 500), (5, 3, 200)] {
            let truth = spread(count, best, 0.002);
            let scenario = Scenario { seed_deviation, ..Scenario::new(truth, replicates, items) };
            let name =
                format!("best {best} seed {seed_deviation} K={count} r={replicates} n={items}");
            all.push((name, scenario));
        }
    }
    let mut racing = Scenario::new(spread(20, 0.85, 0.002), 1, 500);
    racing.replicates[..4].fill(3);
    all.push(("racing: 4 of K=20 with r=3, n=500".into(), racing));
    // Late evaluations of one training differ in their answers to 6 or 7 % of the film reviews.
    for (count, replicates, items) in [(20, 1, 500), (2, 1, 500), (20, 3, 500)] {
        let truth = spread(count, 0.85, 0.0);
        let several = Scenario {
            evaluations: 5,
            of_evaluation: 0.3,
            ..Scenario::new(truth, replicates, items)
        };
        all.push((format!("best of 5 evaluations K={count} r={replicates} n={items}"), several));
    }
    for (count, replicates) in [(2, 2), (20, 2), (5, 3)] {
        let scenario = Scenario {
            has_items: false,
            seed_deviation: 0.0,
            ..Scenario::new(spread(count, 0.85, 0.0), replicates, 500)
        };
        all.push((format!("seeds alone K={count} r={replicates}"), scenario));
    }
    let metric = "validation/macro_f1";
    let macro_f1 = Scenario { metric, ..Scenario::new(spread(5, 0.85, 0.003), 2, 300) };
    all.push(("macro-F1 K=5 r=2 n=300".into(), macro_f1));
    all
}

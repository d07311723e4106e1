//! PED-ANOVA: how much a parameter has to do with being among the best, for trials of any sampler.
//!
//! Where the values of the best trials (the target) are spread over a parameter's range as those of all trials of
//! interest (the region) are, the parameter says nothing about being among the best. Its importance is Pearson's
//! divergence of the one spread from the other.
//!
//! # Source
//! Watanabe, Bansal and Hutter 2023 (arXiv:2304.10255); with conditions: arXiv:2601.20800. Equal to the
//! `PedAnovaImportanceEvaluator` of Optuna 5.

use super::parzen;

/// Points of a grid over a range at most.
const POINTS: usize = 50;
/// A domain with fewer trials of the region says nothing.
const FEWEST: u32 = 2;
/// Keeps the quotient of two densities finite.
const FLOOR: f64 = 1e-12;

/// The values that a parameter can take in one case, as points.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// So many choices; a value is the place of one.
    Choices(usize),
    /// A range; a value is the number itself.
    Range {
        /// Smallest.
        low: f64,
        /// Largest.
        high: f64,
        /// Even in the logarithm.
        logarithmic: bool,
        /// Distance of the allowed numbers; none: all are allowed.
        step: Option<f64>,
    },
}

impl Scale {
    /// Returns the number of points.
    pub fn points(&self) -> usize {
        match self {
            Self::Choices(choices) => *choices,
            Self::Range { low, high, step, .. } => match step {
                Some(step) => POINTS.min(((high - low) / step).round() as usize + 1),
                None if low == high => 1,
                None => POINTS,
            },
        }
    }

    /// Returns the point that is nearest to a value.
    pub fn point(&self, value: f64) -> usize {
        let last = self.points() - 1;
        match self {
            Self::Choices(_) => (value as usize).min(last),
            Self::Range { low, high, logarithmic, .. } => {
                let on_axis = |value: f64| if *logarithmic { value.ln() } else { value };
                let width = (on_axis(*high) - on_axis(*low)) / last.max(1) as f64;
                // The middle between two points belongs to the lower one.
                let place = ((on_axis(value) - on_axis(*low)) / width - 0.5).ceil();
                (place.max(0.0) as usize).min(last)
            }
        }
    }

    fn prior(&self) -> Vec<f64> {
        match self {
            Self::Choices(_) => Vec::new(),
            Self::Range { .. } => parzen::prior(self.points()),
        }
    }

    fn density(&self, counts: &[u32], prior: &[f64]) -> Vec<f64> {
        match self {
            Self::Choices(_) => parzen::categorical(counts),
            Self::Range { .. } => parzen::numeric(counts, prior),
        }
    }
}

/// A parameter and where each trial stands on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    scales: Vec<Scale>,
    priors: Vec<Vec<f64>>,
    places: Vec<Option<(usize, usize)>>,
}

impl Axis {
    /// Makes an axis: a scale for each domain that the parameter has under some condition, and for each trial the scale
    /// and the point on it; none where the parameter does not apply.
    pub fn new(scales: Vec<Scale>, places: Vec<Option<(usize, usize)>>) -> Self {
        let priors = scales.iter().map(Scale::prior).collect();
        Self { scales, priors, places }
    }

    /// Returns how much the axis has to do with being in the target, which is a part of the region; both name
    /// trials, and may name one several times.
    pub fn importance(&self, target: &[usize], region: &[usize]) -> f64 {
        self.against(region).of(target)
    }

    /// Prepares what depends on the region alone.
    pub(crate) fn against(&self, region: &[usize]) -> Region<'_> {
        let counts = self.counts(region);
        let densities = self
            .scales
            .iter()
            .zip(&self.priors)
            .zip(&counts)
            .map(|((scale, prior), counts)| {
                let count: u32 = counts.iter().sum();
                let says_something = count >= FEWEST && scale.points() > 1;
                says_something.then(|| (count, scale.density(counts, prior)))
            })
            .collect();
        Region { axis: self, trials: region.len(), densities }
    }

    fn counts(&self, trials: &[usize]) -> Vec<Vec<u32>> {
        let mut counts: Vec<Vec<u32>> =
            self.scales.iter().map(|scale| vec![0; scale.points()]).collect();
        for (scale, point) in trials.iter().filter_map(|trial| self.places[*trial]) {
            counts[scale][point] += 1;
        }
        counts
    }
}

/// How the trials of a region are spread over an axis.
pub(crate) struct Region<'a> {
    axis: &'a Axis,
    trials: usize,
    /// For each scale that says something, how many are on it, and how they are spread.
    densities: Vec<Option<(u32, Vec<f64>)>>,
}

impl Region<'_> {
    /// Returns the importance for a target.
    pub(crate) fn of(&self, target: &[usize]) -> f64 {
        if target.is_empty() {
            return 0.0;
        }
        let (all_target, all_region) = (target.len() as f64, self.trials as f64);
        let counts = self.axis.counts(target);
        let mut sum = 0.0;
        let scales = self.axis.scales.iter().zip(&self.axis.priors);
        for (((scale, prior), counts), region) in scales.zip(&counts).zip(&self.densities) {
            let count: u32 = counts.iter().sum();
            let (Some((in_region, density)), true) = (region, count > 0) else { continue };
            let (of_target, of_region) =
                (f64::from(count) / all_target, f64::from(*in_region) / all_region);
            let divergence: f64 = scale
                .density(counts, prior)
                .iter()
                .zip(density)
                .map(|(top, local)| {
                    let local = local + FLOOR;
                    local * ((top + FLOOR) / local - 1.0).powi(2)
                })
                .sum();
            sum += of_target * of_target / of_region * divergence;
        }
        sum * (all_target / all_region).powi(2)
    }
}

/// Returns the best `quantile` of trials, given from the best to the worst: at least one, and with it all that equal
/// the last of them.
pub fn best_quantile(costs: &[f64], ranked: &[usize], quantile: f64) -> usize {
    let wanted = ((quantile * ranked.len() as f64).ceil() as usize).clamp(1, ranked.len());
    let cutoff = costs[ranked[wanted - 1]];
    ranked.partition_point(|trial| costs[*trial] <= cutoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_range_are_its_nearest() {
        let scale = Scale::Range { low: 1e-5, high: 1e-1, logarithmic: true, step: None };
        assert_eq!(scale.points(), 50);
        assert_eq!(
            [1e-5, 1e-3, 1e-1, 1.0, 1e-9].map(|value| scale.point(value)),
            [0, 24, 49, 49, 0]
        );
        let scale = Scale::Range { low: 2.0, high: 4.0, logarithmic: false, step: Some(0.5) };
        assert_eq!([2.0, 2.2, 2.25, 2.3, 4.0].map(|value| scale.point(value)), [0, 0, 0, 1, 4]);
    }

    #[test]
    fn equals_of_the_last_belong_to_the_best() {
        let costs = [3.0, 1.0, 2.0, 2.0, 5.0];
        let ranked = [1, 2, 3, 0, 4];
        let best = |quantile| best_quantile(&costs, &ranked, quantile);
        assert_eq!([0.1, 0.4, 0.7, 1.0].map(best), [1, 3, 4, 5]);
    }

    #[test]
    fn a_parameter_that_decides_is_told_from_one_that_does_not() {
        let scale = Scale::Choices(4);
        let axis = |place: fn(usize) -> usize| {
            Axis::new(vec![scale.clone()], (0..40).map(|trial| Some((0, place(trial)))).collect())
        };
        let (decides, idle) = (axis(|trial| trial / 10), axis(|trial| trial % 4));
        let region: Vec<usize> = (0..40).collect();
        let target = &region[..8];
        assert!(decides.importance(target, &region) > 50.0 * idle.importance(target, &region));
        assert_eq!(idle.importance(&[], &region), 0.0);
        let single = Axis::new(vec![Scale::Choices(1)], vec![Some((0, 0)); 40]);
        assert_eq!(single.importance(target, &region), 0.0);
    }
}

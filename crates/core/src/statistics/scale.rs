//! The scale on which the noise of a bounded metric is even: near its end there is less room on one side.

use super::Interval;
use super::covariance::Covariance;

/// Where the values of a metric lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Anywhere: its noise is taken as it is.
    Open,
    /// Between two ends: the logarithm of the distances to them takes its place.
    Between(f64, f64),
}

/// Estimates on a scale.
pub struct Scaled {
    /// Them.
    pub means: Vec<f64>,
    /// Their noise.
    pub covariance: Covariance,
    /// How much longer a small step is there, by estimate.
    pub steepness: Vec<f64>,
}

impl Scale {
    /// Returns estimates and their noise on this scale.
    ///
    /// `items` are what they were taken over: an estimate at an end is moved in by half an example, and counts as no
    /// surer than that many examples can make it.
    ///
    /// # Source
    /// The logit interval of Brown, Cai and DasGupta 2001, §4.1; for correlations it is Fisher's z.
    pub fn scaled(self, means: &[f64], covariance: &Covariance, items: usize) -> Scaled {
        let Self::Between(low, high) = self else {
            let steepness = vec![1.0; means.len()];
            return Scaled { means: means.to_vec(), covariance: covariance.clone(), steepness };
        };
        let items = items as f64;
        let share = |mean: &f64| {
            let share = (mean - low) / (high - low);
            share.clamp(0.5 / (items + 1.0), 1.0 - 0.5 / (items + 1.0))
        };
        let shares: Vec<f64> = means.iter().map(share).collect();
        let steep = |share: &f64| 1.0 / (share * (1.0 - share) * (high - low));
        let steepness: Vec<f64> = shares.iter().map(steep).collect();
        let mut scaled = covariance.clone();
        for (place, share) in shares.iter().enumerate() {
            if (means[place] - low) * (high - means[place]) <= 0.0 {
                let least = share * (1.0 - share) / items * (high - low).powi(2);
                scaled.add_variance(place, (least - covariance.of(place, place)).max(0.0));
            }
        }
        scaled.scale(&steepness);
        let means = shares.iter().map(|share| (share / (1.0 - share)).ln()).collect();
        Scaled { means, covariance: scaled, steepness }
    }

    /// Returns an interval on this scale as one of the metric.
    pub fn unscaled(self, interval: Interval) -> Interval {
        match self {
            Self::Open => interval,
            Self::Between(low, high) => {
                let back = |value: f64| low + (high - low) / (1.0 + (-value).exp());
                Interval { low: back(interval.low), high: back(interval.high) }
            }
        }
    }
}

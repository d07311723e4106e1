//! The scale on which the noise of a bounded metric is the same everywhere: near an end it is smaller.

use std::f64::consts::FRAC_PI_2;

use super::Interval;
use super::covariance::Covariance;
use crate::metric::Metric;

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Any numbers: their noise is taken as it is.
    Open,
    /// Like shares of examples, between two ends.
    Share {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Correlations.
    Correlation,
    /// Losses and errors, never negative: the larger, the noisier.
    Positive {
        /// Whether they come with the other sign, for the largest to be the best.
        negated: bool,
    },
}

/// Returns the ends beyond which a metric, by its name without the split, has no values.
pub(super) fn ends(name: &str) -> (f64, f64) {
    let never_negative = ["loss", "rmse", "mae", "seconds"].contains(&name);
    match Metric::find(name) {
        Some(metric) if metric.is_share => (0.0, 1.0),
        _ if ["mcc", "pearson", "spearman"].contains(&name) => (-1.0, 1.0),
        _ if never_negative || name.starts_with("gradient_norm") => (0.0, f64::INFINITY),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
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
    /// Of a share, the arcsine of its root: Bartlett 1936. Of a correlation, Fisher's z. Of a loss, its logarithm.
    pub fn scaled(self, means: &[f64], covariance: &Covariance, items: usize) -> Scaled {
        let (low, high) = match self {
            Self::Open => {
                let steepness = vec![1.0; means.len()];
                return Scaled { means: means.to_vec(), covariance: covariance.clone(), steepness };
            }
            Self::Share { low, high } => (low, high),
            Self::Correlation => (-1.0, 1.0),
            Self::Positive { negated } => {
                let sign = if negated { -1.0 } else { 1.0 };
                let steepness: Vec<f64> = means.iter().map(|mean| 1.0 / (sign * mean)).collect();
                let mut scaled = covariance.clone();
                scaled.scale(&steepness);
                let means = means.iter().map(|mean| sign * (sign * mean).ln()).collect();
                return Scaled { means, covariance: scaled, steepness };
            }
        };
        let items = items as f64;
        let margin = 0.5 / (items + 1.0);
        let mut scaled = covariance.clone();
        let mut shares = Vec::new();
        for (place, mean) in means.iter().enumerate() {
            let exact = (mean - low) / (high - low);
            let share = exact.clamp(margin, 1.0 - margin);
            if exact <= 0.0 || exact >= 1.0 {
                let least = share * (1.0 - share) / items * (high - low).powi(2);
                scaled.add_variance(place, (least - covariance.of(place, place)).max(0.0));
            }
            shares.push(share);
        }
        let steep = |share: &f64| match self {
            Self::Correlation => 1.0 / (4.0 * share * (1.0 - share)),
            _ => 0.5 / (share * (1.0 - share)).sqrt() / (high - low),
        };
        let steepness: Vec<f64> = shares.iter().map(steep).collect();
        scaled.scale(&steepness);
        let to = |share: &f64| match self {
            Self::Correlation => (2.0 * share - 1.0).atanh(),
            _ => share.sqrt().asin(),
        };
        Scaled { means: shares.iter().map(to).collect(), covariance: scaled, steepness }
    }

    /// Returns an interval on this scale as one of the metric.
    pub fn unscaled(self, interval: Interval) -> Interval {
        let back = |value: f64| match self {
            Self::Open => value,
            Self::Share { low, high } => {
                low + (high - low) * value.clamp(0.0, FRAC_PI_2).sin().powi(2)
            }
            Self::Correlation => value.tanh(),
            Self::Positive { negated: false } => value.exp(),
            Self::Positive { negated: true } => -(-value).exp(),
        };
        Interval { low: back(interval.low), high: back(interval.high) }
    }
}

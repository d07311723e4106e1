//! A metric by steps, and what can be read off it.

/// Values by step, in step order. A value that is not finite is one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve(pub Vec<(u64, f64)>);

impl Curve {
    /// Returns how many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values without their steps.
    pub fn values(&self) -> Vec<f64> {
        self.0.iter().map(|(_, value)| *value).collect()
    }

    /// Returns the last value.
    pub fn last(&self) -> Option<f64> {
        self.0.last().map(|(_, value)| *value)
    }

    /// Returns the step of the last value.
    pub fn last_step(&self) -> Option<u64> {
        self.0.last().map(|(step, _)| *step)
    }

    /// Returns the largest finite value and the first step that has it.
    pub fn largest(&self) -> Option<(u64, f64)> {
        self.finite().reduce(|best, one| if one.1 > best.1 { one } else { best })
    }

    /// Returns the smallest finite value and the first step that has it.
    pub fn smallest(&self) -> Option<(u64, f64)> {
        self.finite().reduce(|best, one| if one.1 < best.1 { one } else { best })
    }

    /// Returns the part of a range of shares of `total` steps: `(0.75, 1.0)` is the last quarter.
    #[must_use]
    pub fn part(&self, from: f64, to: f64, total: u64) -> Self {
        let place = |step: u64| step as f64 / total.max(1) as f64;
        let inside = |(step, _): &&(u64, f64)| place(*step) > from && place(*step) <= to;
        Self(self.0.iter().filter(inside).copied().collect())
    }

    /// Returns the mean of the last `window` values up to each, so that single batches count little. The first values
    /// have as many as there are; a window is never more than a quarter of the curve.
    #[must_use]
    pub fn smoothed(&self, window: usize) -> Self {
        let window = window.min(self.len() / 4).max(1);
        let mut sum = 0.0;
        let mut smoothed = Vec::with_capacity(self.len());
        for (place, (step, value)) in self.0.iter().enumerate() {
            sum += value;
            if place >= window {
                sum -= self.0[place - window].1;
            }
            if place + 1 >= window {
                smoothed.push((*step, sum / window as f64));
            }
        }
        Self(smoothed)
    }

    fn finite(&self) -> impl Iterator<Item = (u64, f64)> {
        self.0.iter().copied().filter(|(_, value)| value.is_finite())
    }
}

/// Returns the median; none of nothing. Values that are not finite are left out.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Returns a quantile, between its neighbours in proportion; none of nothing.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len().checked_sub(1)? as f64);
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
}

/// Returns the mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Curve {
        Curve(values.iter().enumerate().map(|(place, value)| (place as u64 + 1, *value)).collect())
    }

    #[test]
    fn smoothing_keeps_the_mean_and_never_swallows_the_curve() {
        let smoothed = curve(&[1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0]).smoothed(2);
        assert_eq!(smoothed.values(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
        assert_eq!(smoothed.0[0].0, 2);
        assert_eq!(curve(&[1.0, 3.0, 5.0, 7.0]).smoothed(50).len(), 4);
        assert!(curve(&[]).smoothed(3).is_empty());
    }

    #[test]
    fn extremes_leave_out_what_is_not_finite() {
        let curve = curve(&[2.0, f64::NAN, 5.0, f64::INFINITY, 1.0]);
        assert_eq!(curve.largest(), Some((3, 5.0)));
        assert_eq!(curve.smallest(), Some((5, 1.0)));
        assert_eq!(super::Curve::default().largest(), None);
    }

    #[test]
    fn parts_are_shares_of_the_schedule() {
        let whole = curve(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(whole.part(0.75, 1.0, 4).values(), [4.0]);
        assert_eq!(whole.part(0.0, 0.5, 4).values(), [1.0, 2.0]);
        assert!(whole.part(0.75, 1.0, 100).is_empty());
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.75), Some(3.25));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN, 1.0]), Some(1.0));
    }
}

//! A curve of any length in a fixed number of places, filled as it grows.

/// A curve over the steps of a trial, in so many places of equal length.
///
/// Each place keeps its extremes, so that a peak of one step among a million is still seen, and its mean.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledCurve {
    total_steps: u64,
    places: Vec<Place>,
    last: Option<(u64, f64)>,
    not_finite: Option<(u64, f64)>,
}

/// What was observed in one stretch of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    count: u64,
    sum: f64,
    min: (u64, f64),
    max: (u64, f64),
}

impl SampledCurve {
    /// Makes an empty curve of a trial of `total_steps`, in `places` at most.
    pub fn new(total_steps: u64, places: usize) -> Self {
        let places = usize::try_from(total_steps).unwrap_or(places).clamp(1, places.max(1));
        let empty =
            Place { count: 0, sum: 0.0, min: (0, f64::INFINITY), max: (0, f64::NEG_INFINITY) };
        Self { total_steps, places: vec![empty; places], last: None, not_finite: None }
    }

    /// Adds a value; steps ascend.
    pub fn push(&mut self, step: u64, value: f64) {
        self.last = Some((step, value));
        if !value.is_finite() {
            self.not_finite = self.not_finite.or(Some((step, value)));
            return;
        }
        let index = self.place_of(step);
        let place = &mut self.places[index];
        place.count += 1;
        place.sum += value;
        if value < place.min.1 {
            place.min = (step, value);
        }
        if value > place.max.1 {
            place.max = (step, value);
        }
    }

    /// Returns the steps of the trial.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        *self = Self::new(self.total_steps, self.places.len());
    }

    /// Returns the last value and its step.
    pub fn last(&self) -> Option<(u64, f64)> {
        self.last
    }

    /// Returns the first value that is not finite, and its step.
    pub fn not_finite(&self) -> Option<(u64, f64)> {
        self.not_finite
    }

    /// Returns points for a plot, by step: at most two a place, its extremes.
    pub fn points(&self) -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        for place in self.places.iter().filter(|place| place.count > 0) {
            let (first, second) = if place.min.0 <= place.max.0 {
                (place.min, place.max)
            } else {
                (place.max, place.min)
            };
            points.push((first.0 as f64, first.1));
            if second.0 != first.0 {
                points.push((second.0 as f64, second.1));
            }
        }
        points
    }

    /// Returns the means of `width` stretches of equal length, for a sparkline over the whole trial.
    ///
    /// A stretch without a value takes that before it, as far as the curve goes; what comes after its end has none.
    pub fn means(&self, width: usize) -> Vec<Option<f64>> {
        let mut sums = vec![(0.0, 0u64); width];
        let mut end = 0;
        for (index, place) in self.places.iter().enumerate().filter(|(_, place)| place.count > 0) {
            // A few places spread over more characters: each stands where its steps end.
            let at = ((index + 1) * width).div_ceil(self.places.len()).max(1) - 1;
            sums[at].0 += place.sum;
            sums[at].1 += place.count;
            end = at + 1;
        }
        let mut before = None;
        let mut means = vec![None; width];
        // The first stretches wait for the first evaluation: they show it, rather than a hole.
        let first =
            sums.iter().find(|(_, count)| *count > 0).map(|(sum, count)| sum / *count as f64);
        for (mean, (sum, count)) in means.iter_mut().zip(sums).take(end) {
            if count > 0 {
                before = Some(sum / count as f64);
            }
            *mean = before.or(first);
        }
        means
    }

    fn place_of(&self, step: u64) -> usize {
        let total = self.total_steps.max(1) as u128;
        // Steps count from 1: the last of them belongs to the last place.
        let index = u128::from(step.saturating_sub(1)) * self.places.len() as u128 / total;
        usize::try_from(index).unwrap_or(usize::MAX).min(self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_curve_is_kept_exactly() {
        let mut curve = SampledCurve::new(4, 64);
        for (step, value) in [(1, 0.7), (2, 0.6), (4, 0.3)] {
            curve.push(step, value);
        }
        assert_eq!(curve.points(), [(1.0, 0.7), (2.0, 0.6), (4.0, 0.3)]);
        assert_eq!(curve.means(4), [Some(0.7), Some(0.6), Some(0.6), Some(0.3)]);
        assert_eq!(curve.last(), Some((4, 0.3)));
    }

    #[test]
    fn a_long_curve_keeps_its_peaks() {
        let mut curve = SampledCurve::new(1_000_000, 100);
        for step in 1..=1_000_000 {
            curve.push(step, if step == 123_456 { 9.0 } else { 0.5 });
        }
        let points = curve.points();
        assert!(points.len() <= 200, "{}", points.len());
        assert!(points.contains(&(123_456.0, 9.0)));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0), "by step");
    }

    #[test]
    fn a_sparkline_ends_where_the_curve_does() {
        let mut curve = SampledCurve::new(100, 64);
        curve.push(25, 0.5);
        curve.push(50, 0.75);
        let means = curve.means(8);
        assert_eq!(means[..4], [Some(0.5), Some(0.5), Some(0.5), Some(0.75)]);
        assert_eq!(means[4..], [None; 4]);
        assert_eq!(SampledCurve::new(100, 64).means(3), [None; 3]);
    }

    #[test]
    fn what_is_not_finite_is_a_gap_that_is_told() {
        let mut curve = SampledCurve::new(3, 8);
        curve.push(1, 0.5);
        curve.push(2, f64::NAN);
        curve.push(3, f64::INFINITY);
        assert_eq!(curve.points(), [(1.0, 0.5)]);
        assert!(matches!(curve.not_finite(), Some((2, value)) if value.is_nan()));
        assert_eq!(curve.last(), Some((3, f64::INFINITY)));
    }

    #[test]
    fn steps_beyond_the_plan_stay_in_the_last_place() {
        let mut curve = SampledCurve::new(0, 8);
        curve.push(7, 0.5);
        assert_eq!(curve.means(2), [Some(0.5), Some(0.5)]);
    }
}

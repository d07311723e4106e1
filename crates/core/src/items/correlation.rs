//! Correlations of numbers that count more than once.

/// Returns Pearson's correlation; none with fewer than two pairs, or where one side is all the same.
pub(super) fn correlation(left: &[f64], right: &[f64], weights: Option<&[u32]>) -> Option<f64> {
    let [left, right] = [unit(left, weights)?, unit(right, weights)?];
    let products = left.iter().zip(&right).map(|(left, right)| left * right);
    Some(weighted_sum(products, weights).clamp(-1.0, 1.0))
}

/// Returns the distances from the mean, as a vector of length 1.
fn unit(values: &[f64], weights: Option<&[u32]>) -> Option<Vec<f64>> {
    let counts = |place: usize| weights.is_none_or(|weights| weights[place] > 0);
    let mut counted = values.iter().enumerate().filter(|(place, _)| counts(*place));
    let (_, first) = counted.next()?;
    if counted.all(|(_, value)| value == first) {
        return None;
    }
    let total = weighted_sum(values.iter().map(|_| 1.0), weights);
    let mean = weighted_sum(values.iter().copied(), weights) / total;
    let distances: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let length = weighted_sum(distances.iter().map(|distance| distance * distance), weights).sqrt();
    (length > 0.0).then(|| distances.into_iter().map(|distance| distance / length).collect())
}

/// Returns the sum of values, each taken as often as its weight says; once without weights.
pub(super) fn weighted_sum(values: impl Iterator<Item = f64>, weights: Option<&[u32]>) -> f64 {
    match weights {
        None => values.sum(),
        Some(weights) => {
            let counted = values.zip(weights).filter(|(_, weight)| **weight > 0);
            counted.map(|(value, weight)| value * f64::from(*weight)).sum()
        }
    }
}

/// Values in ascending order, as places; what ranks of any resample are read off from.
#[derive(Debug, Clone)]
pub(super) struct Order {
    places: Vec<u32>,
    /// By position in `places`: whether the value is that of the position before.
    equals_previous: Vec<bool>,
}

impl Order {
    /// None where a value is no number.
    pub(super) fn new(values: &[f64]) -> Option<Self> {
        if values.iter().any(|value| value.is_nan()) {
            return None;
        }
        let mut places: Vec<u32> = (0..values.len() as u32).collect();
        places.sort_by(|left, right| values[*left as usize].total_cmp(&values[*right as usize]));
        // `==` and not the total order: 0 and -0 are equal.
        let equal = |position: usize| {
            position > 0
                && values[places[position] as usize] == values[places[position - 1] as usize]
        };
        let equals_previous = (0..places.len()).map(equal).collect();
        Some(Self { places, equals_previous })
    }

    /// Returns the rank of each value, from 1, in the sample that has it as often as its weight says; equal values
    /// share the mean of theirs.
    pub(super) fn mean_ranks(&self, weights: Option<&[u32]>) -> Vec<f64> {
        let weight = |place: u32| weights.map_or(1, |weights| u64::from(weights[place as usize]));
        let mut ranks = vec![0.0; self.places.len()];
        let (mut before, mut first) = (0_u64, 0);
        while first < self.places.len() {
            let rest = &self.equals_previous[first + 1..];
            let count = 1 + rest.iter().take_while(|equal| **equal).count();
            let group = &self.places[first..first + count];
            let total: u64 = group.iter().map(|place| weight(*place)).sum();
            let rank = before as f64 + (total as f64 + 1.0) / 2.0;
            group.iter().for_each(|place| ranks[*place as usize] = rank);
            before += total;
            first += count;
        }
        ranks
    }
}

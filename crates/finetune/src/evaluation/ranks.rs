//! Numbers that depend on the order of values alone.

/// Returns the rank of each value, from 1; equal values share the mean of theirs.
pub(super) fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    // `==` and not the total order: 0 and -0 are equal.
    for equal in order.chunk_by(|left, right| values[*left] == values[*right]) {
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|place| ranks[*place] = rank);
        before += equal.len();
    }
    ranks
}

/// Returns the area under the ROC curve: the chance that a positive has a larger score than a negative, ties counting
/// half. None without both, or where a score is no number.
///
/// # Source
/// Mann and Whitney's U over the product of the two numbers; the same number as
/// `sklearn.metrics.roc_auc_score`.
pub(super) fn auroc(scores: &[f64], is_positive: impl Fn(usize) -> bool) -> Option<f64> {
    if scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let (mut positives, mut sum) = (0, 0.0);
    for (place, rank) in mean_ranks(scores).into_iter().enumerate() {
        if is_positive(place) {
            positives += 1;
            sum += rank;
        }
    }
    let negatives = scores.len() - positives;
    let (positives, negatives) = (positives as f64, negatives as f64);
    let pairs = positives * negatives;
    (pairs > 0.0).then(|| (sum - positives * (positives + 1.0) / 2.0) / pairs)
}

/// Returns Pearson's correlation; none where there are fewer than two pairs, or one side is all the same.
///
/// # Source
/// `scipy.stats.pearsonr`: both sides are scaled to length 1 before they are multiplied.
pub(super) fn correlation(left: &[f64], right: &[f64]) -> Option<f64> {
    let [left, right] = [unit(left)?, unit(right)?];
    let product: f64 = left.iter().zip(&right).map(|(left, right)| left * right).sum();
    Some(product.clamp(-1.0, 1.0))
}

/// Returns the distances from the mean, as a vector of length 1.
fn unit(values: &[f64]) -> Option<Vec<f64>> {
    if values.len() < 2 || values.iter().all(|value| *value == values[0]) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let distances: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let length = distances.iter().map(|distance| distance * distance).sum::<f64>().sqrt();
    (length > 0.0).then(|| distances.into_iter().map(|distance| distance / length).collect())
}

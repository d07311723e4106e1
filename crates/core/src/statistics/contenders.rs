//! Which configurations may be the best one.

use super::covariance::{Covariance, Deviations};
use super::distributions::normal_quantile;

/// Returns the places of those that may have the largest true value, in order: a set that misses the true best with at
/// most the chance `error`.
///
/// One is left out where some other is ahead of it by more than noise explains: more standard errors than the largest
/// lead that any would have over it, if all were equal, in all but that share of draws. What stays is compared by
/// pairs, so noise that two share does not count.
///
/// # Source
/// Multiple comparisons with the best: Gupta 1965 and Hsu 1981, *Simultaneous confidence intervals for all distances
/// from the "best"*; unequal and correlated noise by drawing from its joint distribution, as Edwards and Hsu 1983 do.
pub fn contenders(
    means: &[f64],
    covariance: &Covariance,
    least_error: f64,
    degrees: f64,
    error: f64,
    deviations: &Deviations,
) -> Vec<usize> {
    let count = means.len();
    let wider = super::small_sample(degrees, 1.0 - error);
    let standard_error = |left: usize, right: usize| {
        covariance.of_difference(left, right).sqrt().max(least_error) * wider
    };
    let lead = |over: usize| {
        let ahead = |other: usize| {
            let distance = means[other] - means[over];
            if distance > 0.0 { distance / standard_error(other, over) } else { 0.0 }
        };
        (0..count).map(ahead).fold(0.0, f64::max)
    };
    // One comparison asks for the least, as many as there are, each by itself, for the most.
    let least = normal_quantile(1.0 - error);
    let most = normal_quantile(1.0 - error / (count.max(2) - 1) as f64);
    let mut unsure = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    for place in 0..count {
        match lead(place) {
            lead if lead <= least => kept.push(place),
            lead if lead > most => {}
            lead => unsure.push((place, lead)),
        }
    }
    if !unsure.is_empty() {
        // For each, in how many draws some other has a larger lead by noise alone.
        let mut larger = vec![0_usize; unsure.len()];
        let errors: Vec<Vec<f64>> = unsure
            .iter()
            .map(|(place, _)| {
                (0..count).map(|other| standard_error(other, *place) / wider).collect()
            })
            .collect();
        for deviations in deviations.draws() {
            for (((place, lead), errors), larger) in unsure.iter().zip(&errors).zip(&mut larger) {
                let ahead = deviations
                    .iter()
                    .zip(errors)
                    .any(|(noise, error)| noise - deviations[*place] > lead * error);
                *larger += usize::from(ahead);
            }
        }
        let still = unsure
            .iter()
            .zip(&larger)
            .filter(|(_, larger)| **larger as f64 > error * deviations.draws().len() as f64);
        kept.extend(still.map(|((place, _), _)| *place));
        kept.sort_unstable();
    }
    kept
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// Independent values with one standard error.
    fn kept(means: &[f64], error: f64) -> Vec<usize> {
        let mut covariance = Covariance::new(means.len());
        (0..means.len()).for_each(|place| covariance.add_variance(place, error * error));
        let deviations = covariance.draw(20_000, Seed(6));
        contenders(means, &covariance, 0.0, f64::INFINITY, 0.05, &deviations)
    }

    #[test]
    fn of_two_one_is_out_beyond_the_one_sided_normal_test() {
        // 1.645 standard errors of a difference.
        assert_eq!(kept(&[0.0, 1.64 * 2.0_f64.sqrt()], 1.0), [0, 1]);
        assert_eq!(kept(&[0.0, 1.65 * 2.0_f64.sqrt()], 1.0), [1]);
    }

    #[test]
    fn of_many_it_takes_as_much_as_in_the_tables_of_dunnett() {
        // One-sided, 5 %, four against one, many degrees of freedom: 2.16.
        let with = |lead: f64| kept(&[0.0, lead * 2.0_f64.sqrt(), 0.0, 0.0, 0.0], 1.0).contains(&0);
        assert!(with(2.12) && !with(2.20));
    }

    #[test]
    fn noise_that_two_share_does_not_count() {
        let shared = Covariance::from_values(2, vec![1.0, 0.99, 0.99, 1.0]);
        let deviations = shared.draw(2000, Seed(6));
        let kept = contenders(&[0.0, 0.5], &shared, 0.0, f64::INFINITY, 0.05, &deviations);
        assert_eq!(kept, [1]);
        // But less than an example's worth is never certain.
        let kept = contenders(&[0.0, 0.5], &shared, 0.5, f64::INFINITY, 0.05, &deviations);
        assert_eq!(kept, [0, 1]);
    }

    #[test]
    fn few_degrees_of_freedom_keep_more() {
        let mut covariance = Covariance::new(2);
        (0..2).for_each(|place| covariance.add_variance(place, 0.5));
        let deviations = covariance.draw(2000, Seed(6));
        let count =
            |degrees| contenders(&[0.0, 2.0], &covariance, 0.0, degrees, 0.05, &deviations).len();
        // Student's: 2.92 for two, 1.81 for ten.
        assert_eq!((count(2.0), count(10.0)), (2, 1));
    }
}

//! How much the value of a configuration varies between seeds.

use super::distributions::ratio_above;
use super::standing::SeedSpread;

/// A chance below which the spread of one configuration is no longer taken for that of all.
const APART: f64 = 0.001;

/// The replicates of one configuration.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// Their sample variance.
    pub variance: f64,
    /// The part of it that comes from each erring on other examples; 0 where that is not known.
    pub of_items: f64,
    /// Replicates less one, at least one.
    pub degrees: u64,
}

/// Returns the sample variance; none of fewer than two.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| squares / (values.len() - 1) as f64)
}

/// Returns the spread that configurations share, given by place; none where none has two replicates.
///
/// Two or three replicates say little about a spread, those of all configurations together say enough. One whose
/// replicates lie apart as no noise explains, because some of them collapsed, says nothing about the others and is
/// left out, one after another; the winner never is.
pub fn pooled(spreads: &[Option<Spread>], winner: usize) -> Option<SeedSpread> {
    let known = spreads.iter().enumerate();
    let mut kept: Vec<(usize, Spread)> =
        known.filter_map(|(place, spread)| Some((place, (*spread)?))).collect();
    loop {
        let of = |kept: &[(usize, Spread)], value: fn(&Spread) -> f64| {
            kept.iter().map(|(_, spread)| spread.degrees as f64 * value(spread)).sum::<f64>()
        };
        let degrees = of(&kept, |_| 1.0);
        if degrees == 0.0 {
            return None;
        }
        let apart = |(position, (place, spread)): (usize, &(usize, Spread))| {
            let own = spread.degrees as f64;
            let others =
                (of(&kept, |spread| spread.variance) - own * spread.variance) / (degrees - own);
            let chance = ratio_above(spread.variance / others, own, degrees - own);
            (*place != winner && chance < APART / kept.len() as f64).then_some((position, chance))
        };
        let apart = kept.iter().enumerate().filter_map(apart);
        match apart.min_by(|left, right| left.1.total_cmp(&right.1)) {
            Some((position, _)) => {
                kept.remove(position);
            }
            None => {
                let variance = of(&kept, |spread| spread.variance - spread.of_items) / degrees;
                let deviation = variance.max(0.0).sqrt();
                return Some(SeedSpread { deviation, degrees: degrees as u64 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(variance: f64) -> Option<Spread> {
        Some(Spread { variance, of_items: 0.0, degrees: 2 })
    }

    #[test]
    fn replicates_are_pooled_over_configurations() {
        let spreads = [spread(1.0), None, spread(3.0)];
        let pooled = pooled(&spreads, 0).unwrap();
        assert_eq!((pooled.deviation, pooled.degrees), (2.0_f64.sqrt(), 4));
        assert!(super::pooled(&[None, None], 0).is_none());
        assert!(super::pooled(&[], 0).is_none());
    }

    #[test]
    fn what_replicates_owe_to_examples_is_taken_out_but_never_more_than_there_is() {
        let of = |of_items| [Some(Spread { variance: 4.0, of_items, degrees: 1 })];
        assert_eq!(pooled(&of(3.0), 0).unwrap().deviation, 1.0);
        assert_eq!(pooled(&of(5.0), 0).unwrap().deviation, 0.0);
    }

    #[test]
    fn a_configuration_of_which_some_collapsed_does_not_speak_for_the_others() {
        let mut spreads = vec![spread(1e-4); 9];
        spreads.push(spread(0.04));
        spreads.push(spread(0.09));
        let found = pooled(&spreads, 0).unwrap();
        assert_eq!(found.degrees, 18);
        assert!((found.deviation - 0.01).abs() < 1e-12);
        // But the winner's own spread is never overlooked.
        assert_eq!(pooled(&spreads[..10], 9).unwrap().degrees, 20);
    }

    #[test]
    fn equal_replicates_are_no_reason_to_leave_out_others() {
        let found = pooled(&[spread(0.0), spread(0.0)], 0).unwrap();
        assert_eq!((found.deviation, found.degrees), (0.0, 4));
    }
}

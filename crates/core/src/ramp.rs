//! A climb through learning rates, and where it ends.

use serde::{Deserialize, Serialize};

/// How much of the smoothed loss a further step leaves.
const MEMORY: f64 = 0.9;
/// The smoothed loss has blown up when it is so many times its smallest.
const BLOWN_UP: f64 = 4.0;

/// Learning rates from one end to the other, evenly in the logarithm.
///
/// # Source
/// Smith 2017, *Cyclical learning rates for training neural networks*, <https://arxiv.org/abs/1506.01186>, section 3.3;
/// exponential as in fastai's `lr_find`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Rate of the first step.
    pub from: f64,
    /// Rate of the last.
    pub to: f64,
}

impl Ramp {
    /// Returns the rate of `update`, counted from 0, of so many.
    pub fn at(&self, update: u64, total_steps: u64) -> f64 {
        let share = update as f64 / total_steps.saturating_sub(1).max(1) as f64;
        self.from * (self.to / self.from).powf(share.min(1.0))
    }
}

/// Looks out for the end of a ramp: a loss that is not finite, or, smoothed, four times its smallest. It is kept with
/// a checkpoint, so that a ramp that was killed ends where it would have ended.
///
/// # Source
/// The rule of fastai's `lr_find` (`stop_div`) and Lightning's `early_stop_threshold`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Sum of losses, each weighted by how long ago it was; and of the weights.
    sum: f64,
    weight: f64,
    /// Smallest of the smoothed losses.
    best: Option<f64>,
    over: bool,
}

impl Watch {
    /// Takes note of a step's loss.
    pub fn note(&mut self, loss: f64) {
        if !loss.is_finite() {
            self.over = true;
            return;
        }
        self.sum = self.sum * MEMORY + loss;
        self.weight = self.weight * MEMORY + 1.0;
        let smoothed = self.sum / self.weight;
        let best = self.best.map_or(smoothed, |best| best.min(smoothed));
        self.best = Some(best);
        self.over |= smoothed > BLOWN_UP * best.abs();
    }

    /// Returns whether there is nothing left to see.
    pub fn has_blown_up(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_climbs_by_the_same_factor_each_step_and_reaches_both_ends() {
        let ramp = Ramp { from: 1e-7, to: 1e-1 };
        let rates: Vec<f64> = (0..7).map(|update| ramp.at(update, 7)).collect();
        for (rate, expected) in rates.iter().zip([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]) {
            assert!((rate / expected - 1.0).abs() < 1e-9, "{rates:?}");
        }
        assert_eq!(ramp.at(0, 1), 1e-7);
    }

    fn ends_at(losses: impl IntoIterator<Item = f64>) -> Option<usize> {
        let mut watch = Watch::default();
        losses.into_iter().position(|loss| {
            watch.note(loss);
            watch.has_blown_up()
        })
    }

    #[test]
    fn a_ramp_ends_where_the_smoothed_loss_is_four_times_its_smallest_or_no_number() {
        assert_eq!(ends_at([0.7, 0.6, f64::NAN, 0.5]), Some(2));
        assert_eq!(ends_at(std::iter::repeat_n(0.7, 500)), None);
        // One wild batch is not the end; many are.
        let wild = (0..100).map(|step| if step == 50 { 4.0 } else { 0.7 });
        assert_eq!(ends_at(wild), None);
        let end = ends_at((0..100).map(|step| if step < 50 { 0.7 } else { 8.0 }));
        assert!(end.is_some_and(|step| (51..60).contains(&step)), "{end:?}");
    }

    #[test]
    fn a_watch_goes_on_from_where_it_was_written_down() {
        let losses: Vec<f64> = (0..80).map(|step| 0.5 + 0.001 * f64::from(step * step)).collect();
        let (mut whole, mut resumed) = (Watch::default(), Watch::default());
        for (step, loss) in losses.iter().enumerate() {
            whole.note(*loss);
            resumed.note(*loss);
            if step % 7 == 0 {
                let text = serde_json::to_string(&resumed).unwrap();
                resumed = serde_json::from_str(&text).unwrap();
            }
            assert_eq!(whole, resumed);
        }
    }
}

//! How a step is divided so that it fits into memory, with the same effective batch size.
//!
//! `[train] gradient_accumulation` says into how many micro-batches. After an attempt that ran out of memory the
//! trial goes on with a multiple of it, the *accumulation factor*: 1 at first, doubled each time, until a micro-batch
//! is one example. The factor is no part of the experiment: the examples of a step, its loss and its update are the
//! same; only dropout draws other masks, and sums of floating-point numbers have another order.

use std::fmt;

use crate::settings::TrainSettings;

/// The division of a full step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MicroBatches {
    /// How many.
    pub count: u64,
    /// Examples in each; the last may have fewer.
    pub size: u64,
}

impl MicroBatches {
    /// Returns the division of a step with an accumulation factor.
    pub fn of(train: &TrainSettings, factor: u64) -> Self {
        let batch = train.batch_size.max(1);
        let parts = train.gradient_accumulation.max(1).saturating_mul(factor.max(1)).min(batch);
        let size = batch.div_ceil(parts);
        Self { count: batch.div_ceil(size), size }
    }
}

impl fmt::Display for MicroBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.count == 1 { "micro-batch" } else { "micro-batches" };
        write!(f, "{} {noun} of {}", self.count, self.size)
    }
}

/// Returns the accumulation factor after an attempt with `factor` ran out of memory: twice as much, until each
/// micro-batch is one example.
pub fn factor_after_oom(train: &TrainSettings, factor: u64) -> u64 {
    let (batch, parts) = (train.batch_size.max(1), train.gradient_accumulation.max(1));
    let factor = factor.max(1);
    factor.saturating_mul(2).min(batch.div_ceil(parts)).max(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(batch_size: u64, gradient_accumulation: u64) -> TrainSettings {
        TrainSettings { batch_size, gradient_accumulation, ..TrainSettings::defaults() }
    }

    /// The divisions that follow one another while memory keeps running out.
    fn divisions(batch_size: u64, gradient_accumulation: u64) -> Vec<String> {
        let train = train(batch_size, gradient_accumulation);
        let mut factor = 1;
        let mut shown = vec![MicroBatches::of(&train, factor).to_string()];
        while factor_after_oom(&train, factor) > factor {
            factor = factor_after_oom(&train, factor);
            shown.push(MicroBatches::of(&train, factor).to_string());
        }
        shown
    }

    #[test]
    fn micro_batches_are_halved_until_each_is_one_example() {
        assert_eq!(
            divisions(16, 1),
            [
                "1 micro-batch of 16",
                "2 micro-batches of 8",
                "4 micro-batches of 4",
                "8 micro-batches of 2",
                "16 micro-batches of 1"
            ]
        );
        assert_eq!(divisions(1, 1), ["1 micro-batch of 1"]);
    }

    #[test]
    fn the_factor_multiplies_the_accumulation_of_the_settings() {
        assert_eq!(
            divisions(12, 3),
            ["3 micro-batches of 4", "6 micro-batches of 2", "12 micro-batches of 1"]
        );
        // A batch that does not divide evenly: the last micro-batch is smaller.
        assert_eq!(
            divisions(10, 4),
            ["4 micro-batches of 3", "5 micro-batches of 2", "10 micro-batches of 1"]
        );
    }
}

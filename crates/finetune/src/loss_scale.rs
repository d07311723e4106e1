//! The guard of half precision: the loss is multiplied before the backward pass, gradients are divided after it.

use serde::{Deserialize, Serialize};

/// Where PyTorch's `GradScaler` begins.
const FIRST: f64 = 65_536.0;
/// Steps in a row without overflow, after which the factor is doubled.
const PATIENCE: u64 = 500;

/// A factor that keeps small gradients from vanishing in float16 without letting large ones overflow.
///
/// Where `GradScaler` leaves out a step that overflowed, the step is done again with half the factor: steps and updates
/// stay in step, no data is missed, and what a trial computes is still a function of its settings and seeds.
///
/// # Source
/// Micikevicius et al. 2018, "Mixed precision training", section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossScale {
    factor: f64,
    /// Steps since it last changed.
    unchanged: u64,
}

impl LossScale {
    pub(crate) fn new() -> Self {
        Self { factor: FIRST, unchanged: 0 }
    }

    /// What the loss is multiplied by; a power of two, so that no bit is lost.
    pub(crate) fn factor(self) -> f64 {
        self.factor
    }

    /// Takes note of a step whose gradients were finite.
    pub(crate) fn survived(&mut self) {
        self.unchanged += 1;
        if self.unchanged == PATIENCE {
            *self = Self { factor: self.factor * 2.0, unchanged: 0 };
        }
    }

    /// Takes note of gradients that were not; says whether it is worth to try again.
    ///
    /// A loss that overflows without any help has diverged.
    pub(crate) fn overflowed(&mut self) -> bool {
        if self.factor <= 1.0 {
            return false;
        }
        *self = Self { factor: self.factor / 2.0, unchanged: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_doubles_with_patience() {
        let mut scale = LossScale::new();
        assert!(scale.overflowed());
        assert_eq!(scale.factor(), FIRST / 2.0);
        for _ in 0..PATIENCE - 1 {
            scale.survived();
        }
        assert_eq!(scale.factor(), FIRST / 2.0);
        scale.survived();
        assert_eq!(scale.factor(), FIRST);
    }

    #[test]
    fn what_overflows_by_itself_has_diverged() {
        let mut scale = LossScale::new();
        let attempts = (0..100).take_while(|_| scale.overflowed()).count();
        assert_eq!(attempts, 16);
        assert_eq!(scale.factor(), 1.0);
    }
}

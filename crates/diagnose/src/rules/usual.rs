//! Learning rates that usually work, to compare with and to propose.

use converge_core::facts::Facts;
use converge_core::settings::{Optimizer, TrainSettings};

/// Models smaller than this take larger steps. Unit: parameters.
const SMALL: u64 = 50_000_000;

/// Returns a learning rate that usually works for a fine-tune with this optimizer.
///
/// # Source
/// Adam: 2e-5 to 5e-5 for BERT-base and larger (Devlin et al. 2019), up to ten times as much for small models (the table
/// of google-research/bert's README for models of 2 to 8 layers: 3e-5 to 3e-4). SGD: 1e-2 with momentum 0.9, 1e-1
/// without (measured with a MiniLM of 6 layers: both learn, a tenth of each does not).
pub fn rate(train: &TrainSettings, facts: &Facts) -> f64 {
    match train.optimizer {
        Optimizer::AdamW | Optimizer::Adam | Optimizer::RmsProp => {
            if facts.model.parameters < SMALL { 1e-4 } else { 3e-5 }
        }
        Optimizer::Sgd if train.momentum >= 0.5 => 1e-2,
        Optimizer::Sgd => 1e-1,
        Optimizer::AdaGrad => 1e-3,
    }
}

/// Returns the optimizer's name as people write it.
pub(super) fn name(optimizer: Optimizer) -> &'static str {
    match optimizer {
        Optimizer::AdamW => "AdamW",
        Optimizer::Adam => "Adam",
        Optimizer::Sgd => "SGD",
        Optimizer::RmsProp => "RMSProp",
        Optimizer::AdaGrad => "AdaGrad",
    }
}

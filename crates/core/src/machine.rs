//! How many workers a machine can hold: cores by affinity and cgroup, bounded by memory.

use crate::facts::ModelFacts;
use crate::settings::{Optimizer, TrainSettings};
use crate::sweep::Workers;

/// What the machine offers at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: u64,
    /// Memory that can be had without swapping. Unit: bytes.
    pub free_memory: u64,
}

/// A number of workers and why it is this one.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerPlan {
    /// Worker processes at once.
    pub workers: u64,
    /// Threads of each.
    pub threads: u64,
    /// The reason, for people.
    pub reason: String,
}

/// Share of the free memory that workers may fill; the rest is for the page cache and other programs.
const MEMORY_SHARE: f64 = 0.8;

/// Returns how many workers to run for `trials` unfinished trials with the given peak memory each.
pub fn plan_workers(
    wanted: Workers,
    machine: Machine,
    trials: u64,
    peak_memory: u64,
) -> WorkerPlan {
    let by_memory =
        ((machine.free_memory as f64 * MEMORY_SHARE) as u64 / peak_memory.max(1)).max(1);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let needs =
        format!("{:.1} GiB free, {:.1} GiB per worker", gib(machine.free_memory), gib(peak_memory));
    let (workers, reason) = match wanted {
        Workers::Count(count) => (count, "as asked for".to_string()),
        Workers::Auto if trials.max(1) < machine.cores.min(by_memory) => {
            (trials.max(1), format!("{trials} trials to run"))
        }
        Workers::Auto if by_memory < machine.cores => (by_memory, needs),
        Workers::Auto => (machine.cores, format!("{} cores, {needs}", machine.cores)),
    };
    WorkerPlan { workers, threads: (machine.cores / workers).max(1), reason }
}

/// Estimates the peak memory of one worker. Unit: bytes.
///
/// Weights, gradients, the optimizer's state and a scratch copy, plus the activations that autodiff keeps
/// until the backward pass, plus what the process needs at rest.
pub fn peak_memory(model: &ModelFacts, train: &TrainSettings, max_length: u64) -> u64 {
    const FLOAT: u64 = 4;
    const AT_REST: u64 = 120 << 20;
    let states = match train.optimizer {
        Optimizer::AdamW | Optimizer::Adam => 2,
        Optimizer::RmsProp | Optimizer::AdaGrad => 1,
        Optimizer::Sgd => u64::from(train.momentum > 0.0),
    };
    let copies = 1 + 1 + states + 1;
    let examples = train.batch_size.div_ceil(train.gradient_accumulation);
    let tokens = examples * max_length;
    // Per token and layer: about 30 vectors of the hidden width and 5 of the feed-forward width live at
    // once with autodiff's decomposed LayerNorm, GELU and dropout; attention adds 6 score matrices.
    let per_token =
        30 * model.hidden_size + 5 * model.intermediate_size + 6 * model.heads * max_length;
    AT_REST + FLOAT * (copies * model.parameters + tokens * per_token * model.layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn plan(wanted: Workers, cores: u64, free: u64, trials: u64, peak: u64) -> (u64, u64) {
        let machine = Machine { cores, free_memory: free };
        let plan = plan_workers(wanted, machine, trials, peak);
        (plan.workers, plan.threads)
    }

    #[test]
    fn cores_memory_and_trials_each_bound_the_workers() {
        assert_eq!(plan(Workers::Auto, 8, 64 * GIB, 100, GIB), (8, 1));
        assert_eq!(plan(Workers::Auto, 8, 5 * GIB, 100, GIB), (4, 2));
        assert_eq!(plan(Workers::Auto, 8, GIB / 2, 100, GIB), (1, 8));
        assert_eq!(plan(Workers::Auto, 8, 64 * GIB, 3, GIB), (3, 2));
        assert_eq!(plan(Workers::Count(16), 8, GIB, 100, GIB), (16, 1));
    }
}

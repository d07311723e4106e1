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

impl Machine {
    /// Says whether a worker of this peak memory fits beside everything else that runs.
    pub fn has_room_for(self, peak_memory: u64) -> bool {
        peak_memory <= (self.free_memory as f64 * MEMORY_SHARE) as u64
    }
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

/// GPUs that workers are spread over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpus {
    /// How many.
    pub count: u64,
    /// Workers that share one.
    pub workers_per_gpu: u64,
}

/// Returns how many workers to run for `trials` unfinished trials with the given peak memory each; with `gpus` they
/// compute there, and the processor's cores and memory do not bound them. `measured` is the number that was fastest
/// when it was tried, where it was.
pub fn plan_workers(
    wanted: Workers,
    machine: Machine,
    gpus: Option<Gpus>,
    measured: Option<u64>,
    trials: u64,
    peak_memory: u64,
) -> WorkerPlan {
    let by_memory =
        ((machine.free_memory as f64 * MEMORY_SHARE) as u64 / peak_memory.max(1)).max(1);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let needs =
        format!("{:.1} GiB free, {:.1} GiB per worker", gib(machine.free_memory), gib(peak_memory));
    let room = match (gpus, measured) {
        (Some(_), Some(measured)) => measured.max(1),
        (Some(gpus), None) => gpus.count.saturating_mul(gpus.workers_per_gpu).max(1),
        (None, measured) => measured.unwrap_or(machine.cores).clamp(1, by_memory),
    };
    let (workers, reason) = match wanted {
        Workers::Count(count) => (count, "as asked for".to_string()),
        Workers::Auto if trials.max(1) < room => (trials.max(1), format!("{trials} trials to run")),
        Workers::Auto if measured == Some(room) => {
            (room, "fastest when it was measured by `converge doctor`".to_string())
        }
        Workers::Auto if let Some(gpus) = gpus => {
            let noun = if gpus.count == 1 { "GPU" } else { "GPUs" };
            (room, format!("{} {noun}, {} per GPU", gpus.count, gpus.workers_per_gpu))
        }
        Workers::Auto if by_memory < machine.cores => (by_memory, needs),
        Workers::Auto => (machine.cores, format!("{} cores, {needs}", machine.cores)),
    };
    WorkerPlan { workers, threads: (machine.cores / workers).max(1), reason }
}

/// Estimates the peak memory of one worker. Unit: bytes.
///
/// Weights, where they started, gradients and the optimizer's state, plus what each layer keeps until its backward
/// pass, plus what the process needs at rest: a bound rather than a guess. MiniLM on a CPU took 0.54, 0.72, 0.91 and
/// 1.39 GB for 16 x 32, 32 x 64, 64 x 64 and 64 x 128 tokens; with gradient checkpointing, which keeps the input of each
/// layer and all of one, 0.51, 0.58, 0.63 and 0.81.
pub fn peak_memory(
    model: &ModelFacts,
    train: &TrainSettings,
    max_length: u64,
    gradient_checkpointing: bool,
) -> u64 {
    const FLOAT: u64 = 4;
    const AT_REST: u64 = 160 << 20;
    let states = match train.optimizer {
        Optimizer::AdamW | Optimizer::Adam => 2,
        Optimizer::RmsProp | Optimizer::AdaGrad => 1,
        Optimizer::Sgd => u64::from(train.momentum > 0.0),
    };
    let copies = 3 + states;
    let examples = train.batch_size.div_ceil(train.gradient_accumulation.max(1));
    // A stranger's numbers may be of any size: too large is as good as endless.
    let tokens = examples.saturating_mul(max_length);
    let per_token = model.hidden_size.saturating_mul(8).saturating_add(model.intermediate_size);
    let of_token = if gradient_checkpointing {
        model.hidden_size.saturating_mul(model.layers).saturating_add(per_token)
    } else {
        per_token.saturating_mul(model.layers)
    };
    let floats = copies.saturating_mul(model.parameters);
    FLOAT
        .saturating_mul(floats.saturating_add(tokens.saturating_mul(of_token)))
        .saturating_add(AT_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn plan(wanted: Workers, cores: u64, free: u64, trials: u64, peak: u64) -> (u64, u64) {
        let machine = Machine { cores, free_memory: free };
        let plan = plan_workers(wanted, machine, None, None, trials, peak);
        (plan.workers, plan.threads)
    }

    #[test]
    fn gpus_bound_the_workers_instead_of_cores_and_memory() {
        let machine = Machine { cores: 16, free_memory: GIB };
        let plan = |wanted, count, workers_per_gpu, trials| {
            let gpus = Some(Gpus { count, workers_per_gpu });
            let plan = plan_workers(wanted, machine, gpus, None, trials, 4 * GIB);
            (plan.workers, plan.threads, plan.reason)
        };
        assert_eq!(plan(Workers::Auto, 4, 1, 100), (4, 4, "4 GPUs, 1 per GPU".into()));
        assert_eq!(plan(Workers::Auto, 1, 2, 100), (2, 8, "1 GPU, 2 per GPU".into()));
        assert_eq!(plan(Workers::Auto, 4, 2, 3), (3, 5, "3 trials to run".into()));
        assert_eq!(plan(Workers::Count(9), 4, 1, 100).0, 9);
    }

    #[test]
    fn cores_memory_and_trials_each_bound_the_workers() {
        assert_eq!(plan(Workers::Auto, 8, 64 * GIB, 100, GIB), (8, 1));
        assert_eq!(plan(Workers::Auto, 8, 5 * GIB, 100, GIB), (4, 2));
        assert_eq!(plan(Workers::Auto, 8, GIB / 2, 100, GIB), (1, 8));
        assert_eq!(plan(Workers::Auto, 8, 64 * GIB, 3, GIB), (3, 2));
        assert_eq!(plan(Workers::Count(16), 8, GIB, 100, GIB), (16, 1));
    }

    #[test]
    fn what_was_measured_wins_over_the_rule_and_not_over_memory() {
        let machine = |free_memory| Machine { cores: 8, free_memory };
        let plan = |free, measured, trials| {
            let plan = plan_workers(Workers::Auto, machine(free), None, measured, trials, GIB);
            (plan.workers, plan.threads)
        };
        assert_eq!(plan(64 * GIB, Some(4), 100), (4, 2));
        assert_eq!(plan(64 * GIB, None, 100), (8, 1));
        assert_eq!(plan(3 * GIB, Some(4), 100), (2, 4));
        assert_eq!(plan(64 * GIB, Some(4), 3), (3, 2));
    }

    #[test]
    fn the_estimate_is_near_what_was_measured() {
        let model = ModelFacts {
            parameters: 22_713_986,
            hidden_size: 384,
            layers: 6,
            heads: 12,
            intermediate_size: 1536,
            vocabulary_size: 30_522,
            max_positions: 512,
        };
        let text = "[sweep]\nname = \"x\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n";
        let mut train = crate::sweep_file::read(text, "s.toml", &[]).unwrap().settings.train;
        // The second: with gradient checkpointing.
        for (batch_size, length, measured) in [
            (16, 32, [0.548e9, 0.512e9]),
            (32, 64, [0.721e9, 0.583e9]),
            (64, 64, [0.917e9, 0.625e9]),
            (64, 128, [1.403e9, 0.814e9]),
            (8, 512, [0.918e9, 0.719e9]),
        ] {
            train.batch_size = batch_size;
            for (checkpointing, measured) in [false, true].into_iter().zip(measured) {
                let ratio = peak_memory(&model, &train, length, checkpointing) as f64 / measured;
                assert!((1.0..1.3).contains(&ratio), "{batch_size} x {length}: {ratio}");
            }
        }
    }
}

//! How many workers a machine holds: by what it has, by what a worker needs, and by what was measured.

use std::collections::BTreeMap;
use std::path::PathBuf;

use converge_core::machine::{Gpus, WorkerPlan, peak_memory, plan_workers};
use converge_core::settings::TrainSettings;
use converge_core::sweep::Sweep;
use converge_scheduler::home::Home;
use converge_scheduler::machine;
use serde::{Deserialize, Serialize};

use crate::drive::Prepared;
use crate::report::Report;

/// What to do where memory does not suffice.
pub(crate) const LESS_MEMORY: &str =
    "`run.gradient_checkpointing=true` or more `gradient_accumulation` needs less";

/// Returns how many workers to run for what is left of a sweep.
pub(crate) fn worker_plan(
    home: &Home,
    sweep: &Sweep,
    prepared: &Prepared,
    open: u64,
) -> WorkerPlan {
    let needed = needed_memory(sweep, prepared).max().unwrap_or(0);
    let best = Measurements::read(home).best(&Situation::of(prepared));
    plan_workers(prepared.run.workers, machine::look(), prepared.chosen.gpus, best, open, needed)
}

/// Returns the most that a worker needs for a configuration that does not fit, if there is one. Unit: bytes.
pub(crate) fn too_much_memory(sweep: &Sweep, prepared: &Prepared) -> Option<u64> {
    needed_memory(sweep, prepared).filter(|memory| !fits(prepared, *memory)).max()
}

/// Returns what each configuration needs.
fn needed_memory(sweep: &Sweep, prepared: &Prepared) -> impl Iterator<Item = u64> {
    let Prepared { sample, cases, .. } = prepared;
    let configurations = sample.configurations.iter().zip(&cases.of_configuration);
    configurations.map(|(configuration, case)| {
        predicted_memory(prepared, &sweep.settings_of(configuration).train, *case)
    })
}

/// Returns the memory that a worker needs at most. Unit: bytes.
pub(crate) fn predicted_memory(prepared: &Prepared, train: &TrainSettings, case: usize) -> u64 {
    let facts = &prepared.facts[case];
    let [.., longest] = facts.train.token_lengths;
    let length = facts.max_length.min(longest);
    let batch_size = train.batch_size.min(facts.train.examples);
    let train = TrainSettings { batch_size, ..train.clone() };
    peak_memory(&facts.model, &train, length, prepared.run.gradient_checkpointing)
}

/// Says whether a worker that needs so much memory fits on this machine. How much a GPU has is not known here.
pub(crate) fn fits(prepared: &Prepared, memory: u64) -> bool {
    prepared.chosen.gpus.is_some() || machine::look().has_room_for(memory)
}

/// What decides how many workers are fastest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Situation {
    device: String,
    processor: String,
    cores: u64,
    gpus: u64,
    /// Of the model.
    parameters: u64,
}

impl Situation {
    /// Returns the situation of a sweep on this machine.
    pub(crate) fn of(prepared: &Prepared) -> Self {
        let parameters = prepared.facts.iter().map(|facts| facts.model.parameters).max();
        Self {
            device: prepared.chosen.device.clone(),
            processor: machine::facts().remove("cpu_model").unwrap_or_default(),
            cores: machine::look().cores,
            gpus: prepared.chosen.gpus.map_or(0, |Gpus { count, .. }| count),
            parameters: parameters.unwrap_or(0),
        }
    }
}

/// Steps a second of the whole machine, by the number of workers.
pub(crate) type Rates = BTreeMap<u64, f64>;

/// What `doctor --measure` found, kept in the home.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurements(Vec<(Situation, Rates)>);

impl Measurements {
    /// Reads them; a file that is not there, or of another version, holds none.
    pub(crate) fn read(home: &Home) -> Self {
        let text = std::fs::read(path(home)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Returns the number of workers that was fastest.
    fn best(&self, situation: &Situation) -> Option<u64> {
        let (_, rates) = self.0.iter().find(|(of, _)| of == situation)?;
        fastest(rates)
    }

    /// Keeps the rates of a situation in place of earlier ones.
    pub(crate) fn keep(
        mut self,
        home: &Home,
        situation: Situation,
        rates: Rates,
    ) -> Result<(), Report> {
        self.0.retain(|(of, _)| *of != situation);
        self.0.push((situation, rates));
        let aside = path(home).with_extension("tmp");
        std::fs::write(&aside, serde_json::to_vec_pretty(&self)?)?;
        Ok(std::fs::rename(&aside, path(home))?)
    }
}

fn path(home: &Home) -> PathBuf {
    home.root().join("measured.json")
}

/// Returns the number of workers with the highest rate.
pub(crate) fn fastest(rates: &Rates) -> Option<u64> {
    rates.iter().max_by(|left, right| left.1.total_cmp(right.1)).map(|(workers, _)| *workers)
}

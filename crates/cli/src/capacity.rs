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
    let best = Measurements::read(home).of(&Situation::of(prepared)).and_then(Measured::workers);
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

/// Returns the memory that a worker needs at most: an estimate, scaled by what one configuration of this model was
/// found to need where `doctor --measure` has trained it here. Unit: bytes.
pub(crate) fn predicted_memory(prepared: &Prepared, train: &TrainSettings, case: usize) -> u64 {
    let estimate = estimated_memory(prepared, train, case);
    prepared.probe.map_or(estimate, |probe| probe.scale(estimate))
}

/// Returns the memory that a worker needs at most by arithmetic alone. Unit: bytes.
pub(crate) fn estimated_memory(prepared: &Prepared, train: &TrainSettings, case: usize) -> u64 {
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

/// What one configuration was found to need, beside its estimate. Unit: bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Peak of the process.
    pub(crate) measured: u64,
    /// What had been estimated.
    pub(crate) estimated: u64,
}

impl Probe {
    /// Returns what another configuration will need that is estimated at so much.
    fn scale(self, estimate: u64) -> u64 {
        (estimate as f64 * self.measured as f64 / self.estimated.max(1) as f64) as u64
    }
}

/// What `doctor --measure` found in one situation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Steps a second.
    pub(crate) rates: Rates,
    /// Memory, where the system could tell.
    pub(crate) probe: Option<Probe>,
}

impl Measured {
    /// Returns the number of workers with the highest rate.
    pub(crate) fn workers(&self) -> Option<u64> {
        let fastest = self.rates.iter().max_by(|left, right| left.1.total_cmp(right.1));
        fastest.map(|(workers, _)| *workers)
    }
}

/// What `doctor --measure` found, kept in the home.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurements(Vec<(Situation, Measured)>);

impl Measurements {
    /// Reads them; a file that is not there, or of another version, holds none.
    pub(crate) fn read(home: &Home) -> Self {
        let text = std::fs::read(path(home)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Returns what was found in a situation.
    pub(crate) fn of(&self, situation: &Situation) -> Option<&Measured> {
        self.0.iter().find(|(of, _)| of == situation).map(|(_, measured)| measured)
    }

    /// Keeps what was found in a situation, in place of what was found there earlier.
    pub(crate) fn keep(
        mut self,
        home: &Home,
        situation: Situation,
        measured: Measured,
    ) -> Result<(), Report> {
        self.0.retain(|(of, _)| *of != situation);
        self.0.push((situation, measured));
        let aside = path(home).with_extension("tmp");
        std::fs::write(&aside, serde_json::to_vec_pretty(&self)?)?;
        Ok(std::fs::rename(&aside, path(home))?)
    }
}

fn path(home: &Home) -> PathBuf {
    home.root().join("measured.json")
}

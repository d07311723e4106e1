//! `converge doctor --measure`: how many workers train a sweep fastest on this machine, and what one needs.

use converge_core::metric::STEP_SECONDS;
use converge_core::sweep::{Sweep, Workers};
use converge_dashboard::terminal::number::bytes;
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Ending;
use converge_scheduler::session::Interrupts;
use converge_store::Store;
use serde_json::json;

use crate::arguments::DoctorArguments;
use crate::capacity::{self, Measured, Measurements, Probe, Rates, Situation};
use crate::drive::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::sweep_source::SweepSource;
use crate::{output, sweep_source};

/// Time that one arrangement trains. Unit: seconds.
const SECONDS: f64 = 6.0;
/// Steps of the run that tells how long a step takes.
const FIRST_STEPS: u64 = 6;
const FEWEST_STEPS: u64 = 8;
const MOST_STEPS: u64 = 2000;

/// Trains the first configuration of a sweep for a moment in each arrangement, in a home that is removed afterwards.
pub(crate) fn run(
    file: &std::path::Path,
    arguments: &DoctorArguments,
    home: &Home,
) -> Result<ExitCode, Report> {
    let mut source = sweep_source::read(file, &arguments.overrides, None)?;
    crate::device::resolve(&source.sweep.run)?;
    let directory = Home::temporary("measure")?;
    let aside = Home::at(&directory);
    let measured: Result<(Situation, Measured), Report> = drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        simplify(&mut source.sweep);
        let prepared = drive::prepare_sweep(&mut source.sweep, &aside, &mut interrupts).await?;
        let measured = measure(&aside, &mut source, &prepared, &mut interrupts).await?;
        Ok((Situation::of(&prepared), measured))
    });
    // Whatever was found, nothing of it stays.
    let _ = std::fs::remove_dir_all(&directory);
    let (situation, measured) = measured?;
    home.create().map_err(|error| Report::error(&error))?;
    Measurements::read(home).keep(home, situation.clone(), measured.clone())?;
    if arguments.json {
        let rates: Vec<_> = measured
            .rates
            .iter()
            .map(|(workers, rate)| json!({ "workers": workers, "steps_per_second": rate }))
            .collect();
        output::json(&json!({
            "situation": situation, "rates": rates, "workers": measured.workers(), "memory": measured.probe,
        }))?;
    } else {
        output::data(&table(&measured));
    }
    Ok(ExitCode::Done)
}

/// Leaves one configuration, and no more evaluation than there must be.
fn simplify(sweep: &mut Sweep) {
    let first = converge_core::sampler::sample(sweep).configurations.into_iter().next();
    sweep.settings = sweep.settings_of(&first.unwrap_or_default());
    sweep.parameters.clear();
    sweep.method = converge_core::sweep::Method::Grid;
    sweep.budget = converge_core::budget::Budget::default();
    sweep.run.keep_best = 0;
    sweep.run.checkpoint_seconds = 1e9;
    let data = &mut sweep.settings.data;
    if data.validation.as_deref() != Some("none") {
        data.validation_limit = Some(data.validation_limit.unwrap_or(u64::MAX).min(64));
    }
    sweep.settings.train.evaluations_per_epoch = 1;
    set_steps(sweep, FIRST_STEPS);
}

fn set_steps(sweep: &mut Sweep, steps: u64) {
    sweep.settings.train.max_steps = Some(steps);
    sweep.settings.train.epochs = steps;
}

async fn measure(
    home: &Home,
    source: &mut SweepSource,
    prepared: &Prepared,
    interrupts: &mut Interrupts,
) -> Result<Measured, Report> {
    let _lock = drive::lock(home)?;
    let (alone, mut peak) = rate(home, source, prepared, 1, interrupts).await?;
    let mut rates = Rates::new();
    for workers in arrangements(prepared) {
        output::talk(&format!("measuring {workers} at once ...\n"));
        // A worker that shares the machine is slower by about as much as there are more of them.
        let steps = (SECONDS * alone / workers as f64).ceil() as u64;
        set_steps(&mut source.sweep, steps.clamp(FEWEST_STEPS, MOST_STEPS));
        let (rate, further) = rate(home, source, prepared, workers, interrupts).await?;
        rates.insert(workers, rate);
        // The more steps, the more likely that a batch of long texts was among them.
        peak = peak.max(further);
    }
    // What a GPU's worker takes of this machine's memory says nothing about the GPU's.
    let peak = peak.filter(|_| prepared.chosen.gpus.is_none());
    let estimated = capacity::estimated_memory(prepared, &prepared.cases.settings[0].train, 0);
    Ok(Measured { rates, probe: peak.map(|measured| Probe { measured, estimated }) })
}

/// Numbers of workers to try: one, twice as many each time, and one per core; on GPUs up to four for each.
fn arrangements(prepared: &Prepared) -> Vec<u64> {
    let most = match prepared.chosen.gpus {
        Some(gpus) => gpus.count * 4,
        None => converge_scheduler::machine::look().cores,
    };
    let needed = capacity::predicted_memory(prepared, &prepared.cases.settings[0].train, 0);
    let fits = |workers: &u64| *workers == 1 || capacity::fits(prepared, needed * workers);
    let doubled = (0..).map(|power| 1 << power).take_while(|workers| *workers < most);
    doubled.chain([most]).filter(fits).collect()
}

/// Returns steps a second of all workers together, each by the median of its steps, and the largest peak memory of one.
async fn rate(
    home: &Home,
    source: &mut SweepSource,
    prepared: &Prepared,
    workers: u64,
    interrupts: &mut Interrupts,
) -> Result<(f64, Option<u64>), Report> {
    let sweep = &mut source.sweep;
    let steps = sweep.settings.train.max_steps.unwrap_or_default();
    sweep.name = format!("measure-{workers}-{steps}");
    sweep.replicates = workers;
    sweep.run.workers = Workers::Count(workers);
    let mut prepared = prepared.with_run(sweep.run.clone());
    prepared.sample = converge_core::sampler::sample(sweep);
    prepared.cases = converge_core::materialise::cases(sweep, &prepared.sample);
    let mut store: Store = drive::open(home)?;
    drive::create(&mut store, source, &prepared)?;
    let name = source.sweep.name.clone();
    let record = drive::record(&store, &name)?;
    let plan = capacity::worker_plan(home, &source.sweep, &prepared, workers);
    let (ending, store) =
        drive::carry_out(home, store, &record, &prepared, &plan, interrupts, &mut |_| {}).await?;
    let (mut total, mut peak) = (0.0, None);
    for trial in store.read().trials(record.id)? {
        let curve = store.read().curve(trial.id, STEP_SECONDS)?;
        let mut seconds: Vec<f64> = curve.iter().map(|point| point.value).collect();
        seconds.sort_by(f64::total_cmp);
        total += seconds.get(seconds.len() / 2).map_or(0.0, |median| 1.0 / median);
        let detail = store.read().trial(record.id, trial.number)?;
        let attempts = detail.map(|detail| detail.attempts).unwrap_or_default();
        peak = peak.max(attempts.iter().filter_map(|attempt| attempt.peak_memory_bytes).max());
    }
    match ending {
        Ending::Finished { failed: 0 } => Ok((total, peak)),
        Ending::Finished { .. } => Err(Report::usage(
            format!("{workers} at once could not train"),
            "run the sweep itself: `converge show` then tells why",
        )
        .exit(ExitCode::Failure)),
        Ending::Interrupted { .. } => {
            Err(Report::usage("interrupted", "nothing was kept").exit(ExitCode::Interrupted))
        }
    }
}

fn table(measured: &Measured) -> String {
    let best = measured.workers();
    let cores = converge_scheduler::machine::look().cores;
    let mut table = Table::new([
        ("workers", Align::Right),
        ("threads of each", Align::Right),
        ("steps/s together", Align::Right),
        ("", Align::Left),
    ]);
    for (workers, rate) in &measured.rates {
        let threads = (cores / workers).max(1);
        let mark = if best == Some(*workers) { "<- `run` uses this now" } else { "" };
        table.push([
            workers.to_string(),
            threads.to_string(),
            format!("{rate:.2}"),
            mark.to_string(),
        ]);
    }
    let mut text = table.render(output::width());
    if let Some(Probe { measured, estimated }) = measured.probe {
        text += &format!(
            "A worker took {} where {} was estimated; `plan` scales its estimates by that.\n",
            bytes(measured),
            bytes(estimated)
        );
    }
    text += "Kept in the home for this model on this machine; `run.workers` in the sweep file wins over it.\n";
    text
}

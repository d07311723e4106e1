//! Measures what steps, evaluations and starts of a sweep cost: each cost class trains for a moment, with as many
//! workers as the sweep will have, in a home that is removed afterwards.

use converge_core::cost::{Cost, Estimate, evaluated_examples};
use converge_core::fingerprint::identity_hash;
use converge_core::machine::WorkerPlan;
use converge_core::materialise::PlannedTrial;
use converge_core::metric::STEP_SECONDS;
use converge_core::ramp::Ramp;
use converge_core::settings::Settings;
use converge_core::steps::{steps_per_epoch, total_steps};
use converge_core::sweep::Sweep;
use converge_core::trial::TrialKind;
use converge_scheduler::clock;
use converge_scheduler::home::Home;
use converge_scheduler::reactor::Ending;
use converge_scheduler::session::Interrupts;
use converge_store::{NewSweep, NewTrial, Store, SweepRecord, TrialDetail};

use crate::cost::{Class, Classes, Costs, Measured};
use crate::drive::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;

/// Steps that are timed in each trial, the first ones included, which do not count: so many at least,
const FEWEST: u64 = 12;
/// and at most,
const MOST: u64 = 200;
/// and as many as a processor does in this time, by arithmetic. Unit: seconds.
const SECONDS: f64 = 1.5;
/// The first steps of a process are slower: they belong to the start.
const WARM_UP: usize = 2;
/// Steps to one evaluation, in the trial that times evaluations: two of these at least.
const STEPS_PER_EVALUATION: u64 = 10;
/// A rate at which nothing is learned, and nothing blows up.
const IDLE: Ramp = Ramp { from: 1e-12, to: 1e-12 };

/// Measures the classes that have to be, and keeps what was found in the home.
pub(crate) async fn measure(
    home: &Home,
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
    classes: &Classes,
    plan: &WorkerPlan,
    interrupts: &mut Interrupts,
) -> Result<Costs, Report> {
    let chosen = classes.chosen();
    output::talk(&format!(
        "measuring {} with {} ...\n",
        if chosen.len() == 1 {
            "1 cost class".into()
        } else {
            format!("{} cost classes", chosen.len())
        },
        if plan.workers == 1 {
            "1 worker".into()
        } else {
            format!("{} workers at once", plan.workers)
        },
    ));
    let directory = Home::temporary("measure")?;
    let aside = Home::at(&directory);
    let measured = timed(&aside, sweep, prepared, planned, classes, plan, interrupts).await;
    // Whatever was found, nothing of it stays.
    let _ = std::fs::remove_dir_all(&directory);
    home.create().map_err(|error| Report::error(&error))?;
    let mut costs = Costs::read(home);
    for (index, measured) in chosen.iter().zip(measured?) {
        costs.add(&classes.all[*index], measured);
    }
    costs.write(home)?;
    Ok(costs)
}

async fn timed(
    aside: &Home,
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
    classes: &Classes,
    plan: &WorkerPlan,
    interrupts: &mut Interrupts,
) -> Result<Vec<Measured>, Report> {
    // Its cache is empty: reading texts is no part of what a trial costs.
    let (sample, cases) = (prepared.sample.clone(), prepared.cases.clone());
    drive::prepare_cases(sweep, sample, cases, aside, interrupts).await?;
    let _lock = drive::lock(aside)?;
    let mut store = drive::open(aside)?;
    let mut sweep = sweep.clone();
    sweep.run.keep_best = 0;
    sweep.run.checkpoint_seconds = 1e9;
    sweep.budget = converge_core::budget::Budget::default();
    let mut trials = Vec::new();
    for index in classes.chosen() {
        let trial = &planned[classes.all[index].first];
        let examples = prepared.facts[trial.case].train.examples;
        let steps = steps(&classes.all[index], plan.threads);
        for (what, settings) in [
            ("steps", timing_steps(&trial.settings, examples, steps)),
            ("evaluations", timing_evaluations(&trial.settings, examples, steps)),
        ] {
            trials.extend((0..plan.workers).map(|replicate| NewTrial {
                kind: TrialKind::Probe,
                configuration: trial.configuration.clone(),
                total_steps: total_steps(examples, &settings.train),
                settings: settings.clone(),
                fingerprint: format!("{index} {what}"),
                replicate,
                facts_index: trial.case as u64,
            }));
        }
    }
    let new = NewSweep {
        name: "measure".into(),
        identity: identity_hash(&sweep, &prepared.facts),
        definition: serde_json::to_string(&sweep)?,
        source_path: None,
        source_text: String::new(),
        overrides: Vec::new(),
        facts: prepared.facts.clone(),
        objective: sweep.objective.clone(),
        version: drive::VERSION.into(),
        trials,
    };
    store.create_sweep(&new, clock::unix_ms())?;
    let record = drive::record(&store, "measure")?;
    let prepared = prepared.with_run(sweep.run.clone());
    let (ending, store) =
        drive::carry_out(aside, store, &record, &prepared, plan, interrupts, &mut |_| {}).await?;
    if let Ending::Interrupted { .. } = ending {
        return Err(Report::usage("interrupted", "nothing was kept").exit(ExitCode::Interrupted));
    }
    let examples =
        |index: usize| evaluated_examples(&prepared.facts[planned[classes.all[index].first].case]);
    classes
        .chosen()
        .into_iter()
        .map(|index| read(&store, &record, index, plan.workers, examples(index)))
        .collect()
}

/// Returns how many steps to time: quick ones in greater number, so that they can be told apart from the clock.
fn steps(class: &Class, threads: u64) -> u64 {
    let seconds = class.guessed_step_seconds(threads);
    ((SECONDS / seconds) as u64).clamp(FEWEST, MOST)
}

/// A few steps, and nothing but steps.
fn timing_steps(settings: &Settings, examples: u64, steps: u64) -> Settings {
    let mut settings = settings.clone();
    settings.train.ramp = Some(IDLE);
    settings.train.max_steps = Some(steps);
    settings.train.epochs = steps.div_ceil(steps_per_epoch(examples, &settings.train).max(1));
    settings
}

/// A few steps, and an evaluation after each.
fn timing_evaluations(settings: &Settings, examples: u64, steps: u64) -> Settings {
    let mut settings = settings.clone();
    let in_epoch = steps_per_epoch(examples, &settings.train).max(1);
    let evaluations = (steps / STEPS_PER_EVALUATION).max(2);
    settings.train.max_steps = Some(evaluations);
    settings.train.epochs = evaluations.div_ceil(in_epoch);
    settings.train.evaluations_per_epoch = in_epoch;
    settings
}

fn read(
    store: &Store,
    record: &SweepRecord,
    index: usize,
    workers: u64,
    examples: u64,
) -> Result<Measured, Report> {
    let (mut steps, mut runs, mut evaluated, mut peak) = (Vec::new(), Vec::new(), Vec::new(), None);
    for replicate in 0..workers {
        let (seconds, timed) = attempt(store, record, &format!("{index} steps"), replicate)?;
        let all = store.read().curve(timed.trial.id, STEP_SECONDS)?;
        steps.extend(all.iter().skip(WARM_UP).map(|point| point.value));
        runs.push((seconds, all.len() as f64));
        let (seconds, evaluations) =
            attempt(store, record, &format!("{index} evaluations"), replicate)?;
        evaluated.push((seconds, evaluations.trial.total_steps as f64));
        peak =
            peak.max(timed.attempts.iter().filter_map(|attempt| attempt.peak_memory_bytes).max());
    }
    let step = Estimate::of(&steps).ok_or_else(unreadable)?;
    let starts: Vec<f64> =
        runs.iter().map(|(seconds, count)| (seconds - count * step.mean).max(0.0)).collect();
    let start = Estimate::of(&starts).ok_or_else(unreadable)?;
    let evaluations: Vec<f64> = evaluated
        .iter()
        .map(|(seconds, times)| {
            (seconds - start.mean - times * step.mean).max(0.0) / (times * examples.max(1) as f64)
        })
        .collect();
    let evaluated_example = Estimate::of(&evaluations).ok_or_else(unreadable)?;
    // One worker has one start and one time of evaluations: their errors are as good as the steps' then.
    let error = |estimate: Estimate| match workers {
        1 => Estimate { error: estimate.mean * step.error / step.mean.max(1e-12), ..estimate },
        _ => estimate,
    };
    let cost = Cost { step, evaluated_example: error(evaluated_example), start: error(start) };
    Ok(Measured { cost, peak })
}

/// Returns how long a trial took, with the trial. Unit: seconds.
fn attempt(
    store: &Store,
    record: &SweepRecord,
    fingerprint: &str,
    replicate: u64,
) -> Result<(f64, TrialDetail), Report> {
    let number = store.read().number_of(record.id, fingerprint, replicate)?;
    let detail = match number {
        Some(number) => store.read().trial(record.id, number)?,
        None => None,
    };
    let detail = detail.ok_or_else(unreadable)?;
    let last = detail.attempts.last();
    let seconds = last
        .and_then(|attempt| Some((attempt.ended_at_ms? - attempt.leased_at_ms) as f64 / 1000.0));
    match (seconds, &detail.trial.state) {
        (Some(seconds), state) if !matches!(state, converge_core::trial::TrialState::Failed(_)) => {
            Ok((seconds, detail))
        }
        (_, converge_core::trial::TrialState::Failed(failure)) => Err(Report::usage(
            format!(
                "a trial could not be measured ({}): {}",
                failure.class.word(),
                failure.message
            ),
            "the sweep would fail in the same way",
        )
        .exit(ExitCode::Failure)),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Report {
    Report::usage("nothing could be measured", "please report it")
}

//! What `run` and `resume` share: prepare, create or take up a sweep, run a session, tell the result.

use std::path::Path;

use converge_core::budget::Allowance;
use converge_core::facts::Facts;
use converge_core::fit;
use converge_core::inspection::Inspection;
use converge_core::machine::WorkerPlan;
use converge_core::materialise::{Cases, PlannedTrial, cases, trials};
use converge_core::sampler::{Sample, sample};
use converge_core::sweep::{RunSettings, Sweep};
use converge_core::trial::TrialKind;
use converge_dashboard::terminal::number::{bytes, plural};
use converge_scheduler::home::{Home, HomeError};
use converge_scheduler::housekeeping::Housekeeping;
use converge_scheduler::launcher::WorkerCommand;
use converge_scheduler::preparation::{self, PreparationError, prepare};
use converge_scheduler::reactor::{Ending, Growing, Options, Reactor};
use converge_scheduler::session::{Interrupts, Session, Update};
use converge_scheduler::trials::{definition, early_stopping, load, steps_of};
use converge_scheduler::{clock, growing, machine, recovery, usage};
use converge_store::{
    Change, NewSession, NewSweep, NewTrial, Store, SweepRecord, SweepState, TrialRecord,
};

use crate::capacity::{Measurements, Probe, Situation};
use crate::commands::best::Shown;
use crate::device::Chosen;
use crate::display::Display;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::sweep_source::SweepSource;
use crate::{budget, capacity, commands, device, output};

/// Version that is recorded with everything.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A sweep whose model and data have been looked at.
pub(crate) struct Prepared {
    /// Its configurations.
    pub(crate) sample: Sample,
    /// What was prepared.
    pub(crate) cases: Cases,
    /// The answer, one entry a case.
    pub(crate) facts: Vec<Facts>,
    /// Where it runs.
    pub(crate) chosen: Chosen,
    /// `[run]`, with what the command line says.
    pub(crate) run: RunSettings,
    /// What this model was found to need here, where that was measured.
    pub(crate) probe: Option<Probe>,
}

impl Prepared {
    /// Returns the same for another `[run]`.
    pub(crate) fn with_run(&self, run: RunSettings) -> Self {
        let Self { sample, cases, facts, chosen, probe, .. } = self;
        let (sample, cases, probe) = (sample.clone(), cases.clone(), *probe);
        Self { sample, cases, facts: facts.clone(), chosen: chosen.clone(), run, probe }
    }
}

/// Makes a runtime on this thread alone: the scheduler waits far more than it works.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Report> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Has model and data of a sweep checked by a worker, checks that its configurations and its objective fit them, and
/// decides about an objective that depends on the data.
pub(crate) async fn prepare_sweep(
    sweep: &mut Sweep,
    home: &Home,
    interrupts: &mut Interrupts,
) -> Result<Prepared, Report> {
    let sample = sample(sweep);
    let cases = cases(sweep, &sample);
    let prepared = prepare_cases(sweep, sample, cases, home, interrupts).await?;
    let Prepared { sample, cases, facts, .. } = &prepared;
    let of_configuration = sample.configurations.iter().zip(&cases.of_configuration);
    let sampled = of_configuration
        .map(|(configuration, case)| (sweep.settings_of(configuration), &facts[*case]));
    // What may be drawn later as well.
    let drawn = cases.settings.iter().cloned().zip(facts).filter(|_| sweep.method.is_adaptive());
    let mut problems = fit::of_all(sampled.chain(drawn));
    match fit::objective(sweep, facts) {
        Ok(objective) => sweep.objective = objective,
        Err(problem) => problems.push(problem),
    }
    sweep.objective_follows_task = false;
    if problems.is_empty() { Ok(prepared) } else { Err(Report::problems(&problems)) }
}

/// Has cases checked by a worker, in a folder that is removed afterwards.
pub(crate) async fn prepare_cases(
    sweep: &Sweep,
    sample: Sample,
    cases: Cases,
    home: &Home,
    interrupts: &mut Interrupts,
) -> Result<Prepared, Report> {
    let (chosen, command) = question_worker(&sweep.run, home)?;
    let directory = Home::temporary("prepare")?;
    let split = converge_core::seed::TrialSeeds::new(sweep.seed, 0).split;
    let interrupted = interrupts.next();
    let facts =
        prepare(&command, &directory, cases.settings.clone(), split, &home.cache(), interrupted)
            .await
            .map_err(unfit)?;
    let mut prepared =
        Prepared { sample, cases, facts, chosen, run: sweep.run.clone(), probe: None };
    prepared.probe =
        Measurements::read(home).of(&Situation::of(&prepared)).and_then(|found| found.probe);
    Ok(prepared)
}

/// Has a worker look at a data file that nobody has described yet.
pub(crate) async fn inspect(
    run: &RunSettings,
    file: &Path,
    home: &Home,
    interrupts: &mut Interrupts,
) -> Result<Inspection, Report> {
    let (_, command) = question_worker(run, home)?;
    let directory = Home::temporary("inspect")?;
    preparation::inspect(&command, &directory, file, interrupts.next()).await.map_err(unfit)
}

/// Returns where a sweep runs, and how a worker is started there to answer a question about model or data.
fn question_worker(run: &RunSettings, home: &Home) -> Result<(Chosen, WorkerCommand), Report> {
    let chosen = device::resolve(run)?.with_kernel_caches(home)?;
    for warning in &chosen.warnings {
        output::talk(&format!("warning: {warning}\n"));
    }
    // Tokenisation may use the whole machine: nothing trains yet.
    let command = WorkerCommand {
        program: chosen.program.clone(),
        places: chosen.places.clone(),
        threads: machine::look().cores,
    };
    Ok((chosen, command))
}

fn unfit(error: PreparationError) -> Report {
    match error {
        PreparationError::Refused(problems) => Report::problems(&problems),
        PreparationError::Interrupted => Report::error(&error).exit(ExitCode::Interrupted),
        other => Report::error(&other),
    }
}

/// Takes the home for this process.
pub(crate) fn lock(home: &Home) -> Result<converge_scheduler::home::HomeLock, Report> {
    home.create().and_then(|()| home.lock()).map_err(unusable)
}

/// A home that cannot be taken, and what to do.
pub(crate) fn unusable(error: HomeError) -> Report {
    let report = Report::error(&error);
    match error {
        HomeError::Held { .. } => report
            .exit(ExitCode::Usage)
            .hint("wait for it, stop it with `converge stop`, or use another home with --home"),
        HomeError::Unwritable { .. } => {
            report.hint("name another folder with --home; a read-only home can still be read")
        }
    }
}

/// Opens the home's database for writing and reads what the last session left behind.
pub(crate) fn open(home: &Home) -> Result<Store, Report> {
    let mut store = Store::create_or_open(home.database()).map_err(|error| {
        let newer = matches!(error, converge_store::OpenError::Newer { .. });
        let report = Report::error(&error);
        if newer {
            report
                .exit(ExitCode::Usage)
                .hint("use the version of converge that wrote it, or a newer one")
        } else {
            report
        }
    })?;
    usage::end_killed_sessions(home, &mut store).map_err(|error| storing(&error))?;
    let recovered = recovery::recover(home, &mut store).map_err(|error| storing(&error))?;
    if recovered > 0 {
        tracing::info!(recovered, "read the logs of workers that an earlier session left behind");
    }
    Ok(store)
}

/// Stores a new sweep with all its trials.
pub(crate) fn create(
    store: &mut Store,
    source: &SweepSource,
    prepared: &Prepared,
) -> Result<(), Report> {
    let sweep = &source.sweep;
    let (planned, _) = trials(sweep, &prepared.sample, &prepared.cases, &prepared.facts);
    let new = NewSweep {
        name: sweep.name.clone(),
        identity: converge_core::fingerprint::identity_hash(sweep, &prepared.facts),
        definition: serde_json::to_string(sweep)?,
        source_path: Some(source.path.clone()),
        source_text: source.text.clone(),
        overrides: source.overrides.clone(),
        facts: prepared.facts.clone(),
        objective: sweep.objective.clone(),
        version: VERSION.into(),
        trials: planned
            .into_iter()
            .map(|trial| {
                let facts_index = trial.case as u64;
                new_trial(sweep, trial, facts_index)
            })
            .collect(),
    };
    store.create_sweep(&new, clock::unix_ms())?;
    let left_out: u64 = prepared.sample.left_out.iter().map(|one| one.count).sum();
    if left_out > 0 {
        let points = plural(left_out, "point");
        output::talk(&format!("{points} left out by constraints: `converge plan` lists them\n"));
    }
    Ok(())
}

/// Returns a trial as the store takes it.
pub(crate) fn new_trial(sweep: &Sweep, trial: PlannedTrial, facts_index: u64) -> NewTrial {
    NewTrial {
        kind: trial.kind,
        settings: trial.settings,
        fingerprint: trial.fingerprint,
        replicate: trial.replicate,
        facts_index,
        total_steps: steps_of(sweep, &trial.configuration, trial.total_steps),
        configuration: trial.configuration,
    }
}

/// Returns what is stored of a sweep.
pub(crate) fn record(store: &Store, name: &str) -> Result<SweepRecord, Report> {
    let summary = crate::home::sweep(store.read(), Some(name))?;
    store.read().sweep(summary.id)?.ok_or_else(|| {
        Report::usage(format!("there is no sweep `{name}`"), "start it with `converge run FILE`")
    })
}

/// Runs a stored sweep to its end, or until it is interrupted, and prints the ranking.
pub(crate) async fn session(
    home: &Home,
    store: Store,
    name: &str,
    prepared: &Prepared,
    interrupts: &mut Interrupts,
) -> Result<ExitCode, Report> {
    let record = record(&store, name)?;
    let sweep = definition(&record)?;
    let growing = growing::load(&record, &sweep, store.read())?;
    let open = record.open_trials.len() as u64;
    // What follows from its results is open too: as many as can be at once.
    let open = match &growing {
        Some(growing) => growing.at_once().min(record.counts.total()).max(open),
        None => open,
    };
    let plan = capacity::worker_plan(home, &sweep, prepared, open);
    let total = growing.as_ref().map_or(Some(record.counts.total()), Growing::total);
    announce(&record, &sweep, &plan, &prepared.chosen.device, total);
    if let Some(at_once) =
        growing.as_ref().map(Growing::at_once).filter(|most| *most < plan.workers)
    {
        output::talk(&format!(
            "note: draws that follow results keep {at_once} workers busy: `ahead` = {} in [sweep]\n",
            sweep.ahead
        ));
    }
    for line in tasks(&prepared.facts) {
        output::talk(&format!("task {line}\n"));
    }
    if let Some(most) = capacity::too_much_memory(&sweep, prepared) {
        output::talk(&format!(
            "warning: there may not be enough memory: a worker needs up to {}; `converge plan` marks the \
             configurations, {}\n",
            bytes(most),
            capacity::LESS_MEMORY
        ));
    }
    let mut display = Display::new(&record);
    let update = &mut |update: &Update<'_>| display.update(update);
    let ended = carry_out(home, store, &record, prepared, &plan, interrupts, update).await;
    display.finish();
    let (ending, store) = ended?;
    conclude(home, &store, name, &ending)
}

/// Runs a session of a stored sweep, telling `update` what happens.
pub(crate) async fn carry_out(
    home: &Home,
    mut store: Store,
    record: &SweepRecord,
    prepared: &Prepared,
    plan: &WorkerPlan,
    interrupts: &mut Interrupts,
    update: &mut dyn FnMut(&Update<'_>),
) -> Result<(Ending, Store), Report> {
    let sweep = definition(record)?;
    let housekeeping = clean_up(home, &mut store, record, &sweep)?;
    let used = usage::usage(home, store.read(), record.id, false)?;
    // A session for what stands beside the search alone does not go on with it.
    let searches =
        |trial: &TrialRecord| trial.kind.is_ranked() || trial.kind == TrialKind::Baseline;
    let growing = match record.open_trials.is_empty() || record.open_trials.iter().any(searches) {
        true => growing::load(record, &sweep, store.read())?,
        false => None,
    };
    let reactor = Reactor::new(
        Options {
            workers: plan.workers,
            sweep: record.id,
            failure: sweep.failure.clone(),
            failed: record.counts.failed,
            next_attempt: record.next_attempt_id,
            home: home.root().display().to_string(),
            checkpoint_seconds: sweep.run.checkpoint_seconds,
            gradient_checkpointing: sweep.run.gradient_checkpointing,
            allowance: Allowance { budget: sweep.budget, used },
            early_stop: early_stopping(record, &sweep, store.read())?,
        },
        load(record, &sweep, store.read())?,
    )
    .growing(growing);
    let id = store.open_session(
        &NewSession {
            sweep: record.id,
            pid: std::process::id(),
            boot_id: converge_scheduler::launcher::local::boot_id(),
            host: machine::host(),
            version: VERSION.into(),
            machine: machine::facts(),
        },
        clock::unix_ms(),
    )?;
    let Chosen { program, places, .. } = &prepared.chosen;
    let command =
        WorkerCommand { program: program.clone(), places: places.clone(), threads: plan.threads };
    let session = Session::new(home.clone(), store, id, command, reactor, housekeeping);
    let ended = session.run(interrupts, &mut |told| update(&told)).await;
    let (ending, mut store) = ended.map_err(|error| match error.is_disk_full() {
        true => storing(&error).exit(ExitCode::Interrupted),
        false => storing(&error),
    })?;
    // A refit that is done ends its session, and not a sweep that still has trials to run, or to get.
    let ended = store.read().sweep_named(&record.name)?.is_some_and(|summary| summary.has_ended());
    let over = ended && growing::is_over(record, &sweep, store.read())?;
    let state = match &ending {
        Ending::Finished { .. } if over => SweepState::Finished,
        Ending::Finished { .. } | Ending::Interrupted { .. } => SweepState::Interrupted,
    };
    let now = clock::unix_ms();
    store
        .apply(&[Change::SweepState { sweep: record.id, state }], now)
        .map_err(|error| storing(&error))?;
    store.close_session(
        id,
        if matches!(ending, Ending::Finished { .. }) { "finished" } else { "interrupted" },
        now,
    )?;
    Ok((ending, store))
}

/// Trains what is open of a record with one worker: a trial beside the search.
pub(crate) async fn alone(
    home: &Home,
    store: Store,
    record: &SweepRecord,
    prepared: &Prepared,
    interrupts: &mut Interrupts,
) -> Result<(Store, Ending), Report> {
    let plan = capacity::worker_plan(home, &definition(record)?, prepared, 1);
    let mut display = Display::new(record);
    let update = &mut |update: &Update<'_>| display.update(update);
    let ended = carry_out(home, store, record, prepared, &plan, interrupts, update).await;
    display.finish();
    ended.map(|(ending, store)| (store, ending))
}

/// Does the cleaning that a killed session left undone.
fn clean_up(
    home: &Home,
    store: &mut Store,
    record: &SweepRecord,
    sweep: &Sweep,
) -> Result<Housekeeping, Report> {
    let mut housekeeping =
        Housekeeping::new(store, record.id, record.objective.clone(), sweep.run.keep_best)?;
    for number in store.read().uncleaned(record.id)? {
        let changes = housekeeping.clean_up(home, store, number);
        store.apply(&changes, clock::unix_ms()).map_err(|error| storing(&error))?;
    }
    Ok(housekeeping)
}

/// Returns whether a sweep has no open trial, and will get none.
pub(crate) fn is_over(store: &Store, record: &SweepRecord) -> Result<bool, Report> {
    let ended = record.open_trials.is_empty();
    Ok(ended && growing::is_over(record, &definition(record)?, store.read())?)
}

/// Says that nothing is left to do, and does what a session left undone that was killed after its last trial.
pub(crate) fn already_finished(
    home: &Home,
    store: &mut Store,
    record: &SweepRecord,
) -> Result<ExitCode, Report> {
    if record.state != SweepState::Finished {
        clean_up(home, store, record, &definition(record)?)?;
        let finished = Change::SweepState { sweep: record.id, state: SweepState::Finished };
        store.apply(&[finished], clock::unix_ms()).map_err(|error| storing(&error))?;
    }
    output::talk(&format!("sweep `{}` is finished: nothing left to do\n", record.name));
    let ending = Ending::Finished { failed: record.counts.failed };
    conclude(home, store, &record.name, &ending)
}

/// The first line of `run`: what runs where, and why so many. `total` is none where results decide it.
fn announce(
    record: &SweepRecord,
    sweep: &Sweep,
    plan: &WorkerPlan,
    device: &str,
    total: Option<u64>,
) {
    let ended = record.counts.ended();
    let total = match total {
        Some(total) => total.to_string(),
        None => format!("{} or more", record.counts.total()),
    };
    let workers = if plan.workers == 1 { "1 worker" } else { &format!("{} workers", plan.workers) };
    let threads = if plan.threads == 1 { "1 thread" } else { &format!("{} threads", plan.threads) };
    let done = if ended == 0 { String::new() } else { format!(", {ended} of them done") };
    output::talk(&format!(
        "sweep `{}`: {total} trials{done}; {workers} on {device} with {threads} each ({})\n",
        sweep.name, plan.reason
    ));
}

/// Says what is learned, and how that was found out: a line for each different one.
pub(crate) fn tasks(facts: &[Facts]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for facts in facts.iter().filter(|facts| !facts.task_reason.is_empty()) {
        let line = format!("{} ({})", facts.task.word(), facts.task_reason);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Prints the ranking, and what is left to do.
pub(crate) fn conclude(
    home: &Home,
    store: &Store,
    name: &str,
    ending: &Ending,
) -> Result<ExitCode, Report> {
    let reader = store.read();
    let summary = crate::home::sweep(reader, Some(name))?;
    let trials = &summary.trials;
    if trials.completed + trials.diverged > 0 {
        output::data(&commands::best::text(
            reader,
            &summary,
            None,
            Shown { top: 5, sureness: true },
        )?);
    }
    let cancelled = trials.cancelled;
    if cancelled > 0 {
        let noun = if cancelled == 1 { "trial was" } else { "trials were" };
        output::talk(&format!("{cancelled} {noun} cancelled\n"));
    }
    output::talk(&commands::best::stopped_line(reader, &summary)?);
    output::talk(&commands::why::line(reader, &summary)?);
    // Those beside the search as well.
    let failed_beside = summary.beside.failed;
    match ending {
        Ending::Finished { failed: 0 } if failed_beside == 0 => Ok(ExitCode::Done),
        Ending::Finished { failed } => {
            let failed = &(failed + failed_beside);
            let noun = if *failed == 1 { "trial" } else { "trials" };
            output::talk(&format!(
                "{failed} {noun} failed: `converge trials --where state=failed`, `converge show NUMBER`\n"
            ));
            Ok(ExitCode::FailedTrials)
        }
        Ending::Interrupted { at_once, reason } => {
            let total = summary.planned.unwrap_or(trials.total());
            let left = total - trials.ended();
            let more = if summary.planned.is_none() { " and further seeds" } else { "" };
            let why = reason.as_deref().map_or("interrupted".to_string(), str::to_string);
            let on = match budget::raise(home, reader, summary.id)? {
                Some(command) => format!("raise it to go on: `{command}`"),
                None => format!("go on with `converge resume {name}`"),
            };
            output::talk(&format!("{why}: {left} of {total} trials left{more}; {on}\n"));
            Ok(if *at_once { ExitCode::Killed } else { ExitCode::Interrupted })
        }
    }
}

/// An error while storing: nothing that workers wrote is lost, and the message says how to go on.
fn storing(error: &(dyn std::error::Error + 'static)) -> Report {
    Report::error(error)
        .hint("nothing that the workers wrote is lost: free space or mend the cause, then `converge resume`")
}

//! What a frame needs, read from the database: the visible trials, and curves as they grow.
//!
//! A frame reads for a few milliseconds, however long the sweep and its curves: what is missing comes with the next.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use converge_core::ids::{SweepId, TrialId};
use converge_core::metric::TRAIN_LOSS;
use converge_core::objective::{At, Goal, Objective};
use converge_core::search_space::Configuration;
use converge_core::sweep::Sweep;
use converge_core::trial::TrialState;
use converge_dashboard::terminal::number::of_parameter;
use converge_dashboard::view::progress::StepRate;
use converge_dashboard::view::watch::{
    BestSoFar, PagePart, PlottedCurve, TrialInHand, Watched, WatchedPage, WatchedRow, WatchedSweep,
    WatchedWorker,
};
use converge_dashboard::view::watch_curve::SampledCurve;
use converge_dashboard::view::watch_state::{PlotChoice, Screen, WatchState};
use converge_scheduler::home::Home;
use converge_scheduler::{clock, usage};
use converge_store::{
    Reader, RunningTrial, Standing, SweepSummary, TrialDetail, TrialWindow, WatchedTrial,
};

use crate::commands::{show, status};
use crate::report::Report;
use crate::{home as homes, output};

/// How long curves are read for one frame.
const READING: Duration = Duration::from_millis(6);
/// What the list shows of clocks and schedulers is never older.
const CLOCK: Duration = Duration::from_millis(900);
/// Steps of a curve that are read at once.
const STRETCH: u64 = 256;
/// Places of a curve in the list, and of one on a page.
const PLACES: (usize, usize) = (48, 1024);
/// Curves that are remembered.
const REMEMBERED: usize = 400;
/// Of a log that is still being written the end is shown. Unit: bytes.
const LOG_TAIL: u64 = 8 * 1024;
/// Lines of it.
const LOG_LINES: usize = 15;

/// Reads what is visible.
pub(super) struct Feed<'home> {
    home: &'home Home,
    reader: Reader,
    sweep: SweepId,
    name: String,
    objective: Objective,
    parameters: Vec<String>,
    version: i64,
    begun: Instant,
    rate: StepRate,
    curves: BTreeMap<TrialId, Traced>,
    page: Option<TracedPage>,
    behind: bool,
    /// What was read last, while curves are caught up with.
    list: Option<List>,
}

/// The sweep and a part of its list, as of a version of the database.
#[derive(Clone)]
struct List {
    version: i64,
    read: Instant,
    window: TrialWindow,
    sweep: WatchedSweep,
    first: u64,
    listed: u64,
    trials: Vec<WatchedTrial>,
}

/// The two curves of a trial in the list, and how far they were read.
struct Traced {
    attempts: u64,
    read_to: u64,
    objective: SampledCurve,
    loss: SampledCurve,
}

/// The two curves of the page, and how far they were read.
struct TracedPage {
    trial: TrialId,
    attempts: u64,
    metrics: [String; 2],
    read_to: u64,
    curves: [SampledCurve; 2],
}

impl<'home> Feed<'home> {
    /// Opens the home, and finds the sweep.
    pub(super) fn open(home: &'home Home, name: Option<&str>) -> Result<Self, Report> {
        let reader = homes::open(home)?;
        let summary = homes::sweep(&reader, name)?;
        let definition = reader.definition(summary.id)?.unwrap_or_default();
        // A definition of another version has parameters that are not known here: the trials have them, too.
        let sweep: Option<Sweep> = serde_json::from_str(&definition).ok();
        let parameters = sweep.map_or_else(Vec::new, |sweep| {
            sweep.parameters.into_iter().map(|parameter| parameter.name).collect()
        });
        Ok(Self {
            home,
            version: reader.data_version()?,
            reader,
            sweep: summary.id,
            name: summary.name,
            objective: summary.objective,
            parameters,
            begun: Instant::now(),
            rate: StepRate::default(),
            curves: BTreeMap::new(),
            page: None,
            behind: false,
            list: None,
        })
    }

    /// Returns what a watcher sees first.
    pub(super) fn start(&self) -> Result<WatchState, Report> {
        let summary = homes::sweep(&self.reader, Some(&self.name))?;
        let held = status::standing(&summary, self.home.holder()).is_held();
        Ok(WatchState::new(&self.objective.metric, held))
    }

    /// Returns whether somebody has written since the last look.
    pub(super) fn has_changed(&mut self) -> bool {
        match self.reader.data_version() {
            Ok(version) => std::mem::replace(&mut self.version, version) != version,
            Err(_) => true,
        }
    }

    /// Returns whether there was more to read than one frame may.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Reads what is visible.
    pub(super) fn read(&mut self, state: &WatchState) -> Result<Watched, Report> {
        let begun = Instant::now();
        let List { sweep, first, listed, trials, .. } = self.list(state.window())?;
        let until = Instant::now() + READING;
        self.behind = false;
        let page = match state.screen {
            Screen::List => None,
            Screen::Trial(number) => self.page(number, &state.plots, until)?,
        };
        if state.screen == Screen::List {
            self.trace(&trials, until)?;
        }
        let rows = trials.into_iter().map(|trial| self.row(trial)).collect();
        let microseconds = begun.elapsed().as_micros() as u64;
        tracing::debug!(microseconds, behind = self.behind, "read a frame");
        Ok(Watched { sweep, rows, first, listed, page })
    }

    /// Reads the sweep and a part of its list, unless nothing was written since, and clocks have not gone on either.
    fn list(&mut self, window: TrialWindow) -> Result<List, Report> {
        let version = self.reader.data_version()?;
        let fresh = |list: &&List| {
            list.version == version && list.window == window && list.read.elapsed() < CLOCK
        };
        if let Some(list) = self.list.as_ref().filter(fresh) {
            return Ok(list.clone());
        }
        let sweep = self.sweep()?;
        let (mut trials, listed) = self.reader.watched_trials(self.sweep, &window)?;
        let mut first = window.offset;
        if trials.is_empty() && listed > 0 {
            // The list has become shorter than what was above the screen.
            first = listed.saturating_sub(window.count);
            let window = TrialWindow { offset: first, ..window };
            trials = self.reader.watched_trials(self.sweep, &window)?.0;
        }
        if self.parameters.is_empty() {
            let names = trials.first().map(|trial| trial.configuration.keys().cloned().collect());
            self.parameters = names.unwrap_or_default();
        }
        let list = List { version, read: Instant::now(), window, sweep, first, listed, trials };
        self.list = Some(list.clone());
        Ok(list)
    }

    fn sweep(&mut self) -> Result<WatchedSweep, Report> {
        let reader = &self.reader;
        let summary = homes::sweep(reader, Some(&self.name))?;
        let scheduler = self.home.holder();
        let state = status::standing(&summary, scheduler);
        let steps = reader.sweep_steps(self.sweep)?;
        if state.is_held() {
            self.rate.observe(self.begun.elapsed().as_secs_f64(), steps.done);
        }
        let wall_ms = usage::wall_ms(self.home, reader, self.sweep, state.is_held())?;
        let workers = if state.is_held() { self.workers()? } else { Vec::new() };
        Ok(WatchedSweep {
            name: self.name.clone(),
            state,
            scheduler,
            objective: self.objective.clone(),
            parameters: self.parameters.clone(),
            trials: summary.trials,
            planned: summary.planned,
            steps_done: steps.done,
            steps_total: steps.total,
            steps_per_second: self.rate.per_second(),
            elapsed_seconds: wall_ms as f64 / 1000.0,
            best: self.best(&summary)?,
            workers,
        })
    }

    fn best(&self, summary: &SweepSummary) -> Result<Option<BestSoFar>, Report> {
        let Some(mean) = summary.best else { return Ok(None) };
        let trials = self.reader.best_ranking(self.sweep, &self.objective, 1)?;
        let completed: Vec<_> = trials.iter().filter(|trial| !trial.diverged).collect();
        Ok(completed.first().map(|first| BestSoFar {
            mean,
            trials: completed.iter().map(|trial| trial.number).collect(),
            configuration: short(&first.configuration),
        }))
    }

    fn workers(&self) -> Result<Vec<WatchedWorker>, Report> {
        let running = self.reader.running_trials(self.sweep)?;
        let workers = self.reader.open_workers()?;
        let own = workers.into_iter().filter(|worker| worker.sweep == self.sweep);
        Ok(own
            .map(|worker| WatchedWorker {
                trial: running
                    .iter()
                    .find(|trial| worker.open_attempts.iter().any(|open| open.id == trial.attempt))
                    .map(|trial| self.in_hand(trial)),
                device: worker.device,
            })
            .collect())
    }

    fn in_hand(&self, trial: &RunningTrial) -> TrialInHand {
        let metric = |name: &str| trial.metrics.iter().find(|metric| metric.metric == name);
        let seconds =
            trial.started_at_ms.map(|started| (clock::unix_ms() - started) as f64 / 1000.0);
        let steps = trial.last_step.saturating_sub(trial.from_step);
        let best = metric(&self.objective.metric).and_then(|metric| {
            match (self.objective.at, self.objective.goal) {
                (At::Last, _) => Some(metric.last),
                (At::Best, Goal::Maximize) => metric.max.map(|(value, _)| value),
                (At::Best, Goal::Minimize) => metric.min.map(|(value, _)| value),
            }
        });
        TrialInHand {
            number: trial.number,
            attempt: trial.attempt_number,
            step: trial.last_step,
            total_steps: trial.total_steps,
            steps_per_second: seconds
                .filter(|seconds| *seconds >= 1.0 && steps > 0)
                .map(|seconds| steps as f64 / seconds),
            loss: metric(TRAIN_LOSS).map(|metric| metric.last),
            objective: best,
        }
    }

    /// Reads the curves of visible trials on: those that run first.
    fn trace(&mut self, trials: &[WatchedTrial], until: Instant) -> Result<(), Report> {
        if self.curves.len() > REMEMBERED {
            self.curves.retain(|id, _| trials.iter().any(|trial| trial.id == *id));
        }
        let (running, others): (Vec<_>, Vec<_>) =
            trials.iter().partition(|trial| trial.standing == Standing::Running);
        for trial in running.into_iter().chain(others) {
            let traced = self.curves.entry(trial.id).or_insert_with(|| Traced::new(trial));
            if traced.attempts != trial.attempts {
                *traced = Traced::new(trial);
            }
            while traced.read_to < trial.last_step {
                if Instant::now() >= until {
                    self.behind = true;
                    return Ok(());
                }
                let end = (traced.read_to + STRETCH).min(trial.last_step);
                let metrics = [self.objective.metric.as_str(), TRAIN_LOSS];
                self.reader.curve_part(
                    trial.id,
                    &metrics,
                    (traced.read_to, end),
                    |place, step, value| match place {
                        0 => traced.objective.push(step, value),
                        _ => traced.loss.push(step, value),
                    },
                )?;
                traced.read_to = end;
            }
        }
        Ok(())
    }

    fn row(&self, trial: WatchedTrial) -> WatchedRow {
        let empty = || SampledCurve::new(trial.total_steps, PLACES.0);
        let traced = self.curves.get(&trial.id);
        WatchedRow {
            objective: traced.map_or_else(empty, |traced| traced.objective.clone()),
            // Where it is ranked by its training loss the two curves are one.
            loss: traced.map_or_else(empty, |traced| match self.objective.metric == TRAIN_LOSS {
                true => traced.objective.clone(),
                false => traced.loss.clone(),
            }),
            trial,
        }
    }

    fn page(
        &mut self,
        number: u64,
        plots: &[PlotChoice; 2],
        until: Instant,
    ) -> Result<Option<WatchedPage>, Report> {
        let Some(detail) = self.reader.trial(self.sweep, number)? else { return Ok(None) };
        let trial = &detail.trial;
        let metrics = [plots[0].metric.clone(), plots[1].metric.clone()];
        let fresh = || TracedPage {
            trial: trial.id,
            attempts: trial.attempts,
            metrics: metrics.clone(),
            read_to: 0,
            curves: [0, 1].map(|_| SampledCurve::new(trial.total_steps, PLACES.1)),
        };
        let same = |page: &TracedPage| {
            page.trial == trial.id && page.attempts == trial.attempts && page.metrics == metrics
        };
        let mut page = self.page.take().filter(same).unwrap_or_else(fresh);
        let last = trial.last_step.unwrap_or(0);
        while page.read_to < last {
            if Instant::now() >= until {
                self.behind = true;
                break;
            }
            let end = (page.read_to + STRETCH).min(last);
            let names = metrics.each_ref().map(String::as_str);
            self.reader.curve_part(
                trial.id,
                &names,
                (page.read_to, end),
                |place, step, value| {
                    page.curves[place].push(step, value);
                },
            )?;
            page.read_to = end;
        }
        let mut plotted = page.curves.clone();
        if metrics[0] == metrics[1] {
            plotted[1] = plotted[0].clone();
        }
        let [first, second] = plotted;
        let [one, two] = metrics;
        let plots = [
            PlottedCurve { metric: one, curve: first },
            PlottedCurve { metric: two, curve: second },
        ];
        self.page = Some(page);
        let ranked = self.reader.ranked_configurations(self.sweep)?;
        let rank = self.reader.rank_of(self.sweep, number)?.map(|rank| (rank, ranked));
        Ok(Some(WatchedPage {
            standing: standing(&trial.state),
            configuration: output::configuration(&trial.configuration),
            rank,
            plots,
            parts: self.parts(&detail),
            detail,
        }))
    }

    /// Returns everything about a trial that is text: what went wrong first.
    fn parts(&self, detail: &TrialDetail) -> Vec<PagePart> {
        let mut parts = Vec::new();
        let mut part = |title: &str, text: &str| {
            let lines = text.lines().map(str::to_owned).collect();
            parts.push(PagePart { title: title.into(), lines });
        };
        if let TrialState::Failed(failure) = &detail.trial.state {
            part("failure", &format!("{}: {}", failure.class.word(), failure.message));
        }
        let early = show::early(detail);
        if !early.is_empty() {
            part("early stopping", &early);
        }
        let evidence = show::evidence(&detail.attempts);
        for chunk in evidence.trim_start().split("\n\n").filter(|chunk| !chunk.is_empty()) {
            let (title, lines) = chunk.split_once('\n').unwrap_or((chunk, ""));
            part(title, lines);
        }
        part("attempts", &show::attempts(&detail.attempts, None));
        part("how workers ended", &(show::divisions(detail) + &show::exits(&detail.attempts)));
        let rungs = show::rungs(detail, &self.objective.metric, None);
        if let Some((title, table)) = rungs.trim_start().split_once('\n') {
            part(title, table);
        }
        part("metrics", &show::metrics(detail, None));
        part("settings", &show::settings(detail));
        if evidence.is_empty()
            && let Some((number, log)) = self.log(detail)
        {
            part(&format!("last lines of the log of attempt {number}"), &log);
        }
        parts
    }

    /// Reads the end of the newest attempt's log.
    fn log(&self, detail: &TrialDetail) -> Option<(u64, String)> {
        let attempt = detail.attempts.last()?;
        let path = self.home.inside(&format!("{}/log.txt", attempt.directory))?;
        let mut file = std::fs::File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Some((attempt.number, lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")))
    }
}

impl Traced {
    fn new(trial: &WatchedTrial) -> Self {
        let empty = || SampledCurve::new(trial.total_steps, PLACES.0);
        Self { attempts: trial.attempts, read_to: 0, objective: empty(), loss: empty() }
    }
}

/// Returns a configuration on one line, drawn values with four digits: a trial's page has all of them.
fn short(configuration: &Configuration) -> String {
    let values: Vec<_> = configuration
        .iter()
        .map(|(name, value)| format!("{name}={}", of_parameter(value)))
        .collect();
    if values.is_empty() { "(defaults)".into() } else { values.join(" ") }
}

fn standing(state: &TrialState) -> Standing {
    match state {
        TrialState::Queued => Standing::Queued,
        TrialState::Running(_) => Standing::Running,
        TrialState::Completed => Standing::Completed,
        TrialState::Diverged => Standing::Diverged,
        TrialState::Failed(_) => Standing::Failed,
        TrialState::Cancelled => Standing::Cancelled,
        TrialState::Waiting => Standing::Waiting,
        TrialState::Stopped(_) => Standing::Stopped,
    }
}

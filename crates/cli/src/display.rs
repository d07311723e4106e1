//! What a running session tells, turned into what the dashboard shows.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use converge_core::objective::Objective;
use converge_core::trial::TrialState;
use converge_dashboard::terminal::progress::ProgressDisplay;
use converge_dashboard::view::progress::{
    BestTrial, EndedTrial, Outcome, RunningTrial, StepRate, SweepProgress,
};
use converge_dashboard::view::watch_curve::SampledCurve;
use converge_scheduler::reactor::{Addition, Notice, Reactor, Trial, WorkerState};
use converge_scheduler::session::Update;
use converge_scheduler::trials::definition;
use converge_store::{SweepRecord, TrialCounts, TrialRecord};

use crate::output;

/// Redrawing more often than this helps nobody.
const REDRAW: Duration = Duration::from_millis(100);

/// The live display of one session.
pub(crate) struct Display {
    shown: ProgressDisplay,
    objective: Objective,
    /// Of the trials that were not final, by number.
    configurations: BTreeMap<u64, String>,
    /// Kinds of the trials beside the search. They are not counted, unless nothing else runs.
    beside: BTreeMap<u64, &'static str>,
    alone: bool,
    /// Whether seeds are given to what is tied for best.
    racing: bool,
    /// What earlier sessions did.
    before: Before,
    started: Instant,
    drawn: Option<Instant>,
    last: Option<SweepProgress>,
    ended: Vec<EndedTrial>,
    /// What was seen of the trials that run, by number.
    traces: BTreeMap<u64, Trace>,
}

/// The training loss of a running trial, as far as it was looked at, and its speed.
struct Trace {
    losses: SampledCurve,
    rate: StepRate,
}

/// What had ended before this session.
struct Before {
    trials: TrialCounts,
    /// Of completed trials; one that ended early does not count.
    steps: u64,
    best: Option<BestTrial>,
}

impl Display {
    /// Starts a display on stderr, for a session that goes on from what is stored.
    pub(crate) fn new(record: &SweepRecord) -> Self {
        let of_trial =
            |trial: &TrialRecord| (trial.number, output::configuration(&trial.configuration));
        let best = record.best.as_ref().map(|best| BestTrial {
            number: best.number,
            value: best.value,
            configuration: output::configuration(&best.configuration),
        });
        let open = &record.open_trials;
        let alone = !open.is_empty() && open.iter().all(|trial| !trial.kind.is_ranked());
        let before = match alone {
            true => Before { trials: TrialCounts::default(), steps: 0, best: None },
            false => Before { trials: record.counts, steps: record.completed_steps, best },
        };
        let style = output::stderr_style();
        let shown = if std::io::stderr().is_terminal() {
            ProgressDisplay::on_terminal(style)
        } else {
            ProgressDisplay::plain(Box::new(std::io::stderr()), style)
        };
        Self {
            shown,
            objective: record.objective.clone(),
            configurations: record.open_trials.iter().map(of_trial).collect(),
            beside: record
                .open_trials
                .iter()
                .filter(|trial| !trial.kind.is_ranked())
                .map(|trial| (trial.number, trial.kind.word()))
                .collect(),
            alone,
            racing: definition(record).is_ok_and(|sweep| sweep.racing),
            before,
            started: Instant::now(),
            drawn: None,
            last: None,
            ended: Vec::new(),
            traces: BTreeMap::new(),
        }
    }

    /// Takes an update of the session.
    pub(crate) fn update(&mut self, update: &Update<'_>) {
        match update {
            Update::Notice(notice) => self.notice(notice),
            Update::Progress(reactor) => self.progress(reactor),
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(self) {
        if let Some(last) = &self.last {
            self.shown.finish(last);
        }
    }

    fn progress(&mut self, reactor: &Reactor) {
        // All trials are looked at ten times a second at most; in between, what has ended is counted.
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if due {
            self.drawn = Some(Instant::now());
            self.last = Some(self.fold(reactor));
        }
        for ended in std::mem::take(&mut self.ended) {
            if let Some(progress) = &mut self.last {
                if !due {
                    count(progress, &ended, &self.objective);
                }
                progress.elapsed_seconds = self.started.elapsed().as_secs_f64();
                self.shown.trial_ended(&ended, progress);
            }
        }
        if let (true, Some(progress)) = (due, &self.last) {
            self.shown.show(progress);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let ended = |number: u64, outcome, objective, message| EndedTrial {
            number,
            outcome,
            configuration: self.configurations.get(&number).cloned().unwrap_or_default(),
            objective,
            seconds: 0.0,
            message,
        };
        let beside = |number: &u64, what: &str| {
            self.beside.get(number).map(|kind| format!("trial {number} ({kind}): {what}"))
        };
        let apart = match notice {
            Notice::Completed { trial, .. } => beside(trial, "completed"),
            Notice::Diverged { trial, step, quantity } => {
                beside(trial, &format!("{quantity} is not finite at step {step}"))
            }
            Notice::Failed { trial, failure, retried: false, .. } => beside(trial, failure),
            _ => None,
        };
        if let Some(line) = apart {
            return self.shown.println(&line);
        }
        match notice {
            Notice::Completed { trial, value } => {
                self.ended.push(ended(*trial, Outcome::Completed, *value, None));
            }
            Notice::Diverged { trial, step, quantity } => {
                let message = format!("{quantity} is not finite at step {step}");
                self.ended.push(ended(*trial, Outcome::Diverged, None, Some(message)));
            }
            Notice::Failed { trial, failure, retried: false, .. } => {
                self.ended.push(ended(*trial, Outcome::Failed, None, Some(failure.clone())));
            }
            Notice::Failed { trial, attempt, failure, retried: true, micro_batches } => {
                let with = micro_batches.map_or(String::new(), |division| format!(" with {division}"));
                self.shown.println(&format!(
                    "trial {trial}: attempt {attempt} failed, trying again{with} ({failure})"
                ));
            }
            Notice::Stopped { trial, step, rank, among, rung, rungs } => {
                self.shown.println(&format!(
                    "trial {trial} stopped at step {step}: rank {rank} of {among} at rung {rung} of {rungs}"
                ));
            }
            Notice::Cancelled { trial } => {
                self.shown.println(&format!("trial {trial}: cancelled"));
            }
            Notice::Added(added) => self.added(added),
            Notice::Pausing => self.shown.println("pausing: workers checkpoint and leave"),
            Notice::Paused => self.shown.println(
                "paused: all workers have left; `converge resume` in another terminal goes on, Ctrl-C stops",
            ),
            Notice::Unpaused => self.shown.println("going on"),
            Notice::Stopping { reason } => {
                let why = reason.as_deref().map_or(String::new(), |reason| format!("{reason}; "));
                self.shown
                    .println(&format!("{why}workers checkpoint and stop (Ctrl-C again: at once)"));
            }
        }
    }

    /// Takes in trials that have come, and tells of seeds that were given.
    fn added(&mut self, added: &[Addition]) {
        for one in added {
            let configuration = output::configuration(&one.configuration);
            self.configurations.insert(one.number, configuration);
            if !one.kind.is_ranked() {
                self.beside.insert(one.number, one.kind.word());
            }
        }
        let tied: Vec<_> = added.iter().filter(|one| one.kind.is_ranked()).collect();
        if let Some(first) = tied.first().filter(|_| self.racing) {
            let (seed, count) = (first.replicate + 1, tied.len());
            let whose = match count {
                1 => format!("trial {} is", first.number),
                _ => format!("{count} configurations are"),
            };
            if first.replicate > 0 {
                self.shown
                    .println(&format!("racing: {whose} given seed {seed}, being tied for best"));
            }
        }
    }

    fn fold(&mut self, reactor: &Reactor) -> SweepProgress {
        let mut progress = SweepProgress {
            objective: self.objective.metric.clone(),
            trials_total: self.before.trials.ended(),
            completed: self.before.trials.completed,
            diverged: self.before.trials.diverged,
            failed: self.before.trials.failed,
            cancelled: self.before.trials.cancelled,
            stopped: self.before.trials.stopped,
            waiting: 0,
            running: Vec::new(),
            steps_done: self.before.steps,
            steps_total: self.before.steps,
            best: self.before.best.clone(),
            elapsed_seconds: self.started.elapsed().as_secs_f64(),
        };
        let configuration =
            |number: u64| self.configurations.get(&number).cloned().unwrap_or_default();
        let counted = |trial: &&Trial| self.alone || trial.kind.is_ranked();
        // What a refit keeps its weights by is no value of the objective.
        let value = |trial: &Trial| trial.value.filter(|_| trial.kind.is_ranked());
        for trial in reactor.trials().map(|(_, trial)| trial).filter(counted) {
            progress.trials_total += 1;
            let total = if trial.state.is_final() { trial.step } else { trial.total_steps };
            progress.steps_done += trial.step.min(total);
            progress.steps_total += total;
            match trial.state {
                TrialState::Completed => progress.completed += 1,
                TrialState::Diverged => progress.diverged += 1,
                TrialState::Failed(_) => progress.failed += 1,
                TrialState::Cancelled => progress.cancelled += 1,
                TrialState::Waiting => progress.waiting += 1,
                TrialState::Stopped(_) => progress.stopped += 1,
                TrialState::Queued | TrialState::Running(_) => {}
            }
            if let (TrialState::Completed, Some(value)) = (&trial.state, value(trial)) {
                let better = progress
                    .best
                    .as_ref()
                    .is_none_or(|best| self.objective.improves(value, best.value));
                if better {
                    let configuration = configuration(trial.number);
                    progress.best = Some(BestTrial { number: trial.number, value, configuration });
                }
            }
        }
        if let Some(total) = reactor.total().filter(|_| !self.alone) {
            // What is still to be drawn takes as long as what there is.
            let missing = total.saturating_sub(progress.trials_total);
            progress.steps_total += missing * progress.steps_total / progress.trials_total.max(1);
            progress.trials_total += missing;
        }
        let mut traces = std::mem::take(&mut self.traces);
        for (id, worker) in reactor.workers() {
            let WorkerState::Busy(lease) = &worker.state else { continue };
            let Some(trial) = reactor.trial(lease.trial) else { continue };
            let mut trace =
                traces.remove(&trial.number).unwrap_or_else(|| Trace::new(trial.total_steps));
            trace.look(progress.elapsed_seconds, trial.step, trial.loss);
            progress.running.push(RunningTrial {
                number: trial.number,
                worker: id.to_string(),
                configuration: configuration(trial.number),
                step: trial.step,
                total_steps: trial.total_steps,
                loss: trial.loss,
                losses: trace.losses.clone(),
                steps_per_second: trace.rate.per_second(),
                objective: value(trial),
            });
            self.traces.insert(trial.number, trace);
        }
        progress
    }
}

impl Trace {
    fn new(total_steps: u64) -> Self {
        Self { losses: SampledCurve::new(total_steps, 24), rate: StepRate::default() }
    }

    fn look(&mut self, elapsed_seconds: f64, step: u64, loss: Option<f64>) {
        self.rate.observe(elapsed_seconds, step);
        let last = self.losses.last().map_or(0, |(step, _)| step);
        // A retry goes back to its checkpoint, and its curve begins there.
        if step < last {
            self.losses.clear();
        }
        if let Some(loss) = loss.filter(|_| step > 0 && step != last) {
            self.losses.push(step, loss);
        }
    }
}

/// Adds a trial that has ended to what is shown.
fn count(progress: &mut SweepProgress, ended: &EndedTrial, objective: &Objective) {
    match ended.outcome {
        Outcome::Completed => progress.completed += 1,
        Outcome::Diverged => progress.diverged += 1,
        Outcome::Failed => progress.failed += 1,
    }
    let incumbent = progress.best.as_ref().map(|best| best.value);
    if let (Outcome::Completed, Some(value)) = (ended.outcome, ended.objective)
        && incumbent.is_none_or(|incumbent| objective.improves(value, incumbent))
    {
        let configuration = ended.configuration.clone();
        progress.best = Some(BestTrial { number: ended.number, value, configuration });
    }
}

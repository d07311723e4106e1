//! A sweep that is watched, at one moment: what the screen shows, and nothing that it does not.

use converge_core::objective::Objective;
use converge_store::{Standing, TrialCounts, TrialDetail, WatchedTrial};

use super::watch_curve::SampledCurve;

/// Everything that one frame shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The sweep as a whole.
    pub sweep: WatchedSweep,
    /// The visible part of the list.
    pub rows: Vec<WatchedRow>,
    /// Place of its first row in the list, from 0.
    pub first: u64,
    /// Length of the list.
    pub listed: u64,
    /// The trial that is looked at.
    pub page: Option<WatchedPage>,
}

/// A sweep as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedSweep {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: SweepStanding,
    /// Process id of the scheduler that holds the home, whichever sweep it works on.
    pub scheduler: Option<u32>,
    /// How trials are ranked.
    pub objective: Objective,
    /// Names of its parameters, in the order of its file.
    pub parameters: Vec<String>,
    /// Trials by state.
    pub trials: TrialCounts,
    /// How many there will be; none where results decide it.
    pub planned: Option<u64>,
    /// Steps done.
    pub steps_done: u64,
    /// Steps in all.
    pub steps_total: u64,
    /// The recent speed.
    pub steps_per_second: Option<f64>,
    /// Wall time of all its sessions. Unit: seconds.
    pub elapsed_seconds: f64,
    /// The best configuration so far.
    pub best: Option<BestSoFar>,
    /// Who works on it.
    pub workers: Vec<WatchedWorker>,
}

/// Where a sweep stands, as `converge status` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepStanding {
    /// A scheduler works on it.
    Running,
    /// Workers are saving their checkpoints.
    Pausing,
    /// A scheduler holds it and does nothing.
    Paused,
    /// Was stopped; `resume` goes on.
    Interrupted,
    /// Was killed; `resume` goes on.
    Killed,
    /// Nothing is left to do.
    Finished,
}

/// The best configuration so far.
#[derive(Debug, Clone, PartialEq)]
pub struct BestSoFar {
    /// Mean objective of its completed replicates.
    pub mean: f64,
    /// Their trials, by number.
    pub trials: Vec<u64>,
    /// Its parameters.
    pub configuration: String,
}

/// A worker, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedWorker {
    /// On what it runs.
    pub device: String,
    /// What it trains; none: it starts, or waits.
    pub trial: Option<TrialInHand>,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialInHand {
    /// Number of the trial.
    pub number: u64,
    /// Which attempt.
    pub attempt: u64,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total_steps: u64,
    /// Mean speed of the attempt.
    pub steps_per_second: Option<f64>,
    /// Last training loss.
    pub loss: Option<f64>,
    /// The objective so far.
    pub objective: Option<f64>,
}

/// A trial in the list, with its curves over the whole trial.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedRow {
    /// The trial.
    pub trial: WatchedTrial,
    /// Its objective.
    pub objective: SampledCurve,
    /// Its training loss.
    pub loss: SampledCurve,
}

/// A trial that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedPage {
    /// Everything but its curves.
    pub detail: TrialDetail,
    /// Where it stands.
    pub standing: Standing,
    /// Its parameters.
    pub configuration: String,
    /// Place of its configuration, from 1, and how many have one.
    pub rank: Option<(u64, u64)>,
    /// The two plots.
    pub plots: [PlottedCurve; 2],
    /// What can be scrolled: attempts, values, settings, logs.
    pub parts: Vec<PagePart>,
}

/// A curve of a trial's page.
#[derive(Debug, Clone, PartialEq)]
pub struct PlottedCurve {
    /// Of what.
    pub metric: String,
    /// The curve so far.
    pub curve: SampledCurve,
}

/// A part of a trial's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePart {
    /// Its heading.
    pub title: String,
    /// Its text.
    pub lines: Vec<String>,
}

impl SweepStanding {
    /// Returns the word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
            Self::Finished => "finished",
        }
    }

    /// Returns whether a scheduler has this sweep.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Running | Self::Pausing | Self::Paused)
    }
}

impl WatchedSweep {
    /// Returns the share of all steps that is done, in [0, 1]; of a finished sweep all.
    pub fn share(&self) -> f64 {
        if self.state == SweepStanding::Finished {
            return 1.0;
        }
        if self.steps_total == 0 {
            return self.trials.ended() as f64 / self.trials.total().max(1) as f64;
        }
        (self.steps_done as f64 / self.steps_total as f64).min(1.0)
    }

    /// Returns the seconds that the rest will take at the recent speed.
    pub fn seconds_left(&self) -> Option<f64> {
        let rate = self.steps_per_second.filter(|rate| *rate > 0.0)?;
        Some(self.steps_total.saturating_sub(self.steps_done) as f64 / rate)
    }
}

//! A running sweep at one moment, and how long it will still take.

use std::collections::VecDeque;

use super::watch_curve::SampledCurve;

/// A running sweep at one moment; the scheduler's side fills it in.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepProgress {
    /// Metric by which trials are ranked, such as `validation/accuracy`.
    pub objective: String,
    /// Trials of the sweep, as far as they are known.
    pub trials_total: u64,
    /// Trials with all steps done.
    pub completed: u64,
    /// Trials that ended with a non-finite loss.
    pub diverged: u64,
    /// Trials whose retries are used up.
    pub failed: u64,
    /// Trials that the user did not want.
    pub cancelled: u64,
    /// Trials that were stopped at a rung.
    pub stopped: u64,
    /// Trials that have paused at a rung, for whether they go on.
    pub waiting: u64,
    /// Trials that hold a worker now.
    pub running: Vec<RunningTrial>,
    /// Steps done over all trials, those of earlier sessions included.
    pub steps_done: u64,
    /// Steps of all trials; a trial that ended early counts with the steps that it did.
    pub steps_total: u64,
    /// The best trial so far.
    pub best: Option<BestTrial>,
    /// Wall time of this session. Unit: seconds.
    pub elapsed_seconds: f64,
}

/// A trial that holds a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningTrial {
    /// Its number in the sweep, as users name it.
    pub number: u64,
    /// Who trains it.
    pub worker: String,
    /// Its parameters, as `learning_rate=2e-5 optimizer=adamw`.
    pub configuration: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total_steps: u64,
    /// Training loss of the last step.
    pub loss: Option<f64>,
    /// The training loss so far.
    pub losses: SampledCurve,
    /// Its own speed in the last minute.
    pub steps_per_second: Option<f64>,
    /// Objective at the last evaluation.
    pub objective: Option<f64>,
}

/// A trial that has just ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedTrial {
    /// Its number in the sweep.
    pub number: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Its parameters.
    pub configuration: String,
    /// Its objective, where it has one.
    pub objective: Option<f64>,
    /// Wall time of its last attempt; 0 where it is not known. Unit: seconds.
    pub seconds: f64,
    /// What went wrong.
    pub message: Option<String>,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps done.
    Completed,
    /// Non-finite loss: a result.
    Diverged,
    /// Retries used up.
    Failed,
}

/// The best trial so far.
#[derive(Debug, Clone, PartialEq)]
pub struct BestTrial {
    /// Its number in the sweep.
    pub number: u64,
    /// Its objective.
    pub value: f64,
    /// Its parameters.
    pub configuration: String,
}

impl SweepProgress {
    /// Returns how many trials have ended, in whatever way.
    pub fn ended(&self) -> u64 {
        self.completed + self.stopped + self.diverged + self.failed + self.cancelled
    }

    /// Returns the share of all steps that is done, in [0, 1].
    pub fn share(&self) -> f64 {
        if self.steps_total == 0 {
            return self.ended() as f64 / self.trials_total.max(1) as f64;
        }
        (self.steps_done as f64 / self.steps_total as f64).min(1.0)
    }

    /// Returns the seconds that the rest will take at `steps_per_second`.
    ///
    /// None without a rate. The last trials run on fewer workers than there are, so this is a lower estimate.
    pub fn seconds_left(&self, steps_per_second: Option<f64>) -> Option<f64> {
        let rate = steps_per_second.filter(|rate| *rate > 0.0)?;
        Some(self.steps_total.saturating_sub(self.steps_done) as f64 / rate)
    }
}

impl Outcome {
    /// Returns the word used in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// The recent speed of a sweep, from what was seen in the last minute.
///
/// Only differences count, so a resumed sweep does not get the steps of earlier sessions for free.
#[derive(Debug, Clone, Default)]
pub struct StepRate {
    /// (elapsed seconds, steps done), oldest first.
    samples: VecDeque<(f64, u64)>,
}

impl StepRate {
    /// What is older is forgotten. Unit: seconds.
    const WINDOW: f64 = 60.0;
    /// Samples are at least so far apart, which bounds their number. Unit: seconds.
    const SPACING: f64 = 0.5;
    /// No rate is told from a shorter time. Unit: seconds.
    const SHORTEST: f64 = 2.0;

    /// Takes note of the steps done by now.
    pub fn observe(&mut self, elapsed_seconds: f64, steps_done: u64) {
        // A retry goes back to its checkpoint: what was measured before no longer fits.
        if self.samples.back().is_some_and(|(_, steps)| *steps > steps_done) {
            self.samples.clear();
        }
        let newest: Vec<f64> = self.samples.iter().rev().take(2).map(|(at, _)| *at).collect();
        if let [last, before] = newest[..]
            && last - before < Self::SPACING
        {
            self.samples.pop_back();
        }
        self.samples.push_back((elapsed_seconds, steps_done));
        // The newest sample outside the window stays as the other end of it.
        while self.samples.get(1).is_some_and(|(at, _)| elapsed_seconds - at >= Self::WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Returns the steps per second over the window.
    pub fn per_second(&self) -> Option<f64> {
        let (first_at, first_steps) = *self.samples.front()?;
        let (last_at, last_steps) = *self.samples.back()?;
        let seconds = last_at - first_at;
        (seconds >= Self::SHORTEST).then(|| (last_steps - first_steps) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(steps_done: u64, steps_total: u64) -> SweepProgress {
        SweepProgress {
            objective: "validation/accuracy".into(),
            trials_total: 4,
            completed: 1,
            diverged: 1,
            failed: 0,
            cancelled: 0,
            stopped: 0,
            waiting: 0,
            running: vec![],
            steps_done,
            steps_total,
            best: None,
            elapsed_seconds: 0.0,
        }
    }

    #[test]
    fn the_time_left_follows_from_steps_and_rate() {
        assert_eq!(progress(100, 400).seconds_left(Some(2.0)), Some(150.0));
        assert_eq!(progress(400, 400).seconds_left(Some(2.0)), Some(0.0));
        assert_eq!(progress(500, 400).seconds_left(Some(2.0)), Some(0.0));
        assert_eq!(progress(100, 400).seconds_left(None), None);
        assert_eq!(progress(100, 400).seconds_left(Some(0.0)), None);
    }

    #[test]
    fn the_share_falls_back_to_trials_where_steps_are_unknown() {
        assert_eq!(progress(100, 400).share(), 0.25);
        assert_eq!(progress(500, 400).share(), 1.0);
        assert_eq!(progress(0, 0).share(), 0.5);
    }

    #[test]
    fn the_rate_counts_this_session_only() {
        let mut rate = StepRate::default();
        rate.observe(0.0, 10_000);
        assert_eq!(rate.per_second(), None);
        rate.observe(1.0, 10_002);
        assert_eq!(rate.per_second(), None, "too early to tell");
        rate.observe(4.0, 10_008);
        assert_eq!(rate.per_second(), Some(2.0));
    }

    #[test]
    fn the_rate_follows_a_change_within_a_minute() {
        let mut rate = StepRate::default();
        let mut steps = 0;
        for tick in 0..600 {
            rate.observe(f64::from(tick) * 0.25, steps);
            steps += if tick < 300 { 4 } else { 1 };
        }
        assert_eq!(rate.per_second(), Some(4.0));
        assert!(rate.samples.len() <= 122, "{} samples are kept", rate.samples.len());
    }

    #[test]
    fn the_rate_starts_anew_when_a_retry_goes_back() {
        let mut rate = StepRate::default();
        rate.observe(0.0, 100);
        rate.observe(10.0, 120);
        rate.observe(11.0, 90);
        assert_eq!(rate.per_second(), None);
        rate.observe(15.0, 94);
        assert_eq!(rate.per_second(), Some(1.0));
    }
}

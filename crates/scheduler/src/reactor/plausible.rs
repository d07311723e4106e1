//! Whether a frame can be true. What the store would refuse must not reach it: the whole batch would fall with it,
//! and the log could never be read past that line.

use converge_core::ids::AttemptId;
use converge_core::packed;
use converge_core::trial::AttemptEnding;
use converge_protocol::message::Up;

use super::Reactor;

/// Metrics that one step can have; an evaluation of a task with hundreds of classes has a few hundred.
const METRICS_MOST: usize = 100_000;
/// Bytes that a metric's name can have.
const TEXT_MOST: usize = 4096;

impl Reactor {
    /// Returns whether a frame about a running attempt fits what is known of its trial. Frames of other attempts are
    /// the fence's matter.
    pub(super) fn is_plausible(&self, message: &Up) -> bool {
        match message {
            Up::Step { attempt, step, metrics, items } => {
                self.is_step(*attempt, *step)
                    && are_metrics(metrics)
                    // What a frame carries was read from its packed form; a worker in this process could say more.
                    && items.as_ref().is_none_or(|items| packed::items(items).is_some())
            }
            Up::Checkpoint { attempt, step, directory } => {
                self.is_step(*attempt, *step)
                    && self.is_past_resume_point(*attempt, *step)
                    && self.own(*attempt, directory).is_some()
            }
            Up::Ended { attempt, step, ending, best, peak_memory_bytes } => {
                let shown = match ending {
                    AttemptEnding::Diverged { step, .. } => *step,
                    _ => 0,
                };
                let weights = best.as_ref().is_none_or(|best| {
                    self.is_step(*attempt, best.step)
                        && self.own(*attempt, &best.directory).is_some()
                });
                self.is_step(*attempt, *step)
                    && self.is_step(*attempt, shown)
                    && (*ending != AttemptEnding::Paused || self.is_at_rung(*attempt, *step))
                    && weights
                    && peak_memory_bytes.is_none_or(|bytes| i64::try_from(bytes).is_ok())
            }
            Up::Born { .. }
            | Up::Prepared { .. }
            | Up::Refused { .. }
            | Up::Inspected { .. }
            | Up::Started { .. }
            | Up::Beat
            | Up::Bye => true,
        }
    }

    /// Returns the trial that an attempt is running; none where the attempt is not open.
    fn trial_of(&self, attempt: AttemptId) -> Option<&super::Trial> {
        let leases = self.workers.values().filter_map(|worker| match worker.state {
            super::WorkerState::Busy(lease) => Some(lease),
            _ => None,
        });
        let trial = leases.into_iter().find(|lease| lease.attempt == attempt)?.trial;
        self.trials.get(&trial)
    }

    fn is_step(&self, attempt: AttemptId, step: u64) -> bool {
        self.trial_of(attempt).is_none_or(|trial| step <= trial.total_steps)
    }

    /// Returns whether a trial pauses at a step: at the rung to which it was to run, with a checkpoint.
    fn is_at_rung(&self, attempt: AttemptId, step: u64) -> bool {
        self.trial_of(attempt).is_none_or(|trial| {
            let saved = trial.resume_point.as_ref().is_some_and(|point| point.step == step);
            saved && trial.climb.until_step() == Some(step)
        })
    }

    fn is_past_resume_point(&self, attempt: AttemptId, step: u64) -> bool {
        let point = self.trial_of(attempt).and_then(|trial| trial.resume_point.as_ref());
        point.is_none_or(|point| step >= point.step)
    }
}

fn are_metrics(metrics: &[(String, f64)]) -> bool {
    let named = |(name, _): &(String, f64)| !name.is_empty() && name.len() <= TEXT_MOST;
    if metrics.len() > METRICS_MOST || !metrics.iter().all(named) {
        return false;
    }
    let mut names: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

//! Early stopping: trials pause at rungs, the ladder says who goes on, and those who do are leased first.
//!
//! Who decides is [`Ladder`]; here it is told what happens, and what it says is carried out. A rung counts as reached
//! when its attempt has ended there, with a checkpoint: what is decided then needs no running worker.

use std::cmp::Reverse;

use converge_core::early_stop::{Decision, Ended, Ladder, Marks, Standing, Verdict};
use converge_core::ids::TrialId;
use converge_core::items::ItemResults;
use converge_core::objective::{At, Objective};
use converge_core::trial::{IllegalTransition, StopReason, TrialEvent, TrialState};
use converge_protocol::message::Work;
use converge_store::{Change, RungDecision, RungStanding};

use super::{Action, Decisions, Notice, Reactor, Trial};

/// `[early_stop]` as a session needs it.
#[derive(Debug, Clone, Default)]
pub struct EarlyStopping {
    /// Who goes on; trials are known to it by their ids. None: nobody is stopped.
    pub ladder: Option<Ladder>,
    /// Evaluations without a better objective after which a trial completes early.
    pub patience: Option<u64>,
}

/// A trial on its way past the rungs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Climb {
    /// Their steps in this trial, in order; none where nobody is stopped.
    pub rungs: Vec<u64>,
    /// How many of them it was promoted at: it pauses at the next one.
    pub passed: u64,
    /// What it has reached at that one, once it was observed.
    pub reached: Option<Standing>,
    /// The objective at each step that counts so far, in order.
    pub evaluations: Vec<(u64, f64)>,
    /// Examples that it is measured on.
    pub examples: u64,
}

impl Climb {
    /// Returns the step at which the trial pauses next.
    pub fn until_step(&self) -> Option<u64> {
        self.rungs.get(usize::try_from(self.passed).ok()?).copied()
    }

    /// Takes that the next attempt goes on from a step: what came after it is done again.
    pub(super) fn begin_at(&mut self, step: u64) {
        self.evaluations.retain(|(evaluated, _)| *evaluated <= step);
        if self.until_step().is_some_and(|until| step < until) {
            self.reached = None;
        }
    }

    /// Returns what the trial stands with after a step.
    fn standing(&self, step: u64, objective: &Objective) -> Standing {
        let mut value: Option<f64> = None;
        for (_, seen) in self.evaluations.iter().filter(|(evaluated, _)| *evaluated <= step) {
            let better = value.is_none_or(|value| objective.improves(*seen, value));
            if better || objective.at == At::Last {
                value = Some(*seen);
            }
        }
        let value = value.filter(|value| !value.is_nan());
        Standing { value, examples: self.examples, marks: None }
    }
}

impl Trial {
    fn objective(&self) -> &Objective {
        match &self.work {
            Work::FineTune { objective, .. } | Work::Scripted { objective, .. } => objective,
        }
    }
}

impl Reactor {
    /// Lets a trial wait for a worker.
    pub(super) fn enqueue(&mut self, id: TrialId) {
        match self.trials.get(&id).map_or(0, |trial| trial.climb.passed) {
            0 => self.queued.insert(id),
            passed => self.promoted.insert((Reverse(passed), id)),
        };
    }

    /// Takes a trial out of those that wait for a worker.
    pub(super) fn dequeue(&mut self, id: TrialId) {
        self.queued.remove(&id);
        let passed = self.trials.get(&id).map_or(0, |trial| trial.climb.passed);
        self.promoted.remove(&(Reverse(passed), id));
    }

    /// Returns the trial that is leased next: who has come furthest first, then by number.
    pub(super) fn next_queued(&mut self) -> Option<TrialId> {
        self.promoted.pop_first().map(|(_, id)| id).or_else(|| self.queued.pop_first())
    }

    /// Keeps what a step says about the objective; at a rung, returns what the trial has reached there.
    pub(super) fn climb(
        &mut self,
        id: TrialId,
        step: u64,
        metrics: &[(String, f64)],
        items: Option<&ItemResults>,
    ) -> Option<Change> {
        let trial = self.trials.get_mut(&id)?;
        if trial.climb.rungs.is_empty() && self.early_stop.ladder.is_none() {
            return None;
        }
        let objective = trial.objective().clone();
        let seen = metrics.iter().find(|(name, _)| *name == objective.metric);
        trial.climb.evaluations.extend(seen.map(|(_, value)| (step, *value)));
        if trial.climb.until_step() != Some(step) {
            return None;
        }
        let marks = items.and_then(|items| Marks::of(items, &objective.metric));
        let standing = Standing { marks, ..trial.climb.standing(step, &objective) };
        trial.climb.reached = Some(standing.clone());
        Some(reached(id, &trial.climb, step, &standing))
    }

    /// Takes that a trial waits at its rung.
    pub(super) fn wait_at_rung(&mut self, id: TrialId, decisions: &mut Decisions) {
        let Some(trial) = self.trials.get_mut(&id) else { return };
        if trial.attempts > 1 {
            decisions.actions.push(Action::CleanUp { trial: trial.number });
        }
        let step = trial.step;
        let standing = match trial.climb.reached.clone() {
            Some(standing) => standing,
            // It found itself there, and the evaluation is that of an earlier attempt.
            None => {
                let standing = trial.climb.standing(step, trial.objective());
                decisions.changes.push(reached(id, &trial.climb, step, &standing));
                standing
            }
        };
        if let Some(ladder) = &mut self.early_stop.ladder {
            ladder.reach(key(id), standing);
        }
    }

    /// Takes that a trial is final.
    pub(super) fn leave_ladder(&mut self, id: TrialId) {
        let Some(ladder) = &mut self.early_stop.ladder else { return };
        let Some(trial) = self.trials.get(&id) else { return };
        let ended = match &trial.state {
            TrialState::Stopped(_) => return,
            TrialState::Completed => {
                Ended::Completed(trial.climb.standing(trial.step, trial.objective()))
            }
            _ => Ended::Otherwise,
        };
        ladder.end(key(id), ended);
    }

    /// Promotes and stops whom the ladder says.
    pub(super) fn decide(&mut self, decisions: &mut Decisions) -> Result<(), IllegalTransition> {
        let Some(ladder) = &mut self.early_stop.ladder else { return Ok(()) };
        for decision in ladder.decide() {
            self.carry_out(&decision, decisions)?;
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        decision: &Decision,
        decisions: &mut Decisions,
    ) -> Result<(), IllegalTransition> {
        let Decision { rung, verdict, rank, among, order, .. } = *decision;
        let id = TrialId(decision.trial.cast_signed());
        // A session that is about other trials leaves these to the next one; who was cancelled while waiting is gone.
        let waits = |trial: &&mut Trial| trial.state == TrialState::Waiting;
        let Some(trial) = self.trials.get_mut(&id).filter(waits) else { return Ok(()) };
        let event = match verdict {
            Verdict::Promoted => TrialEvent::Promoted,
            Verdict::Stopped => TrialEvent::Stopped(StopReason::Outranked),
        };
        trial.state = trial.state.next(&event, &trial.failures, &self.failure.retries)?;
        let decision = RungDecision { verdict, rank, among, place: order };
        decisions.changes.push(Change::Decided { trial: id, rung, decision });
        decisions.changes.push(Change::TrialState { trial: id, state: trial.state.clone() });
        let (number, step, rungs) = (trial.number, trial.step, trial.climb.rungs.len() as u64);
        match verdict {
            Verdict::Promoted => {
                trial.climb.passed += 1;
                trial.climb.reached = None;
                self.enqueue(id);
            }
            Verdict::Stopped => {
                self.close(id);
                decisions.actions.push(Action::CleanUp { trial: number });
                self.count_final(id, decisions);
                let rung = rung + 1;
                let notice = Notice::Stopped { trial: number, step, rank, among, rung, rungs };
                decisions.actions.push(Action::Notice(notice));
            }
        }
        Ok(())
    }
}

/// Trials are known to the ladder by their ids: within a sweep those grow with their numbers.
pub(crate) fn key(id: TrialId) -> u64 {
    id.0.cast_unsigned()
}

fn reached(trial: TrialId, climb: &Climb, step: u64, standing: &Standing) -> Change {
    let marks = standing.marks.as_ref().map(Marks::to_bytes);
    let standing = RungStanding { value: standing.value, marks };
    Change::Reached { trial, rung: climb.passed, step, standing }
}

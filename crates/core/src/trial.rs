//! The life of a trial: one total transition function, used live and on recovery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureClass};
use crate::ids::AttemptId;

/// Where a trial stands. The data of a state lives in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialState {
    /// Waits for a worker.
    Queued,
    /// The attempt holds the right to write for the trial.
    Running(AttemptId),
    /// All steps done.
    Completed,
    /// Non-finite loss or gradients: a result, ranked last, never retried.
    Diverged,
    /// Retries used up.
    Failed(Failure),
    /// The user does not want it: not a failure, ranked nowhere.
    Cancelled,
}

/// Something that happened to a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialEvent {
    /// A worker was given the trial.
    Leased(AttemptId),
    /// The attempt is over.
    Ended(AttemptId, AttemptEnding),
    /// The user asked for failed or cancelled trials to be tried again.
    Requeued,
    /// The user no longer wants it; a running attempt has to end first.
    Cancelled,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnding {
    /// All steps done.
    Completed,
    /// Non-finite loss or gradients.
    Diverged {
        /// Step that showed it.
        step: u64,
        /// What was not finite.
        quantity: String,
    },
    /// Gave the trial back on request, after a checkpoint.
    Released,
    /// Ended with its scheduler, through no fault of its own: not charged to the trial.
    Abandoned,
    /// Went wrong.
    Failed(Failure),
}

/// Kind of a trial: what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialKind {
    /// A point of the grid.
    Grid,
    /// A draw, whichever method made it.
    Random,
    /// A configuration that the user named, ahead of the search.
    Enqueued,
    /// The defaults, outside the search and its count.
    Baseline,
    /// A look at costs or learning rates before the search.
    Probe,
    /// The winner once more, on training and validation data together.
    Refit,
}

/// Retries by class of failure; a class that is not named is not retried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Retries(pub BTreeMap<FailureClass, u64>);

impl Default for Retries {
    fn default() -> Self {
        Self(BTreeMap::from([
            (FailureClass::Killed, 5),
            (FailureClass::Oom, 1),
            (FailureClass::Panic, 1),
            (FailureClass::Timeout, 1),
        ]))
    }
}

/// An event that cannot happen in this state: a defect of converge or a damaged database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a trial that is {state:?}")]
pub struct IllegalTransition {
    /// State before.
    pub state: TrialState,
    /// The event.
    pub event: TrialEvent,
}

impl TrialState {
    /// Returns the state after `event`.
    ///
    /// `failures` counts the trial's failed attempts by class, the one in `event` included.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the event does not fit the state; nothing can be done but stop.
    pub fn next(
        &self,
        event: &TrialEvent,
        failures: &BTreeMap<FailureClass, u64>,
        retries: &Retries,
    ) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Queued, TrialEvent::Leased(attempt)) => Ok(Self::Running(*attempt)),
            (Self::Running(current), TrialEvent::Ended(attempt, ending)) if current == attempt => {
                Ok(match ending {
                    AttemptEnding::Completed => Self::Completed,
                    AttemptEnding::Diverged { .. } => Self::Diverged,
                    AttemptEnding::Released | AttemptEnding::Abandoned => Self::Queued,
                    AttemptEnding::Failed(failure) => {
                        let failed = failures.get(&failure.class).copied().unwrap_or(0);
                        let allowed = retries.0.get(&failure.class).copied().unwrap_or(0);
                        if failed <= allowed { Self::Queued } else { Self::Failed(failure.clone()) }
                    }
                })
            }
            (Self::Failed(_) | Self::Cancelled, TrialEvent::Requeued) => Ok(Self::Queued),
            (Self::Queued, TrialEvent::Cancelled) => Ok(Self::Cancelled),
            (
                Self::Queued
                | Self::Running(_)
                | Self::Completed
                | Self::Diverged
                | Self::Failed(_)
                | Self::Cancelled,
                TrialEvent::Leased(_)
                | TrialEvent::Ended(..)
                | TrialEvent::Requeued
                | TrialEvent::Cancelled,
            ) => Err(IllegalTransition { state: self.clone(), event: event.clone() }),
        }
    }

    /// Returns the word used in database and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running(_) => "running",
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether nothing more will happen to the trial, unless the user asks for it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Diverged | Self::Failed(_) | Self::Cancelled)
    }
}

impl AttemptEnding {
    /// Returns the word used in database and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Diverged { .. } => "diverged",
            Self::Released => "released",
            Self::Abandoned => "abandoned",
            Self::Failed(_) => "failed",
        }
    }
}

impl TrialKind {
    /// Returns the word used in database and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Enqueued => "enqueued",
            Self::Baseline => "baseline",
            Self::Probe => "probe",
            Self::Refit => "refit",
        }
    }

    /// The kinds that are not [ranked](Self::is_ranked).
    pub const BESIDE: [Self; 3] = [Self::Baseline, Self::Probe, Self::Refit];

    /// Whether the trial is one of the search: counted, and ranked against the others.
    pub fn is_ranked(self) -> bool {
        matches!(self, Self::Grid | Self::Random | Self::Enqueued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(class: FailureClass) -> AttemptEnding {
        AttemptEnding::Failed(Failure { class, message: "x".into() })
    }

    #[test]
    fn every_pair_of_state_and_event_has_its_answer() {
        let attempt = AttemptId(1);
        let states = [
            TrialState::Queued,
            TrialState::Running(attempt),
            TrialState::Completed,
            TrialState::Diverged,
            TrialState::Failed(Failure { class: FailureClass::Oom, message: "x".into() }),
            TrialState::Cancelled,
        ];
        let diverged = AttemptEnding::Diverged { step: 3, quantity: "loss".into() };
        let events = [
            TrialEvent::Leased(attempt),
            TrialEvent::Ended(attempt, AttemptEnding::Completed),
            TrialEvent::Ended(attempt, diverged),
            TrialEvent::Ended(attempt, AttemptEnding::Released),
            TrialEvent::Ended(attempt, AttemptEnding::Abandoned),
            TrialEvent::Ended(attempt, failed(FailureClass::Data)),
            TrialEvent::Ended(AttemptId(2), AttemptEnding::Completed),
            TrialEvent::Requeued,
            TrialEvent::Cancelled,
        ];
        let table: Vec<Vec<&str>> = states
            .iter()
            .map(|state| {
                let answer = |event| {
                    state
                        .next(
                            event,
                            &BTreeMap::from([(FailureClass::Data, 1)]),
                            &Retries::default(),
                        )
                        .map_or("illegal", |next| next.word())
                };
                events.iter().map(answer).collect()
            })
            .collect();
        let rows: Vec<String> = table.iter().map(|row| row.join(" ")).collect();
        assert_eq!(
            rows,
            [
                "running illegal illegal illegal illegal illegal illegal illegal cancelled",
                "illegal completed diverged queued queued failed illegal illegal illegal",
                "illegal illegal illegal illegal illegal illegal illegal illegal illegal",
                "illegal illegal illegal illegal illegal illegal illegal illegal illegal",
                "illegal illegal illegal illegal illegal illegal illegal queued illegal",
                "illegal illegal illegal illegal illegal illegal illegal queued illegal",
            ]
        );
    }

    #[test]
    fn a_class_is_retried_as_often_as_its_policy_says() {
        let running = TrialState::Running(AttemptId(1));
        let event = TrialEvent::Ended(AttemptId(1), failed(FailureClass::Killed));
        for (failures, expected) in [(1, "queued"), (5, "queued"), (6, "failed")] {
            let counts = BTreeMap::from([(FailureClass::Killed, failures)]);
            let next = running.next(&event, &counts, &Retries::default()).unwrap();
            assert_eq!(next.word(), expected, "after {failures} failures");
        }
    }
}

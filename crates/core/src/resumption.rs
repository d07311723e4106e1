//! What `resume` does with each trial: a function of where the trial stands and of what the user wants retried.

use std::collections::BTreeSet;

use crate::failure::{Failure, FailureClass};
use crate::problem::Problem;
use crate::trial::TrialState;

/// The trials that a user wants tried again: failed ones by class, cancelled ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retry {
    classes: BTreeSet<FailureClass>,
    cancelled: bool,
}

/// Words beside the classes of failure: every failed trial, every cancelled one, and both.
const WORDS: [&str; 3] = ["failed", "cancelled", "all"];

/// What becomes of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// Goes on from a checkpoint.
    Continue {
        /// Steps done in it.
        from_step: u64,
    },
    /// Starts from nothing: never run, or stopped before its first checkpoint.
    Start,
    /// Had failed or was cancelled, and is queued again because the user says so.
    Retry {
        /// How it had ended.
        after: Ended,
        /// Steps done in its checkpoint; 0 where there is none.
        from_step: u64,
    },
    /// Waits at a rung, for whether it goes on.
    Wait {
        /// Steps done in its checkpoint.
        at_step: u64,
    },
    /// Stays as it is.
    Skip(Ended),
}

/// Why nothing is done for a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All steps done.
    Completed,
    /// A result as well.
    Diverged,
    /// Retries used up.
    Failed(Failure),
    /// Taken out by the user.
    Cancelled,
    /// Others were better at a rung: a result as well.
    Stopped,
}

impl Retry {
    /// Reads words: classes of failure, `failed` for all of them, `cancelled`, or `all` for both.
    ///
    /// # Errors
    /// A problem for each word that names nothing that can be retried.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, Vec<Problem>> {
        let (mut retry, mut problems) = (Self::default(), Vec::new());
        for word in words.into_iter().map(str::trim) {
            match FailureClass::from_word(word) {
                Some(class) => {
                    retry.classes.insert(class);
                }
                None if WORDS.contains(&word) => {
                    retry.cancelled |= word != "failed";
                    if word != "cancelled" {
                        retry.classes.extend(FailureClass::ALL);
                    }
                }
                None => problems.push(unknown(word)),
            }
        }
        if problems.is_empty() { Ok(retry) } else { Err(problems) }
    }

    /// Returns whether a trial in this state is tried again.
    pub fn covers(&self, state: &TrialState) -> bool {
        match state {
            TrialState::Failed(failure) => self.classes.contains(&failure.class),
            TrialState::Cancelled => self.cancelled,
            TrialState::Queued
            | TrialState::Running(_)
            | TrialState::Completed
            | TrialState::Diverged
            | TrialState::Waiting
            | TrialState::Stopped(_) => false,
        }
    }

    /// Returns whether nothing is to be retried.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty() && !self.cancelled
    }
}

fn unknown(word: &str) -> Problem {
    let classes = FailureClass::ALL.iter().map(|class| class.word());
    let known: Vec<_> = WORDS.into_iter().chain(classes).collect();
    let problem = Problem::new("--retry", format!("`{word}` names no trials that can be retried"));
    problem.hint(match word {
        "diverged" => "diverged is a result: the same steps would diverge again".to_string(),
        "completed" => "completed trials are done".to_string(),
        "stopped" => {
            "a stopped trial's checkpoint is gone; run its configuration in a sweep of its own"
                .to_string()
        }
        _ => format!("one or more of {}", known.join(", ")),
    })
}

/// Returns what becomes of a trial; a running one is taken as stopped now.
pub fn outlook(state: &TrialState, checkpoint_step: Option<u64>, retry: &Retry) -> Outlook {
    let ended = match state {
        TrialState::Queued | TrialState::Running(_) => {
            return match checkpoint_step {
                Some(from_step) => Outlook::Continue { from_step },
                None => Outlook::Start,
            };
        }
        TrialState::Completed => Ended::Completed,
        TrialState::Diverged => Ended::Diverged,
        TrialState::Failed(failure) => Ended::Failed(failure.clone()),
        TrialState::Cancelled => Ended::Cancelled,
        TrialState::Stopped(_) => Ended::Stopped,
        TrialState::Waiting => return Outlook::Wait { at_step: checkpoint_step.unwrap_or(0) },
    };
    if retry.covers(state) {
        Outlook::Retry { after: ended, from_step: checkpoint_step.unwrap_or(0) }
    } else {
        Outlook::Skip(ended)
    }
}

impl Outlook {
    /// Returns the word for what is done.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Continue { .. } => "continue",
            Self::Start => "start",
            Self::Retry { .. } => "retry",
            Self::Wait { .. } => "wait",
            Self::Skip(_) => "skip",
        }
    }

    /// Returns the step from which it trains; none where it does not.
    pub fn from_step(&self) -> Option<u64> {
        match self {
            Self::Continue { from_step } | Self::Retry { from_step, .. } => Some(*from_step),
            Self::Start => Some(0),
            Self::Wait { .. } | Self::Skip(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AttemptId;

    fn failed(class: FailureClass) -> TrialState {
        TrialState::Failed(Failure { class, message: "x".into() })
    }

    #[test]
    fn every_state_has_its_outlook() {
        let oom = Retry::parse(["oom"]).unwrap();
        let word = |state: &TrialState, checkpoint| {
            let outlook = outlook(state, checkpoint, &oom);
            (outlook.word(), outlook.from_step())
        };
        assert_eq!(word(&TrialState::Queued, None), ("start", Some(0)));
        assert_eq!(word(&TrialState::Queued, Some(40)), ("continue", Some(40)));
        assert_eq!(word(&TrialState::Running(AttemptId(1)), Some(7)), ("continue", Some(7)));
        assert_eq!(word(&TrialState::Completed, Some(40)), ("skip", None));
        assert_eq!(word(&TrialState::Diverged, None), ("skip", None));
        assert_eq!(word(&failed(FailureClass::Oom), None), ("retry", Some(0)));
        assert_eq!(word(&failed(FailureClass::Oom), Some(9)), ("retry", Some(9)));
        assert_eq!(word(&failed(FailureClass::Panic), None), ("skip", None));
        assert_eq!(word(&TrialState::Cancelled, None), ("skip", None));
        assert_eq!(word(&TrialState::Waiting, Some(40)), ("wait", None));
        let stopped = TrialState::Stopped(crate::trial::StopReason::Outranked);
        assert_eq!(word(&stopped, None), ("skip", None));
        let all = Retry::parse(["all"]).unwrap();
        assert_eq!(outlook(&TrialState::Cancelled, None, &all).word(), "retry");
    }

    #[test]
    fn words_name_states_and_classes_and_unknown_ones_are_told_at_once() {
        for all in ["all", "failed"] {
            let retry = Retry::parse([all]).unwrap();
            assert!(FailureClass::ALL.iter().all(|class| retry.covers(&failed(*class))), "{all}");
            assert!(!retry.covers(&TrialState::Diverged));
            assert_eq!(retry.covers(&TrialState::Cancelled), all == "all");
        }
        let some = Retry::parse(["oom", " killed"]).unwrap();
        let covered: Vec<_> =
            FailureClass::ALL.into_iter().filter(|class| some.covers(&failed(*class))).collect();
        assert_eq!(covered, [FailureClass::Oom, FailureClass::Killed]);
        assert!(Retry::default().is_empty());

        let problems = Retry::parse(["oom", "lost", "diverged"]).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(problems[0].to_string().contains("`lost`"), "{}", problems[0]);
        let hint = problems[0].hint.as_deref().unwrap();
        assert!(hint.contains("failed") && hint.contains("disk_full"), "{hint}");
    }
}

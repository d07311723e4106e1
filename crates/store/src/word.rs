//! Enums as words: how the vocabulary stands in the database. Each list equals a `CHECK` of the schema.

use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::AttemptId;
use converge_core::objective::{At, Goal};
use converge_core::trial::{AttemptEnding, StopReason, TrialKind, TrialState};
use rusqlite::Row;

use crate::database_error::unreadable;

/// Where a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepState {
    /// A scheduler works on it (or died without a word: see the home lock).
    Running,
    /// A scheduler holds it and leases nothing: its workers have left, or are about to.
    Paused,
    /// Stopped before its end; `resume` goes on.
    Interrupted,
    /// Every trial is final.
    Finished,
}

impl SweepState {
    /// All states, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Interrupted, Self::Finished];

    /// Returns the word used in database and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
        }
    }
}

/// Kinds of a trial, as in the `CHECK`.
const TRIAL_KINDS: [TrialKind; 6] = [
    TrialKind::Grid,
    TrialKind::Random,
    TrialKind::Enqueued,
    TrialKind::Baseline,
    TrialKind::Probe,
    TrialKind::Refit,
];
/// Condition that a trial is beside the search, as in its index and in the triggers that count.
pub(crate) const BESIDE: &str = "kind IN ('baseline', 'probe', 'refit')";
const GOALS: [Goal; 2] = [Goal::Maximize, Goal::Minimize];
const AT: [At; 2] = [At::Best, At::Last];

pub(crate) fn goal_word(goal: Goal) -> &'static str {
    match goal {
        Goal::Maximize => "maximize",
        Goal::Minimize => "minimize",
    }
}

pub(crate) fn at_word(at: At) -> &'static str {
    match at {
        At::Best => "best",
        At::Last => "last",
    }
}

pub(crate) fn goal(word: &str) -> rusqlite::Result<Goal> {
    find("objective_goal", word, &GOALS, |goal| goal_word(*goal))
}

pub(crate) fn at(word: &str) -> rusqlite::Result<At> {
    find("objective_at", word, &AT, |at| at_word(*at))
}

pub(crate) fn trial_kind(word: &str) -> rusqlite::Result<TrialKind> {
    find("kind", word, &TRIAL_KINDS, |kind| kind.word())
}

pub(crate) fn sweep_state(word: &str) -> rusqlite::Result<SweepState> {
    find("state", word, &SweepState::ALL, |state| state.word())
}

pub(crate) fn failure_class(word: &str) -> rusqlite::Result<FailureClass> {
    find("failure_class", word, &FailureClass::ALL, |class| class.word())
}

fn find<T: Clone>(
    column: &str,
    word: &str,
    all: &[T],
    word_of: impl Fn(&T) -> &'static str,
) -> rusqlite::Result<T> {
    all.iter()
        .find(|one| word_of(one) == word)
        .cloned()
        .ok_or_else(|| unreadable(column, format!("unknown word `{word}`")))
}

/// Reads a failure from the columns `failure_class` and `failure_message`.
fn failure(row: &Row<'_>) -> rusqlite::Result<Failure> {
    let class: String = row.get("failure_class")?;
    Ok(Failure { class: failure_class(&class)?, message: row.get("failure_message")? })
}

/// Reads a trial's state from `state` and the columns of its failure, given its open attempt.
pub(crate) fn trial_state(row: &Row<'_>, open: Option<i64>) -> rusqlite::Result<TrialState> {
    let word: String = row.get("state")?;
    match word.as_str() {
        "queued" => Ok(TrialState::Queued),
        "running" => match open {
            Some(attempt) => Ok(TrialState::Running(AttemptId(attempt))),
            None => Err(unreadable("state", "a running trial has no open attempt")),
        },
        "completed" => Ok(TrialState::Completed),
        "diverged" => Ok(TrialState::Diverged),
        "failed" => Ok(TrialState::Failed(failure(row)?)),
        "cancelled" => Ok(TrialState::Cancelled),
        "waiting" => Ok(TrialState::Waiting),
        "stopped" => Ok(TrialState::Stopped(StopReason::Outranked)),
        _ => Err(unreadable("state", format!("unknown word `{word}`"))),
    }
}

/// Reads an attempt's ending from `ending` and the columns that belong to it; none: still open.
pub(crate) fn attempt_ending(row: &Row<'_>) -> rusqlite::Result<Option<AttemptEnding>> {
    let Some(word) = row.get::<_, Option<String>>("ending")? else { return Ok(None) };
    Ok(Some(match word.as_str() {
        "completed" => AttemptEnding::Completed,
        "diverged" => AttemptEnding::Diverged {
            step: row.get("diverged_step")?,
            quantity: row.get("diverged_quantity")?,
        },
        "released" => AttemptEnding::Released,
        "paused" => AttemptEnding::Paused,
        "abandoned" => AttemptEnding::Abandoned,
        "failed" => AttemptEnding::Failed(failure(row)?),
        _ => return Err(unreadable("ending", format!("unknown word `{word}`"))),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the words of each `CHECK (column IN (...))` of the schema.
    fn checked(column: &str) -> Vec<BTreeSet<String>> {
        let schema = include_str!("../../../migrations/schema.sql");
        let start = format!("CHECK ({column} IN (");
        let lists = schema.split(&start).skip(1);
        lists
            .map(|rest| {
                let list = rest.split(')').next().unwrap();
                list.split(',').map(|word| word.trim().trim_matches('\'').to_owned()).collect()
            })
            .collect()
    }

    fn words<T>(all: &[T], word: impl Fn(&T) -> &'static str) -> BTreeSet<String> {
        all.iter().map(|one| word(one).to_owned()).collect()
    }

    #[test]
    fn each_check_of_the_schema_lists_the_words_of_its_enum() {
        // An added variant stops this from compiling: add it to the list, and a migration with it.
        let known = |kind, at, goal| match (kind, at, goal) {
            (
                TrialKind::Grid
                | TrialKind::Random
                | TrialKind::Enqueued
                | TrialKind::Baseline
                | TrialKind::Probe
                | TrialKind::Refit,
                At::Best | At::Last,
                goal,
            ) => match goal {
                Goal::Maximize | Goal::Minimize => {}
            },
        };
        known(TrialKind::Grid, At::Best, Goal::Maximize);

        assert_eq!(checked("kind"), [words(&TRIAL_KINDS, |kind| kind.word())]);
        let beside = words(&TrialKind::BESIDE, |kind| kind.word());
        let unranked = TRIAL_KINDS.into_iter().filter(|kind| !kind.is_ranked());
        assert_eq!(beside, unranked.map(|kind| kind.word().to_owned()).collect());
        let schema = include_str!("../../../migrations/schema.sql");
        assert!(schema.contains(&format!("WHERE {BESIDE}")));
        let uncounted = BESIDE.replace("kind IN", "NEW.kind NOT IN");
        assert_eq!(schema.matches(&uncounted).count(), 2);
        let listed = BESIDE.trim_matches(|c| c != '\'').split(", ");
        assert_eq!(beside, listed.map(|word| word.trim_matches('\'').to_owned()).collect());
        assert_eq!(checked("objective_goal"), [words(&GOALS, |goal| goal_word(*goal))]);
        assert_eq!(checked("objective_at"), [words(&AT, |at| at_word(*at))]);
        let classes = words(&FailureClass::ALL, |class| class.word());
        assert_eq!(checked("failure_class"), [classes.clone(), classes]);

        let failure = Failure { class: FailureClass::Oom, message: String::new() };
        let states = [
            TrialState::Queued,
            TrialState::Running(AttemptId(1)),
            TrialState::Completed,
            TrialState::Diverged,
            TrialState::Failed(failure.clone()),
            TrialState::Cancelled,
            TrialState::Waiting,
            TrialState::Stopped(StopReason::Outranked),
        ];
        for state in &states {
            match state {
                TrialState::Queued
                | TrialState::Running(_)
                | TrialState::Completed
                | TrialState::Diverged
                | TrialState::Failed(_)
                | TrialState::Cancelled
                | TrialState::Waiting
                | TrialState::Stopped(StopReason::Outranked) => {}
            }
        }
        let sweeps = words(&SweepState::ALL, |state| state.word());
        assert_eq!(checked("state"), [sweeps, words(&states, TrialState::word)]);

        let endings = [
            AttemptEnding::Completed,
            AttemptEnding::Diverged { step: 1, quantity: String::new() },
            AttemptEnding::Released,
            AttemptEnding::Paused,
            AttemptEnding::Abandoned,
            AttemptEnding::Failed(failure),
        ];
        for ending in &endings {
            match ending {
                AttemptEnding::Completed
                | AttemptEnding::Diverged { .. }
                | AttemptEnding::Released
                | AttemptEnding::Paused
                | AttemptEnding::Abandoned
                | AttemptEnding::Failed(_) => {}
            }
        }
        assert_eq!(checked("ending"), [words(&endings, AttemptEnding::word)]);

        // Two triggers and five of Optuna's views leave out what stands outside of the ranking.
        let unranked = TRIAL_KINDS.iter().filter(|kind| !kind.is_ranked());
        let unranked: BTreeSet<String> = unranked.map(|kind| kind.word().to_owned()).collect();
        let schema = include_str!("../../../migrations/schema.sql");
        let left_out = schema.split("kind NOT IN (").skip(1).map(|rest| {
            let list = rest.split(')').next().unwrap();
            list.split(',').map(|word| word.trim().trim_matches('\'').to_owned()).collect()
        });
        let left_out: Vec<BTreeSet<String>> = left_out.collect();
        assert_eq!(left_out, vec![unranked; 7]);

        let finals: BTreeSet<_> = states
            .iter()
            .filter(|state| state.is_final())
            .map(|state| state.word().to_owned())
            .collect();
        let schema = include_str!("../../../migrations/schema.sql");
        let list = schema.split("CHECK ((state IN (").nth(1).unwrap().split(')').next().unwrap();
        let listed: BTreeSet<_> =
            list.split(',').map(|word| word.trim().trim_matches('\'').to_owned()).collect();
        assert_eq!(listed, finals);
    }
}

//! What a home can do without: decided from what lies there and what the rows say, deleted in an order that a kill
//! cannot harm.
//!
//! Rows change first. A kill in between then leaves files that no row names, which the next time are surplus again;
//! never a row whose file is gone.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use converge_core::ids::{SweepId, TrialId};
use converge_core::objective::Objective;
use converge_store::{ApplyError, Change, Holdings, Store};

use crate::clock;
use crate::home::Home;
use crate::inventory::{Inventory, delete};

/// What is to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Best weights per sweep; none: as each sweep says.
    pub keep_best: Option<u64>,
    /// Most that the whole home may hold; the worst weights go first. Unit: bytes.
    pub max_bytes: Option<u64>,
    /// Whether weights of trials beside the search may go: of refits.
    pub refits: bool,
    /// Whether logs of workers that have ended may go: the database can then not be made anew from them.
    pub logs: bool,
}

/// A sweep, as far as it decides what is surplus.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// Its id.
    pub id: SweepId,
    /// Its name.
    pub name: String,
    /// Ranks its weights.
    pub objective: Objective,
    /// `[run] keep_best`.
    pub keep_best: u64,
    /// Whether all its trials are final.
    pub finished: bool,
}

/// Why something is surplus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its process ended while it was written.
    Unfinished,
    /// No row names the folder.
    Orphan,
    /// Of a trial that is final, or older than the one to go on from.
    Checkpoint,
    /// Of a trial that did not complete, or beyond the best few.
    Weights,
    /// Of a refit; only where the user says so.
    Refit,
    /// Beyond the bytes that the home may hold.
    Budget,
    /// No sweep is unfinished: what needs it again makes it again.
    Tokens,
    /// The worker has ended.
    Log,
}

impl Reason {
    /// Returns the words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unfinished => "half-written file",
            Self::Orphan => "folder that no row names",
            Self::Checkpoint => "checkpoint that no trial goes on from",
            Self::Weights => "weights that are not among the best",
            Self::Refit => "weights of refits",
            Self::Budget => "weights beyond the byte budget",
            Self::Tokens => "tokenised data of finished sweeps",
            Self::Log => "log of a worker that has ended",
        }
    }
}

/// Something that can go.
#[derive(Debug, Clone, PartialEq)]
pub struct Surplus {
    /// Why.
    pub reason: Reason,
    /// Relative to the home.
    pub path: String,
    /// What is gained. Unit: bytes.
    pub bytes: u64,
    /// Whose it is: sweep and number of the trial.
    pub trial: Option<(String, u64)>,
    /// What the rows have to say first.
    pub change: Option<Change>,
}

/// Returns what a home can do without, in the order in which it would go.
pub fn surplus(
    found: &Inventory,
    rows: &Holdings,
    sweeps: &[Sweep],
    policy: &Policy,
) -> Vec<Surplus> {
    let mut plan = Plan {
        found,
        trials: rows.trials.iter().map(|trial| (trial.id, trial)).collect(),
        of_attempt: rows
            .attempts
            .iter()
            .map(|attempt| (attempt.directory.as_str(), attempt.trial))
            .collect(),
        names: sweeps.iter().map(|sweep| (sweep.id, sweep.name.as_str())).collect(),
        surplus: Vec::new(),
    };
    for (path, size) in &found.attempts {
        if !plan.of_attempt.contains_key(path.as_str()) {
            plan.push(Reason::Orphan, path, size.bytes, None, None);
        }
    }
    for (path, size) in &found.unfinished {
        // What is in a folder that goes as a whole goes with it.
        let folder = path.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let known = plan.of_attempt.contains_key(folder.as_str());
        if known || !found.attempts.contains_key(&folder) {
            plan.push(Reason::Unfinished, path, size.bytes, None, None);
        }
    }
    plan.checkpoints();
    let mut ranked = plan.weights(rows, sweeps, policy);
    if sweeps.iter().all(|sweep| sweep.finished) {
        for (path, size) in &found.tokens {
            plan.push(Reason::Tokens, path, size.bytes, None, None);
        }
    }
    if policy.logs {
        let finished: BTreeSet<SweepId> =
            sweeps.iter().filter(|sweep| sweep.finished).map(|sweep| sweep.id).collect();
        for worker in
            rows.workers.iter().filter(|worker| worker.ended && finished.contains(&worker.sweep))
        {
            if let Some(size) = found.workers.get(&worker.directory) {
                plan.push(Reason::Log, &worker.directory, size.bytes, None, None);
            }
        }
    }
    if let Some(most) = policy.max_bytes {
        let gone: u64 = plan.surplus.iter().map(|one| one.bytes).sum();
        let mut left = found.total.bytes.saturating_sub(gone);
        while left > most {
            let Some((trial, path, bytes)) = ranked.pop() else { break };
            let change = Change::BestWeights { trial, weights: None };
            plan.push(Reason::Budget, &path, bytes, Some(trial), Some(change));
            left = left.saturating_sub(bytes);
        }
    }
    plan.surplus
}

struct Plan<'a> {
    found: &'a Inventory,
    trials: BTreeMap<TrialId, &'a converge_store::TrialHolding>,
    of_attempt: BTreeMap<&'a str, TrialId>,
    names: BTreeMap<SweepId, &'a str>,
    surplus: Vec<Surplus>,
}

impl Plan<'_> {
    fn push(
        &mut self,
        reason: Reason,
        path: &str,
        bytes: u64,
        trial: Option<TrialId>,
        change: Option<Change>,
    ) {
        let trial = trial.and_then(|trial| self.trials.get(&trial)).map(|trial| {
            let name = self.names.get(&trial.sweep).copied().unwrap_or_default();
            (name.to_string(), trial.number)
        });
        self.surplus.push(Surplus { reason, path: path.to_string(), bytes, trial, change });
    }

    /// Returns the trial in whose attempt's folder something lies.
    fn owner(&self, path: &str) -> Option<TrialId> {
        let (folder, _) = path.rsplit_once('/')?;
        self.of_attempt.get(folder).copied()
    }

    /// Checkpoints of final trials, and those that an unfinished one has left behind: the one to go on from stays.
    fn checkpoints(&mut self) {
        for (path, size) in &self.found.checkpoints {
            let Some(owner) = self.owner(path) else { continue };
            let Some(trial) = self.trials.get(&owner) else { continue };
            let current = trial.resume.as_ref().is_some_and(|point| point.directory == *path);
            if current && !trial.is_final {
                continue;
            }
            let change = current.then_some(Change::ResumePoint { trial: owner, point: None });
            self.push(Reason::Checkpoint, path, size.bytes, Some(owner), change);
        }
    }

    /// Weights of final trials beyond the best few; returns those that stay, the first to go last.
    fn weights(
        &mut self,
        rows: &Holdings,
        sweeps: &[Sweep],
        policy: &Policy,
    ) -> Vec<(TrialId, String, u64)> {
        let mut kept: BTreeSet<String> = BTreeSet::new();
        let mut staying: Vec<(usize, SweepId, TrialId, String, u64)> = Vec::new();
        for sweep in sweeps {
            let mut ranked: Vec<_> = rows
                .trials
                .iter()
                .filter(|trial| trial.sweep == sweep.id && trial.completed && trial.ranked)
                .filter_map(|trial| Some((trial.id, trial.best_weights.as_ref()?)))
                .collect();
            ranked.sort_by(|(left_id, left), (right_id, right)| {
                let better = |one: f64, other: f64| sweep.objective.improves(one, other);
                match (better(left.value, right.value), better(right.value, left.value)) {
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    _ => left_id.cmp(right_id),
                }
            });
            let keep = policy.keep_best.unwrap_or(sweep.keep_best);
            for (place, (trial, weights)) in ranked.into_iter().enumerate() {
                let bytes = self.found.weights.get(&weights.directory).map_or(0, |size| size.bytes);
                kept.insert(weights.directory.clone());
                if (place as u64) < keep {
                    staying.push((place, sweep.id, trial, weights.directory.clone(), bytes));
                    continue;
                }
                let change = Change::BestWeights { trial, weights: None };
                let path = weights.directory.clone();
                self.push(Reason::Weights, &path, bytes, Some(trial), Some(change));
            }
        }
        for trial in rows.trials.iter().filter(|trial| trial.completed && !trial.ranked) {
            let Some(weights) = &trial.best_weights else { continue };
            kept.insert(weights.directory.clone());
            if policy.refits {
                let bytes = self.found.weights.get(&weights.directory).map_or(0, |size| size.bytes);
                let change = Change::BestWeights { trial: trial.id, weights: None };
                self.push(Reason::Refit, &weights.directory, bytes, Some(trial.id), Some(change));
            }
        }
        for (path, size) in &self.found.weights {
            let Some(owner) = self.owner(path) else { continue };
            let Some(trial) = self.trials.get(&owner) else { continue };
            // A trial that goes on may need what its earlier attempts have left.
            if !trial.is_final || kept.contains(path) {
                continue;
            }
            let named = trial.best_weights.as_ref().is_some_and(|best| best.directory == *path);
            let change = named.then_some(Change::BestWeights { trial: owner, weights: None });
            self.push(Reason::Weights, path, size.bytes, Some(owner), change);
        }
        // By place and then by age: no value can be compared between sweeps.
        staying.sort_by(|left, right| left.0.cmp(&right.0).then(right.1.cmp(&left.1)));
        staying.into_iter().map(|(_, _, trial, path, bytes)| (trial, path, bytes)).collect()
    }
}

/// Deletes what is surplus; returns what could not be deleted, with the reason.
///
/// # Errors
/// [`ApplyError`]: the rows could not be changed, and nothing was deleted.
pub fn remove(
    home: &Home,
    store: &mut Store,
    surplus: &[Surplus],
) -> Result<Vec<(String, std::io::Error)>, ApplyError> {
    let changes: Vec<Change> = surplus.iter().filter_map(|one| one.change.clone()).collect();
    if !changes.is_empty() {
        store.apply(&changes, clock::unix_ms())?;
    }
    let tried = surplus.iter().map(|one| (&one.path, delete(home, &one.path)));
    Ok(tried.filter_map(|(path, done)| Some((path.clone(), done.err()?))).collect())
}

#[cfg(test)]
mod tests {
    use converge_core::ids::{AttemptId, WorkerId};
    use converge_core::objective::{At, Goal};
    use converge_store::{AttemptHolding, BestWeights, ResumePoint, TrialHolding, WorkerHolding};

    use super::*;
    use crate::inventory::Size;

    fn trial(id: i64, state: &str, value: Option<f64>) -> TrialHolding {
        let directory = format!("attempts/{id}/best");
        let open = state == "queued";
        TrialHolding {
            id: TrialId(id),
            sweep: SweepId(1),
            number: id as u64,
            ranked: true,
            is_final: !open,
            completed: state == "completed",
            resume: open
                .then(|| ResumePoint { step: 4, directory: format!("attempts/{id}/checkpoint-4") }),
            best_weights: value.map(|value| BestWeights { step: 1, value, directory }),
        }
    }

    fn home() -> (Inventory, Holdings, Vec<Sweep>) {
        let size = |bytes| Size { bytes, files: 1 };
        let mut found = Inventory { total: size(10_000), ..Inventory::default() };
        let mut rows = Holdings {
            trials: vec![
                trial(1, "completed", Some(0.7)),
                trial(2, "completed", Some(0.9)),
                trial(3, "completed", Some(f64::NAN)),
                trial(4, "diverged", None),
                trial(5, "queued", None),
            ],
            ..Holdings::default()
        };
        for id in 1..=6 {
            found.attempts.insert(format!("attempts/{id}"), size(1000));
            found.weights.insert(format!("attempts/{id}/best"), size(300));
            for step in [3, 4] {
                found.checkpoints.insert(format!("attempts/{id}/checkpoint-{step}"), size(100));
            }
            // Nobody knows the sixth.
            if id < 6 {
                rows.attempts.push(AttemptHolding {
                    id: AttemptId(id),
                    trial: TrialId(id),
                    directory: format!("attempts/{id}"),
                });
            }
        }
        found.tokens.insert("cache/tokens-1.bin".into(), size(50));
        found.workers.insert("workers/1".into(), size(20));
        found.unfinished.insert("attempts/5/checkpoint-9.tmp".into(), size(5));
        rows.workers.push(WorkerHolding {
            id: WorkerId(1),
            sweep: SweepId(1),
            directory: "workers/1".into(),
            ended: true,
        });
        let objective = Objective { metric: "a".into(), goal: Goal::Maximize, at: At::Best };
        let name = "x".to_string();
        let sweep = Sweep { id: SweepId(1), name, objective, keep_best: 2, finished: false };
        (found, rows, vec![sweep])
    }

    fn paths(surplus: &[Surplus]) -> Vec<&str> {
        surplus.iter().map(|one| one.path.as_str()).collect()
    }

    #[test]
    fn the_newest_checkpoint_of_an_unfinished_trial_and_the_best_weights_stay() {
        let (found, rows, sweeps) = home();
        let plan = surplus(&found, &rows, &sweeps, &Policy::default());
        assert_eq!(
            paths(&plan),
            [
                "attempts/6",
                "attempts/5/checkpoint-9.tmp",
                "attempts/1/checkpoint-3",
                "attempts/1/checkpoint-4",
                "attempts/2/checkpoint-3",
                "attempts/2/checkpoint-4",
                "attempts/3/checkpoint-3",
                "attempts/3/checkpoint-4",
                "attempts/4/checkpoint-3",
                "attempts/4/checkpoint-4",
                "attempts/5/checkpoint-3",
                "attempts/3/best",
                "attempts/4/best",
            ]
        );
        let last = &plan[11];
        assert_eq!(last.trial, Some(("x".into(), 3)));
        let change = Change::BestWeights { trial: TrialId(3), weights: None };
        assert_eq!(last.change, Some(change), "the row forgets them first");
    }

    #[test]
    fn a_byte_budget_takes_the_worst_ranked_weights_first_and_never_a_checkpoint_in_use() {
        let (found, rows, sweeps) = home();
        let gone: u64 =
            surplus(&found, &rows, &sweeps, &Policy::default()).iter().map(|one| one.bytes).sum();
        let budget = |left: u64| {
            let policy = Policy { max_bytes: Some(left), ..Policy::default() };
            let plan = surplus(&found, &rows, &sweeps, &policy);
            let over = plan.into_iter().filter(|one| one.reason == Reason::Budget);
            over.map(|one| one.path).collect::<Vec<_>>()
        };
        let stays = found.total.bytes - gone;
        assert_eq!(budget(stays), Vec::<String>::new());
        assert_eq!(budget(stays - 1), ["attempts/1/best"]);
        assert_eq!(budget(stays - 301), ["attempts/1/best", "attempts/2/best"]);
        assert_eq!(budget(0).len(), 2, "what is needed stays, whatever the budget");
    }

    #[test]
    fn tokens_and_logs_go_when_nothing_is_unfinished_and_logs_only_when_asked() {
        let (found, mut rows, mut sweeps) = home();
        let all = Policy { logs: true, keep_best: Some(0), ..Policy::default() };
        let plan = surplus(&found, &rows, &sweeps, &all);
        assert!(!paths(&plan).contains(&"cache/tokens-1.bin"));
        assert!(!paths(&plan).contains(&"workers/1"));
        rows.trials.pop();
        sweeps[0].finished = true;
        let plan = surplus(&found, &rows, &sweeps, &all);
        for path in ["cache/tokens-1.bin", "workers/1", "attempts/2/best"] {
            assert!(paths(&plan).contains(&path), "{path}");
        }
        let plan = surplus(&found, &rows, &sweeps, &Policy::default());
        assert!(!paths(&plan).contains(&"workers/1"));
    }
}

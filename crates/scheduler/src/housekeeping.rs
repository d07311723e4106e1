//! Files that are no longer needed once a trial is final: its checkpoints, and weights beyond the best few.
//!
//! A failure to delete costs disk space and nothing else: it is logged, and the sweep goes on. Before something is
//! deleted that an older state of the database names, the database is synced: a power cut may bring such a state back.

use std::path::{Path, PathBuf};

use converge_core::ids::{SweepId, TrialId};
use converge_core::objective::Objective;
use converge_faults::point;
use converge_store::{Change, Leavings, QueryError, Store};

use crate::home::Home;
use crate::inventory::{BEST, CHECKPOINT};

/// Knows which finished trials keep their best weights.
#[derive(Debug)]
pub struct Housekeeping {
    sweep: SweepId,
    objective: Objective,
    keep_best: u64,
    kept: Vec<Kept>,
}

/// Weights on disk of a finished trial.
#[derive(Debug, Clone)]
struct Kept {
    trial: TrialId,
    value: f64,
    directory: String,
}

impl Housekeeping {
    /// Starts from what the store knows of the sweep.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn new(
        store: &Store,
        sweep: SweepId,
        objective: Objective,
        keep_best: u64,
    ) -> Result<Self, QueryError> {
        let kept = store
            .read()
            .kept_weights(sweep)?
            .into_iter()
            .map(|kept| Kept {
                trial: kept.trial,
                value: kept.weights.value,
                directory: kept.weights.directory,
            })
            .collect();
        Ok(Self { sweep, objective, keep_best, kept })
    }

    /// Deletes what a trial that has just become final no longer needs, and what it pushed out of the best few; of one that
    /// waits at a rung, checkpoints before the one that it goes on from. Returns what the store has to know.
    pub fn clean_up(&mut self, home: &Home, store: &mut Store, number: u64) -> Vec<Change> {
        let left = match store.read().leavings(self.sweep, number) {
            Ok(Some(left)) => left,
            Ok(None) => return Vec::new(),
            Err(error) => {
                tracing::warn!(number, %error, "cannot look up what a finished trial left on disk");
                return Vec::new();
            }
        };
        if !left.is_final {
            drop_outdated(home, store, number, &left);
            return Vec::new();
        }
        let mut changes = Vec::new();
        if left.resume_directory.is_some() {
            changes.push(Change::ResumePoint { trial: left.trial, point: None });
        }
        let mut needless: Vec<PathBuf> = Vec::new();
        let weights = left.best_weights.as_ref().filter(|_| left.completed);
        for directory in &left.directories {
            let Some(folder) = home.inside(directory) else { continue };
            needless.extend(checkpoints(&folder));
            let best = folder.join(BEST);
            if weights.is_none_or(|weights| home.root().join(&weights.directory) != best) {
                needless.push(best);
            }
        }
        // Any of them was the resume point once; of its own weights this trial's row knew nothing before it ended.
        let mut named_before = needless.iter().any(|path| !path.ends_with(BEST));
        // It can be there: cleaning goes on where a killed session left it.
        self.kept.retain(|kept| kept.trial != left.trial);
        match (weights, &left.best_weights) {
            // What stands beside the search pushes nothing out, and nothing pushes it out.
            (Some(_), _) if !left.ranked => {}
            (Some(weights), _) => self.kept.push(Kept {
                trial: left.trial,
                value: weights.value,
                directory: weights.directory.clone(),
            }),
            (None, Some(_)) => {
                changes.push(Change::BestWeights { trial: left.trial, weights: None });
            }
            (None, None) => {}
        }
        while self.kept.len() as u64 > self.keep_best {
            let evicted = self.kept.remove(self.worst());
            needless.extend(home.inside(&evicted.directory));
            named_before |= evicted.trial != left.trial;
            changes.push(Change::BestWeights { trial: evicted.trial, weights: None });
        }
        point("housekeeping.before");
        if named_before {
            if let Err(error) = store.sync() {
                tracing::warn!(number, %error, "what a finished trial left on disk stays");
                return Vec::new();
            }
            point("housekeeping.synced");
        }
        for path in needless {
            remove(&path);
            point("housekeeping.half");
        }
        point("housekeeping.after");
        changes
    }

    /// Returns the place of the worst weights; of equals the later trial.
    fn worst(&self) -> usize {
        let mut worst = 0;
        for (place, candidate) in self.kept.iter().enumerate().skip(1) {
            let incumbent = &self.kept[worst];
            let better = self.objective.improves(candidate.value, incumbent.value);
            let equal = candidate.value == incumbent.value;
            if (!better && !equal) || (equal && candidate.trial > incumbent.trial) {
                worst = place;
            }
        }
        worst
    }
}

/// Deletes checkpoints of earlier attempts of a trial that is to go on: each pause would leave one.
fn drop_outdated(home: &Home, store: &mut Store, number: u64, left: &Leavings) {
    let Some(kept) = left.resume_directory.as_ref().map(|kept| home.root().join(kept)) else {
        return;
    };
    let folders = left.directories.iter().filter_map(|directory| home.inside(directory));
    let needless: Vec<PathBuf> =
        folders.flat_map(|folder| checkpoints(&folder)).filter(|path| *path != kept).collect();
    if needless.is_empty() {
        return;
    }
    if let Err(error) = store.sync() {
        tracing::warn!(number, %error, "old checkpoints of a waiting trial stay");
        return;
    }
    needless.iter().for_each(|path| remove(path));
}

/// Returns the checkpoints in an attempt's folder, whole or not.
fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let of_checkpoint =
        |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(CHECKPOINT);
    entries.flatten().filter(of_checkpoint).map(|entry| entry.path()).collect()
}

fn remove(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot delete"),
    }
}

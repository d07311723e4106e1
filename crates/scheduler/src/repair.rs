//! What is wrong with a home, and what can be done about it without guessing at results.
//!
//! Killed processes and power cuts leave nothing of this but files that no row names; the rest comes from other
//! programs, damaged disks and defects.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use converge_core::ids::{SweepId, TrialId};
use converge_store::{
    ApplyError, Change, Contradiction, DatabaseError, Holdings, QueryError, Reader, RecordError,
    ResumePoint, Store,
};

use crate::clock;
use crate::home::Home;
use crate::inventory::{self, Inventory};

/// Something that is wrong with a home.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What, for people.
    pub message: String,
    /// What can be done.
    pub remedy: Remedy,
}

/// What can be done about a finding.
#[derive(Debug, Clone, PartialEq)]
pub enum Remedy {
    /// Resolve rows that contradict each other.
    Rows(Contradiction),
    /// Tell the rows what is on disk.
    Change(Change),
    /// Delete what no row names.
    Delete(String),
    /// Write the record of a sweep beside the database.
    Record(SweepId),
    /// Take away permissions of others.
    Permissions(String, u32),
    /// Read the logs of workers that a dead scheduler left behind: done by opening the home.
    Recover,
    /// Nothing that a program should do by itself.
    None,
}

impl Remedy {
    /// Returns what is done, in words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Rows(contradiction) if contradiction.can_be_mended() => "rows are put right",
            Self::Rows(_) | Self::None => "not mended",
            Self::Change(_) => "the rows forget it",
            Self::Delete(_) => "deleted",
            Self::Record(_) => "written",
            Self::Permissions(..) => "kept from others",
            Self::Recover => "their logs are read",
        }
    }

    /// Returns whether something is done.
    pub fn is_some(&self) -> bool {
        self.words() != "not mended"
    }
}

/// A home cannot be looked through or mended.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The folder cannot be read.
    #[error("cannot look through the home")]
    Home(#[source] std::io::Error),
    /// The rows cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The rows cannot be changed.
    #[error("cannot put the rows right")]
    Rows(#[source] DatabaseError),
    /// Likewise.
    #[error("cannot put the rows right")]
    Apply(#[from] ApplyError),
    /// A sweep's record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Looks for everything that is wrong; `thorough`: curves too. Changes nothing.
///
/// # Errors
/// [`RepairError`].
pub fn examine(home: &Home, reader: &Reader, thorough: bool) -> Result<Vec<Finding>, RepairError> {
    let mut findings = Vec::new();
    let mut find = |message: String, remedy: Remedy| findings.push(Finding { message, remedy });
    for problem in reader.integrity()? {
        find(format!("the database is damaged: {problem}"), Remedy::None);
    }
    for contradiction in reader.contradictions(thorough)? {
        find(contradiction.to_string(), Remedy::Rows(contradiction));
    }
    let left = reader.open_workers()?.len();
    let nobody = home.holder().is_none_or(|pid| pid == std::process::id());
    if left > 0 && nobody {
        find(
            format!("{left} workers of a scheduler that was killed are not known to have ended"),
            Remedy::Recover,
        );
    }
    for (sweep, name) in reader.sweeps_without_record()? {
        find(
            format!("sweep `{name}` has no record beside the database: no rebuild without it"),
            Remedy::Record(sweep),
        );
    }
    let found = inventory::look(home).map_err(RepairError::Home)?;
    let rows = reader.holdings()?;
    files(home, reader, &found, &rows, &mut find)?;
    Ok(findings)
}

fn files(
    home: &Home,
    reader: &Reader,
    found: &Inventory,
    rows: &Holdings,
    find: &mut impl FnMut(String, Remedy),
) -> Result<(), RepairError> {
    let attempts: BTreeSet<&str> =
        rows.attempts.iter().map(|attempt| attempt.directory.as_str()).collect();
    for path in found.attempts.keys().filter(|path| !attempts.contains(path.as_str())) {
        find(format!("`{path}` belongs to no attempt"), Remedy::Delete(path.clone()));
    }
    for path in found.unfinished.keys() {
        find(format!("`{path}` was never finished"), Remedy::Delete(path.clone()));
    }
    let workers: BTreeSet<&str> =
        rows.workers.iter().map(|worker| worker.directory.as_str()).collect();
    for path in found.workers.keys().filter(|path| !workers.contains(path.as_str())) {
        // Logs are what a database can be made anew from: perhaps this one is not the one that they belong to.
        find(format!("`{path}` holds the logs of no known worker; kept"), Remedy::None);
    }
    for trial in &rows.trials {
        let number = trial.number;
        if let Some(weights) = &trial.best_weights
            && home.inside(&weights.directory).is_none()
        {
            find(
                format!("the best weights of trial {number}, `{}`, are gone", weights.directory),
                Remedy::Change(Change::BestWeights { trial: trial.id, weights: None }),
            );
        }
        let Some(point) = &trial.resume else { continue };
        if home.inside(&point.directory).is_some() {
            if trial.is_final {
                find(
                    format!("trial {number} has ended and still has a checkpoint to go on from"),
                    Remedy::Change(Change::ResumePoint { trial: trial.id, point: None }),
                );
            }
            continue;
        }
        let next = if trial.is_final { None } else { older(home, reader, trial.id)? };
        let from = next.as_ref().map_or("the start".into(), |next| format!("step {}", next.step));
        let gone = format!("the checkpoint of trial {number}, `{}`, is gone", point.directory);
        let message = if trial.is_final { gone } else { format!("{gone}: it goes on from {from}") };
        find(message, Remedy::Change(Change::ResumePoint { trial: trial.id, point: next }));
    }
    for (path, mode) in &found.readable {
        find(
            format!("`{path}` can be read or written by others"),
            Remedy::Permissions(path.clone(), *mode),
        );
    }
    let mode = home.root().metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let root = home.root().display();
        // It may be a folder that is more than a home.
        find(
            format!("others can look into `{root}`: chmod 700 it if it is nothing but a home"),
            Remedy::None,
        );
    }
    Ok(())
}

/// Returns the newest checkpoint of a trial that is still there and still counts.
fn older(home: &Home, reader: &Reader, trial: TrialId) -> Result<Option<ResumePoint>, RepairError> {
    let points = reader.checkpoints_that_count(trial)?;
    Ok(points.into_iter().find(|point| home.inside(&point.directory).is_some()))
}

/// Does what can be done about the findings, in one transaction for the rows and then file by file.
///
/// Returns what could not be done, with the reason.
///
/// # Errors
/// [`RepairError`]: the rows are then as they were, and no file was touched.
pub fn mend(
    home: &Home,
    store: &mut Store,
    findings: &[Finding],
) -> Result<Vec<(String, std::io::Error)>, RepairError> {
    let (mut contradictions, mut changes) = (Vec::new(), Vec::new());
    for finding in findings {
        match &finding.remedy {
            Remedy::Rows(contradiction) => contradictions.push(contradiction.clone()),
            Remedy::Change(change) => changes.push(change.clone()),
            _ => {}
        }
    }
    let now = clock::unix_ms();
    store.mend(&contradictions, now).map_err(RepairError::Rows)?;
    store.apply(&changes, now)?;
    for finding in findings {
        if let Remedy::Record(sweep) = &finding.remedy {
            store.write_record(*sweep)?;
        }
    }
    let mut failed = Vec::new();
    for finding in findings {
        let (path, done) = match &finding.remedy {
            Remedy::Delete(path) => (path, inventory::delete(home, path)),
            Remedy::Permissions(path, mode) => {
                let permissions = Permissions::from_mode(*mode);
                (path, std::fs::set_permissions(home.root().join(path), permissions))
            }
            _ => continue,
        };
        if let Err(error) = done
            && error.kind() != std::io::ErrorKind::NotFound
        {
            failed.push((path.clone(), error));
        }
    }
    Ok(failed)
}

//! `converge rebuild`: a new database from the workers' logs; the old one stays beside it.

use std::path::{Path, PathBuf};

use converge_scheduler::clock;
use converge_scheduler::home::Home;
use converge_scheduler::rebuild::{RebuildError, rebuild};
use converge_store::Store;
use serde_json::json;

use crate::arguments::RebuildArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{drive, output};

/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// Runs the command.
pub(crate) fn run(arguments: &RebuildArguments, home: &Home) -> Result<ExitCode, Report> {
    if !home.root().join("sweeps").is_dir() {
        return Err(Report::usage(
            format!("`{}` holds no records of sweeps", home.root().display()),
            "name the home with --home; one that an older version made gets them when it is upgraded",
        ));
    }
    if !arguments.yes {
        return Err(Report::usage(
            "this replaces the home's database, and keeps the old one beside it",
            "say that it is meant: converge rebuild --yes",
        ));
    }
    let _lock = drive::lock(home)?;
    let aside = home.root().join("sweeps.db.rebuilt");
    remove(&aside)?;
    let mut store = Store::create_or_open(&aside)?;
    let rebuilt = rebuild(home, &mut store).map_err(|error| {
        let alive = matches!(error, RebuildError::Alive(_));
        let report = Report::error(&error);
        if alive { report.hint("it leaves within seconds: try again") } else { report }
    })?;
    let trials: u64 = store
        .read()
        .sweeps()?
        .iter()
        .map(|sweep| sweep.trials.total() + sweep.beside.total())
        .sum();
    // Closing moves the log into the file: what is renamed is whole.
    drop(store);
    let kept = keep(home)?;
    std::fs::rename(&aside, home.database())?;
    std::fs::File::open(home.root())?.sync_all()?;
    if arguments.json {
        output::json(&json!({
            "sweeps": rebuilt.sweeps, "trials": trials, "attempts": rebuilt.attempts,
            "problems": rebuilt.problems, "old_database": kept,
        }))?;
    } else {
        for problem in &rebuilt.problems {
            output::talk(&format!("{problem}\n"));
        }
        output::data(&format!(
            "{} sweeps, {trials} trials, {} attempts{}\n",
            rebuilt.sweeps,
            rebuilt.attempts,
            kept.map_or(String::new(), |kept| format!(
                "; the old database is `{}`",
                kept.display()
            ))
        ));
    }
    Ok(if rebuilt.problems.is_empty() { ExitCode::Done } else { ExitCode::Failure })
}

/// Gives the old database another name, with what belongs to it; none where there is none.
fn keep(home: &Home) -> Result<Option<PathBuf>, Report> {
    let database = home.database();
    if !database.exists() {
        return Ok(None);
    }
    let kept = beside(&database, &format!(".replaced-{}", clock::unix_ms()));
    for suffix in BESIDE {
        let from = beside(&database, suffix);
        if from.exists() {
            std::fs::rename(from, beside(&kept, suffix))?;
        }
    }
    Ok(Some(kept))
}

fn remove(database: &Path) -> Result<(), Report> {
    for suffix in BESIDE {
        match std::fs::remove_file(beside(database, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

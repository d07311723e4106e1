//! Finding the home, and opening its database for reading.

use std::path::{Path, PathBuf};

use converge_scheduler::home::Home;
use converge_store::{ReadError, Reader, SweepSummary};

use crate::exit_code::ExitCode;
use crate::report::Report;

/// Returns the working directory.
pub(crate) fn working_directory() -> Result<PathBuf, Report> {
    std::env::current_dir().map_err(|error| Report::error(&error))
}

/// Returns the home that was asked for, or the nearest one.
pub(crate) fn find(asked: Option<&Path>) -> Result<Home, Report> {
    let directory = working_directory()?;
    Ok(match asked {
        Some(path) => Home::at(directory.join(path)),
        None => Home::search(&directory),
    })
}

/// Refuses a home without a database, which is not something to make; one of an older version is upgraded by whoever
/// opens it for writing.
pub(crate) fn expect(home: &Home) -> Result<(), Report> {
    match Reader::open(home.database()) {
        Ok(_) | Err(ReadError::Older { .. }) => Ok(()),
        Err(error) => Err(unreadable(&error)),
    }
}

/// Opens the home's database for reading.
pub(crate) fn open(home: &Home) -> Result<Reader, Report> {
    Reader::open(home.database()).map_err(|error| unreadable(&error))
}

fn unreadable(error: &ReadError) -> Report {
    let report = Report::error(error);
    match error {
        ReadError::Missing { .. } => report
            .exit(ExitCode::Usage)
            .hint("start a sweep with `converge run FILE`, or name its home with --home"),
        ReadError::Newer { .. } => report
            .exit(ExitCode::Usage)
            .hint("use the version of converge that wrote it, or a newer one"),
        ReadError::Older { .. } => report
            .exit(ExitCode::Usage)
            .hint("`converge resume` upgrades it, and keeps a copy of the file as it was"),
        _ => report.hint("look with `converge doctor`"),
    }
}

/// Returns the sweep of this name, or the one that was worked on last of those that search: a probe of a file is in a
/// sweep of its own, and asks another question.
pub(crate) fn searched(reader: &Reader, name: Option<&str>) -> Result<SweepSummary, Report> {
    let found = sweep(reader, name)?;
    if name.is_some() || found.trials.total() > 0 {
        return Ok(found);
    }
    let searching = reader.sweeps()?.into_iter().filter(|sweep| sweep.trials.total() > 0);
    let last = |sweep: &SweepSummary| {
        sweep.ended_at_ms.or(sweep.started_at_ms).unwrap_or(sweep.created_at_ms)
    };
    Ok(searching.max_by_key(last).unwrap_or(found))
}

/// Returns the sweep of this name, or the one that was worked on last.
pub(crate) fn sweep(reader: &Reader, name: Option<&str>) -> Result<SweepSummary, Report> {
    let found = match name {
        Some(name) => reader.sweep_named(name)?,
        None => reader.latest_sweep()?,
    };
    found.ok_or_else(|| match name {
        Some(name) => {
            let known: Vec<_> =
                reader.sweeps().unwrap_or_default().into_iter().map(|sweep| sweep.name).collect();
            Report::usage(
                format!("there is no sweep `{name}`"),
                format!("sweeps here: {}", known.join(", ")),
            )
        }
        None => Report::usage("there is no sweep yet", "start one with `converge run FILE`"),
    })
}

//! `converge repair`: what is wrong with a home, shown, and mended where the user says so.

use converge_scheduler::home::Home;
use converge_scheduler::repair::{Finding, RepairError, examine, mend};
use converge_store::{ReadError, Reader, Store};
use serde_json::json;

use crate::arguments::RepairArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{drive, home as homes, output};

/// What to do with a database that cannot be mended.
pub(crate) const REBUILD: &str =
    "`converge rebuild` makes a new one from the workers' logs, and keeps this one beside it";

/// Runs the command.
pub(crate) fn run(arguments: &RepairArguments, home: &Home) -> Result<ExitCode, Report> {
    if arguments.dry_run || !arguments.yes {
        let reader = open(home)?;
        let findings = examine(home, &reader, true).map_err(|error| report(&error))?;
        show(&findings, arguments.json, false)?;
        if !arguments.json && findings.iter().any(|finding| finding.remedy.is_some()) {
            output::talk("nothing was changed: `converge repair --yes` does it\n");
        }
        let wrong = !findings.is_empty();
        return Ok(if wrong { ExitCode::Failure } else { ExitCode::Done });
    }
    if !home.database().exists() {
        // Nothing to repair, and nothing to make.
        homes::expect(home)?;
    }
    let _lock = drive::lock(home)?;
    let mut store = Store::create_or_open(home.database())
        .map_err(|error| Report::error(&error).hint(REBUILD))?;
    let before = examine(home, store.read(), true).map_err(|error| report(&error))?;
    if before.iter().any(|finding| finding.message.starts_with("the database is damaged")) {
        show(&before, arguments.json, false)?;
        return Err(
            Report::usage("a damaged database cannot be mended", REBUILD).exit(ExitCode::Failure)
        );
    }
    let failed = mend(home, &mut store, &before).map_err(|error| report(&error))?;
    drop(store);
    // Reads what the last session left behind.
    let store = drive::open(home)?;
    let after = examine(home, store.read(), true).map_err(|error| report(&error))?;
    show(&before, arguments.json, true)?;
    for (path, error) in &failed {
        output::talk(&format!("error: `{path}`: {error}\n"));
    }
    let left = after.iter().filter(|finding| finding.remedy.is_some()).count();
    Ok(if left == 0 { ExitCode::Done } else { ExitCode::Failure })
}

/// Opens the database; one that is none any more has another way out than others.
fn open(home: &Home) -> Result<Reader, Report> {
    match Reader::open(home.database()) {
        Err(error @ (ReadError::Foreign { .. } | ReadError::Database { .. })) => {
            Err(Report::error(&error).hint(REBUILD))
        }
        Err(_) => homes::open(home),
        Ok(reader) => Ok(reader),
    }
}

fn report(error: &RepairError) -> Report {
    let report = Report::error(error);
    match error {
        RepairError::Query(_) => report.hint(REBUILD),
        _ => report,
    }
}

fn show(findings: &[Finding], as_json: bool, mended: bool) -> Result<(), Report> {
    if as_json {
        let items: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({ "problem": finding.message, "remedy": finding.remedy.words(),
                    "mended": mended && finding.remedy.is_some() })
            })
            .collect();
        return output::json(&json!({ "findings": items }));
    }
    if findings.is_empty() {
        output::data("nothing is wrong\n");
    }
    for finding in findings {
        let words = match (finding.remedy.is_some(), mended) {
            (true, true) => format!("done: {}", finding.remedy.words()),
            (true, false) => format!("to do: {}", finding.remedy.words()),
            (false, _) => finding.remedy.words().to_string(),
        };
        output::data(&format!("{} ({words})\n", finding.message));
    }
    Ok(())
}

//! `converge gc`: what a home can do without, shown, and deleted where the user says so.

use std::collections::BTreeMap;

use converge_dashboard::terminal::number::bytes;
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_scheduler::inventory;
use converge_scheduler::surplus::{Policy, Reason, Surplus, Sweep, remove, surplus};
use converge_scheduler::trials::definition;
use converge_store::Reader;
use serde_json::json;

use crate::arguments::GcArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{drive, home as homes, output};

/// Runs the command.
pub(crate) fn run(arguments: &GcArguments, home: &Home) -> Result<ExitCode, Report> {
    let policy = Policy {
        keep_best: arguments.keep_best,
        max_bytes: arguments.max_bytes,
        logs: arguments.logs,
        refits: arguments.refits,
    };
    if arguments.dry_run || !arguments.yes {
        let reader = homes::open(home)?;
        let (plan, total) = plan(home, &reader, &policy)?;
        show(&plan, total, arguments.json, false)?;
        if !arguments.json && !plan.is_empty() {
            output::talk("nothing was deleted: `converge gc --yes` deletes it\n");
        }
        return Ok(ExitCode::Done);
    }
    homes::expect(home)?;
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let (plan, total) = plan(home, store.read(), &policy)?;
    let failed = remove(home, &mut store, &plan).map_err(|error| Report::error(&error))?;
    show(&plan, total, arguments.json, true)?;
    for (path, error) in &failed {
        output::talk(&format!("error: cannot delete `{path}`: {error}\n"));
    }
    if let Some(most) = arguments.max_bytes {
        let left = total.saturating_sub(gained(&plan));
        if left > most {
            output::talk(&format!(
                "{} are left, more than {}: logs, the database and what unfinished trials need stay\n",
                bytes(left),
                bytes(most)
            ));
        }
    }
    Ok(if failed.is_empty() { ExitCode::Done } else { ExitCode::Failure })
}

/// Returns what is surplus, and the bytes of the whole home.
fn plan(home: &Home, reader: &Reader, policy: &Policy) -> Result<(Vec<Surplus>, u64), Report> {
    let mut sweeps = Vec::new();
    for summary in reader.sweeps()? {
        let Some(record) = reader.sweep(summary.id)? else { continue };
        sweeps.push(Sweep {
            id: summary.id,
            keep_best: definition(&record)?.run.keep_best,
            finished: summary.is_over(),
            name: summary.name,
            objective: summary.objective,
        });
    }
    let found = inventory::look(home)?;
    Ok((surplus(&found, &reader.holdings()?, &sweeps, policy), found.total.bytes))
}

fn gained(plan: &[Surplus]) -> u64 {
    plan.iter().map(|one| one.bytes).sum()
}

fn show(plan: &[Surplus], total: u64, as_json: bool, deleted: bool) -> Result<(), Report> {
    if as_json {
        let items: Vec<_> = plan
            .iter()
            .map(|one| {
                let (sweep, trial) = one.trial.clone().unzip();
                json!({
                    "path": one.path, "bytes": one.bytes, "reason": one.reason.words(),
                    "sweep": sweep, "trial": trial,
                })
            })
            .collect();
        return output::json(&json!({
            "home_bytes": total, "bytes": gained(plan), "deleted": deleted, "surplus": items,
        }));
    }
    let mut by_reason: BTreeMap<Reason, (u64, u64)> = BTreeMap::new();
    for one in plan {
        let (count, size) = by_reason.entry(one.reason).or_default();
        *count += 1;
        *size += one.bytes;
    }
    let mut table =
        Table::new([("what", Align::Left), ("number", Align::Right), ("size", Align::Right)]);
    for (reason, (count, size)) in &by_reason {
        table.push([reason.words().to_string(), count.to_string(), bytes(*size)]);
    }
    let verb = if deleted { "deleted" } else { "can be deleted" };
    let sum = bytes(gained(plan));
    match plan {
        [] => output::data(&format!("nothing to delete; the home has {}\n", bytes(total))),
        _ => {
            output::data(&table.render(output::width()));
            output::data(&format!("{sum} of {} {verb}\n", bytes(total)));
        }
    }
    Ok(())
}

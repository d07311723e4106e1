//! `converge extend`: grow a stored sweep by a changed file.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use converge_core::extension::{Growth, Present, changes, growth, match_cases, objections};
use converge_core::fingerprint::{Difference, identity_hash};
use converge_core::materialise::trials;
use converge_core::problem::Problem;
use converge_core::search_space::Configuration;
use converge_core::trial::{TrialKind, TrialState};
use converge_dashboard::terminal::number::count;
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_scheduler::session::Interrupts;
use converge_scheduler::{clock, trials::definition};
use converge_store::{Extension, NewTrial, Reader, Source, SweepRecord, TrialRecord};

use crate::arguments::ExtendArguments;
use crate::budget::quoted;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::sweep_source::SweepSource;
use crate::{drive, home as homes, output, stored as stored_sweep, sweep_source};

/// Added trials that the text shows.
const SHOWN: usize = 12;

/// Runs the command.
pub(crate) fn run(arguments: &ExtendArguments, home: &Home) -> Result<ExitCode, Report> {
    let (name, file, overrides) = split(arguments);
    let source = sweep_source::read(Path::new(file), overrides, name)?;
    let reader = homes::open(home)?;
    if arguments.dry_run {
        let record = find(&reader, &source)?;
        let plan = plan(home, &reader, &record, &source)?;
        output::data(&plan.text);
        return Ok(ExitCode::Done);
    }
    drop(reader);
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    let record = find(store.read(), &source)?;
    let plan = plan(home, store.read(), &record, &source)?;
    output::data(&plan.text);
    if plan.is_nothing {
        return Ok(ExitCode::Done);
    }
    if !arguments.yes && !confirmed()? {
        output::talk("nothing was changed\n");
        return Ok(ExitCode::Done);
    }
    let added = plan.extension.trials.len();
    store.extend_sweep(record.id, &plan.extension, clock::unix_ms())?;
    let noun = if added == 1 { "trial" } else { "trials" };
    output::talk(&format!(
        "{} {noun} added; go on with `converge resume {}`\n",
        count(added as u64),
        quoted(&record.name)
    ));
    Ok(ExitCode::Done)
}

/// Tells `SWEEP FILE KEY=VALUE...` from `FILE KEY=VALUE...`.
fn split(arguments: &ExtendArguments) -> (Option<&str>, &str, &[String]) {
    match arguments.rest.split_first() {
        Some((file, overrides)) if !file.contains('=') || Path::new(file).is_file() => {
            (Some(&arguments.first), file, overrides)
        }
        _ => (None, &arguments.first, &arguments.rest),
    }
}

fn find(reader: &Reader, source: &SweepSource) -> Result<SweepRecord, Report> {
    let summary = homes::sweep(reader, Some(&source.sweep.name))?;
    reader
        .sweep(summary.id)?
        .ok_or_else(|| Report::usage("there is no sweep yet", "start one with `converge run FILE`"))
}

/// What the changed file makes of the sweep.
struct Plan {
    /// For people.
    text: String,
    /// Whether file and sweep are the same.
    is_nothing: bool,
    extension: Extension,
}

fn plan(
    home: &Home,
    reader: &Reader,
    record: &SweepRecord,
    source: &SweepSource,
) -> Result<Plan, Report> {
    let (old, mut new) = (definition(record)?, source.sweep.clone());
    new.follow_objective(&old.objective);
    let differences = changes(&old, &new);
    let mut text = difference_text(record, &differences);
    // What stands beside the search is none of the file's business, but for the baseline.
    let of_file =
        |trial: &&TrialRecord| trial.kind.is_ranked() || trial.kind == TrialKind::Baseline;
    let all = reader.trials(record.id)?;
    let last = all.last().map_or(0, |trial| trial.number);
    let stored: Vec<TrialRecord> = all.iter().filter(of_file).cloned().collect();
    let distinct: BTreeMap<&str, &Configuration> =
        stored.iter().map(|one| (one.fingerprint.as_str(), &one.configuration)).collect();
    let configurations: Vec<&Configuration> = distinct.into_values().collect();
    refuse(&text, source, &objections(&old, &new, &configurations))?;
    let prepared = drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        drive::prepare_sweep(&mut new, home, &mut interrupts).await
    })?;
    let new = &new;
    let known = stored_sweep::known_cases(reader, record, &all, &old)?;
    let places = match_cases(&old, new, &known, &prepared.cases.settings, &prepared.facts)
        .or_else(|problems| refuse(&text, source, &problems).map(|()| Vec::new()))?;
    let (planned, _) = trials(new, &prepared.sample, &prepared.cases, &prepared.facts);
    let present: Vec<Present<'_>> = stored
        .iter()
        .map(|trial| Present {
            number: trial.number,
            fingerprint: &trial.fingerprint,
            replicate: trial.replicate,
            is_baseline: trial.kind == TrialKind::Baseline,
        })
        .collect();
    let Growth { added, left_over, is_baseline_searched } = growth(new, &present, planned);
    // Facts that added trials need and the sweep does not have yet, by case.
    let mut appended: BTreeMap<usize, u64> = BTreeMap::new();
    let mut facts = Vec::new();
    let mut new_trials: Vec<NewTrial> = Vec::with_capacity(added.len());
    for trial in added {
        let case = trial.case;
        let index = match places.get(case).copied().flatten() {
            Some(place) => place as u64,
            None => *appended.entry(case).or_insert_with(|| {
                facts.push(prepared.facts[case].clone());
                (record.facts.len() + facts.len() - 1) as u64
            }),
        };
        new_trials.push(drive::new_trial(new, trial, index));
    }
    text += &effect_text(&stored, last, &new_trials, &left_over);
    if is_baseline_searched {
        text += "the baseline has one of the configurations already: it stays beside the search, and is not ranked\n";
    }
    if new.method.is_adaptive() {
        text += "draws that follow results are added while it runs\n";
    }
    if new.racing {
        text += "further seeds for what is tied for best are added while it runs\n";
    }
    let is_nothing = differences.is_empty() && new_trials.is_empty();
    let definition = (identity_hash(new, &prepared.facts), serde_json::to_string(new)?);
    Ok(Plan {
        text,
        is_nothing,
        extension: Extension {
            definition: Some(definition),
            source: Some(Source {
                path: source.path.clone(),
                text: source.text.clone(),
                overrides: source.overrides.clone(),
            }),
            facts,
            trials: new_trials,
        },
    })
}

fn refuse(differences: &str, source: &SweepSource, problems: &[Problem]) -> Result<(), Report> {
    if problems.is_empty() {
        return Ok(());
    }
    output::data(differences);
    let name = &source.sweep.name;
    Err(Report::problems(problems).and(
        format!(
            "sweep `{name}` cannot grow by this file: its old and new trials could not be compared"
        ),
        format!(
            "start the changed one beside it: converge run {} --name {}",
            source.words_without_name(),
            quoted(&format!("{name}-2"))
        ),
    ))
}

fn difference_text(record: &SweepRecord, differences: &[Difference]) -> String {
    if differences.is_empty() {
        return format!("sweep `{}` and this file say the same\n", record.name);
    }
    let line = |one: &Difference| {
        format!("  {}\n    stored: {}\n    now:    {}\n", one.key, one.old, one.new)
    };
    let lines: String = differences.iter().map(line).collect();
    format!("sweep `{}` changes\n{lines}", record.name)
}

fn effect_text(stored: &[TrialRecord], last: u64, added: &[NewTrial], left_over: &[u64]) -> String {
    let (there, kept) = (last as usize, stored.len());
    let steps: u64 = added.iter().map(|trial| trial.total_steps).sum();
    let mut text = match added.len() {
        0 => "adds no trial\n".to_string(),
        1 => format!("adds trial {}, {} steps\n", there + 1, count(steps)),
        more => format!(
            "adds {} trials, {} to {}, {} steps in all\n",
            count(more as u64),
            there + 1,
            there + more,
            count(steps)
        ),
    };
    if !added.is_empty() {
        text += &table(there, added);
    }
    text += &format!("keeps {} trials as they are, under their numbers\n", count(kept as u64));
    if !left_over.is_empty() {
        text += &left_over_text(stored, left_over);
    }
    text
}

/// Trials that the file no longer asks for stay: what has run is a result, and what waits still runs.
fn left_over_text(stored: &[TrialRecord], left_over: &[u64]) -> String {
    let states = |open: bool| -> Vec<String> {
        let of = |state: &TrialState| state.is_final() != open;
        let chosen = stored.iter().filter(|trial| left_over.binary_search(&trial.number).is_ok());
        chosen.filter(|trial| of(&trial.state)).map(|trial| trial.number.to_string()).collect()
    };
    let (ended, waiting) = (states(false), states(true));
    let mut text = format!("{} of them are no longer in the file and stay\n", left_over.len());
    let listed = |numbers: &[String]| {
        let more = numbers.len().saturating_sub(SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{rest}", numbers[..numbers.len().min(SHOWN)].join(", "))
    };
    if !ended.is_empty() {
        text += &format!("  with their results: trial {}\n", listed(&ended));
    }
    if !waiting.is_empty() {
        text += &format!("  and will still be trained: trial {}\n", listed(&waiting));
    }
    text
}

fn table(there: usize, added: &[NewTrial]) -> String {
    let names: std::collections::BTreeSet<&str> =
        added.iter().flat_map(|trial| trial.configuration.keys().map(String::as_str)).collect();
    let mut columns = vec![("trial", Align::Right)];
    columns.extend(names.iter().map(|name| (*name, Align::Right)));
    columns.extend([("replicate", Align::Right), ("steps", Align::Right)]);
    let mut table = Table::new(columns);
    for (place, trial) in added.iter().enumerate().take(SHOWN) {
        let mut row = vec![(there + place + 1).to_string()];
        let cell =
            |name: &&str| trial.configuration.get(*name).map_or("-".into(), ToString::to_string);
        row.extend(names.iter().map(cell));
        row.extend([trial.replicate.to_string(), trial.total_steps.to_string()]);
        table.push(row);
    }
    let mut text = table.render(output::width());
    if added.len() > SHOWN {
        text += &format!("... and {} more\n", added.len() - SHOWN);
    }
    text
}

/// Asks, where there is somebody to ask.
fn confirmed() -> Result<bool, Report> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Report::usage(
            "nothing was changed: there is no terminal to ask on",
            "say --yes to do it, or --dry-run to only look",
        ));
    }
    output::talk("grow the sweep so? [y/N] ");
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

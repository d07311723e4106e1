//! `converge plan`: what would run, without running it.

mod early_stop;
mod growth;

use converge_core::facts::{Facts, SplitFacts};
use converge_core::machine::WorkerPlan;
use converge_core::materialise::{PlannedTrial, trials};
use converge_core::objective::{At, Goal, Objective};
use converge_core::sweep::Sweep;
use converge_core::task::Task;
use converge_core::trial::TrialKind;
use converge_dashboard::terminal::number::{bytes, count, general, plural, share};
use converge_dashboard::terminal::table::{Align, Table};
use converge_diagnose::lint::{Lint, lint};
use converge_diagnose::thresholds::Thresholds;
use converge_scheduler::home::Home;
use converge_scheduler::session::Interrupts;
use converge_scheduler::trials::SCRIPTED;
use converge_store::Reader;
use serde_json::json;

use crate::arguments::PlanArguments;
use crate::budget::Spent;
use crate::cost::{Classes, Costs, Outlook};
use crate::drive::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{capacity, costing, output, sweep_source};
use early_stop::Left;
use growth::{expected_seconds, still_to_come, time_beyond, too_long};

/// Trials that the text shows.
const SHOWN: usize = 12;

/// Runs the command.
pub(crate) fn run(arguments: &PlanArguments, home: &Home) -> Result<ExitCode, Report> {
    let mut source = sweep_source::read(&arguments.file, &arguments.overrides, None)?;
    drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let prepared = drive::prepare_sweep(&mut source.sweep, home, &mut interrupts).await?;
        show(arguments, home, &source.sweep, &prepared, &mut interrupts).await
    })
}

async fn show(
    arguments: &PlanArguments,
    home: &Home,
    sweep: &Sweep,
    prepared: &Prepared,
    interrupts: &mut Interrupts,
) -> Result<ExitCode, Report> {
    let (planned, same) = trials(sweep, &prepared.sample, &prepared.cases, &prepared.facts);
    let skipped = prepared.sample.skipped + same;
    let spent = spent(sweep, home)?;
    let plan = capacity::worker_plan(home, sweep, prepared, planned.len() as u64);
    let classes = Classes::of(prepared, &planned, plan.workers, plan.threads);
    let costs = match arguments.measure {
        true if sweep.run.device == SCRIPTED => {
            return Err(Report::usage(
                "device `scripted` trains nothing: there is nothing to measure",
                "a script says how long its steps take",
            ));
        }
        true => {
            costing::measure(home, sweep, prepared, &planned, &classes, &plan, interrupts).await?
        }
        false => Costs::read(home),
    };
    let outlook = Outlook::of(&classes, &costs, prepared, &planned, plan.workers);
    let left = early_stop::left(sweep, prepared, &planned);
    if arguments.json {
        let mut time = outlook.json(&classes, plan.workers);
        if let Some(seconds) = expected_seconds(sweep, prepared, &planned, &outlook, &left) {
            time["expected_seconds"] = json!(seconds);
        }
        output::json(&json!({
            "sweep": sweep,
            "facts": prepared.facts,
            "skipped": skipped,
            "lint": lint_of(sweep, prepared, &planned),
            "left_out": left_out_json(sweep, prepared),
            "device": prepared.chosen.device,
            "budget": spent.json(),
            "time": time,
            "total_steps": planned.iter().map(|trial| trial.total_steps).sum::<u64>(),
            "trials": planned.iter().map(|trial| json!({
                "configuration": trial.configuration, "replicate": trial.replicate, "kind": trial.kind,
                "fingerprint": trial.fingerprint, "total_steps": trial.total_steps,
                "peak_memory_bytes": memory(prepared, trial),
                "fits": capacity::fits(prepared, memory(prepared, trial)),
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        let time = Time { plan: &plan, classes: &classes, outlook: &outlook, left: &left };
        output::data(&text(sweep, prepared, &planned, skipped, &spent, &time));
    }
    Ok(ExitCode::Done)
}

/// Returns the budget, and what a sweep of this name has used of it in this home.
fn spent(sweep: &Sweep, home: &Home) -> Result<Spent, Report> {
    // A home that is not there, or cannot be read yet, has used nothing.
    let Ok(reader) = Reader::open(home.database()) else {
        return Ok(Spent::nothing(sweep.budget));
    };
    match reader.sweep_named(&sweep.name)? {
        Some(stored) => Spent::of(sweep.budget, home, &reader, stored.id, home.holder().is_some()),
        None => Ok(Spent::nothing(sweep.budget)),
    }
}

/// Returns what a worker needs for a trial at most. Unit: bytes.
fn memory(prepared: &Prepared, trial: &PlannedTrial) -> u64 {
    capacity::predicted_memory(prepared, &trial.settings.train, trial.case)
}

/// What is known of how long it takes.
struct Time<'a> {
    plan: &'a WorkerPlan,
    classes: &'a Classes,
    outlook: &'a Outlook,
    left: &'a Left,
}

fn text(
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
    skipped: u64,
    spent: &Spent,
    time: &Time<'_>,
) -> String {
    let Time { plan, classes, outlook, left } = *time;
    let steps: u64 = planned.iter().map(|trial| trial.total_steps).sum();
    let mut text =
        format!("sweep `{}`: {} trials, {} steps in all", sweep.name, planned.len(), count(steps));
    if skipped > 0 {
        text += &format!(" ({skipped} duplicates or trials beyond the budget left out)");
    }
    text += "\n";
    text += &left_out(sweep, prepared);
    text += &still_to_come(sweep, prepared, planned);
    text += "\n";
    for (index, facts) in prepared.facts.iter().enumerate() {
        if prepared.facts.len() > 1 {
            text += &format!("data and model {}\n", index + 1);
        }
        text += &facts_text(facts);
    }
    text += &format!(
        "\nworkers     {} on {} ({})\n",
        plan.workers, prepared.chosen.device, plan.reason
    );
    if sweep.run.device != SCRIPTED {
        text += &format!("time        {}\n", outlook.words(plan.workers));
        text += &time_beyond(sweep, prepared, planned, outlook, left);
    }
    text += &format!("disk        {}\n", disk(sweep, prepared, plan.workers));
    if let Some(budget) = spent.text() {
        text += &format!("budget      {budget}\n");
    }
    if sweep.budget.max_steps.is_some_and(|most| most < steps) {
        text += "            fewer steps than all trials take: the last ones will not be run\n";
    }
    text += &left.text;
    text += &too_long(sweep, prepared, planned, outlook, left);
    text += "\n";
    let costs = outlook.table(classes, prepared, planned);
    if !costs.is_empty() {
        text += &format!("{costs}\n");
    }
    text += &trial_table(prepared, planned);
    text += &lint_text(&lint_of(sweep, prepared, planned), planned.len());
    let fits = |trial: &&PlannedTrial| capacity::fits(prepared, memory(prepared, trial));
    let too_large = planned.iter().filter(|trial| !fits(trial)).count();
    if too_large > 0 {
        text += &format!(
            "! {too_large} of {} trials may need more memory than is free: {}\n",
            planned.len(),
            capacity::LESS_MEMORY
        );
    }
    let Objective { metric, goal, at } = &sweep.objective;
    let goal = match goal {
        Goal::Maximize => "largest",
        Goal::Minimize => "smallest",
    };
    let at = match at {
        At::Best => "best",
        At::Last => "last",
    };
    text += &format!("\nranked by the {goal} {metric}, at the {at} evaluation of each trial\n");
    text += "\nsettings of all trials\n";
    text += &output::settings(&sweep.settings, |key| {
        let varied = sweep.parameters.iter().any(|parameter| parameter.name == key.short_name());
        (!varied).then_some("")
    });
    text
}

/// Returns what is likely to go wrong, as settings and data tell.
fn lint_of(sweep: &Sweep, prepared: &Prepared, planned: &[PlannedTrial]) -> Vec<Lint> {
    let trials = planned.iter().enumerate().filter(|(_, trial)| trial.kind.is_ranked());
    let with_facts = trials.filter_map(|(place, trial)| {
        Some((place as u64 + 1, trial.settings.clone(), prepared.facts.get(trial.case)?))
    });
    lint(with_facts, &sweep.objective, &Thresholds::default())
}

fn lint_text(lints: &[Lint], trials: usize) -> String {
    let line = |lint: &Lint| {
        let of = match lint.trials.len() == trials {
            true => "all trials".to_owned(),
            false => format!("{} of {trials} trials", lint.trials.len()),
        };
        format!("! {} ({}; {of})\n", lint.text, lint.found.join(", "))
    };
    match lints.is_empty() {
        true => String::new(),
        false => {
            let lines: String = lints.iter().map(line).collect();
            format!("\nlikely to go wrong (docs/diagnosis.md#before-training)\n{lines}")
        }
    }
}

/// Points that constraints leave out, each with its count and its first few, and draws that were not to be had.
fn left_out(sweep: &Sweep, prepared: &Prepared) -> String {
    let mut text = String::new();
    for (constraint, out) in sweep.constraints.iter().zip(&prepared.sample.left_out) {
        let points = plural(out.count, "point");
        text += &format!("left out    {points}, unless: {constraint}\n");
        for configuration in &out.first {
            text += &format!("              {}\n", output::configuration(configuration));
        }
        let more = out.count - out.first.len() as u64;
        if more > 0 {
            text += &format!("              ... and {} more\n", count(more));
        }
    }
    if prepared.sample.dry.is_some() {
        text += &format!(
            "            the search space holds no more than these configurations: `max_trials` is {}\n",
            sweep.budget.max_trials.unwrap_or(0)
        );
    }
    text
}

fn left_out_json(sweep: &Sweep, prepared: &Prepared) -> serde_json::Value {
    let outs = sweep.constraints.iter().zip(&prepared.sample.left_out);
    outs.map(
        |(constraint, out)| json!({ "unless": constraint, "count": out.count, "first": out.first }),
    )
    .collect()
}

fn facts_text(facts: &Facts) -> String {
    let split = |name: &str, split: &SplitFacts| {
        let [_, median, percentile, longest] = split.token_lengths;
        format!(
            "{name:<12}{} examples ({}; tokens: median {median}, 99 % {percentile}, longest {longest}; truncated {}; unknown tokens {}\n",
            split.examples,
            answers_text(facts, split),
            share(split.truncated_share),
            share(split.unknown_token_share),
        )
    };
    let mut text = match facts.task_reason.as_str() {
        "" => String::new(),
        reason => format!("task        {} ({reason})\n", facts.task.word()),
    };
    text += &split("train", &facts.train);
    text += &facts
        .validation
        .as_ref()
        .map_or("validation  none\n".into(), |facts| split("validation", facts));
    text += &facts.test.as_ref().map_or(String::new(), |facts| split("test", facts));
    text += &format!(
        "model       {} parameters, {} layers, hidden {}, max_length {}\n",
        count(facts.model.parameters),
        facts.model.layers,
        facts.model.hidden_size,
        facts.max_length
    );
    if let Some(words) = &facts.bag_of_words {
        text += &format!(
            "words       a count of words gets {} of the validation split right: a fine-tune should do better\n",
            share(words.accuracy)
        );
    }
    if facts.duplicates_between_splits > 0 {
        text += &format!(
            "warning: {} texts stand in training and in validation or test as well\n",
            facts.duplicates_between_splits
        );
    }
    text
}

/// Returns what is to be answered in a split, and what a model has to beat that always says the same.
fn answers_text(facts: &Facts, split: &SplitFacts) -> String {
    let counts: Vec<String> = facts
        .labels
        .iter()
        .zip(&split.class_counts)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    let more = counts.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let counts = format!("{}{rest}", counts[..counts.len() - more].join(", "));
    match (facts.task, split.targets) {
        (Task::Regression, Some(targets)) => format!(
            "{} from {} to {}, mean {}, standard deviation {})",
            facts.labels.join(""),
            general(targets.min),
            general(targets.max),
            general(targets.mean),
            general(targets.deviation),
        ),
        (Task::Classes, _) => format!("{counts}), majority {}", share(split.majority_share())),
        _ => format!("{counts})"),
    }
}

/// Checkpoints hold weights, two moments and the best weights; finished trials keep weights only.
fn disk(sweep: &Sweep, prepared: &Prepared, workers: u64) -> String {
    let parameters = prepared.facts.iter().map(|facts| facts.model.parameters).max().unwrap_or(0);
    let weights = parameters * 4;
    let need = workers * weights * 5 + sweep.run.keep_best * weights;
    format!("about {} for checkpoints and the best {} trials", bytes(need), sweep.run.keep_best)
}

fn kind(kind: TrialKind) -> String {
    serde_json::to_value(kind)
        .ok()
        .and_then(|word| Some(word.as_str()?.to_string()))
        .unwrap_or_default()
}

fn trial_table(prepared: &Prepared, planned: &[PlannedTrial]) -> String {
    let names: std::collections::BTreeSet<&str> =
        planned.iter().flat_map(|trial| trial.configuration.keys().map(String::as_str)).collect();
    let mut columns = vec![("trial", Align::Right)];
    columns.extend(names.iter().map(|name| (*name, Align::Right)));
    // Worth a column only where there is something to tell apart.
    let enqueued =
        planned.iter().any(|trial| matches!(trial.kind, TrialKind::Enqueued | TrialKind::Baseline));
    columns.extend(enqueued.then_some(("kind", Align::Left)));
    columns.extend([
        ("replicate", Align::Right),
        ("steps", Align::Right),
        ("memory", Align::Right),
    ]);
    let mut table = Table::new(columns);
    for (index, trial) in planned.iter().enumerate().take(SHOWN) {
        let mut row = vec![(index + 1).to_string()];
        let cell =
            |name: &&str| trial.configuration.get(*name).map_or("-".into(), ToString::to_string);
        row.extend(names.iter().map(cell));
        row.extend(enqueued.then(|| kind(trial.kind)));
        row.extend([trial.replicate.to_string(), trial.total_steps.to_string()]);
        let needed = memory(prepared, trial);
        let mark = if capacity::fits(prepared, needed) { "" } else { " !" };
        row.push(format!("{}{mark}", bytes(needed)));
        table.push(row);
    }
    let mut text = table.render(output::width());
    if planned.len() > SHOWN {
        text += &format!("... and {} more (--json lists all)\n", planned.len() - SHOWN);
    }
    text
}

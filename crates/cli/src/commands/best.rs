//! `converge best`: configurations, ranked by the mean over their replicates, and how sure the first one is.

pub(crate) mod sureness;
mod test_value;

use std::collections::BTreeSet;

use converge_core::metric;
use converge_core::objective::{At, Goal, Objective};
use converge_core::ranking::{Ranked, Scored, rank};
use converge_core::task::Task;
use converge_dashboard::terminal::number::{of_metric, plural};
use converge_dashboard::terminal::table::{Align, Table};
use converge_scheduler::home::Home;
use converge_store::{RankedTrial, Reader, SweepSummary};
use serde_json::json;

use crate::arguments::BestArguments;
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::standing::{Compared, compare};
use crate::{home as homes, output};

/// Runs the command.
pub(crate) fn run(arguments: &BestArguments, home: &Home) -> Result<ExitCode, Report> {
    let reader = homes::open(home)?;
    let summary = homes::searched(&reader, arguments.sweep.as_deref())?;
    if arguments.test {
        return test_value::run(arguments, home, reader, &summary);
    }
    if arguments.json {
        output::json(&document(&reader, &summary, arguments)?)?;
    } else {
        let shown = Shown { top: arguments.top, sureness: !arguments.quick };
        output::data(&text(&reader, &summary, arguments.metric.as_deref(), shown)?);
        output::data(&stopped_line(&reader, &summary)?);
    }
    Ok(ExitCode::Done)
}

/// What of a ranking is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// So many configurations.
    pub(crate) top: usize,
    /// How sure the first one is: the more the longer.
    pub(crate) sureness: bool,
}

fn document(
    reader: &Reader,
    summary: &SweepSummary,
    arguments: &BestArguments,
) -> Result<serde_json::Value, Report> {
    let objective = objective(reader, summary, arguments.metric.as_deref())?;
    let Ranking { ranked, .. } = ranking(reader, summary, &objective, arguments.top)?;
    let compared = match arguments.quick {
        true => None,
        false => compare(reader, summary, &objective)?,
    };
    let looks = reader.test_looks(summary.id)?;
    Ok(json!({
        "sweep": summary.name,
        "objective": objective,
        "configurations": ranked.iter().map(json_of).collect::<Vec<_>>(),
        "standing": compared.as_ref().map(sureness::json_of),
        "lost": sureness::json_of_lost(&summary.trials),
        "stopped": summary.trials.stopped,
        "test": looks.iter().map(test_value::json_of).collect::<Vec<_>>(),
    }))
}

/// The best configurations of a sweep.
pub(crate) struct Ranking {
    /// Best first.
    pub(crate) ranked: Vec<Ranked>,
    /// Those that were not asked for.
    more: u64,
}

/// Returns the first `top` configurations of a sweep by an objective.
///
/// By the sweep's own only those are read, by any other all trials.
pub(crate) fn ranking(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
    top: usize,
) -> Result<Ranking, Report> {
    if *objective == summary.objective {
        let ranked = ranked(reader.best_ranking(summary.id, objective, top)?, objective);
        let more = if ranked.len() < top {
            0
        } else {
            reader.ranked_configurations(summary.id)?.saturating_sub(ranked.len() as u64)
        };
        return Ok(Ranking { ranked, more });
    }
    let mut ranked = ranked(reader.ranking(summary.id, objective)?, objective);
    let more = ranked.len().saturating_sub(top) as u64;
    ranked.truncate(top);
    Ok(Ranking { ranked, more })
}

/// Ranks the configurations of trials.
pub(crate) fn ranked(trials: Vec<RankedTrial>, objective: &Objective) -> Vec<Ranked> {
    let scored: Vec<Scored> = trials
        .into_iter()
        .map(|trial| Scored {
            trial: trial.number,
            fingerprint: trial.fingerprint,
            configuration: trial.configuration,
            value: trial.objective.filter(|_| !trial.diverged).map(|objective| objective.value),
        })
        .collect();
    rank(&scored, objective)
}

/// Returns the sweep's objective, or one for another metric of it.
pub(crate) fn objective(
    reader: &Reader,
    summary: &SweepSummary,
    metric: Option<&str>,
) -> Result<Objective, Report> {
    let Some(metric) = metric.filter(|metric| *metric != summary.objective.metric) else {
        return Ok(summary.objective.clone());
    };
    let known = reader.sweep_metrics(summary.id)?;
    if !known.iter().any(|name| name == metric) {
        let near = converge_core::key::nearest(metric, known.iter().map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("metrics here: {}", known.join(", ")),
        };
        return Err(Report::usage(
            format!("sweep `{}` has no metric `{metric}`", summary.name),
            hint,
        ));
    }
    let goal = if metric::larger_is_better(metric) { Goal::Maximize } else { Goal::Minimize };
    Ok(Objective { metric: metric.to_string(), goal, at: summary.objective.at })
}

/// Returns the ranking as text.
pub(crate) fn text(
    reader: &Reader,
    summary: &SweepSummary,
    metric: Option<&str>,
    shown: Shown,
) -> Result<String, Report> {
    let objective = objective(reader, summary, metric)?;
    let Ranking { ranked, more } = ranking(reader, summary, &objective, shown.top)?;
    let trials = &summary.trials;
    let goal = match objective.goal {
        Goal::Maximize => "largest",
        Goal::Minimize => "smallest",
    };
    let at = match objective.at {
        At::Best => "at each trial's best evaluation",
        At::Last => "at each trial's last evaluation",
    };
    let mut text = format!("sweep `{}`, {goal} {} {at}\n", summary.name, objective.metric);
    if trials.total() == 0 && summary.beside.total() > 0 {
        return Ok(text + "it has no search, only trials beside it: `converge trials` lists them\n");
    }
    if ranked.is_empty() && more == 0 {
        return Ok(text + "no trial has completed yet\n");
    }
    let replicated = ranked.iter().any(|ranked| ranked.trials.len() > 1);
    let varied = varied(&ranked);
    let mut columns = vec![("rank", Align::Right), (objective.metric.as_str(), Align::Right)];
    if replicated {
        columns.push(("min to max", Align::Right));
    }
    columns.push(("trial", Align::Right));
    columns.extend(varied.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(columns);
    for ranked in &ranked {
        let value = |value: f64| of_metric(&objective.metric, value);
        let mut row = vec![ranked.rank.to_string(), ranked.mean.map_or("diverged".into(), value)];
        if replicated {
            row.push(
                ranked.range.map_or(String::new(), |(min, max)| {
                    format!("{} to {}", value(min), value(max))
                }),
            );
        }
        row.push(ranked.trials.iter().map(u64::to_string).collect::<Vec<_>>().join(","));
        let cell =
            |name: &String| ranked.configuration.get(name).map_or("-".into(), ToString::to_string);
        row.extend(varied.iter().map(cell));
        table.push(row);
    }
    text += &table.render(output::width());
    if more > 0 {
        let all = ranked.len() as u64 + more;
        text += &format!("... and {more} more: `converge best --top {all}`\n");
    }
    if shown.sureness {
        text += &sureness_text(reader, summary, &objective, &ranked)?;
    }
    text += &constant_line(reader, summary, &objective)?;
    if trials.ended() < trials.total() {
        text += &format!("{} of {} trials are done\n", trials.ended(), trials.total());
    }
    if trials.failed > 0 && !shown.sureness {
        text += &format!("{} trials failed and are not ranked\n", trials.failed);
    }
    Ok(text)
}

/// Says what early stopping has spared; nothing where it stopped nothing.
pub(crate) fn stopped_line(reader: &Reader, summary: &SweepSummary) -> Result<String, Report> {
    let stopped = summary.trials.stopped;
    if stopped == 0 {
        return Ok(String::new());
    }
    let noun = if stopped == 1 { "trial was" } else { "trials were" };
    Ok(format!(
        "{stopped} {noun} stopped early: {} saved; `converge trials --where state=stopped`\n",
        plural(reader.steps_saved(summary.id)?, "step")
    ))
}

/// Says how sure the first of a ranking is, and what the test split says of it.
fn sureness_text(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
    ranked: &[Ranked],
) -> Result<String, Report> {
    let compared: Option<Compared> = compare(reader, summary, objective)?;
    let mut rows =
        compared.map(|compared| sureness::rows(&compared, objective)).unwrap_or_default();
    rows.extend(sureness::lost_row(&summary.trials));
    let has_test_split = reader.facts(summary.id)?.iter().any(|facts| facts.test.is_some());
    let winner = ranked.first().map_or(&[][..], |ranked| &ranked.trials);
    let looks = reader.test_looks(summary.id)?;
    if *objective == summary.objective {
        rows.extend(test_value::row(&looks, winner, objective, has_test_split));
    }
    Ok(sureness::text(&rows))
}

/// What a model would get that always says the same: the least that a result has to beat.
fn constant_line(
    reader: &Reader,
    summary: &SweepSummary,
    objective: &Objective,
) -> Result<String, Report> {
    let metric = objective.metric.as_str();
    let facts = reader.facts(summary.id)?;
    let Some((facts, validation)) =
        facts.first().and_then(|facts| Some((facts, facts.validation.as_ref()?)))
    else {
        return Ok(String::new());
    };
    let (what, value) = match (facts.task, metric) {
        (Task::Classes, "validation/accuracy") => {
            ("always answering the largest class", validation.majority_share())
        }
        (Task::Regression, "validation/rmse" | "validation/loss") => {
            let Some((trained, targets)) = facts.train.targets.zip(validation.targets) else {
                return Ok(String::new());
            };
            let rmse = targets.rmse_of(trained.mean);
            let value = if metric == "validation/loss" { rmse * rmse } else { rmse };
            ("always answering the mean of the training split", value)
        }
        _ => return Ok(String::new()),
    };
    let (value, examples) = (of_metric(metric, value), validation.examples);
    Ok(format!("{what}: {value} ({examples} validation examples)\n"))
}

/// Returns the parameters, sorted.
fn varied(ranked: &[Ranked]) -> Vec<String> {
    let names: BTreeSet<&String> =
        ranked.iter().flat_map(|ranked| ranked.configuration.keys()).collect();
    names.into_iter().cloned().collect()
}

fn json_of(ranked: &Ranked) -> serde_json::Value {
    json!({
        "rank": ranked.rank,
        "mean": ranked.mean,
        "min": ranked.range.map(|(min, _)| min),
        "max": ranked.range.map(|(_, max)| max),
        "trials": ranked.trials,
        "diverged": ranked.diverged,
        "configuration": ranked.configuration,
    })
}

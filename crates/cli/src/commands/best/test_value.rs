//! How good the winner is on the test split: computed once, after the choice, and kept.

use converge_core::objective::Objective;
use converge_dashboard::terminal::number::{count, of_metric};
use converge_dashboard::terminal::table::{Align, Table};
use converge_protocol::inference::{Answer, Question};
use converge_scheduler::clock;
use converge_scheduler::home::Home;
use converge_store::{NewTestLook, Reader, SweepSummary, TestLook};
use serde_json::{Value, json};

use super::sureness::Row;
use crate::arguments::BestArguments;
use crate::commands::curve::number;
use crate::exit_code::ExitCode;
use crate::question::{ask, note, unanswered};
use crate::report::Report;
use crate::winner::Trained;
use crate::{drive, output};

/// Shows the winner's test value; computes and keeps it where nobody has looked yet.
pub(super) fn run(
    arguments: &BestArguments,
    home: &Home,
    reader: Reader,
    summary: &SweepSummary,
) -> Result<ExitCode, Report> {
    let looks = reader.test_looks(summary.id)?;
    let winner = crate::winner::one(home, &reader, summary, "best")?.trial.number;
    if !arguments.again {
        if let Some(look) = looks.iter().find(|look| look.trial == winner) {
            return show(look, &looks, summary, arguments.json);
        }
        if let Some(last) = looks.last() {
            return Err(changed(last, winner, summary));
        }
    }
    if !reader.facts(summary.id)?.iter().any(|facts| facts.test.is_some()) {
        return Err(Report::usage(
            format!("sweep `{}` has no test split", summary.name),
            "`data.test = FILE` or `data.test_fraction = 0.2` makes one, in a new sweep; `converge evaluate best FILE` judges the winner on any labelled file",
        ));
    }
    if !summary.is_over() {
        let left = summary.trials.total() - summary.trials.ended();
        return Err(Report::usage(
            format!(
                "sweep `{}` is not over ({left} of {} trials are left): who looks at the test split now may choose by it",
                summary.name,
                summary.trials.total()
            ),
            "finish it with `converge resume`, or end it here with `converge cancel state=queued`",
        ));
    }
    let (trained, found) = Trained::of_trial(home, &reader, summary, "best")?;
    drop(reader);
    // Taken before anybody looks: what was seen has to be written down.
    let _lock = drive::lock(home)?;
    let mut store = drive::open(home)?;
    // Somebody else may have looked meanwhile.
    let looks = store.read().test_looks(summary.id)?;
    if let Some(look) = looks.iter().find(|look| look.trial == winner && !arguments.again) {
        return show(look, &looks, summary, arguments.json);
    }
    let origin = Box::new(trained.origin(&home.cache()));
    let question = Question::Test { model: trained.model.clone(), origin };
    let (examples, metrics) = scores(&arguments.device, &question)?;
    let trial = &found.detail.trial;
    let step = trial.best_weights.as_ref().map_or(0, |weights| weights.step);
    let look = NewTestLook { trial: trial.id, step, examples, metrics };
    let place = store
        .add_test_look(summary.id, &look, clock::unix_ms())
        .map_err(|error| Report::error(&error))?;
    let looks = store.read().test_looks(summary.id)?;
    let look = looks.iter().find(|look| look.look == place);
    let look =
        look.ok_or_else(|| Report::usage("the test value was not kept", "please report it"))?;
    show(look, &looks, summary, arguments.json)
}

fn scores(device: &str, question: &Question) -> Result<(u64, Vec<(String, f64)>), Report> {
    let mut worker = ask(device, question, false)?;
    let mut scores = None;
    while let Some(answer) = worker.answer().map_err(|error| unanswered(&error))? {
        if let Answer::Scores { examples, metrics, .. } = answer {
            scores = Some((examples, metrics));
        }
    }
    scores.ok_or_else(|| Report::usage("the worker gave no scores", "please report it"))
}

fn changed(last: &TestLook, winner: u64, summary: &SweepSummary) -> Report {
    Report::usage(
        format!(
            "trial {winner} is the best now, but the test split was looked at for trial {}: {}",
            last.trial,
            value_of(last, &summary.objective)
        ),
        "a value is honest that was computed once, for the one choice that was made without it; \
         `--again` computes another, and records that it was a further look",
    )
}

fn show(
    look: &TestLook,
    looks: &[TestLook],
    summary: &SweepSummary,
    as_json: bool,
) -> Result<ExitCode, Report> {
    if as_json {
        output::json(&json!({
            "sweep": summary.name,
            "test": json_of(look),
            "looks": looks.iter().map(json_of).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::Done);
    }
    if look.look > 1 {
        note(&format!(
            "warning: this was look {} at the test split: what was chosen after a look is a little too good on it",
            look.look
        ));
    }
    let mut table = Table::new([("metric", Align::Left), ("value", Align::Right)]);
    for (name, value) in &look.metrics {
        table.push([name.clone(), of_metric(name, *value)]);
    }
    output::data(&table.render(output::width()));
    output::data(&format!(
        "trial {} of sweep `{}` on {} test examples, weights of step {}\n",
        look.trial,
        summary.name,
        count(look.examples),
        count(look.step)
    ));
    Ok(ExitCode::Done)
}

/// Returns what the test split says of the winner, or how to ask it; nothing without the split.
pub(super) fn row(
    looks: &[TestLook],
    winner: &[u64],
    objective: &Objective,
    has_test_split: bool,
) -> Option<Row> {
    let of_winner = looks.iter().find(|look| winner.contains(&look.trial));
    let text = match (of_winner, looks.last()) {
        (Some(look), _) => {
            let place = if look.look > 1 { format!(", look {}", look.look) } else { String::new() };
            format!("{}{place}", value_of(look, objective))
        }
        (None, Some(look)) => format!(
            "{} of trial {}, which is not the best any more",
            value_of(look, objective),
            look.trial
        ),
        (None, None) if has_test_split => {
            "not looked at: `converge best --test` computes it, once".into()
        }
        (None, None) => return None,
    };
    Some(("test", text))
}

/// Returns the objective on the test split.
fn value_of(look: &TestLook, objective: &Objective) -> String {
    let name = objective.metric.split_once('/').map_or(objective.metric.as_str(), |(_, name)| name);
    let name = format!("test/{name}");
    let (name, value) = match look.metrics.get_key_value(&name) {
        Some((name, value)) => (name.as_str(), *value),
        None => ("test/loss", look.metrics.get("test/loss").copied().unwrap_or(f64::NAN)),
    };
    format!("{} ({name}, {} examples)", of_metric(name, value), count(look.examples))
}

/// Returns a look with all that it saw.
pub(super) fn json_of(look: &TestLook) -> Value {
    let metrics: serde_json::Map<String, Value> =
        look.metrics.iter().map(|(name, value)| (name.clone(), number(*value))).collect();
    json!({
        "look": look.look,
        "trial": look.trial,
        "step": look.step,
        "examples": look.examples,
        "metrics": metrics,
        "at_ms": look.at_ms,
    })
}

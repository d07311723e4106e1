//! `converge evaluate`: how good a trained model is on a labelled file, and whether the file is new to it.

use converge_dashboard::terminal::number::{count, of_metric};
use converge_dashboard::terminal::table::{Align, Table};
use converge_protocol::inference::{Answer, Overlap, Question};
use converge_scheduler::home::Home;
use serde_json::{Value, json};

use crate::arguments::EvaluateArguments;
use crate::commands::curve::number;
use crate::commands::predict::columns;
use crate::exit_code::ExitCode;
use crate::question::{ask, note, unanswered};
use crate::report::Report;
use crate::winner::Trained;
use crate::{home as homes, output};

/// Runs the command.
pub(crate) fn run(arguments: &EvaluateArguments, home: &Home) -> Result<ExitCode, Report> {
    let trained = Trained::find(home, arguments.sweep.as_deref(), &arguments.model)?;
    let file = homes::working_directory()?.join(&arguments.file);
    // A saved model may be used where there is no home.
    let temporary = if home.root().is_dir() { None } else { Some(Home::temporary("evaluate")?) };
    let cache = temporary.clone().unwrap_or_else(|| home.cache());
    let label = arguments.label.as_ref().unwrap_or(&trained.settings.data.label);
    let question = Question::Evaluate {
        model: trained.model.clone(),
        file: file.display().to_string(),
        columns: columns(&trained, arguments.text.as_deref(), arguments.text_pair.as_deref()),
        label: label.clone(),
        origin: Some(Box::new(trained.origin(&cache))),
    };
    let found = scores(&arguments.device, &question);
    if let Some(folder) = temporary {
        // Best effort: it lies among the system's temporary files.
        let _ = std::fs::remove_dir_all(folder);
    }
    let (examples, metrics, overlap) = found?;
    for line in told(&overlap, examples) {
        note(&line);
    }
    if arguments.json {
        let values: serde_json::Map<String, Value> =
            metrics.iter().map(|(name, value)| (name.clone(), number(*value))).collect();
        output::json(&json!({ "examples": examples, "metrics": values, "overlap": overlap }))?;
        return Ok(ExitCode::Done);
    }
    let mut table = Table::new([("metric", Align::Left), ("value", Align::Right)]);
    for (name, value) in &metrics {
        table.push([name.clone(), of_metric(&format!("file/{name}"), *value)]);
    }
    output::data(&table.render(output::width()));
    output::data(&format!("{} examples\n", count(examples)));
    Ok(ExitCode::Done)
}

type Scores = (u64, Vec<(String, f64)>, Overlap);

fn scores(device: &str, question: &Question) -> Result<Scores, Report> {
    let mut worker = ask(device, question, false)?;
    let mut scores = None;
    while let Some(answer) = worker.answer().map_err(|error| unanswered(&error))? {
        if let Answer::Scores { examples, metrics, overlap } = answer {
            scores = Some((examples, metrics, overlap));
        }
    }
    scores.ok_or_else(|| Report::usage("the worker gave no scores", "please report it"))
}

/// Says what of the file is not new to the model.
fn told(overlap: &Overlap, examples: u64) -> Vec<String> {
    let mut lines: Vec<String> = overlap
        .same_file
        .iter()
        .map(|role| {
            let word = if role == "train" { "training" } else { "validation" };
            format!("warning: this is the sweep's {word} file itself")
        })
        .collect();
    let mut seen = |number: Option<u64>, meaning: &str| {
        if let Some(number) = number.filter(|number| *number > 0) {
            lines.push(format!(
                "warning: {} of {} texts {meaning}: scores on them say little about new ones",
                count(number),
                count(examples)
            ));
        }
    };
    seen(overlap.in_training, "stand in the data that the model was trained on");
    seen(overlap.in_validation, "stand in the validation data that it was chosen by");
    if let Some(why) = &overlap.unknown {
        lines.push(format!("note: whether its texts are new to the model is not known: {why}"));
    }
    lines
}

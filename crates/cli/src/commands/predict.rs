//! `converge predict`: what a trained model answers to the rows of a file, as they come.

use std::io::{BufWriter, Write};

use converge_core::task::Task;
use converge_dashboard::terminal::escaped::printable;
use converge_protocol::inference::{Answer, Columns, Input, Question};
use converge_scheduler::home::Home;
use serde_json::{Map, Value, json};

use crate::arguments::{PredictArguments, PredictFormat};
use crate::exit_code::ExitCode;
use crate::home as homes;
use crate::question::{ask, unanswered};
use crate::report::Report;
use crate::winner::Trained;

/// A label is answered from this probability on, where each stands by itself.
const LIKELY: f64 = 0.5;

/// Runs the command.
pub(crate) fn run(arguments: &PredictArguments, home: &Home) -> Result<ExitCode, Report> {
    let trained = Trained::find(home, arguments.sweep.as_deref(), &arguments.model)?;
    let data = &trained.settings.data;
    let from_stdin = arguments.file.as_os_str() == "-";
    let input = if from_stdin {
        if data.text_pair.is_some() {
            return Err(Report::usage(
                "this model judges pairs of texts, and stdin is read as one text a line",
                "give a csv, tsv or jsonl file with both columns",
            ));
        }
        Input::Lines
    } else {
        let columns = columns(&trained, arguments.text.as_deref(), arguments.text_pair.as_deref());
        let path = homes::working_directory()?.join(&arguments.file);
        Input::File { path: path.display().to_string(), columns }
    };
    // Several labels stand in one column as the sweep's data has them.
    let separator = serde_json::to_value(data)?;
    let separator = separator.get("label_separator").and_then(Value::as_str).unwrap_or(",");
    let question =
        Question::Predict { model: trained.model.clone(), input, batch_size: arguments.batch_size };
    let mut worker = ask(&arguments.device, &question, from_stdin)?;
    let mut table = Table {
        out: BufWriter::new(std::io::stdout().lock()),
        format: arguments.format,
        separator: separator.to_string(),
        task: Task::Classes,
        labels: Vec::new(),
    };
    loop {
        let answer = match worker.answer() {
            Ok(Some(answer)) => answer,
            Ok(None) => break,
            Err(error) => {
                // What was answered before stands.
                let _ = table.out.flush();
                return Err(unanswered(&error));
            }
        };
        let written = match answer {
            Answer::Ready { task, labels } => {
                (table.task, table.labels) = (task, labels);
                table.header()
            }
            Answer::Row { logits, probabilities } => table.row(&logits, &probabilities),
            _ => Ok(()),
        };
        // Whoever types wants to see what was typed judged.
        let written = if from_stdin { written.and_then(|()| table.out.flush()) } else { written };
        if let Err(error) = written {
            return closed(&error);
        }
    }
    match table.out.flush() {
        Ok(()) => Ok(ExitCode::Done),
        Err(error) => closed(&error),
    }
}

/// A reader that has seen enough (`| head`) ends it; a full disk is an error.
fn closed(error: &std::io::Error) -> Result<ExitCode, Report> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(ExitCode::Done),
        _ => Err(Report::error(error)),
    }
}

/// Returns the columns of a file: as told, or as the model was trained.
pub(crate) fn columns(trained: &Trained, text: Option<&str>, text_pair: Option<&str>) -> Columns {
    let data = &trained.settings.data;
    let pair = data.text_pair.as_deref().map(|own| text_pair.unwrap_or(own).to_string());
    Columns { text: text.unwrap_or(&data.text).to_string(), text_pair: pair }
}

/// Writes answers.
struct Table<W: Write> {
    out: W,
    format: PredictFormat,
    separator: String,
    task: Task,
    labels: Vec<String>,
}

impl<W: Write> Table<W> {
    fn header(&mut self) -> std::io::Result<()> {
        if self.format == PredictFormat::Jsonl {
            return Ok(());
        }
        let first = match self.task {
            Task::Classes => "label",
            Task::MultiLabel => "labels",
            Task::Regression => return writeln!(self.out, "value"),
        };
        write!(self.out, "{first}")?;
        for label in &self.labels {
            write!(self.out, "\tprobability/{}", printable(label))?;
        }
        writeln!(self.out)
    }

    fn row(&mut self, logits: &[f64], probabilities: &[f64]) -> std::io::Result<()> {
        match self.format {
            PredictFormat::Tsv => self.tsv(logits, probabilities),
            PredictFormat::Jsonl => {
                let object = self.object(logits, probabilities);
                writeln!(self.out, "{object}")
            }
        }
    }

    fn tsv(&mut self, logits: &[f64], probabilities: &[f64]) -> std::io::Result<()> {
        if self.task == Task::Regression {
            let value = logits.first().copied().unwrap_or(f64::NAN);
            return writeln!(self.out, "{}", shortest(value));
        }
        let labels: Vec<&str> = self.answers(logits, probabilities).collect();
        let labels = labels.join(&self.separator);
        write!(self.out, "{}", printable(&labels))?;
        for probability in probabilities {
            write!(self.out, "\t{}", shortest(*probability))?;
        }
        writeln!(self.out)
    }

    fn object(&self, logits: &[f64], probabilities: &[f64]) -> Value {
        let by_label = |values: &[f64]| -> Map<String, Value> {
            let named = self.labels.iter().cloned().zip(values.iter().map(|value| number(*value)));
            named.collect()
        };
        match self.task {
            Task::Classes => json!({
                "label": self.answers(logits, probabilities).next(),
                "probabilities": by_label(probabilities), "logits": by_label(logits),
            }),
            Task::MultiLabel => json!({
                "labels": self.answers(logits, probabilities).collect::<Vec<_>>(),
                "probabilities": by_label(probabilities), "logits": by_label(logits),
            }),
            Task::Regression => {
                json!({ "value": number(logits.first().copied().unwrap_or(f64::NAN)) })
            }
        }
    }

    /// Returns the class with the largest logit (the first of equals), or every label that is likely.
    fn answers<'a>(
        &'a self,
        logits: &'a [f64],
        probabilities: &'a [f64],
    ) -> impl Iterator<Item = &'a str> {
        let mut largest = 0;
        for (class, logit) in logits.iter().enumerate() {
            if *logit > logits[largest] {
                largest = class;
            }
        }
        let task = self.task;
        let chosen = move |(class, _): &(usize, &String)| match task {
            Task::Classes => *class == largest,
            Task::MultiLabel | Task::Regression => {
                probabilities.get(*class).is_some_and(|probability| *probability > LIKELY)
            }
        };
        self.labels.iter().enumerate().filter(chosen).map(|(_, label)| label.as_str())
    }
}

/// Models compute in single precision: more digits would be noise.
fn shortest(value: f64) -> String {
    (value as f32).to_string()
}

fn number(value: f64) -> Value {
    let shortest = shortest(value).parse().ok().filter(|value: &f64| value.is_finite());
    shortest.map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: PredictFormat, task: Task, logits: &[f64], probabilities: &[f64]) -> String {
        let labels = if task == Task::Regression { vec!["stars"] } else { vec!["neg", "p\tos"] };
        let labels = labels.into_iter().map(str::to_owned).collect();
        let mut table = Table { out: Vec::new(), format, separator: "|".into(), task, labels };
        table.header().unwrap();
        table.row(logits, probabilities).unwrap();
        String::from_utf8(table.out).unwrap()
    }

    #[test]
    fn every_task_has_its_columns() {
        let tsv = |task, logits: &[f64], probabilities: &[f64]| {
            written(PredictFormat::Tsv, task, logits, probabilities)
        };
        let third = f64::from(1.0_f32 / 3.0);
        assert_eq!(
            tsv(Task::Classes, &[0.5, -1.0], &[third, 0.25]),
            "label\tprobability/neg\tprobability/p os\nneg\t0.33333334\t0.25\n"
        );
        assert_eq!(
            tsv(Task::MultiLabel, &[2.0, 1.0], &[0.75, 0.625]),
            "labels\tprobability/neg\tprobability/p os\nneg|p os\t0.75\t0.625\n"
        );
        assert_eq!(
            tsv(Task::MultiLabel, &[0.0, -1.0], &[0.5, 0.25]).lines().nth(1),
            Some("\t0.5\t0.25")
        );
        assert_eq!(tsv(Task::Regression, &[3.5], &[]), "value\n3.5\n");
    }

    #[test]
    fn lines_of_json_have_no_numbers_that_json_lacks() {
        let text = written(PredictFormat::Jsonl, Task::Classes, &[f64::NAN, 1.0], &[f64::NAN, 0.5]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["logits"], json!({ "neg": null, "p\tos": 1.0 }));
        let text = written(PredictFormat::Jsonl, Task::Regression, &[0.1_f32.into()], &[]);
        assert_eq!(text, "{\"value\":0.1}\n");
    }
}

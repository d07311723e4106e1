//! A sweep as TensorBoard shows it: a run per trial with its scalars and hyperparameters; replicates are one group.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::Path;

use converge_core::value::Value;
use converge_store::{Exported, ExportedTrial, ParameterRecord, Reader, SweepSummary};

use super::Failure;
use super::event::{Domain, EventFile, Hyperparameter, Status};

/// The objective of a trial, as `best` ranks it: the last value of the metric itself need not be the best.
const OBJECTIVE: &str = "objective";

/// Writes a sweep into an empty folder. Holds one step of one trial at a time.
pub(super) fn write(
    reader: &Reader,
    sweep: &SweepSummary,
    folder: &Path,
    host: &str,
    now_ms: i64,
) -> Result<(), Failure> {
    let parameters = reader.parameters(sweep.id)?;
    let time = seconds(now_ms);
    let mut root = begin(folder, host, time)?;
    let metrics = [OBJECTIVE, sweep.objective.metric.as_str()];
    let domains: BTreeMap<&str, Domain> =
        parameters.iter().filter_map(|one| Some((one.name.as_str(), domain(one)?))).collect();
    root.experiment(time, &sweep.name, &domains, metrics)?;
    root.end()?;

    let width = sweep.trials.total().to_string().len();
    let mut run: Option<Run> = None;
    let mut failed = None;
    reader.export(sweep.id, |exported| {
        let done = match exported {
            Exported::Trial(trial) => run.take().map_or(Ok(()), Run::end).and_then(|()| {
                let name = format!("trial-{:0width$}", trial.number);
                run = Some(Run::begin(&folder.join(name), host, &domains, trial, now_ms)?);
                Ok(())
            }),
            Exported::Value(value) => match &mut run {
                Some(run) => run.observe(value.attempt, value.step, value.metric, value.value),
                None => Ok(()),
            },
        };
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or_else(|| run.map_or(Ok(()), Run::end), Err).map_err(Failure::Write)
}

/// A trial's event file, and the step that is being gathered.
struct Run {
    file: EventFile<BufWriter<File>>,
    trial: Box<ExportedTrial>,
    now_ms: i64,
    at: (u64, u64),
    values: Vec<(String, f64)>,
}

impl Run {
    fn begin(
        folder: &Path,
        host: &str,
        domains: &BTreeMap<&str, Domain>,
        trial: Box<ExportedTrial>,
        now_ms: i64,
    ) -> std::io::Result<Self> {
        let started = trial.attempts.first().map(|first| first.started_at_ms);
        let time = seconds(started.unwrap_or(trial.created_at_ms));
        std::fs::create_dir(folder)?;
        let mut file = begin(folder, host, time)?;
        let chosen = trial.configuration.iter();
        let chosen = chosen.map(|(name, value)| {
            let listed = domains.get(name.as_str());
            let is_text =
                matches!(listed, Some(Domain::Values(values)) if values.iter().all(is_text));
            let value = if is_text {
                Hyperparameter::Text(value.to_string())
            } else {
                hyperparameter(value)
            };
            (name.as_str(), value)
        });
        file.session_start(time, &trial.fingerprint, chosen)?;
        Ok(Self { file, trial, now_ms, at: (0, 0), values: Vec::new() })
    }

    fn observe(
        &mut self,
        attempt: u64,
        step: u64,
        metric: &str,
        value: f64,
    ) -> std::io::Result<()> {
        if self.at != (attempt, step) {
            self.end_step()?;
            self.at = (attempt, step);
        }
        self.values.push((metric.to_owned(), value));
        Ok(())
    }

    fn end_step(&mut self) -> std::io::Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let (attempt, step) = self.at;
        let time = seconds(self.trial.at_ms(attempt, step, self.now_ms));
        let values = self.values.iter().map(|(metric, value)| (metric.as_str(), *value));
        self.file.scalars(time, step, values)?;
        self.values.clear();
        Ok(())
    }

    fn end(mut self) -> std::io::Result<()> {
        self.end_step()?;
        let last = self.trial.attempts.last();
        let time = self.trial.ended_at_ms.or(last.map(|last| last.started_at_ms));
        let time = seconds(time.unwrap_or(self.trial.created_at_ms));
        if let (Some(value), Some(step)) = (self.trial.objective_value, self.trial.objective_step) {
            self.file.scalars(time, step, [(OBJECTIVE, value)])?;
        }
        let status = match self.trial.state.as_str() {
            "completed" => Status::Success,
            "running" => Status::Running,
            "queued" => Status::Unknown,
            _ => Status::Failure,
        };
        self.file.session_end(time, status)?;
        self.file.end()
    }
}

fn begin(folder: &Path, host: &str, time: f64) -> std::io::Result<EventFile<BufWriter<File>>> {
    let name = format!("events.out.tfevents.{:.0}.{host}.converge", time.floor());
    EventFile::begin(BufWriter::new(File::create_new(folder.join(name))?), time)
}

fn hyperparameter(value: &Value) -> Hyperparameter {
    match value {
        Value::Boolean(value) => Hyperparameter::Boolean(*value),
        Value::Text(_) | Value::List(_) => Hyperparameter::Text(value.to_string()),
        Value::Integer(_) | Value::Float(_) => {
            Hyperparameter::Number(value.number().unwrap_or(f64::NAN))
        }
    }
}

fn is_text(value: &Hyperparameter) -> bool {
    matches!(value, Hyperparameter::Text(_))
}

/// Reads a distribution as TensorBoard has it: choices are of one kind there, and texts where ours are not.
fn domain(parameter: &ParameterRecord) -> Option<Domain> {
    let distribution: serde_json::Value = serde_json::from_str(&parameter.distribution).ok()?;
    let attributes = distribution.get("attributes")?;
    let Some(choices) = attributes.get("choices") else {
        return Some(Domain::Range(
            attributes.get("low")?.as_f64()?,
            attributes.get("high")?.as_f64()?,
        ));
    };
    let choices: Vec<Value> = serde_json::from_value(choices.clone()).ok()?;
    let mut values: Vec<Hyperparameter> = choices.iter().map(hyperparameter).collect();
    let kind = std::mem::discriminant(values.first()?);
    if !values.iter().all(|value| std::mem::discriminant(value) == kind) {
        values = choices.iter().map(|choice| Hyperparameter::Text(choice.to_string())).collect();
    }
    Some(Domain::Values(values))
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1_000.0
}

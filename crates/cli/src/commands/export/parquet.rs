//! A sweep as two tables for data frames: `trials.parquet` and `observations.parquet`, compressed with zstd.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use converge_core::value::Value;
use converge_store::{Exported, ExportedTrial, ParameterRecord, Reader, SweepSummary};
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::Failure;

/// Rows that are held before they are written.
const ROWS_PER_GROUP: usize = 200_000;

/// Writes both tables into an empty folder. Holds a group of rows and one trial at a time.
pub(super) fn write(
    reader: &Reader,
    sweep: &SweepSummary,
    folder: &Path,
    now_ms: i64,
) -> Result<(), Failure> {
    let parameters = reader.parameters(sweep.id)?;
    let mut trials = Table::begin(&folder.join("trials.parquet"), trial_columns(&parameters))?;
    let mut observations =
        Table::begin(&folder.join("observations.parquet"), observation_columns())?;
    let name = ByteArray::from(sweep.name.as_str());
    let mut number = 0;
    // Of the trial at hand: metric, step, attempt, value.
    let mut values: Vec<(ByteArray, u64, u64, f64)> = Vec::new();
    let mut failed = None;
    reader.export(sweep.id, |exported| {
        let done = match exported {
            Exported::Trial(trial) => {
                let done = observe(&mut observations, &name, number, &mut values);
                number = trial.number;
                done.and_then(|()| trials.push(trial_row(sweep, &parameters, &trial, now_ms)))
            }
            Exported::Value(value) => {
                // Names repeat: those of the step before are shared.
                let known = values
                    .iter()
                    .rev()
                    .take(64)
                    .find(|one| one.0.data() == value.metric.as_bytes());
                let metric = known.map_or_else(|| value.metric.into(), |one| one.0.clone());
                values.push((metric, value.step, value.attempt, value.value));
                Ok(())
            }
        };
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match failed {
        Some(error) => Err(error),
        None => observe(&mut observations, &name, number, &mut values)
            .and_then(|()| observations.end())
            .and_then(|()| trials.end()),
    }
    .map_err(Failure::from)
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => Self::Write(*error),
                Err(error) => Self::Write(std::io::Error::other(error)),
            },
            error => Self::Write(std::io::Error::other(error)),
        }
    }
}

/// Adds the values of a trial, by metric and step.
fn observe(
    table: &mut Table,
    sweep: &ByteArray,
    trial: u64,
    values: &mut Vec<(ByteArray, u64, u64, f64)>,
) -> Result<(), ParquetError> {
    values.sort_by(|left, right| left.0.data().cmp(right.0.data()).then(left.1.cmp(&right.1)));
    for (metric, step, attempt, value) in values.drain(..) {
        table.push(vec![
            Cell::Text(sweep.clone()),
            Cell::Integer(trial as i64),
            Cell::Text(metric),
            Cell::Integer(step as i64),
            Cell::Number(value),
            Cell::Integer(attempt as i64),
        ])?;
    }
    Ok(())
}

/// The columns of the view `curves`.
fn observation_columns() -> Vec<(String, Kind)> {
    [
        ("sweep", Kind::Text),
        ("trial", Kind::Integer),
        ("metric", Kind::Text),
        ("step", Kind::Integer),
        ("value", Kind::Number),
        ("attempt", Kind::Integer),
    ]
    .map(|(name, kind)| (name.to_owned(), kind))
    .into()
}

/// The columns of the view `trials_wide`, what is known of the attempts, and the sweep's parameters.
fn trial_columns(parameters: &[ParameterRecord]) -> Vec<(String, Kind)> {
    let fixed = [
        ("sweep", Kind::Text),
        ("trial", Kind::Integer),
        ("kind", Kind::Text),
        ("state", Kind::Text),
        ("fingerprint", Kind::Text),
        ("replicate", Kind::Integer),
        ("objective", Kind::Text),
        ("objective_value", Kind::Number),
        ("objective_step", Kind::Integer),
        ("total_steps", Kind::Integer),
        ("failure_class", Kind::Text),
        ("failure_message", Kind::Text),
        ("best_weights_directory", Kind::Text),
        ("created_at_ms", Kind::Integer),
        ("ended_at_ms", Kind::Integer),
        ("attempts", Kind::Integer),
        ("started_at_ms", Kind::Integer),
        ("seconds", Kind::Number),
        ("peak_memory_bytes", Kind::Integer),
    ];
    let mut columns: Vec<(String, Kind)> =
        fixed.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
    for parameter in parameters {
        let taken = columns.iter().any(|(name, _)| *name == parameter.name);
        let name =
            if taken { format!("parameter.{}", parameter.name) } else { parameter.name.clone() };
        columns.push((name, kind(parameter)));
    }
    columns
}

fn trial_row(
    sweep: &SweepSummary,
    parameters: &[ParameterRecord],
    trial: &ExportedTrial,
    now_ms: i64,
) -> Vec<Cell> {
    let text = |text: &Option<String>| text.as_deref().map_or(Cell::None, Cell::text);
    let integer = |number: Option<i64>| number.map_or(Cell::None, Cell::Integer);
    let seconds: i64 = trial
        .attempts
        .iter()
        .map(|one| (one.ended_at_ms.unwrap_or(now_ms) - one.started_at_ms).max(0))
        .sum();
    let memory = trial.attempts.iter().filter_map(|one| one.peak_memory_bytes).max();
    let mut row = vec![
        Cell::text(&sweep.name),
        Cell::Integer(trial.number as i64),
        Cell::text(trial.kind.word()),
        Cell::text(&trial.state),
        Cell::text(&trial.fingerprint),
        Cell::Integer(trial.replicate as i64),
        Cell::text(&sweep.objective.metric),
        trial.objective_value.map_or(Cell::None, Cell::Number),
        integer(trial.objective_step.map(|step| step as i64)),
        Cell::Integer(trial.total_steps as i64),
        text(&trial.failure_class),
        text(&trial.failure_message),
        text(&trial.best_weights_directory),
        Cell::Integer(trial.created_at_ms),
        integer(trial.ended_at_ms),
        Cell::Integer(trial.attempts.len() as i64),
        integer(trial.attempts.first().map(|first| first.started_at_ms)),
        Cell::Number(seconds as f64 / 1_000.0),
        integer(memory.map(|memory| memory as i64)),
    ];
    row.extend(parameters.iter().map(|parameter| {
        match (trial.configuration.get(&parameter.name), kind(parameter)) {
            (None, _) => Cell::None,
            (Some(Value::Integer(number)), Kind::Integer) => Cell::Integer(*number),
            (Some(Value::Boolean(value)), Kind::Boolean) => Cell::Boolean(*value),
            (Some(value), Kind::Number) => value.number().map_or(Cell::None, Cell::Number),
            (Some(value), Kind::Text) => Cell::text(&value.to_string()),
            (Some(_), Kind::Integer | Kind::Boolean) => Cell::None,
        }
    }));
    row
}

/// Returns the type that all values of a parameter have; values of several are texts.
fn kind(parameter: &ParameterRecord) -> Kind {
    let distribution: serde_json::Value =
        serde_json::from_str(&parameter.distribution).unwrap_or_default();
    match distribution["name"].as_str() {
        Some("IntDistribution") => return Kind::Integer,
        Some("FloatDistribution") => return Kind::Number,
        _ => {}
    }
    let choices = distribution["attributes"]["choices"].as_array();
    let all = |is: fn(&serde_json::Value) -> bool| choices.is_some_and(|all| all.iter().all(is));
    if all(serde_json::Value::is_i64) {
        Kind::Integer
    } else if all(serde_json::Value::is_number) {
        Kind::Number
    } else if all(serde_json::Value::is_boolean) {
        Kind::Boolean
    } else {
        Kind::Text
    }
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Number,
    Boolean,
    Text,
}

/// What stands in a row.
#[derive(Debug, Clone)]
enum Cell {
    None,
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Text(ByteArray),
}

impl Cell {
    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A table under way: rows are gathered, and written as a group.
struct Table {
    writer: SerializedFileWriter<File>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    fn begin(path: &Path, columns: Vec<(String, Kind)>) -> Result<Self, Failure> {
        let fields = columns.into_iter().map(|(name, kind)| {
            let (physical, converted) = match kind {
                Kind::Integer => (Physical::INT64, ConvertedType::NONE),
                Kind::Number => (Physical::DOUBLE, ConvertedType::NONE),
                Kind::Boolean => (Physical::BOOLEAN, ConvertedType::NONE),
                Kind::Text => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
            };
            let field = Type::primitive_type_builder(&name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(converted);
            field.build().map(Arc::new)
        });
        let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(format!("converge {}", env!("CARGO_PKG_VERSION")))
            .build();
        let file = File::create_new(path)?;
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer, rows: Vec::new() })
    }

    fn push(&mut self, row: Vec<Cell>) -> Result<(), ParquetError> {
        self.rows.push(row);
        if self.rows.len() < ROWS_PER_GROUP { Ok(()) } else { self.write_group() }
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut index = 0;
        while let Some(mut column) = group.next_column()? {
            let cells = || self.rows.iter().map(|row| &row[index]);
            let defined: Vec<i16> =
                cells().map(|cell| i16::from(!matches!(cell, Cell::None))).collect();
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(writer) => {
                    let of =
                        |cell: &Cell| if let Cell::Integer(one) = cell { Some(*one) } else { None };
                    let values: Vec<i64> = cells().filter_map(of).collect();
                    writer.write_batch(&values, Some(&defined), None)?;
                }
                ColumnWriter::DoubleColumnWriter(writer) => {
                    let of =
                        |cell: &Cell| if let Cell::Number(one) = cell { Some(*one) } else { None };
                    let values: Vec<f64> = cells().filter_map(of).collect();
                    writer.write_batch(&values, Some(&defined), None)?;
                }
                ColumnWriter::BoolColumnWriter(writer) => {
                    let of =
                        |cell: &Cell| if let Cell::Boolean(one) = cell { Some(*one) } else { None };
                    let values: Vec<bool> = cells().filter_map(of).collect();
                    writer.write_batch(&values, Some(&defined), None)?;
                }
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    let of = |cell: &Cell| {
                        if let Cell::Text(one) = cell { Some(one.clone()) } else { None }
                    };
                    let values: Vec<ByteArray> = cells().filter_map(of).collect();
                    writer.write_batch(&values, Some(&defined), None)?;
                }
                _ => return Err(ParquetError::General("a column of an unknown type".into())),
            }
            column.close()?;
            index += 1;
        }
        group.close()?;
        self.rows.clear();
        Ok(())
    }

    fn end(mut self) -> Result<(), ParquetError> {
        self.write_group()?;
        self.writer.close().map(drop)
    }
}

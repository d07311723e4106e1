//! What a worker sees in a data file that nobody has described yet: its columns, and what stands in them.

use serde::{Deserialize, Serialize};

/// A file of examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspection {
    /// How it is written.
    pub format: FileFormat,
    /// Rows, without the header.
    pub rows: u64,
    /// Rows that have more or fewer columns than the header, or are no object.
    pub uneven: u64,
    /// In the order of the file.
    pub columns: Vec<Column>,
}

/// How a data file is written, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Commas, with quoting as in RFC 4180.
    Csv,
    /// Tabs; quotes are part of the text.
    Tsv,
    /// One JSON object a line.
    Jsonl,
}

impl FileFormat {
    /// Describes it, for people.
    pub fn told(self) -> &'static str {
        match self {
            Self::Csv => "csv, separated by commas",
            Self::Tsv => "tsv, separated by tabs",
            Self::Jsonl => "one JSON object a line",
        }
    }
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// As the header says.
    pub name: String,
    /// Cells that are not blank.
    pub filled: u64,
    /// Different values.
    pub distinct: u64,
    /// Cells that are numbers.
    pub numbers: u64,
    /// Cells that are whole numbers.
    pub whole_numbers: u64,
    /// Mean over the filled cells.
    pub mean_words: f64,
    /// The most frequent values with their counts, if there are few different ones; else nothing.
    pub values: Vec<(String, u64)>,
}

impl Column {
    /// More values than this are not listed.
    pub const MOST_VALUES: usize = 100;
}

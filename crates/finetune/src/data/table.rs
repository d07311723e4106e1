//! Reads csv, tsv and jsonl files: rows of text and label, or every problem with them.

use std::path::Path;

use converge_core::key::edit_distance;
use converge_core::problem::Problem;

/// Problems of single rows that are listed before the rest is only counted.
const LISTED_PROBLEMS: usize = 20;

/// Which columns hold what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) text: String,
    pub(crate) text_pair: Option<String>,
    /// None where nothing is to be learnt from the rows.
    pub(crate) label: Option<String>,
    /// Whether a label may be empty: none at all, where an example can have any number of them.
    pub(crate) empty_labels: bool,
}

/// Begins the label of a row that has a list of them.
const LIST: char = '\u{1e}';
/// Ends each label of a list.
const END: char = '\u{1f}';

/// Returns the labels of a row's list, sorted and each once; none where its label is no list.
pub(crate) fn list_of(label: &str) -> Option<Vec<&str>> {
    Some(label.strip_prefix(LIST)?.split_terminator(END).collect())
}

/// One example as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) text_pair: Option<String>,
    /// Without white space around it, empty only where that is allowed or no column was asked for. A list is kept as
    /// [`list_of`] reads it.
    pub(crate) label: String,
    /// Line of the file, from 1, on which the row begins.
    pub(crate) line: u64,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Commas, with quoting as in RFC 4180.
    Csv,
    /// Tabs; quotes are part of the text.
    Tsv,
    /// One JSON object a line.
    Jsonl,
}

/// Reads the rows of a file's content.
///
/// # Errors
/// Every problem found, each with file and line where it has one; never fewer than one.
pub(crate) fn read(
    path: &Path,
    content: &[u8],
    columns: &Columns,
) -> Result<Vec<Row>, Vec<Problem>> {
    let mut report = Report { path, problems: Vec::new(), unlisted: 0 };
    let rows = read_rows(content, columns, &mut report);
    if report.problems.is_empty() && rows.is_empty() {
        report.file("holds a header and no rows");
    }
    let problems = report.finish();
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

fn read_rows(content: &[u8], columns: &Columns, report: &mut Report<'_>) -> Vec<Row> {
    let Some(format) = format_of(report.path) else {
        report.problems.push(
            Problem::new(report.path.to_string_lossy(), "is of no known format")
                .hint("give a file that ends in `.csv`, `.tsv` or `.jsonl`"),
        );
        return Vec::new();
    };
    // What Windows' editors put before UTF-8.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    if content.trim_ascii().is_empty() {
        report.file("is empty");
        return Vec::new();
    }
    match format {
        Format::Csv => read_csv(content, columns, report),
        Format::Tsv => read_tsv(content, columns, report),
        Format::Jsonl => read_jsonl(content, columns, report),
    }
}

pub(super) fn format_of(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Some(Format::Csv),
        "tsv" => Some(Format::Tsv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        _ => None,
    }
}

fn read_csv(content: &[u8], columns: &Columns, report: &mut Report<'_>) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b',')
        .quoting(true)
        .double_quote(true)
        .has_headers(false)
        .flexible(true)
        .from_reader(content);
    let mut rows = Vec::new();
    let mut places = None;
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                report.file(&format!("cannot be read further: {error}"));
                break;
            }
        }
        // The reader counts a record from the end of its predecessor: blank lines come before it.
        let start = record.position().map_or(0, csv::Position::byte) as usize;
        let blank = content[start.min(content.len())..]
            .iter()
            .take_while(|byte| matches!(byte, b'\n' | b'\r'))
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        let line = record.position().map_or(0, csv::Position::line) + blank;
        let fields: Vec<&[u8]> = record.iter().collect();
        if !take_record(&fields, line, columns, &mut places, &mut rows, report) {
            break;
        }
    }
    rows
}

fn read_tsv(content: &[u8], columns: &Columns, report: &mut Report<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut places = None;
    for (line, bytes) in lines(content) {
        let fields: Vec<&[u8]> = bytes.split(|byte| *byte == b'\t').collect();
        if !take_record(&fields, line, columns, &mut places, &mut rows, report) {
            break;
        }
    }
    rows
}

/// Returns the lines that are not blank, numbered from 1, without their ends.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    (1..)
        .zip(content.split(|byte| *byte == b'\n'))
        .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// Where the columns stand in a record.
struct Places {
    text: usize,
    text_pair: Option<usize>,
    label: Option<usize>,
    width: usize,
}

/// Takes the header or one row; false where the rest of the file cannot be understood.
fn take_record(
    fields: &[&[u8]],
    line: u64,
    columns: &Columns,
    places: &mut Option<Places>,
    rows: &mut Vec<Row>,
    report: &mut Report<'_>,
) -> bool {
    let mut texts = Vec::with_capacity(fields.len());
    for field in fields {
        let Ok(text) = std::str::from_utf8(field) else {
            report.not_utf8(line);
            return places.is_some();
        };
        texts.push(text);
    }
    let Some(places) = places else {
        *places = find_columns(&texts, line, columns, report);
        return places.is_some();
    };
    if texts.len() != places.width {
        let found = texts.len();
        let width = places.width;
        report.row(
            Problem::new(report.at(line), format!("has {found} columns, the header has {width}"))
                .hint("quote a text that holds the separator (csv), or take tabs out of it (tsv)"),
        );
        return true;
    }
    let text_pair = places.text_pair.map(|place| texts[place].to_owned());
    let label = match places.label {
        Some(place) => plain_label(texts[place], line, columns, report),
        None => Some(String::new()),
    };
    if let Some(label) = label {
        rows.push(Row { text: texts[places.text].to_owned(), text_pair, label, line });
    }
    true
}

fn plain_label(
    label: &str,
    line: u64,
    columns: &Columns,
    report: &mut Report<'_>,
) -> Option<String> {
    let label = label.trim();
    if label.is_empty() && !columns.empty_labels {
        report.row(Problem::new(report.at(line), "has an empty label"));
        return None;
    }
    if label.contains([LIST, END]) {
        report.row(Problem::new(report.at(line), "has a label with control characters"));
        return None;
    }
    Some(label.to_owned())
}

/// Reads a JSON list of labels.
fn listed_label(
    items: &[serde_json::Value],
    line: u64,
    column: &str,
    report: &mut Report<'_>,
) -> Option<String> {
    let mut labels = std::collections::BTreeSet::new();
    for item in items {
        let label = plain(item).map(|label| label.trim().to_owned());
        match label {
            Some(label) if !label.is_empty() && !label.contains([LIST, END]) => {
                labels.insert(label);
            }
            _ => {
                let message = format!("`{column}` holds a list with something that is no name");
                report.row(Problem::new(report.at(line), message));
                return None;
            }
        }
    }
    let mut text = String::from(LIST);
    for label in labels {
        text += &label;
        text.push(END);
    }
    Some(text)
}

/// Returns a JSON value that is a name: a text, a number or a truth.
fn plain(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn find_columns(
    header: &[&str],
    line: u64,
    columns: &Columns,
    report: &mut Report<'_>,
) -> Option<Places> {
    let header: Vec<&str> = header.iter().map(|name| name.trim()).collect();
    let mut find = |wanted: &str| {
        let places: Vec<usize> =
            (0..header.len()).filter(|place| header[*place] == wanted).collect();
        let problem = match places.as_slice() {
            [place] => return Some(*place),
            [] => missing_column(&report.at(line), wanted, &header),
            _ => Problem::new(report.at(line), format!("has column `{wanted}` twice")),
        };
        report.problems.push(problem);
        None
    };
    let text = find(&columns.text);
    let label = columns.label.as_deref().map(&mut find);
    let text_pair = columns.text_pair.as_deref().map(&mut find);
    // What was asked for and is not there has been reported.
    if label == Some(None) || text_pair == Some(None) {
        return None;
    }
    let (label, text_pair) = (label.flatten(), text_pair.flatten());
    Some(Places { text: text?, label, text_pair, width: header.len() })
}

fn missing_column(place: &str, wanted: &str, header: &[&str]) -> Problem {
    let shown: Vec<String> = header.iter().map(|name| format!("`{}`", shortened(name))).collect();
    let message = format!("has no column `{wanted}`; the header has {}", shown.join(", "));
    let problem = Problem::new(place, message);
    // A sentence in the first line is a row: the file has no header.
    if header.iter().any(|name| name.len() > 60) {
        return problem.hint(format!("the first line must name the columns, such as `{wanted}`"));
    }
    match nearest(wanted, header) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem.hint("name the columns in `[data] text`, `text_pair` and `label`"),
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 40 {
        return name.to_owned();
    }
    name.chars().take(39).chain(std::iter::once('…')).collect()
}

/// Returns the candidate that is nearest to `wanted`, if it could be a slip of it: judged more kindly than a key of a
/// sweep file, since columns are named by their owner.
fn nearest<'a>(wanted: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .filter(|candidate| candidate.len() <= 60)
        .map(|candidate| {
            (edit_distance(&wanted.to_lowercase(), &candidate.to_lowercase()), *candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= 2.max(wanted.chars().count().min(candidate.chars().count()) / 2)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn read_jsonl(content: &[u8], columns: &Columns, report: &mut Report<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut header: Option<()> = None;
    for (line, bytes) in lines(content) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            report.not_utf8(line);
            continue;
        };
        let object = match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(object)) => object,
            Ok(_) => {
                report.row(Problem::new(report.at(line), "is not a JSON object"));
                continue;
            }
            Err(error) => {
                // The parser saw one line only: its line number would be wrong, its column is right.
                let column = error.column();
                let message = format!("is not valid JSON (column {column})");
                report.row(Problem::new(report.at(line), message));
                continue;
            }
        };
        if header.is_none() {
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            if find_columns(&names, line, columns, report).is_none() {
                break;
            }
            header = Some(());
        }
        take_object(&object, line, columns, &mut rows, report);
    }
    rows
}

fn take_object(
    object: &serde_json::Map<String, serde_json::Value>,
    line: u64,
    columns: &Columns,
    rows: &mut Vec<Row>,
    report: &mut Report<'_>,
) {
    use serde_json::Value;
    let wrong = |name: &str, report: &mut Report<'_>| {
        let found = match object.get(name) {
            None => "is missing",
            Some(Value::Null) => "is null",
            Some(_) => "is of the wrong type",
        };
        report.row(Problem::new(report.at(line), format!("`{name}` {found}")));
    };
    let mut string = |name: &str| match object.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => {
            wrong(name, report);
            None
        }
    };
    let text = string(&columns.text);
    let text_pair = columns.text_pair.as_deref().map(string);
    let label = match &columns.label {
        None => Some(String::new()),
        Some(name) => match object.get(name) {
            Some(Value::Array(items)) => listed_label(items, line, name, report),
            found => match found.and_then(plain) {
                Some(label) => plain_label(&label, line, columns, report),
                None => {
                    wrong(name, report);
                    None
                }
            },
        },
    };
    if let (Some(text), Some(label)) = (text, label)
        && text_pair != Some(None)
    {
        rows.push(Row { text, text_pair: text_pair.flatten(), label, line });
    }
}

/// Collects the problems of one file.
struct Report<'a> {
    path: &'a Path,
    problems: Vec<Problem>,
    unlisted: usize,
}

impl Report<'_> {
    fn at(&self, line: u64) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn file(&mut self, message: &str) {
        self.problems.push(Problem::new(self.path.to_string_lossy(), message));
    }

    fn row(&mut self, problem: Problem) {
        if self.problems.len() < LISTED_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.unlisted += 1;
        }
    }

    fn not_utf8(&mut self, line: u64) {
        self.row(
            Problem::new(self.at(line), "is not UTF-8")
                .hint("convert the file, for example with `iconv -f latin1 -t utf-8`"),
        );
    }

    fn finish(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            let unlisted = self.unlisted;
            self.file(&format!("has {unlisted} more rows with problems"));
        }
        self.problems
    }
}

#[cfg(test)]
mod tests;

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
    pub(crate) label: String,
}

impl Columns {
    fn names(&self) -> Vec<&str> {
        let mut names = vec![self.text.as_str(), self.label.as_str()];
        names.extend(self.text_pair.as_deref());
        names
    }
}

/// One example as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) text_pair: Option<String>,
    /// Without white space around it, never empty.
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
    label: usize,
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
    push_row(rows, report, texts[places.text].to_owned(), text_pair, texts[places.label], line);
    true
}

fn push_row(
    rows: &mut Vec<Row>,
    report: &mut Report<'_>,
    text: String,
    text_pair: Option<String>,
    label: &str,
    line: u64,
) {
    let label = label.trim();
    if label.is_empty() {
        report.row(Problem::new(report.at(line), "has an empty label"));
        return;
    }
    rows.push(Row { text, text_pair, label: label.to_owned(), line });
}

fn find_columns(
    header: &[&str],
    line: u64,
    columns: &Columns,
    report: &mut Report<'_>,
) -> Option<Places> {
    let header: Vec<&str> = header.iter().map(|name| name.trim()).collect();
    let mut found = Vec::new();
    for wanted in columns.names() {
        let places: Vec<usize> =
            (0..header.len()).filter(|place| header[*place] == wanted).collect();
        match places.as_slice() {
            [] => {
                let problem = missing_column(&report.at(line), wanted, &header);
                report.problems.push(problem);
            }
            [place] => found.push(*place),
            _ => report
                .problems
                .push(Problem::new(report.at(line), format!("has column `{wanted}` twice"))),
        }
    }
    if found.len() < columns.names().len() {
        return None;
    }
    Some(Places {
        text: found[0],
        label: found[1],
        text_pair: found.get(2).copied(),
        width: header.len(),
    })
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
    let mut string = |name: &str, also_plain: bool| match object.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) if also_plain => Some(number.to_string()),
        Some(Value::Bool(value)) if also_plain => Some(value.to_string()),
        found => {
            let found = match found {
                None => "is missing",
                Some(Value::Null) => "is null",
                Some(_) => "is of the wrong type",
            };
            report.row(Problem::new(report.at(line), format!("`{name}` {found}")));
            None
        }
    };
    let text = string(&columns.text, false);
    let text_pair = columns.text_pair.as_deref().map(|name| string(name, false));
    let label = string(&columns.label, true);
    if let (Some(text), Some(label)) = (text, label) {
        match text_pair {
            Some(None) => {}
            Some(pair) => push_row(rows, report, text, pair, &label, line),
            None => push_row(rows, report, text, None, &label, line),
        }
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

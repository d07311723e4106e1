//! What stands in a data file that nobody has described yet.

use std::collections::HashMap;
use std::path::Path;

use converge_core::inspection::{Column, FileFormat, Inspection};
use converge_core::problem::Problem;

use super::table::{Format, format_of, lines};
use crate::regular_file;

/// Other separators than those that are read.
const STRANGE_SEPARATORS: [(char, &str); 3] = [(';', "semicolons"), ('|', "bars"), ('\t', "tabs")];
/// A value that is listed is cut after so many characters.
const LONGEST_VALUE: usize = 60;

/// Looks at a file: how it is written, its columns, and what they hold.
///
/// # Errors
/// Why it cannot be read.
pub fn inspect(path: &Path) -> Result<Inspection, Vec<Problem>> {
    let problem = |message: String| Problem::new(path.to_string_lossy(), message);
    let content = regular_file::read(path)
        .map_err(|error| vec![problem(format!("cannot be read: {error}"))])?;
    let Some(format) = format_of(path) else {
        return Err(vec![
            problem("is of no known format".into())
                .hint("give a file that ends in `.csv`, `.tsv` or `.jsonl`"),
        ]);
    };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
    let Ok(text) = std::str::from_utf8(content) else {
        return Err(vec![
            problem("is not UTF-8".into())
                .hint("convert the file, for example with `iconv -f latin1 -t utf-8`"),
        ]);
    };
    if text.trim().is_empty() {
        return Err(vec![problem("is empty".into())]);
    }
    let mut look = Look::default();
    match format {
        Format::Csv => look.csv(text),
        Format::Tsv => look.tsv(text),
        Format::Jsonl => look.jsonl(text),
    }
    if format == Format::Csv
        && let [only] = look.columns.as_slice()
        && let Some((_, name)) =
            STRANGE_SEPARATORS.iter().find(|(mark, _)| only.name.contains(*mark))
    {
        return Err(vec![
            problem(format!("is separated by {name}, where a csv has commas"))
                .hint("write it with commas, or with tabs and the ending `.tsv`"),
        ]);
    }
    if look.rows == 0 {
        return Err(vec![problem("holds a header and no rows".into())]);
    }
    Ok(Inspection {
        format: match format {
            Format::Csv => FileFormat::Csv,
            Format::Tsv => FileFormat::Tsv,
            Format::Jsonl => FileFormat::Jsonl,
        },
        rows: look.rows,
        uneven: look.uneven,
        columns: look.columns.into_iter().map(Seen::column).collect(),
    })
}

#[derive(Default)]
struct Look {
    columns: Vec<Seen>,
    rows: u64,
    uneven: u64,
}

/// A column being read.
#[derive(Default)]
struct Seen {
    name: String,
    filled: u64,
    numbers: u64,
    whole_numbers: u64,
    words: u64,
    counts: HashMap<String, u64>,
}

impl Look {
    fn csv(&mut self, text: &str) {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).unwrap_or(false) {
            self.record(&record.iter().collect::<Vec<_>>());
        }
    }

    fn tsv(&mut self, text: &str) {
        for (_, line) in lines(text.as_bytes()) {
            let line = std::str::from_utf8(line).unwrap_or_default();
            self.record(&line.split('\t').collect::<Vec<_>>());
        }
    }

    /// Takes the header or one row.
    fn record(&mut self, fields: &[&str]) {
        if self.columns.is_empty() {
            self.columns = fields.iter().map(|name| Seen::named(name.trim())).collect();
        } else if fields.len() == self.columns.len() {
            self.rows += 1;
            self.columns.iter_mut().zip(fields).for_each(|(column, cell)| column.take(cell));
        } else {
            self.rows += 1;
            self.uneven += 1;
        }
    }

    fn jsonl(&mut self, text: &str) {
        use serde_json::Value;
        for (_, line) in lines(text.as_bytes()) {
            self.rows += 1;
            let Ok(Value::Object(object)) = serde_json::from_slice(line) else {
                self.uneven += 1;
                continue;
            };
            for (name, value) in &object {
                let place = self.columns.iter().position(|column| column.name == *name);
                let place = place.unwrap_or_else(|| {
                    self.columns.push(Seen::named(name));
                    self.columns.len() - 1
                });
                match value {
                    Value::String(text) => self.columns[place].take(text),
                    Value::Null => {}
                    other => self.columns[place].take(&other.to_string()),
                }
            }
        }
    }
}

impl Seen {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn take(&mut self, cell: &str) {
        let cell = cell.trim();
        if cell.is_empty() {
            return;
        }
        self.filled += 1;
        self.words += cell.split_whitespace().count() as u64;
        self.numbers += u64::from(cell.parse::<f64>().is_ok_and(f64::is_finite));
        self.whole_numbers += u64::from(cell.parse::<i64>().is_ok());
        *self.counts.entry(cell.to_owned()).or_default() += 1;
    }

    fn column(self) -> Column {
        let distinct = self.counts.len();
        let mut values: Vec<(String, u64)> = match distinct {
            0..=Column::MOST_VALUES => self.counts.into_iter().collect(),
            _ => Vec::new(),
        };
        values.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        for (value, _) in &mut values {
            *value = value.chars().take(LONGEST_VALUE).collect();
        }
        Column {
            name: self.name,
            filled: self.filled,
            distinct: distinct as u64,
            numbers: self.numbers,
            whole_numbers: self.whole_numbers,
            mean_words: self.words as f64 / self.filled.max(1) as f64,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str, content: &[u8]) -> Result<Inspection, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let told = |problems: Vec<Problem>| problems[0].message.clone();
        inspect(&path).map_err(told)
    }

    #[test]
    fn the_three_formats_show_the_same_columns() {
        let tsv = look("a.tsv", b"text\tlabel\nso good, yes\t1\nbad\t0\n\nfine\t1\nodd\n").unwrap();
        let csv = look("a.csv", b"text,label\n\"so good, yes\",1\nbad,0\n\nfine,1\nodd\n").unwrap();
        let jsonl = look("a.jsonl", b"{\"text\": \"so good, yes\", \"label\": 1}\n{\"text\": \"bad\", \"label\": 0}\n{\"text\": \"fine\", \"label\": 1}\n7\n").unwrap();
        assert_eq!(tsv.columns, csv.columns);
        assert_eq!(tsv.columns, {
            let mut columns = jsonl.columns.clone();
            columns.sort_by(|a, b| b.name.cmp(&a.name));
            columns
        });
        assert_eq!((tsv.rows, tsv.uneven, tsv.format), (4, 1, FileFormat::Tsv));
        assert_eq!(csv.format, FileFormat::Csv);
        let label = &tsv.columns[1];
        assert_eq!((label.filled, label.distinct, label.whole_numbers), (3, 2, 3));
        assert_eq!(label.values, [("1".to_string(), 2), ("0".to_string(), 1)]);
        assert!((tsv.columns[0].mean_words - 5.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert_eq!(look("a.txt", b"x").unwrap_err(), "is of no known format");
        assert_eq!(look("a.csv", b"").unwrap_err(), "is empty");
        assert_eq!(look("a.csv", b"text,label\n").unwrap_err(), "holds a header and no rows");
        assert_eq!(
            look("a.csv", b"text;label\na;b\n").unwrap_err(),
            "is separated by semicolons, where a csv has commas"
        );
        assert_eq!(look("a.tsv", b"text\tlabel\n\xff\t1\n").unwrap_err(), "is not UTF-8");
        assert!(inspect(Path::new("/dev/zero")).is_err());
    }
}

//! Which column is the text, which the second text, which the label: by what the user says, by name, by content.

use crate::inspection::{Column, Inspection};
use crate::key::nearest;
use crate::problem::Problem;
use crate::task::Task;

/// Names that labels have, the surest first; those of one line are equally sure.
const LABELS: [&[&str]; 3] = [
    &["label", "labels", "gold_label"],
    &[
        "class",
        "target",
        "sentiment",
        "category",
        "intent",
        "topic",
        "emotion",
        "polarity",
        "is_duplicate",
        "entailment",
    ],
    &["score", "rating", "stars", "similarity", "relevance", "y"],
];
/// Names that texts have, the surest first.
const TEXTS: [&[&str]; 3] = [
    &["text", "sentence"],
    &[
        "review",
        "comment",
        "content",
        "tweet",
        "utterance",
        "document",
        "message",
        "body",
        "question",
        "post",
    ],
    &["title", "headline", "description", "summary"],
];
/// Names of two texts that belong together.
const PAIRS: [(&str, &str); 14] = [
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("sentence_A", "sentence_B"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("context", "question"),
];
/// Names of what numbers the rows.
const NUMBERINGS: [&str; 8] = ["id", "idx", "index", "guid", "uid", "uuid", "row", "unnamed: 0"];
/// A text has at least so many words on average.
const WORDS_OF_A_TEXT: f64 = 3.0;
/// Classes have at most so many values, and at most a value for every so many rows.
const MOST_CLASSES: u64 = 100;
const ROWS_OF_A_CLASS: u64 = 3;
/// From so many different numbers on a label looks like a quantity.
const MANY_NUMBERS: u64 = 20;

/// What the user says of the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--text`.
    pub text: Option<String>,
    /// `--text-pair`.
    pub text_pair: Option<String>,
    /// `--label`.
    pub label: Option<String>,
    /// `--task`.
    pub task: Option<Task>,
}

/// A column, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// Its name.
    pub name: String,
    /// Why, as the end of a sentence.
    pub why: &'static str,
}

/// Which column holds what.
#[derive(Debug, Clone, PartialEq)]
pub struct Roles {
    /// The text.
    pub text: Picked,
    /// The second text.
    pub text_pair: Option<Picked>,
    /// The label.
    pub label: Picked,
    /// Columns that hold neither.
    pub others: Vec<String>,
    /// Whether the labels are numbers of a scale and no names of classes.
    pub is_scale: bool,
}

const ASKED: &str = "as asked";
const BY_NAME: &str = "by its name";
const ONLY_TEXT: &str = "the only column of sentences";
const ONLY_CLASSES: &str = "the only column of few different values";
const WHAT_IS_LEFT: &str = "the only column that is left";

/// Tells which column holds what.
///
/// # Errors
/// Columns that are not there, and choices that only the user can make, with the flags that make them.
pub fn roles(file: &str, inspection: &Inspection, wishes: &Wishes) -> Result<Roles, Vec<Problem>> {
    let columns = &inspection.columns;
    let mut problems = Vec::new();
    for (flag, wish) in
        [("--text", &wishes.text), ("--text-pair", &wishes.text_pair), ("--label", &wishes.label)]
    {
        if let Some(name) = wish
            && !columns.iter().any(|column| column.name == *name)
        {
            problems.push(missing(file, flag, name, columns));
        }
    }
    if columns.len() < 2 {
        let names = listed(&columns.iter().collect::<Vec<_>>());
        problems.push(
            Problem::new(file, format!("has one column ({names}): a text and a label are needed"))
                .hint("the first line names the columns; csv is separated by commas, tsv by tabs"),
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let label = label(file, inspection, wishes);
    let taken = label.as_ref().ok().map(|label| label.name.clone());
    let texts = texts(file, inspection, wishes, taken.as_deref());
    match (texts, label) {
        (Ok((text, text_pair)), Ok(label)) => {
            let used = |name: &str| {
                name == text.name
                    || name == label.name
                    || text_pair.as_ref().is_some_and(|pair| pair.name == name)
            };
            let others = columns.iter().map(|column| column.name.clone());
            let others = others.filter(|name| !used(name)).collect();
            let is_scale =
                columns.iter().any(|column| column.name == label.name && is_scale(column));
            Ok(Roles { text, text_pair, label, others, is_scale })
        }
        (texts, label) => Err([texts.err(), label.err()].into_iter().flatten().collect()),
    }
}

fn missing(file: &str, flag: &str, name: &str, columns: &[Column]) -> Problem {
    let names: Vec<&Column> = columns.iter().collect();
    let problem =
        Problem::new(file, format!("has no column `{name}` ({flag}); it has {}", listed(&names)));
    match nearest(name, columns.iter().map(|column| column.name.as_str())) {
        Some(near) => problem.hint(format!("did you mean `{flag} {near}`?")),
        None => problem,
    }
}

fn listed(columns: &[&Column]) -> String {
    columns.iter().map(|column| format!("`{}`", column.name)).collect::<Vec<_>>().join(", ")
}

fn picked(column: &Column, why: &'static str) -> Picked {
    Picked { name: column.name.clone(), why }
}

fn is_named(column: &Column, name: &str) -> bool {
    column.name.trim().eq_ignore_ascii_case(name)
}

fn is_numbering(column: &Column) -> bool {
    NUMBERINGS.iter().any(|name| is_named(column, name)) || column.name.trim().is_empty()
}

fn has_classes(column: &Column, rows: u64) -> bool {
    (2..=MOST_CLASSES).contains(&column.distinct)
        && column.distinct * ROWS_OF_A_CLASS <= rows.max(2 * ROWS_OF_A_CLASS)
        && column.mean_words < WORDS_OF_A_TEXT
}

fn is_text(column: &Column) -> bool {
    column.mean_words >= WORDS_OF_A_TEXT && column.numbers * 2 < column.filled
}

/// Whether a column holds numbers of a scale: fractions, or many different ones.
fn is_scale(column: &Column) -> bool {
    column.filled > 0
        && column.numbers == column.filled
        && column.distinct > 2
        && (column.whole_numbers * 2 < column.filled || column.distinct > MANY_NUMBERS)
}

/// Looks through rows of names, the surest first; several of one row are a choice for the user.
fn by_name<'a>(columns: &[&'a Column], names: &[&[&str]]) -> Vec<&'a Column> {
    let of = |row: &&[&str]| -> Vec<&'a Column> {
        columns
            .iter()
            .copied()
            .filter(|column| row.iter().any(|name| is_named(column, name)))
            .collect()
    };
    names.iter().map(of).find(|found| !found.is_empty()).unwrap_or_default()
}

fn label(file: &str, inspection: &Inspection, wishes: &Wishes) -> Result<Picked, Problem> {
    if let Some(name) = &wishes.label {
        return Ok(Picked { name: name.clone(), why: ASKED });
    }
    let asked = [&wishes.text, &wishes.text_pair];
    let free: Vec<&Column> = inspection
        .columns
        .iter()
        .filter(|column| !asked.iter().any(|name| name.as_ref() == Some(&column.name)))
        .collect();
    let named = by_name(&free, &LABELS);
    if let [one] = named.as_slice() {
        return Ok(picked(one, BY_NAME));
    }
    let ambiguous = |candidates: &[&Column]| {
        Problem::new(file, format!("{} could each be the label", listed(candidates)))
            .hint(format!("say which: --label {}", candidates[0].name))
    };
    if !named.is_empty() {
        return Err(ambiguous(&named));
    }
    let candidates: Vec<&Column> = free
        .iter()
        .copied()
        .filter(|column| !is_numbering(column))
        .filter(|column| has_classes(column, inspection.rows) || is_scale(column))
        .collect();
    match candidates.as_slice() {
        [one] => Ok(picked(one, ONLY_CLASSES)),
        [] => match free
            .iter()
            .filter(|one| !is_numbering(one) && !is_text(one))
            .collect::<Vec<_>>()
            .as_slice()
        {
            [one] if free.len() == 2 => Ok(picked(one, WHAT_IS_LEFT)),
            _ => Err(Problem::new(
                file,
                format!("no column looks like a label: it has {}", listed(&free)),
            )
            .hint("say which it is: --label COLUMN")),
        },
        several => Err(ambiguous(several)),
    }
}

type Texts = (Picked, Option<Picked>);

fn texts(
    file: &str,
    inspection: &Inspection,
    wishes: &Wishes,
    label: Option<&str>,
) -> Result<Texts, Problem> {
    let asked_pair = wishes.text_pair.clone().map(|name| Picked { name, why: ASKED });
    if let Some(name) = &wishes.text {
        return Ok((Picked { name: name.clone(), why: ASKED }, asked_pair));
    }
    let free: Vec<&Column> = inspection
        .columns
        .iter()
        .filter(|column| {
            Some(column.name.as_str()) != label && wishes.text_pair.as_ref() != Some(&column.name)
        })
        .collect();
    let find = |name: &str| free.iter().copied().find(|column| is_named(column, name));
    if asked_pair.is_none() {
        for (left, right) in PAIRS {
            if let (Some(left), Some(right)) = (find(left), find(right)) {
                return Ok((picked(left, BY_NAME), Some(picked(right, BY_NAME))));
            }
        }
    }
    let sentences: Vec<&Column> =
        free.iter().copied().filter(|column| is_text(column) && !is_numbering(column)).collect();
    if let [one] = sentences.as_slice() {
        return Ok((picked(one, ONLY_TEXT), asked_pair));
    }
    let named = by_name(if sentences.is_empty() { &free } else { &sentences }, &TEXTS);
    if let [one] = named.as_slice() {
        return Ok((picked(one, BY_NAME), asked_pair));
    }
    let left: Vec<&Column> = free.iter().copied().filter(|column| !is_numbering(column)).collect();
    match (named.as_slice(), sentences.as_slice(), left.as_slice()) {
        ([], [], [one]) => Ok((picked(one, WHAT_IS_LEFT), asked_pair)),
        ([], [], _) => Err(Problem::new(
            file,
            format!("no column looks like a text: it has {}", listed(&free)),
        )
        .hint("say which it is: --text COLUMN")),
        (named, sentences, _) => {
            let candidates = if named.is_empty() { sentences } else { named };
            let (first, second) = (&candidates[0].name, &candidates[1].name);
            Err(Problem::new(file, format!("{} could each be the text", listed(candidates))).hint(format!(
                "say which: --text {first}, or for two texts that belong together --text {first} --text-pair {second}"
            )))
        }
    }
}

use super::*;
use crate::data::table::{Columns, read};
use crate::data::tokens::TextEncoder;
use crate::vocabulary;

#[test]
fn numbers_are_ordered_by_value_and_names_by_name() {
    assert_eq!(classes(["10", "9", "-1", "9"].into_iter()), ["-1", "9", "10"]);
    assert_eq!(classes(["10", "9", "x"].into_iter()), ["10", "9", "x"]);
    assert_eq!(classes(["pos", "neg"].into_iter()), ["neg", "pos"]);
    assert_eq!(classes(["1", "01"].into_iter()), ["01", "1"]);
    assert_eq!(classes(std::iter::empty()), Vec::<String>::new());
}

/// Tokenises rows of a jsonl file, each `{"text": "a", "label": LABEL}`.
fn file(labels: &[&str]) -> FileTokens {
    let lines: Vec<String> =
        labels.iter().map(|label| format!("{{\"text\": \"a\", \"label\": {label}}}\n")).collect();
    let columns = Columns {
        text: "text".into(),
        text_pair: None,
        label: Some("label".into()),
        empty_labels: true,
    };
    let rows = read("a.jsonl".as_ref(), lines.concat().as_bytes(), &columns).unwrap();
    let (json, vocabulary) = vocabulary::of(&rows);
    TextEncoder::from_json(&json, vocabulary).unwrap().encode(&rows, 64).unwrap()
}

fn settings(task: &str, separator: Option<&str>) -> DataSettings {
    let mut settings = DataSettings::defaults("a.jsonl");
    settings.task = serde_json::from_value(task.into()).unwrap();
    settings.label_separator = separator.map(str::to_owned);
    settings
}

#[test]
fn the_task_is_what_the_labels_look_like_and_says_why() {
    let found = |labels: &[&str], separator| {
        let meaning = Meaning::of(&settings("auto", separator), &file(labels)).unwrap();
        (meaning.task, meaning.reason)
    };
    let is = |task, reason: &str| (task, reason.to_owned());
    assert_eq!(found(&["\"a\"", "\"b\""], None), is(Task::Classes, "`label` holds names"));
    assert_eq!(
        found(&["1", "0", "1"], None),
        is(Task::Classes, "`label` holds 2 different whole numbers")
    );
    // Whole, though written with a point.
    assert_eq!(found(&["1.0", "0.0"], None).0, Task::Classes);
    assert_eq!(
        found(&["1", "0.25", "3"], None),
        is(Task::Regression, "`label` holds numbers with fractions, such as 0.25")
    );
    assert_eq!(found(&["1", "0.25", "\"x\""], None).0, Task::Classes);
    assert_eq!(found(&["\"inf\"", "\"0.5\""], None).0, Task::Classes);
    assert_eq!(found(&["[\"a\"]", "\"b\""], None), is(Task::MultiLabel, "`label` holds lists"));
    assert_eq!(
        found(&["\"a|b\"", "\"\""], Some("|")),
        is(Task::MultiLabel, "`[data] label_separator` is given")
    );
    let many: Vec<String> = (0..300).map(|i| (i / 2).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        found(&many, None),
        is(Task::Regression, "`label` holds 150 different numbers in 300 examples")
    );
    assert_eq!(found(&many[..180], None).0, Task::Classes);
}

#[test]
fn a_cell_holds_any_number_of_labels() {
    let file = file(&["\"b | a\"", "\"\"", "[\"c\", \"a\", \"c\"]", "[]", "\"a\"", "\"a|\""]);
    let meaning = Meaning::of(&settings("multi_label", Some("|")), &file).unwrap();
    assert_eq!(meaning.names, ["a", "b", "c"]);
    let mut problems = Vec::new();
    let found = meaning.targets(&file, "", "", &mut problems);
    assert_eq!(problems, []);
    let of_rows: Vec<Vec<bool>> = file
        .examples
        .iter()
        .map(|example| match &found.targets[example.label as usize] {
            Target::Labels(has) => has.to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    let (yes, no) = (true, false);
    assert_eq!(
        of_rows,
        [[yes, yes, no], [no; 3], [yes, no, yes], [no; 3], [yes, no, no], [yes, no, no]]
    );
    // The rarest label of each: `b`, none, `c`, none, `a`, `a`.
    let strata: Vec<u32> =
        file.examples.iter().map(|example| found.strata[example.label as usize]).collect();
    assert_eq!(strata, [1, 3, 2, 3, 0, 0]);
}

#[test]
fn without_a_separator_a_cell_is_one_label() {
    let file = file(&["\"a|b\"", "\"c\"", "\"\""]);
    let meaning = Meaning::of(&settings("multi_label", None), &file).unwrap();
    assert_eq!(meaning.names, ["a|b", "c"]);
}

#[test]
fn numbers_fall_into_bins_of_equal_size() {
    let labels: Vec<String> = (0..200).map(|i| format!("{}.5", (i * 7) % 200)).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let file = file(&labels);
    let meaning = Meaning::of(&settings("auto", None), &file).unwrap();
    assert_eq!(meaning.names, ["label"]);
    let found = meaning.targets(&file, "", "", &mut Vec::new());
    let mut counts = [0; 10];
    for example in &file.examples {
        counts[found.strata[example.label as usize] as usize] += 1;
    }
    assert_eq!(counts, [20; 10]);
    assert!(bins(vec![1.0; 100]).len() <= 1);
    assert!(bins(Vec::new()).is_empty());
}

#[test]
fn labels_that_a_task_cannot_have_are_problems() {
    let of = |task: &str, separator, labels: &[&str]| -> Vec<String> {
        let file = file(labels);
        let mut problems = Vec::new();
        match Meaning::of(&settings(task, separator), &file) {
            Ok(meaning) => drop(meaning.targets(&file, "a.jsonl", "a.jsonl", &mut problems)),
            Err(found) => problems = found,
        }
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        of("regression", None, &["1", "\"many\"", "\"inf\"", "[\"1\"]"]),
        [
            "a.jsonl:4: label `(a list)` is not a finite number",
            "a.jsonl:3: label `inf` is not a finite number",
            "a.jsonl:2: label `many` is not a finite number",
        ]
    );
    assert_eq!(of("regression", None, &["7", "7"]), ["a.jsonl: has the same number everywhere, 7"]);
    assert_eq!(
        of("classes", None, &["\"a\"", "[\"a\"]"]),
        ["a.jsonl:2: has a list of labels, and the task is classes"]
    );
    assert_eq!(
        of("classes", Some("|"), &["\"a\"", "\"b\""]),
        ["data.label_separator: divides labels, and the task is classes"]
    );
    assert_eq!(of("multi_label", Some("|"), &["\"\"", "[]"]), ["a.jsonl: has no label at all"]);
}

use proptest::prelude::*;

use super::*;

fn columns() -> Columns {
    let label = Some("label".into());
    Columns { text: "text".into(), text_pair: None, label, empty_labels: false }
}

fn rows(name: &str, content: &str) -> Vec<(String, String, u64)> {
    read(Path::new(name), content.as_bytes(), &columns())
        .unwrap()
        .into_iter()
        .map(|row| (row.text, row.label, row.line))
        .collect()
}

fn problems(name: &str, content: &[u8]) -> Vec<String> {
    let problems = read(Path::new(name), content, &columns()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn row(text: &str, label: &str, line: u64) -> (String, String, u64) {
    (text.to_owned(), label.to_owned(), line)
}

#[test]
fn quotes_are_text_in_tsv_and_quotes_in_csv() {
    assert_eq!(rows("a.tsv", "text\tlabel\n\"so, \"good\tpos\n"), [row("\"so, \"good", "pos", 2)]);
    assert_eq!(
        rows("a.csv", "label,text\npos,\"so, \"\"good\"\"\nindeed\"\n\nneg,bad\n"),
        [row("so, \"good\"\nindeed", "pos", 2), row("bad", "neg", 5)]
    );
}

#[test]
fn a_mark_windows_line_ends_and_blank_lines_do_not_matter() {
    let content = "\u{feff}text\tlabel\r\n\r\none\t1\r\ntwo\t 2 \r\n\r\n";
    assert_eq!(rows("a.tsv", content), [row("one", "1", 3), row("two", "2", 4)]);
    assert_eq!(rows("a.csv", "\u{feff}text,label\r\none,1\r\n"), [row("one", "1", 2)]);
}

#[test]
fn jsonl_takes_labels_of_any_plain_type() {
    let content = "{\"text\":\"a\",\"label\":1}\n{\"label\":true,\"text\":\"b\",\"more\":[]}\n";
    assert_eq!(rows("a.jsonl", content), [row("a", "1", 1), row("b", "true", 2)]);
}

#[test]
fn a_pair_has_its_own_column() {
    let columns = Columns {
        text_pair: Some("b".into()),
        text: "a".into(),
        label: Some("l".into()),
        empty_labels: false,
    };
    let rows = read(Path::new("x.tsv"), b"l\ta\tb\n1\tone\ttwo\n", &columns).unwrap();
    assert_eq!(rows[0].text_pair.as_deref(), Some("two"));
    assert_eq!(rows[0].text, "one");
}

#[test]
fn empty_files_say_so() {
    assert_eq!(problems("a.csv", b""), ["a.csv: is empty"]);
    assert_eq!(problems("a.tsv", b"\n \n"), ["a.tsv: is empty"]);
    assert_eq!(problems("a.csv", b"text,label\n"), ["a.csv: holds a header and no rows"]);
    assert_eq!(problems("a.parquet", b"x"), ["a.parquet: is of no known format"]);
}

#[test]
fn a_missing_column_lists_those_found_and_the_nearest() {
    let found = read(Path::new("a.csv"), b"txt,labels\nx,y\n", &columns()).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "a.csv:1: has no column `text`; the header has `txt`, `labels`"
    );
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `txt`?"));
    assert_eq!(found[1].hint.as_deref(), Some("did you mean `labels`?"));
}

#[test]
fn a_file_without_a_header_says_so() {
    let content =
        "A film that is far longer than it should have been, and worse than it is long\t0\n";
    let found = read(Path::new("a.tsv"), content.as_bytes(), &columns()).unwrap_err();
    assert!(found[0].hint.as_deref().unwrap().starts_with("the first line must name the columns"));
}

#[test]
fn bad_rows_are_all_listed_with_their_lines() {
    let content = b"text\tlabel\nok\tpos\nragged\n\xff\xfe\tpos\nno label\t \na\tb\tc\n";
    assert_eq!(
        problems("a.tsv", content),
        [
            "a.tsv:3: has 1 columns, the header has 2",
            "a.tsv:4: is not UTF-8",
            "a.tsv:5: has an empty label",
            "a.tsv:6: has 3 columns, the header has 2",
        ]
    );
}

#[test]
fn bad_json_lines_are_all_listed() {
    let content =
        b"{\"text\":\"a\",\"label\":1}\n{\"text\":\n[]\n{\"text\":null,\"label\":{}}\n{}\n";
    assert_eq!(
        problems("a.jsonl", content),
        [
            "a.jsonl:2: is not valid JSON (column 8)",
            "a.jsonl:3: is not a JSON object",
            "a.jsonl:4: `text` is null",
            "a.jsonl:4: `label` is of the wrong type",
            "a.jsonl:5: `text` is missing",
            "a.jsonl:5: `label` is missing",
        ]
    );
}

#[test]
fn after_twenty_problems_the_rest_is_counted() {
    let content = format!("text\tlabel\n{}", "ragged\n".repeat(50));
    let found = problems("a.tsv", content.as_bytes());
    assert_eq!(found.len(), 21);
    assert_eq!(found[20], "a.tsv: has 30 more rows with problems");
}

#[test]
fn a_repeated_column_is_a_problem() {
    assert_eq!(problems("a.csv", b"text,label,text\n"), ["a.csv:1: has column `text` twice"]);
}

proptest! {
    #[test]
    fn no_content_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), format in 0..3usize) {
        let name = ["a.csv", "a.tsv", "a.jsonl"][format];
        let header: &[u8] = [&b"text,label\n"[..], b"text\tlabel\n", b""][format];
        let _ = read(Path::new(name), &bytes, &columns());
        let _ = read(Path::new(name), &[header, &bytes].concat(), &columns());
    }
}

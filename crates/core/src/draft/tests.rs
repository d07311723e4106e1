use super::{Draft, Grid, Wishes, draft, roles};
use crate::facts::Facts;
use crate::inspection::{Column, FileFormat, Inspection};

fn text(name: &str) -> Column {
    Column { name: name.into(), filled: 100, distinct: 98, mean_words: 12.0, ..Column::default() }
}

fn classes(name: &str, distinct: u64) -> Column {
    Column { name: name.into(), filled: 100, distinct, mean_words: 1.0, ..Column::default() }
}

fn scale(name: &str) -> Column {
    let numbers = Column { numbers: 100, whole_numbers: 20, ..Column::default() };
    Column { name: name.into(), filled: 100, distinct: 60, mean_words: 1.0, ..numbers }
}

fn numbering(name: &str) -> Column {
    Column { numbers: 100, whole_numbers: 100, distinct: 100, ..scale(name) }
}

fn file(columns: &[Column]) -> Inspection {
    Inspection { format: FileFormat::Tsv, rows: 100, uneven: 0, columns: columns.to_vec() }
}

/// Returns text, second text and label with their reasons, or the problems.
fn told(columns: &[Column], wishes: &Wishes) -> String {
    match roles("d.tsv", &file(columns), wishes) {
        Ok(found) => {
            let pair = found.text_pair.map(|pair| format!(" + {} ({})", pair.name, pair.why));
            format!(
                "{} ({}){} -> {} ({})",
                found.text.name,
                found.text.why,
                pair.unwrap_or_default(),
                found.label.name,
                found.label.why
            )
        }
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{problem} ({})", problem.hint.as_deref().unwrap_or("-")))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn columns_are_told_by_name_and_by_content() {
    let of = |columns: &[Column]| told(columns, &Wishes::default());
    for (columns, expected) in [
        (
            vec![text("text"), classes("label", 2)],
            "text (the only column of sentences) -> label (by its name)",
        ),
        (
            vec![numbering("idx"), text("sentence1"), text("sentence2"), classes("label", 2)],
            "sentence1 (by its name) + sentence2 (by its name) -> label (by its name)",
        ),
        (
            vec![
                text("Premise"),
                text("Hypothesis"),
                classes("gold_label", 3),
                classes("genre", 5),
            ],
            "Premise (by its name) + Hypothesis (by its name) -> gold_label (by its name)",
        ),
        (
            vec![numbering("id"), text("what was said"), classes("mood", 6)],
            "what was said (the only column of sentences) -> mood (the only column of few different values)",
        ),
        (
            vec![text("title"), text("body"), classes("target", 2)],
            "body (by its name) -> target (by its name)",
        ),
        (
            vec![text("s"), scale("z")],
            "s (the only column of sentences) -> z (the only column of few different values)",
        ),
        // Words instead of sentences.
        (
            vec![classes("text", 90), classes("label", 2)],
            "text (by its name) -> label (by its name)",
        ),
    ] {
        assert_eq!(of(&columns), expected);
    }
}

#[test]
fn what_only_the_user_can_know_is_asked_with_the_flags() {
    let of = |columns: &[Column], wishes: &Wishes| told(columns, wishes);
    let none = Wishes::default();
    let two = [text("left"), text("right"), classes("a", 2), classes("b", 3)];
    assert_eq!(
        of(&two, &none),
        "d.tsv: `left`, `right` could each be the text (say which: --text left, or for two texts that belong together --text left --text-pair right)\n\
         d.tsv: `a`, `b` could each be the label (say which: --label a)"
    );
    let wishes = Wishes {
        text: Some("left".into()),
        text_pair: Some("right".into()),
        label: Some("b".into()),
        task: None,
    };
    assert_eq!(of(&two, &wishes), "left (as asked) + right (as asked) -> b (as asked)");
    let slip = Wishes { label: Some("lable".into()), ..Wishes::default() };
    assert_eq!(
        of(&[text("text"), classes("label", 2)], &slip),
        "d.tsv: has no column `lable` (--label); it has `text`, `label` (did you mean `--label label`?)"
    );
    assert!(of(&[text("text")], &none).contains("has one column (`text`)"));
    assert!(of(&[text("text"), text("note")], &none).contains("no column looks like a label"));
}

#[test]
fn the_grid_follows_model_and_data() {
    let of = |model, hidden, examples| {
        let grid = Grid::of(model, hidden, examples);
        (grid.learning_rates[0], grid.batch_sizes.len(), grid.epochs)
    };
    assert_eq!(of("tiny", Some(32), 100), ("1e-3", 2, 10));
    assert_eq!(of("m", Some(384), 8000), ("5e-5", 2, 3));
    assert_eq!(of("m", Some(768), 100_000), ("2e-5", 1, 2));
}

fn facts(counts: [u64; 2]) -> Facts {
    let split = serde_json::json!({
        "examples": counts[0] + counts[1], "class_counts": counts, "token_lengths": [1, 2, 3, 4],
        "truncated_share": 0.01, "unknown_token_share": 0.0,
    });
    serde_json::from_value(serde_json::json!({
        "content_hashes": {}, "labels": ["no", "ye\ns"], "train": split, "validation": split, "test": null,
        "max_length": 40, "duplicates_between_splits": 0,
        "model": {
            "parameters": 1, "hidden_size": 384, "layers": 1, "heads": 1, "intermediate_size": 1,
            "vocabulary_size": 1, "max_positions": 1,
        },
    }))
    .unwrap()
}

#[test]
fn a_draft_reads_whatever_the_names_are() {
    let name = "a \"b\" \\ \n[run]\nworker = \"x\" #é";
    let inspection = file(&[text(name), classes("label", 2)]);
    let wishes = Wishes::default();
    let roles = roles("d.tsv", &inspection, &wishes).unwrap();
    for (counts, objective) in [([50, 50], "validation/accuracy"), ([90, 5], "validation/macro_f1")]
    {
        let facts = facts(counts);
        let written = draft(&Draft {
            name: "x",
            data: name,
            model: name,
            inspection: &inspection,
            roles: &roles,
            wishes: &wishes,
            facts: Some(&facts),
            cost: "a\nb",
            output: "s.toml",
        });
        let sweep = crate::sweep_file::read(&written, "s.toml", &[])
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{written}"));
        assert_eq!(
            (sweep.settings.data.text.as_str(), sweep.settings.data.train.as_str()),
            (name, name)
        );
        assert_eq!(sweep.objective.metric, objective);
        assert_eq!(sweep.run.worker, None);
        assert_eq!(written.contains("few training examples: ye s (5)"), counts[1] == 5);
    }
}

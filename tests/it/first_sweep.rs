//! `init`: from a data file to a sweep that runs as it is.

use converge_tests::Sandbox;

/// Rows of a file, each made of its number.
fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect()
}

fn words(number: usize) -> String {
    let words = ["sea", "wave", "bread", "crust", "boat", "oven", "tide", "flour", "salt", "loaf"];
    (0..6)
        .map(|place| words[(number * 7 + place * (number + 3)) % words.len()])
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes a data file, has a sweep made of it, and plans that; returns what `init` said and wrote.
#[track_caller]
fn made(name: &str, content: &str, more: &[&str]) -> (String, String, serde_json::Value) {
    let sandbox = Sandbox::new();
    sandbox.write(name, content);
    let arguments = [&["init", "--data", name, "--model", "tiny"], more].concat();
    let init = sandbox.converge(&arguments).expect_code(0);
    let written = std::fs::read_to_string(sandbox.path().join("sweep.toml")).unwrap();
    let plan = sandbox.converge(&["plan", "sweep.toml", "--json"]).expect_code(0);
    (init.stdout, written, serde_json::from_str(&plan.stdout).unwrap())
}

#[test]
fn films_in_two_classes() {
    let film = |number: usize| format!("{}\t{}\n", words(number), ["good", "bad"][number % 2]);
    let (said, written, plan) = made("films.tsv", &format!("text\tlabel\n{}", rows(60, film)), &[]);
    for part in [
        "film",
        "60 rows",
        "`text`, the only column of sentences",
        "`label`, by its name",
        "2 classes (training examples: bad 24, good 24)",
        "7 trials",
    ] {
        assert!(said.contains(part), "`{part}` is not said:\n{said}");
    }
    assert!(
        written.contains("name = \"films\"") && written.contains("validation/accuracy"),
        "{written}"
    );
    // The defaults are the first of them.
    assert_eq!(plan["trials"].as_array().unwrap().len(), 7);
    assert_eq!(plan["trials"][0]["kind"], "baseline");
    assert_eq!(plan["sweep"]["parameters"][0]["name"], "learning_rate");
}

#[test]
fn pairs_of_sentences_in_three_uneven_classes() {
    let pair = |number: usize| {
        let label =
            ["entailment", "neutral", "entailment", "contradiction", "entailment", "neutral"]
                [number % 6];
        format!("{number},\"{}, or so\",{},{label}\n", words(number), words(number + 1))
    };
    let text = format!("id,premise,hypothesis,gold_label\n{}", rows(90, pair));
    let (said, written, plan) = made("pairs.csv", &text, &[]);
    assert!(said.contains("pair    `hypothesis`, by its name"), "{said}");
    assert!(
        written.contains("text_pair = \"hypothesis\"") && written.contains("# not used  `id`"),
        "{written}"
    );
    assert!(written.contains("validation/macro_f1"), "{written}");
    assert_eq!(plan["facts"][0]["labels"].as_array().unwrap().len(), 3);
}

#[test]
fn numbers_of_a_scale() {
    let rated = |number: usize| {
        format!(
            "{{\"sentence\": \"{}\", \"score\": {:.1}}}\n",
            words(number),
            (number % 9) as f64 / 2.0
        )
    };
    let (said, written, _) = made("rated.jsonl", &rows(90, rated), &[]);
    assert!(said.contains("`score`, by its name"), "{said}");
    assert!(written.contains("label = \"score\""), "{written}");
}

#[test]
fn what_only_the_user_knows_is_asked_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    let row = |number: usize| {
        format!("{}\t{}\t{}\t{}\n", words(number), words(number + 1), number % 2, number % 3)
    };
    sandbox.write("two.tsv", format!("left\tright\ta\tb\n{}", rows(40, row)));
    let asked = sandbox.converge(&["init", "--data", "two.tsv", "--model", "tiny"]).expect_code(2);
    for part in [
        "`left`, `right` could each be the text",
        "--text left --text-pair right",
        "`a`, `b` could each be the label",
        "--label a",
    ] {
        assert!(asked.stderr.contains(part), "`{part}` is not said:\n{}", asked.stderr);
    }
    assert!(!sandbox.path().join("sweep.toml").exists());
    let flags = [
        "init",
        "--data",
        "two.tsv",
        "--model",
        "tiny",
        "--text",
        "left",
        "--text-pair",
        "right",
        "--label",
        "b",
        "-o",
        "s.toml",
    ];
    sandbox.converge(&flags).expect_code(0);
    let mine = std::fs::read_to_string(sandbox.path().join("s.toml")).unwrap();
    let again = sandbox.converge(&flags).expect_code(2);
    assert!(
        again.stderr.contains("`s.toml` is there already") && again.stderr.contains("--force"),
        "{}",
        again.stderr
    );
    sandbox.converge(&[&flags[..], &["--force", "--name", "other"]].concat()).expect_code(0);
    assert_ne!(std::fs::read_to_string(sandbox.path().join("s.toml")).unwrap(), mine);
}

#[test]
fn what_is_missing_or_cannot_be_read_is_said() {
    let sandbox = Sandbox::new();
    let needs = sandbox.converge(&["init"]).expect_code(2);
    assert!(needs.stderr.contains("--data and --model are needed"), "{}", needs.stderr);
    assert!(
        needs.stderr.contains("converge init --data reviews.csv --model models/minilm"),
        "{}",
        needs.stderr
    );
    let absent =
        sandbox.converge(&["init", "--data", "absent.csv", "--model", "tiny"]).expect_code(2);
    assert!(absent.stderr.contains("absent.csv: cannot be read"), "{}", absent.stderr);
    sandbox.write("s.csv", "text;label\na b c;1\n");
    let strange = sandbox.converge(&["init", "--data", "s.csv", "--model", "tiny"]).expect_code(2);
    assert!(strange.stderr.contains("is separated by semicolons"), "{}", strange.stderr);
    sandbox.write(
        "d.tsv",
        "text\tlabel\n".to_string()
            + &rows(40, |number| format!("{}\t{}\n", words(number), number % 2)),
    );
    let model = sandbox.converge(&["init", "--data", "d.tsv", "--model", "nowhere"]).expect_code(2);
    assert!(model.stderr.contains("nowhere"), "{}", model.stderr);
    assert!(!sandbox.path().join("sweep.toml").exists());
}

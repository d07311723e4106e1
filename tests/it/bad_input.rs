//! What is wrong is told clearly, all at once, and nothing is lost or half-written.

use converge_tests::{Sandbox, repository};

use crate::smoke::{SCRIPTED, smoke};

/// A sweep over a file of the test's own.
const SWEEP: &str = r#"
[sweep]
name = "bad"
[model]
preset = "tiny"
[data]
train = "data.tsv"
[parameters]
learning_rate = { values = [1e-3] }
[train]
epochs = 1
"#;

/// Runs a sweep that must be refused with exit code 2 and these words, and must leave no sweep behind.
#[track_caller]
fn refused(sandbox: &Sandbox, file: &str, words: &[&str]) {
    let run = sandbox.converge(&["run", file]).expect_code(2);
    for word in words {
        assert!(run.stderr.contains(word), "`{word}` is not told:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert!(
        matches!(sandbox.number("select count(*) from sweeps"), None | Some(0)),
        "a sweep was stored"
    );
}

#[track_caller]
fn data_refused(data: &[u8], words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SWEEP);
    sandbox.write("data.tsv", data);
    refused(&sandbox, "s.toml", words);
}

#[test]
fn a_sweep_file_tells_all_its_mistakes_with_their_lines() {
    let sandbox = Sandbox::new();
    let text = SWEEP
        .replace("epochs = 1", "epochs = \"one\"\nlearning_rte = 1")
        .replace("values = [1e-3]", "min = 1e-3, max = 1e-5, count = 3")
        + "[run]\nworkers = []\n";
    sandbox.write("s.toml", text);
    refused(
        &sandbox,
        "s.toml",
        &[
            "error: s.toml:9: parameter `learning_rate`: `min` (0.001) must be less than `max` (1e-5)",
            "hint: swap the two, or write `values = [...]`",
            "error: s.toml:11: [train] `epochs`: expected a whole number of 1 or more, found \"one\"",
            "error: s.toml:12: [train]: unknown key `learning_rte`",
            "hint: did you mean `learning_rate`?",
            "error: s.toml:14: [run] `workers`: expected \"auto\" or a whole number of 1 or more, found a list",
        ],
    );
    sandbox.write("empty.toml", SWEEP.replace("[1e-3]", "[]"));
    refused(&sandbox, "empty.toml", &["empty.toml:9", "`values` is empty"]);
    refused(&sandbox, "absent.toml", &["cannot read the sweep file `absent.toml`"]);
}

#[test]
fn data_that_cannot_be_trained_on_is_refused_with_its_place() {
    data_refused(b"", &["data.tsv", "empty"]);
    data_refused(b"text\tlabel\n", &["data.tsv"]);
    data_refused(b"review\tlabel\ngood\t1\nbad\t0\n", &["data.tsv", "text", "review"]);
    data_refused(b"text\tlabel\ngood\t1\nb\xffd\t0\n", &["data.tsv:3", "UTF-8"]);
    data_refused(b"text\tlabel\ngood\t1\nfine\t1\nnice\t1\nwell\t1\n", &["data.tsv"]);
}

#[test]
fn missing_data_and_a_class_that_training_lacks_are_told() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SWEEP);
    refused(&sandbox, "s.toml", &["data.tsv"]);
    sandbox.write("data.tsv", "text\tlabel\ngood\tyes\nbad\tno\nfine\tyes\npoor\tno\n");
    sandbox.write("validation.tsv", "text\tlabel\ngood\tyes\nbad\tmaybe\n");
    sandbox.write(
        "v.toml",
        SWEEP.replace("[parameters]", "validation = \"validation.tsv\"\n[parameters]"),
    );
    refused(&sandbox, "v.toml", &["validation.tsv", "maybe"]);
}

/// A sweep on a model folder that the test spoils.
fn model_sweep(sandbox: &Sandbox) {
    smoke(sandbox);
    let text = SWEEP
        .replace("preset = \"tiny\"", "path = \"model\"")
        .replace("data.tsv", "sweeps/smoke.tsv");
    sandbox.write("m.toml", text);
    let goldens = repository().join("crates/bert/tests/goldens/tiny");
    for (from, to) in [("config.json", "config.json"), ("model.safetensors", "model.safetensors")] {
        sandbox.write(&format!("model/{to}"), std::fs::read(goldens.join(from)).unwrap());
    }
    // A word-level tokenizer that fits the vocabulary of the tiny model.
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad"];
    let vocabulary: Vec<String> =
        words.iter().enumerate().map(|(id, word)| format!("\"{word}\": {id}")).collect();
    let tokenizer = format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":{{"type":"Lowercase"}},
        "pre_tokenizer":{{"type":"Whitespace"}},"post_processor":{{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]}},
        "decoder":null,"model":{{"type":"WordLevel","vocab":{{{}}},"unk_token":"[UNK]"}}}}"#,
        vocabulary.join(",")
    );
    sandbox.write("model/tokenizer.json", tokenizer);
}

#[test]
fn a_model_folder_that_is_whole_is_accepted() {
    let sandbox = Sandbox::new();
    model_sweep(&sandbox);
    sandbox.converge(&["run", "m.toml"]).expect_code(0);
}

#[test]
fn a_model_folder_without_sound_weights_is_refused() {
    let sandbox = Sandbox::new();
    model_sweep(&sandbox);
    let weights = sandbox.path().join("model/model.safetensors");
    let whole = std::fs::read(&weights).unwrap();

    std::fs::remove_file(&weights).unwrap();
    refused(&sandbox, "m.toml", &["model.safetensors"]);

    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    refused(&sandbox, "m.toml", &["model.safetensors"]);

    std::fs::write(&weights, &whole).unwrap();
    let config = sandbox.path().join("model/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut wrong: serde_json::Value = serde_json::from_str(&text).unwrap();
    wrong["intermediate_size"] = 56.into();
    std::fs::write(&config, wrong.to_string()).unwrap();
    refused(&sandbox, "m.toml", &["56", "intermediate"]);

    std::fs::write(&config, "{").unwrap();
    refused(&sandbox, "m.toml", &["config.json"]);
}

#[test]
fn another_sweep_of_the_same_name_is_refused_with_the_difference_and_the_way_on() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", SCRIPTED);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let changed = sandbox.converge(&["run", "s.toml", "epochs=7"]).expect_code(2);
    for word in [
        "there is a sweep `scripted` already",
        "train.epochs",
        "stored: 3",
        "now:    7",
        "s.toml epochs=7 --name scripted-2",
        "s.toml epochs=7\n",
    ] {
        assert!(changed.stderr.contains(word), "`{word}` is not told:\n{}", changed.stderr);
    }
    assert_eq!(sandbox.number("select count(*) from sweeps"), Some(1));
    // What may change freely does.
    sandbox.converge(&["run", "s.toml", "run.workers=1", "run.keep_best=1"]).expect_code(0);
    sandbox.converge(&["run", "s.toml", "epochs=7", "--name", "scripted-2"]).expect_code(0);
    assert_eq!(sandbox.number("select count(*) from sweeps"), Some(2));
}

#[test]
fn data_that_changed_since_is_refused_on_resume() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    sandbox.converge(&["run", "sweeps/smoke.toml"]).expect_code(0);
    let database = rusqlite::Connection::open(sandbox.home().join("sweeps.db")).unwrap();
    database.execute("update sweep_trials set state = 'queued', objective_value = null, objective_step = null, ended_at_ms = null where number = 1", []).unwrap();
    drop(database);
    let path = sandbox.path().join("sweeps/smoke.tsv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}one more line\tnegative\n")).unwrap();
    let resumed = sandbox.converge(&["resume"]).expect_code(2);
    assert!(
        resumed.stderr.contains("train is not what sweep `smoke` was started with"),
        "{}",
        resumed.stderr
    );
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let sandbox = Sandbox::new();
    for arguments in
        [&["frobnicate"][..], &["run"], &["best"], &["status"], &["resume"], &["show", "1"]]
    {
        let refused = sandbox.converge(arguments).expect_code(2);
        assert!(refused.stderr.contains("error:"), "{}", refused.stderr);
    }
    assert!(!sandbox.home().exists(), "looking makes nothing");
    sandbox.write("s.toml", SCRIPTED);
    let refused = sandbox.converge(&["run", "s.toml", "run.device=abacus"]).expect_code(2);
    assert!(refused.stderr.contains("device `abacus`"), "{}", refused.stderr);
    let refused = sandbox.converge(&["run", "s.toml", "learning_rat=1"]).expect_code(2);
    assert!(refused.stderr.contains("did you mean `learning_rate`?"), "{}", refused.stderr);
}

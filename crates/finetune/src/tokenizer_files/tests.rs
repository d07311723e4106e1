use std::fs;

use serde::Deserialize;

use super::*;
use crate::data::table::Row;
use crate::data::tokens::TextEncoder;
use crate::model_files::{Folder, ModelFiles};

/// What transformers made of texts with the files of a folder and this `tokenizer_config.json`.
#[derive(Deserialize)]
struct Case {
    files: String,
    config: Option<Value>,
    answers: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    text: String,
    pair: Option<String>,
    token_ids: Vec<u32>,
    token_types: Vec<u32>,
}

fn goldens() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers")
}

/// Copies the files of a golden folder, with others beside them, and finds them as a model's.
fn files(golden: &str, others: &[(&str, &str)]) -> (tempfile::TempDir, TokenizerFiles) {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(goldens().join(golden)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    let model = [("config.json", "{}"), ("model.safetensors", "")];
    for (name, content) in others.iter().chain(&model) {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let mut folder: &Path = directory.path();
    let found = ModelFiles::of(&mut folder as &mut dyn Folder).unwrap();
    (directory, found.tokenizer)
}

fn refused(golden: &str, others: &[(&str, &str)]) -> Vec<String> {
    let (_directory, files) = files(golden, others);
    to_json(&files).unwrap_err().into_iter().map(|problem| problem.message).collect()
}

#[test]
fn token_numbers_are_those_of_transformers() {
    let cases: Vec<Case> =
        serde_json::from_slice(&fs::read(goldens().join("cases.json")).unwrap()).unwrap();
    assert!(cases.len() >= 9);
    for Case { files: golden, config, answers } in cases {
        let config = config.map(|config| config.to_string());
        let beside: Vec<_> =
            config.iter().map(|text| ("tokenizer_config.json", text.as_str())).collect();
        let (_directory, found) = files(&golden, &beside);
        let json = to_json(&found).unwrap();
        let encoder = TextEncoder::from_json(&json, 1000).unwrap();
        for Answer { text, pair, token_ids, token_types } in answers {
            let row = Row { text, text_pair: pair, label: "x".to_owned(), line: 1 };
            let tokens = encoder.encode(std::slice::from_ref(&row), 512).unwrap();
            let (mut ids, mut types) = (Vec::new(), Vec::new());
            encoder.sequence(&tokens, &tokens.examples[0], 512, &mut ids, &mut types);
            assert_eq!(ids, token_ids, "{golden} {config:?} {row:?}");
            assert_eq!(types, token_types, "{golden} {config:?} {row:?}");
        }
    }
}

#[test]
fn equal_files_give_equal_bytes_and_other_settings_others() {
    let json = |config: &str| {
        let (_directory, files) = files("bert", &[("tokenizer_config.json", config)]);
        to_json(&files).unwrap()
    };
    assert_eq!(json(r#"{"do_lower_case": true}"#), json("{}"));
    assert_ne!(json(r#"{"do_lower_case": false}"#), json("{}"));
}

#[test]
fn special_tokens_come_from_any_of_the_files() {
    let map = r#"{"cls_token": "[unused0]", "mask_token": {"content": "[MASK]", "lstrip": true}}"#;
    let added = r#"{"<e1>": 900}"#;
    let beside = [("special_tokens_map.json", map), ("added_tokens.json", added)];
    let (_directory, files) = files("bert", &beside);
    let made: Value = serde_json::from_slice(&to_json(&files).unwrap()).unwrap();
    assert_eq!(made["post_processor"]["single"][0]["SpecialToken"]["id"], "[unused0]");
    let added = made["added_tokens"].as_array().unwrap();
    let of = |text: &str| added.iter().find(|token| token["content"] == text).unwrap();
    assert_eq!((&of("[MASK]")["lstrip"], &of("<e1>")["id"]), (&json!(true), &json!(900)));
}

#[test]
fn everything_that_is_wrong_with_the_files_is_said() {
    let config = r#"{"do_lower_case": "yes", "do_basic_tokenize": false, "unk_token": "<u>", "sep_token": "<t>",
        "tokenizer_class": "BertJapaneseTokenizer"}"#;
    assert_eq!(
        refused("bert", &[("tokenizer_config.json", config)]),
        [
            "`tokenizer_class` is BertJapaneseTokenizer",
            "`do_basic_tokenize` is false; supported: true",
            "`do_lower_case` must be true or false, not \"yes\"",
            "lacks the special token `<t>`",
            "lacks the special token `<u>`",
        ]
    );
    assert_eq!(
        refused("roberta", &[("merges.txt", "#version: 0.2\na b\na b c\n")]),
        ["is not a pair of tokens"]
    );
    assert_eq!(refused("roberta", &[("vocab.json", r#"{"a": -1}"#)]), ["numbers `a` with -1"]);
    let said = refused("bert", &[("tokenizer_config.json", "[")]);
    assert!(said[0].starts_with("is not a JSON object"), "{said:?}");
}

//! Data files, tokenizers and caches from anybody: rows, tokens or problems, and nothing breaks.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::cache;
use super::table::{Columns, Row, read};
use super::tokens::TextEncoder;

const NAMES: [&str; 3] = ["a.csv", "a.tsv", "a.jsonl"];

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").join(folder);
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "only {} files are kept", files.len());
    files
}

/// Reads a table; what is accepted is whole.
fn take_table(name: &Path, content: &[u8]) {
    let kinds = [(None, false), (Some("pair".to_owned()), false), (None, true)];
    for (text_pair, empty_labels) in kinds {
        let label = Some("label".into());
        let columns = Columns { text: "text".into(), text_pair, label, empty_labels };
        match read(name, content, &columns) {
            Ok(rows) => {
                assert!(!rows.is_empty());
                for row in rows {
                    assert_eq!(row.text_pair.is_some(), columns.text_pair.is_some());
                    assert!((empty_labels || !row.label.trim().is_empty()) && row.line > 0);
                }
            }
            Err(problems) => assert!(!problems.is_empty() && problems.len() < 100),
        }
    }
}

/// Reads a tokenizer, and makes tokens with it where it is accepted.
///
/// The library may panic on nonsense: a worker catches that and refuses the file. It must not do worse.
fn take_tokenizer(json: &[u8]) {
    let row = Row {
        text: "aaaaaaaaaaaaaaaaaaaa b \u{1b}[2J".into(),
        text_pair: None,
        label: "x".into(),
        line: 2,
    };
    let done = std::panic::catch_unwind(|| {
        let encoder = TextEncoder::from_json(json, 1000)?;
        let file = encoder.encode(&[row], 64)?;
        assert!(file.ids.iter().all(|id| *id < 1000), "every token has a row of embeddings");
        encoder.special_tokens(true);
        Ok::<_, super::tokens::TokenizerError>(encoder.largest_token_type(true))
    });
    if let Err(panic) = done {
        let said = panic.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        assert!(!said.contains("every token has a row"), "{said}");
    }
}

/// A tokenizer as it should be, for mutations to start from.
const TOKENIZER: &str = r###"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"[PAD]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},
"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4,"##a":5,"b":6}}}"###;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_rows_or_problems(
        name in prop::sample::select(&NAMES[..]), head in any::<bool>(), content in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        let header: &[u8] = match (head, name) {
            (false, _) => b"",
            (true, "a.tsv") => b"text\tpair\tlabel\n",
            (true, _) => b"text,pair,label\n",
        };
        take_table(Path::new(name), &[header, &content].concat());
    }

    #[test]
    fn pieces_of_tables_are_rows_or_problems(
        name in prop::sample::select(&NAMES[..]),
        pieces in prop::collection::vec(prop::sample::select(&["text", "label", "pair", "\"", "\"\"", ",", "\t", "\n", "\r",
            "\r\n", "\0", "\u{feff}", "{", "}", "{\"text\":\"a\",\"label\":1}", "{\"text\":\"a\",\"label\":[\"b\",2]}", "{\"text\":\"a\",\"pair\":\"b\",\"label\":true}",
            ":", "[", "1e999", "\\ud800", " ", "a"][..]), 0..60),
    ) {
        take_table(Path::new(name), pieces.concat().as_bytes());
    }

    #[test]
    fn any_bytes_are_no_cached_tokens(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.bin");
        std::fs::write(&path, bytes).unwrap();
        prop_assert_eq!(cache::read(&path), None);
    }

    #[test]
    fn a_damaged_tokenizer_is_read_or_refused(
        changes in prop::collection::vec((any::<usize>(), 0usize..10, prop::sample::select(&["", "0", "4294967295", "-1",
            "\"", "null", "{}", "[]", "Regex", "\"[MASK]\"", "\"type\":\"Unigram\"", "\"type\":\"BPE\"", ",", ":", "\\u0000"][..])), 1..4)
    ) {
        let mut json = TOKENIZER.as_bytes().to_vec();
        for (at, length, word) in changes {
            let from = at % json.len();
            let to = (from + length).min(json.len());
            json.splice(from..to, word.bytes());
        }
        take_tokenizer(&json);
    }
}

#[test]
fn the_tokenizer_that_mutations_start_from_is_sound() {
    assert!(TextEncoder::from_json(TOKENIZER.as_bytes(), 1000).is_ok());
}

#[test]
fn every_kept_table_is_rows_or_problems() {
    for path in corpus("table") {
        let content = std::fs::read(&path).unwrap();
        take_table(&path, &content);
        NAMES.iter().for_each(|name| take_table(Path::new(name), &content));
    }
}

#[test]
fn every_kept_tokenizer_is_read_or_refused() {
    for path in corpus("tokenizer") {
        take_tokenizer(&std::fs::read(&path).unwrap());
    }
}

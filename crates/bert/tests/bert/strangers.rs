//! Configurations and weights from anybody: a model or an error, never more memory than the file is worth.

use std::path::{Path, PathBuf};

use converge_bert::device::of_tests;
use converge_bert::{BertConfig, ClassifierOptions, ConfigError, LoadError, weights};
use proptest::prelude::*;

use crate::golden;

fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").join(folder);
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "only {} files are kept", files.len());
    files
}

fn take_config(text: &str) {
    match BertConfig::from_json(text) {
        // What was accepted can be written and read again.
        Ok(config) => assert_eq!(BertConfig::from_json(&config.to_json()).unwrap(), config),
        Err(ConfigError::Invalid { problems }) => assert!(!problems.is_empty()),
        Err(_) => {}
    }
}

fn take_weights(bytes: &[u8]) -> Result<(), LoadError> {
    weights::load(bytes, &golden::BERT.config(), &ClassifierOptions::new(3), 1, &of_tests())
        .map(drop)
}

/// A safetensors file with any header over so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0x7f);
    bytes
}

fn number() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "0",
            "1",
            "2",
            "8",
            "-1",
            "1.5",
            "1e3",
            "1e400",
            "4294967296",
            "18446744073709551615",
            "18446744073709551616",
            "null",
            "\"1\"",
            "[]",
            "true",
            "nan",
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_configuration_is_read_or_refused(
        keys in prop::collection::vec((prop::sample::select(&["vocab_size", "hidden_size", "num_hidden_layers",
            "num_attention_heads", "intermediate_size", "max_position_embeddings", "type_vocab_size", "pad_token_id",
            "layer_norm_eps", "hidden_dropout_prob", "classifier_dropout", "hidden_act", "model_type"][..]), number()), 0..14)
    ) {
        let keys: Vec<String> = keys.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        take_config(&format!("{{{}}}", keys.join(",")));
    }

    #[test]
    fn any_header_of_weights_is_read_or_refused(
        tensors in prop::collection::vec((
            prop::sample::select(&["bert.embeddings.word_embeddings.weight", "a", "", "classifier.weight", "__metadata__"][..]),
            prop::sample::select(&["F32", "F16", "BF16", "F64", "BOOL", "I4", "x"][..]),
            prop::collection::vec(number(), 0..4), number(), number()), 0..5),
        data in 0usize..64,
    ) {
        let tensors: Vec<String> = tensors
            .iter()
            .map(|(name, dtype, shape, from, to)| {
                let shape = shape.join(",");
                format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{from},{to}]}}")
            })
            .collect();
        let taken = take_weights(&file(&format!("{{{}}}", tensors.join(",")), data));
        prop_assert!(taken.is_err());
    }

    #[test]
    fn any_bytes_are_no_weights(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(take_weights(&bytes).is_err());
    }

    #[test]
    fn damaged_weights_are_read_or_refused(at: usize, byte: u8) {
        let mut bytes = golden::bytes("tiny/model.safetensors");
        // The header is where damage matters; numbers may be any.
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[at % header] = byte;
        let _ = take_weights(&bytes);
    }
}

#[test]
fn every_kept_configuration_is_read_or_refused() {
    for path in corpus("config") {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        take_config(&text);
    }
}

#[test]
fn every_kept_file_of_weights_is_refused() {
    for path in corpus("weights") {
        assert!(take_weights(&std::fs::read(&path).unwrap()).is_err(), "{}", path.display());
    }
}

#[test]
fn a_model_that_its_weights_cannot_hold_is_refused_before_it_is_made() {
    let bytes = golden::bytes("tiny/model.safetensors");
    let config = BertConfig {
        vocab_size: 10_000_000,
        hidden_size: 65_536,
        num_hidden_layers: 1000,
        intermediate_size: 1_000_000,
        ..golden::BERT.config()
    };
    let loaded = weights::load(&bytes, &config, &ClassifierOptions::new(3), 1, &of_tests());
    let error = loaded.map(drop).unwrap_err().to_string();
    assert!(error.contains("the weights have"), "{error}");
}

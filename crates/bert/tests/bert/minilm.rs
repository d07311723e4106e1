//! The published MiniLM, where `models/minilm` has been fetched.

use std::path::Path;

use converge_bert::device::of_tests;
use converge_bert::{BertConfig, BertInput, ClassifierOptions, Pooling, heads, weights};
use serde::Deserialize;

use crate::golden::{self, assert_close, matrix, values};

#[derive(Deserialize)]
struct Sentence {
    token_ids: Vec<i64>,
}

#[test]
fn hidden_states_of_ten_sentences_equal_the_reference() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/minilm");
    let Ok(config) = std::fs::read_to_string(directory.join("config.json")) else {
        println!("skipped: there is no model in `{}`", directory.display());
        return;
    };
    let sentences: Vec<Sentence> =
        serde_json::from_str(&golden::text("minilm/sentences.json")).unwrap();
    let expected = golden::tensors("minilm/hidden_states.safetensors");
    let device = of_tests();
    let config = BertConfig::from_json(&config).unwrap();
    let options = ClassifierOptions { pooling: Pooling::Mean, ..ClassifierOptions::new(2) };
    let path = directory.join("model.safetensors");
    let (model, report) = weights::load_file(&path, &config, &options, 0, &device).unwrap();
    assert_eq!(report.newly_initialised, ["classifier.weight", "classifier.bias"]);

    let longest = sentences.iter().map(|sentence| sentence.token_ids.len()).max().unwrap();
    let padded = |value: fn(i64) -> i64| -> Vec<Vec<i64>> {
        let row = |sentence: &Sentence| {
            let mut row: Vec<i64> = sentence.token_ids.iter().map(|id| value(*id)).collect();
            row.resize(longest, 0);
            row
        };
        sentences.iter().map(row).collect()
    };
    let mask = matrix(&padded(|_| 1), &device);
    let states = model.hidden_states(BertInput {
        token_ids: matrix(&padded(|id| id), &device),
        token_type_ids: matrix(&padded(|_| 0), &device),
        attention_mask: mask.clone(),
        dropout_seed: 0,
    });
    let pooled = heads::mean_pooling(states.clone(), mask);
    assert_close("MiniLM mean pooled", &values(pooled), &expected["mean_pooled"], 1e-4);

    let hidden = config.hidden_size;
    let states = values(states);
    let first_dimensions: Vec<f32> = sentences
        .iter()
        .enumerate()
        .flat_map(|(row, sentence)| {
            (0..sentence.token_ids.len()).map(move |token| (row * longest + token) * hidden)
        })
        .flat_map(|start| states[start..start + 8].to_vec())
        .collect();
    let expected = &expected["first_dimensions"];
    assert_close("MiniLM hidden states", &first_dimensions, expected, 1e-4);
}

use converge_core::settings::TrainSettings;

use super::*;
use crate::data::table::Row;
use crate::vocabulary;

#[test]
fn micro_batches_share_the_examples_by_length() {
    let (_, examples) = examples(&["a", "a b c", "a b", "a b c d", "a b c d e"]);
    let parts = |batch_size, accumulation| {
        let division = MicroBatches::of(&train_settings(batch_size, accumulation), 1);
        micro_batches(&[0, 1, 2, 3, 4], &examples, division)
    };
    assert_eq!(parts(5, 1), [vec![0, 1, 2, 3, 4]]);
    assert_eq!(parts(5, 2), [vec![4, 3, 1], vec![2, 0]]);
    assert_eq!(parts(4, 4), [vec![4], vec![3], vec![1], vec![2], vec![0]]);
    assert_eq!(parts(5, 99).len(), 5);
}

#[test]
fn a_batch_is_as_long_as_its_longest_example() {
    let (encoder, examples) = examples(&["a b c", "a", ""]);
    let device = converge_bert::device::of_tests();
    let batch = Batch::new(&examples, &[1, 0, 2], &encoder, 64, 0);
    assert_eq!((batch.tokens, batch.targets.clone()), (3 + 5 + 2, vec![Target::Class(0); 3]));
    let input = batch.input(&device, 0);
    let numbers = |tensor: Tensor<2, Int>| -> Vec<i64> {
        tensor.into_data().convert::<i64>().try_into_vec().unwrap()
    };
    assert_eq!(input.token_ids.dims(), [3, 5]);
    assert_eq!(numbers(input.token_ids), [2, 5, 3, 0, 0, 2, 5, 6, 7, 3, 2, 3, 0, 0, 0]);
    assert_eq!(numbers(input.attention_mask), [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);

    let cut = Batch::new(&examples, &[0], &encoder, 4, 0).input(&device, 0);
    assert_eq!(numbers(cut.token_ids), [2, 5, 6, 3]);
}

fn examples(texts: &[&str]) -> (TextEncoder, Examples) {
    let row = |text: &&str| Row {
        text: (*text).to_owned(),
        text_pair: None,
        label: "x".to_owned(),
        line: 1,
    };
    let rows: Vec<Row> = texts.iter().map(row).collect();
    let (json, vocabulary) = vocabulary::of(&rows);
    let encoder = TextEncoder::from_json(&json, vocabulary).unwrap();
    let file = encoder.encode(&rows, 64).unwrap();
    (encoder, Examples::all(file))
}

fn train_settings(batch_size: u64, gradient_accumulation: u64) -> TrainSettings {
    serde_json::from_value(serde_json::json!({
        "learning_rate": 1e-3, "batch_size": batch_size, "epochs": 1, "max_steps": null,
        "optimizer": "adamw", "momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
        "weight_decay": 0.0, "max_grad_norm": 1.0, "schedule": "linear", "warmup_ratio": 0.1,
        "warmup_steps": null, "max_length": "auto", "evaluations_per_epoch": 4, "dropout": null,
        "hidden_dropout": null, "attention_dropout": null, "classifier_dropout": null,
        "label_smoothing": 0.0, "gradient_accumulation": gradient_accumulation, "freeze": "none",
        "head_learning_rate_multiplier": 1.0, "class_weights": "none", "pooling": "cls",
    }))
    .unwrap()
}

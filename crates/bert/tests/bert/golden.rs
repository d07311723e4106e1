//! Reads the goldens that `scripts/reference` made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use converge_bert::{BertClassifier, BertConfig, BertInput, ClassifierOptions, weights};
use safetensors::SafeTensors;
use serde::Deserialize;

/// The content of `tiny/golden.json`.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) forward: Forward,
    pub(crate) optimizer: Optimizer,
    pub(crate) trajectory: Vec<Step>,
}

#[derive(Deserialize)]
pub(crate) struct Forward {
    #[serde(flatten)]
    pub(crate) batch: Batch,
    pub(crate) logits: Vec<Vec<f32>>,
    pub(crate) loss: f32,
    pub(crate) gradient_norm: f64,
    pub(crate) mean_pooling_logits: Vec<Vec<f32>>,
    pub(crate) one_layer_logits: Vec<Vec<f32>>,
    pub(crate) published_base_mean_pooled: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
pub(crate) struct Batch {
    pub(crate) token_ids: Vec<Vec<i64>>,
    pub(crate) token_type_ids: Vec<Vec<i64>>,
    pub(crate) attention_mask: Vec<Vec<i64>>,
    pub(crate) labels: Vec<i64>,
}

#[derive(Deserialize)]
pub(crate) struct Optimizer {
    pub(crate) learning_rate: f64,
    pub(crate) beta_1: f64,
    pub(crate) beta_2: f64,
    pub(crate) epsilon: f64,
    pub(crate) weight_decay: f64,
    pub(crate) max_grad_norm: f64,
    pub(crate) warmup_steps: usize,
    pub(crate) steps: usize,
}

#[derive(Deserialize)]
pub(crate) struct Step {
    #[serde(flatten)]
    pub(crate) batch: Batch,
    pub(crate) learning_rate: f64,
    pub(crate) logits: Vec<Vec<f32>>,
    pub(crate) loss: f32,
    pub(crate) gradient_norm: f64,
}

impl Batch {
    pub(crate) fn input(&self, device: &Device) -> BertInput {
        BertInput {
            token_ids: matrix(&self.token_ids, device),
            token_type_ids: matrix(&self.token_type_ids, device),
            attention_mask: matrix(&self.attention_mask, device),
            dropout_seed: 0,
        }
    }

    /// The mean cross-entropy of the labels.
    pub(crate) fn loss(&self, logits: Tensor<2>) -> Tensor<1> {
        let labels = TensorData::new(self.labels.clone(), [self.labels.len(), 1]);
        let labels = Tensor::<2, Int>::from_data(labels, &logits.device());
        log_softmax(logits, 1).gather(1, labels).mean().neg()
    }
}

pub(crate) fn matrix(rows: &[Vec<i64>], device: &Device) -> Tensor<2, Int> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, device)
}

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

pub(crate) fn read() -> Golden {
    serde_json::from_str(&text("tiny/golden.json")).unwrap()
}

pub(crate) fn config() -> BertConfig {
    BertConfig::from_json(&text("tiny/config.json")).unwrap()
}

/// The tiny model of the goldens: three labels, dropout 0, everything from its file.
pub(crate) fn model(options: &ClassifierOptions, device: &Device) -> BertClassifier {
    let path = path("tiny/model.safetensors");
    weights::load_file(&path, &config(), options, 0, device).unwrap().0
}

/// Every tensor of a safetensors file of `F32`.
pub(crate) fn tensors(name: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = bytes(name);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |bytes: &[u8]| {
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    file.iter().map(|(name, view)| (name.to_owned(), values(view.data()))).collect()
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

pub(crate) fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    assert!(!left.is_empty());
    let difference = |(left, right): (&f32, &f32)| (left - right).abs();
    // `f32::max` would hide a NaN.
    left.iter().zip(right).map(difference).fold(0.0, |largest, difference| {
        if difference.is_nan() || difference > largest { difference } else { largest }
    })
}

/// Prints what was measured, and fails if it is not within the tolerance.
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    let difference = largest_difference(found, expected);
    println!("{what}: largest difference {difference:.2e}, tolerance {tolerance:.2e}");
    assert!(difference <= tolerance, "{what}: {found:?} instead of {expected:?}");
}

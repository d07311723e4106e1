//! Reads the goldens that `scripts/reference` made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use converge_bert::{BertClassifier, BertConfig, BertInput, ClassifierOptions, weights};
use safetensors::SafeTensors;
use serde::Deserialize;

/// A folder with a random model of one architecture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixture(&'static str);

pub(crate) const BERT: Fixture = Fixture("tiny");
pub(crate) const DISTILBERT: Fixture = Fixture("tiny_distilbert");
pub(crate) const ROBERTA: Fixture = Fixture("tiny_roberta");

/// One of each architecture that computes differently.
pub(crate) const FIXTURES: [Fixture; 3] = [BERT, DISTILBERT, ROBERTA];

impl Fixture {
    pub(crate) fn read(self) -> Golden {
        serde_json::from_str(&text(&format!("{}/golden.json", self.0))).unwrap()
    }

    pub(crate) fn config(self) -> BertConfig {
        BertConfig::from_json(&text(&format!("{}/config.json", self.0))).unwrap()
    }

    /// Every tensor of one of its files.
    pub(crate) fn tensors(self, name: &str) -> BTreeMap<String, Vec<f32>> {
        tensors(&format!("{}/{name}", self.0))
    }

    pub(crate) fn weights(self) -> PathBuf {
        path(&format!("{}/model.safetensors", self.0))
    }

    /// Its model: three labels, dropout 0, everything from its file.
    pub(crate) fn model(self, options: &ClassifierOptions, device: &Device) -> BertClassifier {
        let loaded = weights::load_file(&self.weights(), &self.config(), options, 0, device);
        loaded.unwrap().0
    }
}

/// The content of a `golden.json`.
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
    /// Of BERT only.
    #[serde(default)]
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

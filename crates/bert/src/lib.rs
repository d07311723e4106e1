//! BERT and its kin in Burn: configuration, forward pass, published weights, classification head.
//!
//! The model of Devlin et al. 2019, *BERT: Pre-training of Deep Bidirectional Transformers for
//! Language Understanding* (<https://arxiv.org/abs/1810.04805>), as published on the Hugging Face
//! hub: the keys of its `config.json`, the names of its `model.safetensors`, and the arithmetic of
//! `transformers`' `BertForSequenceClassification`. Logits, loss, gradients and a trajectory of
//! twenty optimizer steps are tested against that implementation (`scripts/reference`). So are those of
//! DistilBERT and RoBERTa, which are the same blocks: [`architecture`] says where they differ.
//!
//! Reading order: [`config`] says what a model is and [`options`] what a task makes of it.
//! [`embeddings`], [`attention`], [`encoder`] and [`heads`] compute, and [`BertClassifier`] joins
//! them. [`mapping`] and [`parameters`] name what can be trained, `initial_values` fills it from a
//! seed, and [`weights`] from a file.
//!
//! # Symbols in the shapes
//!
//! | symbol | meaning |
//! |---|---|
//! | `batch` | examples computed together |
//! | `sequence` | tokens of the longest example in the batch; shorter ones are padded to it |
//! | `hidden` | width of the model, `hidden_size` |
//! | `heads` | attention heads, `num_attention_heads` |
//! | `head_size` | `hidden / heads` |
//! | `intermediate` | width inside the feed-forward block, `intermediate_size` |
//! | `vocabulary` | tokens known to the model, `vocab_size` |
//! | `labels` | classes of the task |
//!
//! # Source
//!
//! Every block names the class of transformers' [`modeling_bert.py`] that it mirrors.
//!
//! [`modeling_bert.py`]: https://github.com/huggingface/transformers/blob/8ec58104181bfb34d824d89bccc009b4f6be6e0e/src/transformers/models/bert/modeling_bert.py

pub mod architecture;
pub mod config;
pub mod device;
pub mod options;

pub mod attention;
pub mod embeddings;
pub mod encoder;
pub mod heads;

mod classifier;
#[cfg(feature = "flex")]
mod fused;
mod initial_values;
pub mod mapping;
#[cfg(feature = "flex")]
mod packed;
pub mod parameters;
pub mod weights;

pub use architecture::Architecture;
pub use classifier::{BertClassifier, BertInput};
pub use config::{Activation, BertConfig, ConfigError};
pub use converge_kernels::embeddings::Rows;
pub use options::{ClassifierOptions, Pooling, Precision};
pub use parameters::{Gradient, LayerGroup, Parameter, read_values};
pub use weights::{LoadError, LoadReport, SaveError, WeightFiles, WeightFormat};

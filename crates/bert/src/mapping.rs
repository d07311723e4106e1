//! The parameter table: which Hugging Face name is which field, as data.
//!
//! Names are those of `BertForSequenceClassification`, and the same for every pooling:
//!
//! | checkpoint name | field of [`BertClassifier`](crate::BertClassifier) | parameters |
//! |---|---|---|
//! | `bert.embeddings.word_embeddings` | `embeddings.word_embeddings` | weight |
//! | `bert.embeddings.position_embeddings` | `embeddings.position_embeddings` | weight |
//! | `bert.embeddings.token_type_embeddings` | `embeddings.token_type_embeddings` | weight |
//! | `bert.embeddings.LayerNorm` | `embeddings.layer_norm` | weight, bias |
//! | `….attention.self.query` | `….attention.query` | weight, bias |
//! | `….attention.self.key` | `….attention.key` | weight, bias |
//! | `….attention.self.value` | `….attention.value` | weight, bias |
//! | `….attention.output.dense` | `….attention.output` | weight, bias |
//! | `….attention.output.LayerNorm` | `….attention.layer_norm` | weight, bias |
//! | `….intermediate.dense` | `….feed_forward.intermediate` | weight, bias |
//! | `….output.dense` | `….feed_forward.output` | weight, bias |
//! | `….output.LayerNorm` | `….feed_forward.layer_norm` | weight, bias |
//! | `bert.pooler.dense` (pooling `cls` only) | `pooler.dense` | weight, bias |
//! | `classifier` | `head.classifier` | weight, bias |
//!
//! where `…` stands for `bert.encoder.layer.N` and `encoder.layers.N`, layers counting from 0.

use crate::config::BertConfig;
use crate::options::Pooling;
use crate::parameters::{LayerGroup, Parameter};

/// How a parameter starts when no file provides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Initial {
    /// Normal with mean zero and the configuration's `initializer_range`.
    Normal,
    /// The same, but zero in the row of the padding token.
    NormalExceptPadding,
    Zeros,
    Ones,
}

/// The table whose gradient may come in rows.
#[cfg(feature = "flex")]
pub(crate) const WORD_TABLE: &str = "bert.embeddings.word_embeddings.weight";

/// A row of the mapping: checkpoint name, field, and what the module holds.
type Row = (&'static str, &'static str, Content);

#[derive(Debug, Clone, Copy)]
enum Content {
    /// `[rows, hidden]`.
    Table(Size),
    /// From one size to another, with bias.
    Linear(Size, Size),
    /// Over `hidden`.
    LayerNorm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Vocabulary,
    Positions,
    TokenTypes,
    Hidden,
    Intermediate,
    Labels,
}

use Content::{LayerNorm, Linear, Table};
use Size::{Hidden, Intermediate, Labels, Positions, TokenTypes, Vocabulary};

const EMBEDDINGS: [Row; 4] = [
    ("bert.embeddings.word_embeddings", "embeddings.word_embeddings", Table(Vocabulary)),
    ("bert.embeddings.position_embeddings", "embeddings.position_embeddings", Table(Positions)),
    (
        "bert.embeddings.token_type_embeddings",
        "embeddings.token_type_embeddings",
        Table(TokenTypes),
    ),
    ("bert.embeddings.LayerNorm", "embeddings.layer_norm", LayerNorm),
];

/// After `bert.encoder.layer.N.` and `encoder.layers.N.`.
const LAYER: [Row; 8] = [
    ("attention.self.query", "attention.query", Linear(Hidden, Hidden)),
    ("attention.self.key", "attention.key", Linear(Hidden, Hidden)),
    ("attention.self.value", "attention.value", Linear(Hidden, Hidden)),
    ("attention.output.dense", "attention.output", Linear(Hidden, Hidden)),
    ("attention.output.LayerNorm", "attention.layer_norm", LayerNorm),
    ("intermediate.dense", "feed_forward.intermediate", Linear(Hidden, Intermediate)),
    ("output.dense", "feed_forward.output", Linear(Intermediate, Hidden)),
    ("output.LayerNorm", "feed_forward.layer_norm", LayerNorm),
];

const POOLER: [Row; 1] = [("bert.pooler.dense", "pooler.dense", Linear(Hidden, Hidden))];

const HEAD: [Row; 1] = [("classifier", "head.classifier", Linear(Hidden, Labels))];

/// Returns every parameter of the model that `config` (cut to its layers) describes, in the order
/// in which Burn visits its fields.
pub(crate) fn table(config: &BertConfig, labels: usize, pooling: Pooling) -> Vec<Parameter> {
    let mut builder = Builder { config, labels, parameters: Vec::new() };
    builder.rows("", "", &EMBEDDINGS, LayerGroup::Embeddings);
    for layer in 0..config.num_hidden_layers {
        let name = format!("bert.encoder.layer.{layer}.");
        let path = format!("encoder.layers.{layer}.");
        builder.rows(&name, &path, &LAYER, LayerGroup::Layer(layer));
    }
    if pooling == Pooling::Cls {
        builder.rows("", "", &POOLER, LayerGroup::Pooler);
    }
    builder.rows("", "", &HEAD, LayerGroup::Head);
    builder.parameters
}

struct Builder<'a> {
    config: &'a BertConfig,
    labels: usize,
    parameters: Vec<Parameter>,
}

impl Builder<'_> {
    fn rows(&mut self, name_prefix: &str, path_prefix: &str, rows: &[Row], group: LayerGroup) {
        for (name, path, content) in rows {
            let name = format!("{name_prefix}{name}");
            let path = format!("{path_prefix}{path}");
            for (suffix, field, shape, initial) in self.contents(*content) {
                self.parameters.push(Parameter {
                    index: self.parameters.len(),
                    name: format!("{name}.{suffix}"),
                    path: format!("{path}.{field}"),
                    shape,
                    group,
                    decays: suffix == "weight" && !matches!(content, LayerNorm),
                    transposed: suffix == "weight" && matches!(content, Linear(..)),
                    initial,
                });
            }
        }
    }

    /// Name in a checkpoint, field in Burn, shape and initial value of each tensor of a module.
    fn contents(&self, content: Content) -> Vec<(&'static str, &'static str, Vec<usize>, Initial)> {
        let hidden = self.size(Hidden);
        match content {
            Table(rows) => {
                let initial =
                    if rows == Vocabulary { Initial::NormalExceptPadding } else { Initial::Normal };
                vec![("weight", "weight", vec![self.size(rows), hidden], initial)]
            }
            Linear(input, output) => {
                let (input, output) = (self.size(input), self.size(output));
                vec![
                    ("weight", "weight", vec![input, output], Initial::Normal),
                    ("bias", "bias", vec![output], Initial::Zeros),
                ]
            }
            LayerNorm => vec![
                ("weight", "gamma", vec![hidden], Initial::Ones),
                ("bias", "beta", vec![hidden], Initial::Zeros),
            ],
        }
    }

    fn size(&self, size: Size) -> usize {
        match size {
            Vocabulary => self.config.vocab_size,
            Positions => self.config.max_position_embeddings,
            TokenTypes => self.config.type_vocab_size,
            Hidden => self.config.hidden_size,
            Intermediate => self.config.intermediate_size,
            Labels => self.labels,
        }
    }
}

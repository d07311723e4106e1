//! The parameter table: which Hugging Face name is which field, as data.
//!
//! Names are those of `BertForSequenceClassification` and its like, and the same for every pooling. BERT's:
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
//!
//! RoBERTa has `roberta.` for `bert.`, `classifier.dense` for the pooler and `classifier.out_proj` for the classifier.
//! DistilBERT has `distilbert.`, no token types, `pre_classifier` for the pooler, and in `distilbert.transformer.layer.N`
//! the names of `DISTILBERT_LAYER`.

use crate::architecture::Architecture;
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

/// The field of the table whose gradient may come in rows.
#[cfg(feature = "flex")]
pub(crate) const WORD_TABLE: &str = "embeddings.word_embeddings.weight";

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

/// What the parameters of an architecture are called in a checkpoint.
pub(crate) struct Names {
    /// The prefix of everything but the head; a model saved alone has none.
    pub(crate) base: &'static str,
    /// After `base`.
    embeddings: &'static [Row],
    /// After `base`, before a layer's number.
    layers: &'static str,
    /// After a layer's number and `encoder.layers.N`.
    layer: &'static [Row],
    /// The layer between the first token and the classification.
    pub(crate) pooler: &'static str,
    /// The classification layer.
    head: &'static str,
}

impl Names {
    pub(crate) fn of(architecture: Architecture) -> &'static Self {
        match architecture {
            Architecture::Bert => &BERT,
            Architecture::DistilBert => &DISTILBERT,
            Architecture::Roberta | Architecture::XlmRoberta => &ROBERTA,
        }
    }

    /// Returns the beginning of the names of a layer, but for its number.
    pub(crate) fn layers(&self) -> String {
        format!("{}{}", self.base, self.layers)
    }
}

const BERT: Names = Names {
    base: "bert.",
    embeddings: &EMBEDDINGS,
    layers: "encoder.layer.",
    layer: &LAYER,
    pooler: "bert.pooler.dense",
    head: "classifier",
};

const ROBERTA: Names =
    Names { base: "roberta.", pooler: "classifier.dense", head: "classifier.out_proj", ..BERT };

const DISTILBERT: Names = Names {
    base: "distilbert.",
    embeddings: &DISTILBERT_EMBEDDINGS,
    layers: "transformer.layer.",
    layer: &DISTILBERT_LAYER,
    pooler: "pre_classifier",
    head: "classifier",
};

const WORDS: Row = ("embeddings.word_embeddings", "embeddings.word_embeddings", Table(Vocabulary));
const POSITIONS: Row =
    ("embeddings.position_embeddings", "embeddings.position_embeddings", Table(Positions));
const TOKEN_TYPES: Row =
    ("embeddings.token_type_embeddings", "embeddings.token_type_embeddings", Table(TokenTypes));
const EMBEDDINGS_NORM: Row = ("embeddings.LayerNorm", "embeddings.layer_norm", LayerNorm);

const EMBEDDINGS: [Row; 4] = [WORDS, POSITIONS, TOKEN_TYPES, EMBEDDINGS_NORM];

const DISTILBERT_EMBEDDINGS: [Row; 3] = [WORDS, POSITIONS, EMBEDDINGS_NORM];

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

const DISTILBERT_LAYER: [Row; 8] = [
    ("attention.q_lin", "attention.query", Linear(Hidden, Hidden)),
    ("attention.k_lin", "attention.key", Linear(Hidden, Hidden)),
    ("attention.v_lin", "attention.value", Linear(Hidden, Hidden)),
    ("attention.out_lin", "attention.output", Linear(Hidden, Hidden)),
    ("sa_layer_norm", "attention.layer_norm", LayerNorm),
    ("ffn.lin1", "feed_forward.intermediate", Linear(Hidden, Intermediate)),
    ("ffn.lin2", "feed_forward.output", Linear(Intermediate, Hidden)),
    ("output_layer_norm", "feed_forward.layer_norm", LayerNorm),
];

/// Returns every parameter of the model that `config` (cut to its layers) describes, in the order
/// in which Burn visits its fields.
pub(crate) fn table(config: &BertConfig, labels: usize, pooling: Pooling) -> Vec<Parameter> {
    let names = Names::of(config.architecture);
    let mut builder = Builder { config, labels, parameters: Vec::new() };
    builder.rows(names.base, "", names.embeddings, LayerGroup::Embeddings);
    for layer in 0..config.num_hidden_layers {
        let name = format!("{}{layer}.", names.layers());
        let path = format!("encoder.layers.{layer}.");
        builder.rows(&name, &path, names.layer, LayerGroup::Layer(layer));
    }
    if pooling == Pooling::Cls {
        let pooler = (names.pooler, "pooler.dense", Linear(Hidden, Hidden));
        builder.rows("", "", &[pooler], LayerGroup::Pooler);
    }
    let head = (names.head, "head.classifier", Linear(Hidden, Labels));
    builder.rows("", "", &[head], LayerGroup::Head);
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
                let behind_padding = self.config.architecture.counts_behind_padding();
                let initial = match rows {
                    Vocabulary => Initial::NormalExceptPadding,
                    Positions if behind_padding => Initial::NormalExceptPadding,
                    _ => Initial::Normal,
                };
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

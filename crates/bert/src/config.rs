//! What a model is: Hugging Face's `config.json`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::architecture::Architecture;

/// A model's sizes and settings, under the names of BERT's `config.json`; in a file, DistilBERT has other ones.
///
/// # Source
/// `BertConfig` in `configuration_bert.py`, beside [`modeling_bert.py`](crate#source), and the classes of
/// `configuration_distilbert.py` and `configuration_roberta.py`.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// `model_type`.
    pub architecture: Architecture,
    /// Tokens known to the model.
    pub vocab_size: usize,
    /// Width of every token's representation.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads of each layer; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Activation of the feed-forward block.
    pub hidden_act: Activation,
    /// Dropout on embeddings, attention output and feed-forward output.
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Rows of the position table; [`max_sequence`](Self::max_sequence) says how many tokens that is enough for.
    pub max_position_embeddings: usize,
    /// Segments a token can belong to; 0 for an architecture that is not told.
    pub type_vocab_size: usize,
    /// Added to the variance in every `LayerNorm`.
    pub layer_norm_eps: f64,
    /// Standard deviation of newly initialised weights.
    pub initializer_range: f64,
    /// The token used as padding.
    pub pad_token_id: usize,
    /// Dropout before the classification layer; absent means `hidden_dropout_prob`.
    pub classifier_dropout: Option<f64>,
}

/// The keys of a configuration whose names differ between architectures.
struct Keys {
    hidden_size: &'static str,
    num_hidden_layers: &'static str,
    num_attention_heads: &'static str,
    intermediate_size: &'static str,
    hidden_act: &'static str,
    hidden_dropout: &'static str,
    attention_dropout: &'static str,
    classifier_dropout: &'static str,
}

impl Keys {
    fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Bert | Architecture::Roberta | Architecture::XlmRoberta => Self {
                hidden_size: "hidden_size",
                num_hidden_layers: "num_hidden_layers",
                num_attention_heads: "num_attention_heads",
                intermediate_size: "intermediate_size",
                hidden_act: "hidden_act",
                hidden_dropout: "hidden_dropout_prob",
                attention_dropout: "attention_probs_dropout_prob",
                classifier_dropout: "classifier_dropout",
            },
            Architecture::DistilBert => Self {
                hidden_size: "dim",
                num_hidden_layers: "n_layers",
                num_attention_heads: "n_heads",
                intermediate_size: "hidden_dim",
                hidden_act: "activation",
                hidden_dropout: "dropout",
                attention_dropout: "attention_dropout",
                classifier_dropout: "seq_classif_dropout",
            },
        }
    }
}

/// The configuration of BERT or RoBERTa as it is written, key by key.
#[derive(Serialize)]
struct BertFile {
    model_type: &'static str,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    hidden_dropout_prob: f64,
    attention_probs_dropout_prob: f64,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    initializer_range: f64,
    pad_token_id: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    classifier_dropout: Option<f64>,
}

/// The configuration of DistilBERT as it is written, key by key.
#[derive(Serialize)]
struct DistilBertFile {
    model_type: &'static str,
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: Activation,
    dropout: f64,
    attention_dropout: f64,
    max_position_embeddings: usize,
    sinusoidal_pos_embds: bool,
    initializer_range: f64,
    pad_token_id: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_classif_dropout: Option<f64>,
}

/// DistilBERT's configuration does not name it.
const DISTILBERT_LAYER_NORM_EPS: f64 = 1e-12;

/// The activation between the two linear layers of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The exact Gaussian error linear unit, computed with `erf`.
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    /// The rectified linear unit.
    Relu,
}

impl Activation {
    /// Each name that `config.json` may give, the first of an activation being the one we write.
    const NAMES: [(&'static str, Self); 5] = [
        ("gelu", Self::Gelu),
        ("gelu_python", Self::Gelu),
        ("gelu_new", Self::GeluTanh),
        ("gelu_pytorch_tanh", Self::GeluTanh),
        ("relu", Self::Relu),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }

    /// Returns the name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_new",
            Self::Relu => "relu",
        }
    }
}

impl Serialize for Activation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl BertConfig {
    /// Reads the text of a `config.json`. Keys that describe no part of the arithmetic are ignored;
    /// those that would change it in a way not implemented are errors.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] if it is not JSON, [`ConfigError::Invalid`] with every problem.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let keys: Map<String, Value> =
            serde_json::from_str(text).map_err(|source| ConfigError::Syntax { source })?;
        let mut reader = Reader { keys: &keys, problems: Vec::new() };
        let supported = Architecture::ALL.map(Architecture::model_type);
        if !reader.only("model_type", &supported) {
            // The other keys mean nothing then.
            return Err(ConfigError::Invalid { problems: reader.problems });
        }
        // Configurations of 2018 do not name it.
        let named = keys.get("model_type").and_then(Value::as_str);
        let architecture =
            named.and_then(Architecture::from_model_type).unwrap_or(Architecture::Bert);
        let config = reader.config(architecture);
        let mut problems = reader.problems;
        // Sizes that could not be read would only be reported a second time.
        if problems.is_empty() {
            problems = config.problems();
        }
        ConfigError::of(problems)?;
        Ok(config)
    }

    /// Returns a model small enough to train in a test or to try the program with.
    ///
    /// Width 32, two layers of two heads, at most 64 tokens. Its initial weights are wider than the
    /// usual 0.02, so that activations are of the size they have in a model of width 768.
    pub fn tiny(vocab_size: usize) -> Self {
        Self {
            architecture: Architecture::Bert,
            vocab_size,
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 64,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 64,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            initializer_range: 0.1,
            pad_token_id: 0,
            classifier_dropout: None,
        }
    }

    /// Returns the text of a `config.json` that Hugging Face's libraries and
    /// [`from_json`](Self::from_json) read: the architecture's own keys, and nothing about a task.
    pub fn to_json(&self) -> String {
        let model_type = self.architecture.model_type();
        let text = match self.architecture {
            Architecture::Bert | Architecture::Roberta | Architecture::XlmRoberta => {
                serde_json::to_string_pretty(&BertFile {
                    model_type,
                    vocab_size: self.vocab_size,
                    hidden_size: self.hidden_size,
                    num_hidden_layers: self.num_hidden_layers,
                    num_attention_heads: self.num_attention_heads,
                    intermediate_size: self.intermediate_size,
                    hidden_act: self.hidden_act,
                    hidden_dropout_prob: self.hidden_dropout_prob,
                    attention_probs_dropout_prob: self.attention_probs_dropout_prob,
                    max_position_embeddings: self.max_position_embeddings,
                    type_vocab_size: self.type_vocab_size,
                    layer_norm_eps: self.layer_norm_eps,
                    initializer_range: self.initializer_range,
                    pad_token_id: self.pad_token_id,
                    classifier_dropout: self.classifier_dropout,
                })
            }
            Architecture::DistilBert => serde_json::to_string_pretty(&DistilBertFile {
                model_type,
                vocab_size: self.vocab_size,
                dim: self.hidden_size,
                n_layers: self.num_hidden_layers,
                n_heads: self.num_attention_heads,
                hidden_dim: self.intermediate_size,
                activation: self.hidden_act,
                dropout: self.hidden_dropout_prob,
                attention_dropout: self.attention_probs_dropout_prob,
                max_position_embeddings: self.max_position_embeddings,
                sinusoidal_pos_embds: false,
                initializer_range: self.initializer_range,
                pad_token_id: self.pad_token_id,
                seq_classif_dropout: self.classifier_dropout,
            }),
        };
        // Numbers and strings under fixed names always serialise.
        text.expect("a configuration of plain values serialises")
    }

    /// Returns the longest sequence, in tokens. RoBERTa's first positions belong to the padding token and to what is
    /// numbered before it: of 514 rows, 512 are left.
    pub fn max_sequence(&self) -> usize {
        let unused = if self.architecture.counts_behind_padding() {
            self.pad_token_id.saturating_add(1)
        } else {
            0
        };
        self.max_position_embeddings.saturating_sub(unused)
    }

    /// Returns the values of embeddings and encoder; the bounds of [`Self::problems`] keep it from overflowing.
    pub(crate) fn values(&self) -> u64 {
        let [hidden, intermediate] =
            [self.hidden_size, self.intermediate_size].map(|size| size as u64);
        let rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size;
        let layer = 4 * hidden * hidden + 2 * hidden * intermediate;
        rows as u64 * hidden + self.num_hidden_layers as u64 * layer
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let keys = Keys::of(self.architecture);
        let has_token_types = self.architecture.has_token_types();
        // The bounds are far beyond any BERT: what is above them comes from a damaged or a hostile file.
        for (name, size, most) in [
            ("vocab_size", self.vocab_size, 10_000_000),
            (keys.hidden_size, self.hidden_size, 65_536),
            (keys.num_hidden_layers, self.num_hidden_layers, 1_000),
            (keys.num_attention_heads, self.num_attention_heads, 65_536),
            (keys.intermediate_size, self.intermediate_size, 1_000_000),
            ("max_position_embeddings", self.max_position_embeddings, 1_000_000),
            ("type_vocab_size", self.type_vocab_size, 65_536),
        ] {
            if size == 0 && (name != "type_vocab_size" || has_token_types) {
                problems.push(format!("`{name}` must be at least 1"));
            } else if size > most {
                problems.push(format!("`{name}` ({size}) must be at most {most}"));
            }
        }
        if self.num_attention_heads > 0
            && !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            problems.push(format!(
                "`{}` ({}) must be a multiple of `{}` ({})",
                keys.hidden_size,
                self.hidden_size,
                keys.num_attention_heads,
                self.num_attention_heads
            ));
        }
        if self.vocab_size > 0 && self.pad_token_id >= self.vocab_size {
            problems.push(format!(
                "`pad_token_id` ({}) must be below `vocab_size` ({})",
                self.pad_token_id, self.vocab_size
            ));
        }
        if self.max_position_embeddings > 0 && self.max_sequence() == 0 {
            problems.push(format!(
                "`max_position_embeddings` ({}) must be at least {}: positions are counted from behind \
                 `pad_token_id` ({})",
                self.max_position_embeddings,
                self.pad_token_id.saturating_add(2),
                self.pad_token_id
            ));
        }
        for (name, dropout) in [
            (keys.hidden_dropout, Some(self.hidden_dropout_prob)),
            (keys.attention_dropout, Some(self.attention_probs_dropout_prob)),
            (keys.classifier_dropout, self.classifier_dropout),
        ] {
            let name = format!("`{name}`");
            problems.extend(dropout.and_then(|dropout| dropout_problem(&name, dropout)));
        }
        for (name, value) in
            [("layer_norm_eps", self.layer_norm_eps), ("initializer_range", self.initializer_range)]
        {
            if !(value.is_finite() && value > 0.0) {
                problems.push(format!("`{name}` ({value}) must be a positive number"));
            }
        }
        problems
    }
}

pub(crate) fn dropout_problem(name: &str, dropout: f64) -> Option<String> {
    let valid = (0.0..1.0).contains(&dropout);
    (!valid).then(|| format!("{name} ({dropout}) must be at least 0 and below 1"))
}

/// Reads keys one by one and remembers everything that was wrong with them.
struct Reader<'a> {
    keys: &'a Map<String, Value>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn config(&mut self, architecture: Architecture) -> BertConfig {
        let keys = Keys::of(architecture);
        let is_distilled = architecture == Architecture::DistilBert;
        self.only("position_embedding_type", &["absolute"]);
        for (name, why) in [
            ("is_decoder", "only encoders are supported"),
            ("sinusoidal_pos_embds", "only trained positions are supported"),
        ] {
            if self.keys.get(name) == Some(&Value::Bool(true)) {
                self.problems.push(format!("`{name}` is true; {why}"));
            }
        }
        BertConfig {
            architecture,
            vocab_size: self.size("vocab_size", None),
            hidden_size: self.size(keys.hidden_size, None),
            num_hidden_layers: self.size(keys.num_hidden_layers, None),
            num_attention_heads: self.size(keys.num_attention_heads, None),
            intermediate_size: self.size(keys.intermediate_size, None),
            hidden_act: self.activation(keys.hidden_act),
            hidden_dropout_prob: self.number(keys.hidden_dropout).unwrap_or(0.1),
            attention_probs_dropout_prob: self.number(keys.attention_dropout).unwrap_or(0.1),
            max_position_embeddings: self.size("max_position_embeddings", None),
            type_vocab_size: if is_distilled { 0 } else { self.size("type_vocab_size", Some(2)) },
            layer_norm_eps: if is_distilled {
                DISTILBERT_LAYER_NORM_EPS
            } else {
                self.number("layer_norm_eps").unwrap_or(1e-12)
            },
            initializer_range: self.number("initializer_range").unwrap_or(0.02),
            pad_token_id: {
                let behind = architecture.counts_behind_padding();
                self.size("pad_token_id", Some(usize::from(behind)))
            },
            classifier_dropout: {
                let given = self.number(keys.classifier_dropout);
                given.or(is_distilled.then_some(0.2))
            },
        }
    }

    fn size(&mut self, name: &str, default: Option<usize>) -> usize {
        let value = self.keys.get(name).filter(|value| !value.is_null());
        let size = match value {
            None => {
                if default.is_none() {
                    self.problems.push(format!("`{name}` is missing"));
                }
                default
            }
            Some(value) => {
                let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
                if size.is_none() {
                    self.problems.push(format!("`{name}` must be a whole number, not {value}"));
                }
                size
            }
        };
        size.unwrap_or(0)
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.keys.get(name).filter(|value| !value.is_null())?;
        let number = value.as_f64();
        if number.is_none() {
            self.problems.push(format!("`{name}` must be a number, not {value}"));
        }
        number
    }

    fn activation(&mut self, name: &str) -> Activation {
        let supported = Activation::NAMES.map(|(name, _)| name);
        if self.only(name, &supported) {
            let found = self.keys.get(name).and_then(Value::as_str).unwrap_or("gelu");
            return Activation::from_name(found).unwrap_or(Activation::Gelu);
        }
        Activation::Gelu
    }

    /// Checks that a key, if present, has one of the supported values.
    fn only(&mut self, name: &str, supported: &[&str]) -> bool {
        let Some(value) = self.keys.get(name).filter(|value| !value.is_null()) else {
            return true;
        };
        let known = value.as_str().is_some_and(|value| supported.contains(&value));
        if !known {
            let supported = supported.join("`, `");
            self.problems.push(format!("`{name}` is {value}; supported: `{supported}`"));
        }
        known
    }
}

/// Why a model cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a JSON object.
    #[error("the model's configuration is not a JSON object")]
    Syntax {
        /// Where the parser stopped.
        #[source]
        source: serde_json::Error,
    },
    /// Values are missing, malformed, unsupported or contradict each other.
    #[error("the model's configuration is not usable: {}", Listed(.problems))]
    Invalid {
        /// Every problem found, one sentence each.
        problems: Vec<String>,
    },
}

impl ConfigError {
    pub(crate) fn of(problems: Vec<String>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::Invalid { problems }) }
    }
}

/// Shows one item on the same line and several on a line each.
pub(crate) struct Listed<'a, T>(pub(crate) &'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, "{only}");
        }
        write!(f, "{} problems", self.0.len())?;
        self.0.iter().try_for_each(|item| write!(f, "\n  - {item}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINILM: &str = r#"{
        "_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": false, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 384, "initializer_range": 0.02,
        "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
        "position_embedding_type": "absolute", "transformers_version": "4.8.2",
        "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522, "classifier_dropout": null
    }"#;

    fn problems(result: Result<BertConfig, ConfigError>) -> Vec<String> {
        match result {
            Err(ConfigError::Invalid { problems }) => problems,
            other => panic!("expected an invalid configuration, got {other:?}"),
        }
    }

    #[test]
    fn a_published_configuration_is_read_and_written_back() {
        let config = BertConfig::from_json(MINILM).unwrap();
        assert_eq!(config.hidden_size, 384);
        assert_eq!(config.num_attention_heads, 12);
        assert_eq!(config.layer_norm_eps, 1e-12);
        assert_eq!(config.classifier_dropout, None);
        let text = config.to_json();
        assert!(text.contains("\"model_type\": \"bert\""), "{text}");
        assert!(text.contains("\"hidden_act\": \"gelu\""), "{text}");
        assert_eq!(BertConfig::from_json(&text).unwrap(), config);
    }

    #[test]
    fn every_activation_has_the_name_we_write() {
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            assert_eq!(Activation::from_name(activation.name()), Some(activation));
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let text = MINILM
            .replace("\"gelu\"", "\"swish\"")
            .replace("\"hidden_size\": 384,", "")
            .replace("\"absolute\"", "\"relative_key\"")
            .replace("30522", "-3");
        let problems = problems(BertConfig::from_json(&text));
        assert_eq!(
            problems,
            [
                "`position_embedding_type` is \"relative_key\"; supported: `absolute`",
                "`vocab_size` must be a whole number, not -3",
                "`hidden_size` is missing",
                "`hidden_act` is \"swish\"; supported: `gelu`, `gelu_python`, `gelu_new`, \
                 `gelu_pytorch_tanh`, `relu`",
            ]
        );
    }

    #[test]
    fn another_model_type_is_refused_with_those_that_are_supported() {
        let text = MINILM.replace("\"bert\"", "\"t5\"").replace("\"hidden_size\": 384,", "");
        assert_eq!(
            problems(BertConfig::from_json(&text)),
            ["`model_type` is \"t5\"; supported: `bert`, `distilbert`, `roberta`, `xlm-roberta`"]
        );
    }

    /// As published: <https://huggingface.co/distilbert/distilbert-base-uncased>.
    const DISTILBERT: &str = r#"{
        "activation": "gelu", "architectures": ["DistilBertForMaskedLM"], "attention_dropout": 0.1, "dim": 768,
        "dropout": 0.1, "hidden_dim": 3072, "initializer_range": 0.02, "max_position_embeddings": 512,
        "model_type": "distilbert", "n_heads": 12, "n_layers": 6, "pad_token_id": 0, "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": false, "tie_weights_": true,
        "transformers_version": "4.10.0.dev0", "vocab_size": 30522
    }"#;

    #[test]
    fn distilbert_has_keys_of_its_own() {
        let config = BertConfig::from_json(DISTILBERT).unwrap();
        assert_eq!(config.architecture, Architecture::DistilBert);
        let sizes = [config.hidden_size, config.intermediate_size, config.num_hidden_layers];
        assert_eq!(sizes, [768, 3072, 6]);
        assert_eq!((config.num_attention_heads, config.type_vocab_size), (12, 0));
        assert_eq!((config.classifier_dropout, config.max_sequence()), (Some(0.2), 512));
        let text = config.to_json();
        assert!(text.contains("\"seq_classif_dropout\": 0.2"), "{text}");
        assert_eq!(BertConfig::from_json(&text).unwrap(), config);
        let wrong = DISTILBERT
            .replace("\"n_heads\": 12", "\"n_heads\": 7")
            .replace("\"dropout\": 0.1", "\"dropout\": 1.0");
        assert_eq!(
            problems(BertConfig::from_json(&wrong)),
            [
                "`dim` (768) must be a multiple of `n_heads` (7)",
                "`dropout` (1) must be at least 0 and below 1",
            ]
        );
        let wrong =
            DISTILBERT.replace("embds\": false", "embds\": true").replace("\"dim\"", "\"x\"");
        assert_eq!(
            problems(BertConfig::from_json(&wrong)),
            [
                "`sinusoidal_pos_embds` is true; only trained positions are supported",
                "`dim` is missing",
            ]
        );
    }

    /// As published: <https://huggingface.co/FacebookAI/roberta-base>.
    const ROBERTA: &str = r#"{
        "architectures": ["RobertaForMaskedLM"], "attention_probs_dropout_prob": 0.1, "bos_token_id": 0,
        "eos_token_id": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 768,
        "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514, "model_type": "roberta", "num_attention_heads": 12,
        "num_hidden_layers": 12, "pad_token_id": 1, "type_vocab_size": 1, "vocab_size": 50265
    }"#;

    #[test]
    fn positions_of_roberta_begin_behind_the_padding_token() {
        for name in ["roberta", "xlm-roberta"] {
            let text = ROBERTA.replace("\"roberta\"", &format!("\"{name}\""));
            let config = BertConfig::from_json(&text).unwrap();
            assert_eq!(config.architecture.model_type(), name);
            assert_eq!((config.max_position_embeddings, config.max_sequence()), (514, 512));
            assert_eq!((config.layer_norm_eps, config.type_vocab_size), (1e-5, 1));
            assert_eq!(BertConfig::from_json(&config.to_json()).unwrap(), config);
        }
        let short = ROBERTA.replace("514", "2");
        assert_eq!(
            problems(BertConfig::from_json(&short)),
            [
                "`max_position_embeddings` (2) must be at least 3: positions are counted from behind \
                 `pad_token_id` (1)"
            ]
        );
    }

    #[test]
    fn contradictions_are_reported_at_once() {
        let text = MINILM
            .replace("\"num_attention_heads\": 12", "\"num_attention_heads\": 7")
            .replace("\"hidden_dropout_prob\": 0.1", "\"hidden_dropout_prob\": 1.0")
            .replace("\"pad_token_id\": 0", "\"pad_token_id\": 40000");
        assert_eq!(
            problems(BertConfig::from_json(&text)),
            [
                "`hidden_size` (384) must be a multiple of `num_attention_heads` (7)",
                "`pad_token_id` (40000) must be below `vocab_size` (30522)",
                "`hidden_dropout_prob` (1) must be at least 0 and below 1",
            ]
        );
    }

    #[test]
    fn text_that_is_no_object_is_a_syntax_error() {
        assert!(matches!(BertConfig::from_json("[1]"), Err(ConfigError::Syntax { .. })));
        assert!(matches!(BertConfig::from_json("{"), Err(ConfigError::Syntax { .. })));
    }
}

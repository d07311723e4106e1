//! What a model is: Hugging Face's `config.json`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The architecture of a BERT model, under the names of Hugging Face's `config.json`.
///
/// # Source
/// `BertConfig` in `configuration_bert.py`, beside [`modeling_bert.py`](crate#source).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "model_type", rename = "bert")]
pub struct BertConfig {
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
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Segments a token can belong to.
    pub type_vocab_size: usize,
    /// Added to the variance in every `LayerNorm`.
    pub layer_norm_eps: f64,
    /// Standard deviation of newly initialised weights.
    pub initializer_range: f64,
    /// The token used as padding.
    pub pad_token_id: usize,
    /// Dropout before the classification layer; absent means `hidden_dropout_prob`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_dropout: Option<f64>,
}

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
        reader.only("model_type", &["bert"]);
        reader.only("position_embedding_type", &["absolute"]);
        if keys.get("is_decoder") == Some(&Value::Bool(true)) {
            reader.problems.push("`is_decoder` is true; only encoders are supported".to_owned());
        }
        let config = Self {
            vocab_size: reader.size("vocab_size", None),
            hidden_size: reader.size("hidden_size", None),
            num_hidden_layers: reader.size("num_hidden_layers", None),
            num_attention_heads: reader.size("num_attention_heads", None),
            intermediate_size: reader.size("intermediate_size", None),
            hidden_act: reader.activation("hidden_act"),
            hidden_dropout_prob: reader.number("hidden_dropout_prob").unwrap_or(0.1),
            attention_probs_dropout_prob: reader
                .number("attention_probs_dropout_prob")
                .unwrap_or(0.1),
            max_position_embeddings: reader.size("max_position_embeddings", None),
            type_vocab_size: reader.size("type_vocab_size", Some(2)),
            layer_norm_eps: reader.number("layer_norm_eps").unwrap_or(1e-12),
            initializer_range: reader.number("initializer_range").unwrap_or(0.02),
            pad_token_id: reader.size("pad_token_id", Some(0)),
            classifier_dropout: reader.number("classifier_dropout"),
        };
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
    /// [`from_json`](Self::from_json) read.
    pub fn to_json(&self) -> String {
        // Numbers and strings under fixed names always serialise.
        serde_json::to_string_pretty(self).expect("a configuration of plain values serialises")
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
        // The bounds are far beyond any BERT: what is above them comes from a damaged or a hostile file.
        for (name, size, most) in [
            ("vocab_size", self.vocab_size, 10_000_000),
            ("hidden_size", self.hidden_size, 65_536),
            ("num_hidden_layers", self.num_hidden_layers, 1_000),
            ("num_attention_heads", self.num_attention_heads, 65_536),
            ("intermediate_size", self.intermediate_size, 1_000_000),
            ("max_position_embeddings", self.max_position_embeddings, 1_000_000),
            ("type_vocab_size", self.type_vocab_size, 65_536),
        ] {
            if size == 0 {
                problems.push(format!("`{name}` must be at least 1"));
            } else if size > most {
                problems.push(format!("`{name}` ({size}) must be at most {most}"));
            }
        }
        if self.num_attention_heads > 0
            && !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            problems.push(format!(
                "`hidden_size` ({}) must be a multiple of `num_attention_heads` ({})",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if self.vocab_size > 0 && self.pad_token_id >= self.vocab_size {
            problems.push(format!(
                "`pad_token_id` ({}) must be below `vocab_size` ({})",
                self.pad_token_id, self.vocab_size
            ));
        }
        for (name, dropout) in [
            ("`hidden_dropout_prob`", Some(self.hidden_dropout_prob)),
            ("`attention_probs_dropout_prob`", Some(self.attention_probs_dropout_prob)),
            ("`classifier_dropout`", self.classifier_dropout),
        ] {
            problems.extend(dropout.and_then(|dropout| dropout_problem(name, dropout)));
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
            .replace("\"bert\"", "\"distilbert\"")
            .replace("\"gelu\"", "\"swish\"")
            .replace("\"hidden_size\": 384,", "")
            .replace("\"absolute\"", "\"relative_key\"")
            .replace("30522", "-3");
        let problems = problems(BertConfig::from_json(&text));
        assert_eq!(
            problems,
            [
                "`model_type` is \"distilbert\"; supported: `bert`",
                "`position_embedding_type` is \"relative_key\"; supported: `absolute`",
                "`vocab_size` must be a whole number, not -3",
                "`hidden_size` is missing",
                "`hidden_act` is \"swish\"; supported: `gelu`, `gelu_python`, `gelu_new`, \
                 `gelu_pytorch_tanh`, `relu`",
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

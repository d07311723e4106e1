//! The complete settings of one fine-tune: every default filled in, nothing left to a library.

use serde::{Deserialize, Serialize};

use crate::ramp::Ramp;
use crate::task::Task;

/// Everything that decides what one trial computes, but for its seeds.
///
/// Made by [`crate::sweep_file`] from `[train]`, `[model]` and `[data]`, with the trial's configuration applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How to train.
    pub train: TrainSettings,
    /// What to start from.
    pub model: ModelSettings,
    /// What to train on.
    pub data: DataSettings,
}

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Peak learning rate, reached at the end of the warm-up.
    pub learning_rate: f64,
    /// Examples per step (one optimizer update), all micro-batches together.
    pub batch_size: u64,
    /// Passes over the training split.
    pub epochs: u64,
    /// Ends training (and the schedule) after this many steps, whatever `epochs` says.
    pub max_steps: Option<u64>,
    /// The update rule.
    pub optimizer: Optimizer,
    /// Momentum of SGD; unused by the others.
    pub momentum: f64,
    /// First-moment decay of Adam and AdamW.
    pub beta1: f64,
    /// Second-moment decay of Adam and AdamW.
    pub beta2: f64,
    /// Added to the root of the second moment in Adam and AdamW.
    pub epsilon: f64,
    /// Decoupled for AdamW, added to the gradient for the others; never on biases and LayerNorm.
    pub weight_decay: f64,
    /// Global gradient norm above which gradients are scaled down; 0 turns clipping off.
    pub max_grad_norm: f64,
    /// Shape of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// Share of all steps spent in warm-up; `warmup_steps` wins where it is given.
    pub warmup_ratio: f64,
    /// Steps of warm-up.
    pub warmup_steps: Option<u64>,
    /// Longest sequence in tokens, special tokens included.
    pub max_length: MaxLength,
    /// Evaluations per epoch; the last step is always evaluated.
    pub evaluations_per_epoch: u64,
    /// Sets hidden, attention and classifier dropout at once; none: the model's own.
    pub dropout: Option<f64>,
    /// Dropout after embeddings and sublayers; wins over `dropout`.
    pub hidden_dropout: Option<f64>,
    /// Dropout on attention probabilities; wins over `dropout`.
    pub attention_dropout: Option<f64>,
    /// Dropout before the classification head; wins over `dropout`.
    pub classifier_dropout: Option<f64>,
    /// Share of the target's mass spread evenly over all classes.
    pub label_smoothing: f64,
    /// Micro-batches that make one step; `batch_size` is divided by it.
    pub gradient_accumulation: u64,
    /// What stays at its pretrained values.
    pub freeze: Freeze,
    /// The head's learning rate is this times `learning_rate`.
    pub head_learning_rate_multiplier: f64,
    /// Weights of the classes in the training loss.
    pub class_weights: ClassWeights,
    /// How a sequence becomes one vector.
    pub pooling: Pooling,
    /// Numbers that the encoder's matrix products are computed in.
    // Left out where it is the default, so that fingerprints of sweeps from before it was there stay.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    // As `precision`, all of the following are left out where they have their default.
    /// Standard deviation of the head's fresh weights, which are then drawn even where a file has a head; none: the
    /// model's `initializer_range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_init_std: Option<f64>,
    /// So many of the uppermost encoder layers start from fresh random weights.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reinit_layers: u64,
    /// The pooler starts from fresh random weights.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reinit_pooler: bool,
    /// The learning rate of a layer is this times that of the layer above it; 1 turns it off.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub layerwise_decay: f64,
    /// The head's own peak learning rate, instead of a multiple of `learning_rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_learning_rate: Option<f64>,
    /// How the examples of an epoch are ordered.
    #[serde(default, skip_serializing_if = "Sampling::is_default")]
    pub sampling: Sampling,
    /// Climbs through learning rates instead of following `schedule`, and ends where the loss has blown up. Not for
    /// sweep files: [`crate::probe`] sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
}

fn one() -> f64 {
    1.0
}

fn is_one(number: &f64) -> bool {
    *number == 1.0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// `[model]`: exactly one of `path` and `preset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// A Hugging Face directory (absolute), or `hf:org/name`.
    pub path: Option<String>,
    /// A model made here with random weights; needs no download.
    pub preset: Option<Preset>,
    /// Keeps the first so many encoder layers.
    pub layers: Option<u64>,
}

/// `[data]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// Training file: csv, tsv or jsonl (by extension), with a header; absolute.
    pub train: String,
    /// Validation file of its own, `"none"`, or nothing: then `validation_fraction` of `train`.
    pub validation: Option<String>,
    /// Test file of its own.
    pub test: Option<String>,
    /// Column of the text.
    pub text: String,
    /// Column of the second text in sentence-pair tasks.
    pub text_pair: Option<String>,
    /// Column of the label.
    pub label: String,
    /// Stratified share of `train` held out for validation, where `validation` is not given.
    pub validation_fraction: f64,
    /// Stratified share of `train` held out for the test, where `test` is not given.
    pub test_fraction: f64,
    /// Most training examples: drawn by seed, stratified, after the validation and test splits.
    pub train_limit: Option<u64>,
    /// Most validation examples: drawn likewise.
    pub validation_limit: Option<u64>,
    // Left out where they have their default, for the sake of fingerprints.
    /// What the model learns to answer.
    #[serde(default, skip_serializing_if = "TaskChoice::is_default")]
    pub task: TaskChoice,
    /// What stands between two labels of a cell, in a multi-label task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_separator: Option<String>,
    /// Trains on the validation split as well, which is then no split of its own. Not for sweep files: [`crate::refit`]
    /// sets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub train_on_validation: bool,
}

/// The update rule of the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    #[serde(rename = "adamw")]
    AdamW,
    /// Adam (Kingma and Ba 2015); weight decay is added to the gradient.
    Adam,
    /// Stochastic gradient descent, with `momentum` as in PyTorch.
    Sgd,
    /// RMSProp as in PyTorch (smoothing 0.99, not centred).
    #[serde(rename = "rmsprop")]
    RmsProp,
    /// AdaGrad as in PyTorch.
    #[serde(rename = "adagrad")]
    AdaGrad,
}

/// Shape of the learning rate after the warm-up, over the rest of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Down to zero in a straight line.
    Linear,
    /// Down to zero along half a cosine.
    Cosine,
    /// Stays at its peak.
    Constant,
}

/// `max_length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxLength {
    /// The 99th percentile of the training split, at most what the model allows.
    Auto,
    /// So many tokens.
    Tokens(u64),
}

/// `freeze`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// Everything trains.
    None,
    /// The embeddings stay.
    Embeddings,
    /// Embeddings and the lowest so many layers stay.
    Layers(u64),
    /// Only pooler and head train.
    Encoder,
}

/// `class_weights`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// All classes count alike.
    None,
    /// Inverse to the class's share of the training split (scikit-learn's `balanced`).
    Balanced,
    /// The square roots of those of `balanced`.
    Sqrt,
    /// In the order of the sorted label names.
    Given(Vec<f64>),
}

/// How a sequence becomes one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// BERT's pooler over the first token.
    Cls,
    /// Mean of the last hidden states over unmasked tokens.
    Mean,
}

/// Numbers that the encoder's matrix products are computed in. Weights, their updates, normalisation and softmax stay
/// in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// 8 bits of fraction, the range of single precision.
    BFloat16,
    /// 11 bits of fraction, up to 65,504: the loss is scaled so that small gradients survive.
    Float16,
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Self::Float32
    }
}

/// How the examples of an epoch are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// At random.
    #[default]
    Shuffle,
    /// At random, with every stratum (a class, in a task of classes) in proportion in every batch.
    Stratified,
    /// At random, with all classes equally often: rare ones are repeated, frequent ones wait for a later epoch.
    Balanced,
}

impl Sampling {
    fn is_default(&self) -> bool {
        *self == Self::Shuffle
    }
}

/// `task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskChoice {
    /// What the labels of the training file look like.
    #[default]
    Auto,
    /// One class of two or more.
    Classes,
    /// Any number of labels, each by itself.
    MultiLabel,
    /// A number.
    Regression,
}

impl TaskChoice {
    fn is_default(&self) -> bool {
        *self == Self::Auto
    }

    /// Returns the task that is asked for; none: it depends on the data.
    pub fn task(self) -> Option<Task> {
        match self {
            Self::Auto => None,
            Self::Classes => Some(Task::Classes),
            Self::MultiLabel => Some(Task::MultiLabel),
            Self::Regression => Some(Task::Regression),
        }
    }
}

/// A model made here with random weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Two layers of width 32, with a vocabulary taken from the training split: for smoke tests.
    Tiny,
}

/// What can stand where a word or a number may: the written form of [`MaxLength`] and [`Freeze`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WordOrNumber {
    Number(u64),
    Word(String),
}

/// The written form of [`ClassWeights`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WordOrNumbers {
    Numbers(Vec<f64>),
    Word(String),
}

impl Serialize for MaxLength {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Tokens(tokens) => serializer.serialize_u64(*tokens),
        }
    }
}

impl<'de> Deserialize<'de> for MaxLength {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match WordOrNumber::deserialize(deserializer)? {
            WordOrNumber::Number(tokens) => Ok(Self::Tokens(tokens)),
            WordOrNumber::Word(word) if word == "auto" => Ok(Self::Auto),
            WordOrNumber::Word(word) => Err(serde::de::Error::custom(format!(
                "expected \"auto\" or a number of tokens, found \"{word}\""
            ))),
        }
    }
}

impl Serialize for Freeze {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Embeddings => serializer.serialize_str("embeddings"),
            Self::Encoder => serializer.serialize_str("encoder"),
            Self::Layers(layers) => serializer.serialize_u64(*layers),
        }
    }
}

impl<'de> Deserialize<'de> for Freeze {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match WordOrNumber::deserialize(deserializer)? {
            WordOrNumber::Number(layers) => Ok(Self::Layers(layers)),
            WordOrNumber::Word(word) => match word.as_str() {
                "none" => Ok(Self::None),
                "embeddings" => Ok(Self::Embeddings),
                "encoder" => Ok(Self::Encoder),
                _ => Err(serde::de::Error::custom(format!(
                    "expected \"none\", \"embeddings\", \"encoder\" or a number of layers, found \"{word}\""
                ))),
            },
        }
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Sqrt => serializer.serialize_str("sqrt"),
            Self::Given(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match WordOrNumbers::deserialize(deserializer)? {
            WordOrNumbers::Numbers(weights) => Ok(Self::Given(weights)),
            WordOrNumbers::Word(word) => match word.as_str() {
                "none" => Ok(Self::None),
                "balanced" => Ok(Self::Balanced),
                "sqrt" => Ok(Self::Sqrt),
                _ => Err(serde::de::Error::custom(format!(
                    "expected \"none\", \"balanced\", \"sqrt\" or a list of weights, found \"{word}\""
                ))),
            },
        }
    }
}

impl Settings {
    /// Returns the defaults for a model and a training file.
    pub fn defaults(model: ModelSettings, train_file: impl Into<String>) -> Self {
        Self { train: TrainSettings::defaults(), model, data: DataSettings::defaults(train_file) }
    }
}

impl From<Preset> for ModelSettings {
    fn from(preset: Preset) -> Self {
        Self { path: None, preset: Some(preset), layers: None }
    }
}

impl DataSettings {
    /// Returns the defaults for a training file.
    pub fn defaults(train_file: impl Into<String>) -> Self {
        Self {
            train: train_file.into(),
            validation: None,
            test: None,
            text: "text".into(),
            text_pair: None,
            label: "label".into(),
            validation_fraction: 0.2,
            test_fraction: 0.0,
            train_limit: None,
            validation_limit: None,
            task: TaskChoice::Auto,
            label_separator: None,
            train_on_validation: false,
        }
    }
}

impl TrainSettings {
    /// Returns the defaults.
    ///
    /// # Source
    /// Devlin et al. 2019 (appendix A.3) for rate, warm-up, decay and clipping; epsilon as in PyTorch.
    pub fn defaults() -> Self {
        Self {
            learning_rate: 2e-5,
            batch_size: 16,
            epochs: 3,
            max_steps: None,
            optimizer: Optimizer::AdamW,
            momentum: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
            schedule: Schedule::Linear,
            warmup_ratio: 0.1,
            warmup_steps: None,
            max_length: MaxLength::Auto,
            evaluations_per_epoch: 4,
            dropout: None,
            hidden_dropout: None,
            attention_dropout: None,
            classifier_dropout: None,
            label_smoothing: 0.0,
            gradient_accumulation: 1,
            freeze: Freeze::None,
            head_learning_rate_multiplier: 1.0,
            class_weights: ClassWeights::None,
            pooling: Pooling::Cls,
            precision: Precision::Float32,
            head_init_std: None,
            reinit_layers: 0,
            reinit_pooler: false,
            layerwise_decay: 1.0,
            head_learning_rate: None,
            sampling: Sampling::Shuffle,
            ramp: None,
        }
    }

    /// Returns what the head's learning rate is, over that of the rest.
    pub fn head_multiplier(&self) -> f64 {
        match self.head_learning_rate {
            Some(own) => own / self.learning_rate,
            None => self.head_learning_rate_multiplier,
        }
    }

    /// Returns hidden, attention and classifier dropout as asked for; none: the model's own.
    pub fn dropouts(&self) -> [Option<f64>; 3] {
        [self.hidden_dropout, self.attention_dropout, self.classifier_dropout]
            .map(|own| own.or(self.dropout))
    }
}

//! The whole model: tokens in, one logit per label out.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::attention::additive_mask;
use crate::config::{BertConfig, ConfigError};
use crate::embeddings::Embeddings;
use crate::encoder::{Dropouts, Encoder};
#[cfg(feature = "flex")]
use crate::fused::RowSink;
use crate::heads::{ClassificationHead, Pooler, mean_pooling};
use crate::initial_values::initial_values;
use crate::mapping;
use crate::options::{ClassifierOptions, Pooling, Precision};
#[cfg(feature = "flex")]
use crate::packed::Packed;
use crate::parameters::{self, Parameter};

/// A BERT encoder, or one of its kin, with a classification head.
///
/// Dropout acts if the model was built on an autodiff device, and is off in what Burn's
/// [`valid`](Module::valid) returns: evaluate that. Its masks come from the generator that
/// [`Device::seed`] resets.
///
/// # Source
/// `BertForSequenceClassification` in [`modeling_bert.py`](crate#source), and the classes of that kind beside it.
#[derive(Module, Debug)]
pub struct BertClassifier {
    // Burn visits fields in this order, which is the order of the parameter table.
    embeddings: Embeddings,
    encoder: Encoder,
    /// Absent with mean pooling.
    pooler: Option<Pooler>,
    head: ClassificationHead,
    #[module(skip)]
    pub(crate) parameters: Arc<[Parameter]>,
    #[module(skip)]
    config: Arc<BertConfig>,
    #[module(skip)]
    precision: Precision,
    /// Gradients by rows of the word table, from a backward pass until they are taken.
    #[cfg(feature = "flex")]
    #[module(skip)]
    pub(crate) word_rows: RowSink,
}

/// A batch of tokenised examples, padded to one length.
#[derive(Debug, Clone)]
pub struct BertInput {
    /// `[batch, sequence]`, each below `vocab_size`.
    pub token_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 0, and 1 for the second sentence of a pair; not looked at where a model has no types.
    pub token_type_ids: Tensor<2, Int>,
    /// `[batch, sequence]`: 1 for a token, 0 for padding; at least one token per example.
    pub attention_mask: Tensor<2, Int>,
    /// Dropout masks are a function of it. [`BertClassifier::forward`] resets the device's generator with it.
    pub dropout_seed: u64,
}

impl BertClassifier {
    /// Returns a model with random weights, a pure function of `seed`.
    ///
    /// On an autodiff device its parameters require gradients.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if configuration or options are not usable.
    pub fn new(
        config: &BertConfig,
        options: &ClassifierOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let config = options.apply_to(config)?;
        let model = Self::unfilled(&config, options, device);
        let fill = |parameter: &Parameter| Some(initial_values(parameter, &config, seed));
        Ok(parameters::fill(model, fill))
    }

    /// Builds the model with parameters that are not yet allocated.
    ///
    /// `config` is what `options` made of a published one.
    pub(crate) fn unfilled(
        config: &BertConfig,
        options: &ClassifierOptions,
        device: &Device,
    ) -> Self {
        let hidden_dropout = config.hidden_dropout_prob;
        let dropouts =
            Dropouts { hidden: hidden_dropout, attention: config.attention_probs_dropout_prob };
        let head_dropout = config.classifier_dropout.unwrap_or(hidden_dropout);
        Self {
            embeddings: Embeddings::unfilled(config, hidden_dropout, device),
            encoder: Encoder::unfilled(config, dropouts, device),
            pooler: (options.pooling == Pooling::Cls)
                .then(|| Pooler::unfilled(config, head_dropout, device)),
            head: ClassificationHead::unfilled(config, options.labels, head_dropout, device),
            parameters: mapping::table(config, options.labels, options.pooling).into(),
            config: Arc::new(config.clone()),
            precision: options.precision,
            #[cfg(feature = "flex")]
            word_rows: RowSink::default(),
        }
    }

    /// Returns how hidden states are summarised.
    pub fn pooling(&self) -> Pooling {
        if self.pooler.is_some() { Pooling::Cls } else { Pooling::Mean }
    }

    /// Returns the configuration in force: the published one with the options applied.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Scores every label for each example.
    ///
    /// # Shapes
    /// - output: `[batch, labels]`, unnormalised
    ///
    /// # Panics
    /// If `sequence` exceeds the model's [`max_sequence`](BertConfig::max_sequence).
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        input.token_ids.device().seed(input.dropout_seed);
        #[cfg(feature = "flex")]
        if let Some(packed) = Packed::new(&input, &self.embeddings) {
            let hidden_states =
                self.packed_states(&packed, self.pooler.is_some(), input.dropout_seed);
            let pooled = match &self.pooler {
                Some(pooler) => pooler.forward_first(hidden_states),
                None => packed.mean(hidden_states),
            };
            return self.head.forward(pooled);
        }
        self.composed_logits(input)
    }

    /// Scores every label in operations of Burn's own, as every device but the processor does.
    fn composed_logits(&self, input: BertInput) -> Tensor<2> {
        let attention_mask = input.attention_mask.clone();
        let hidden_states = self.composed_states(input);
        let pooled = match &self.pooler {
            Some(pooler) => pooler.forward(hidden_states),
            None => mean_pooling(hidden_states, attention_mask),
        };
        self.head.forward(pooled)
    }

    /// Returns the encoder's last hidden state of every token, padding included.
    ///
    /// # Shapes
    /// - output: `[batch, sequence, hidden]`
    ///
    /// # Panics
    /// If `sequence` exceeds the model's [`max_sequence`](BertConfig::max_sequence).
    pub fn hidden_states(&self, input: BertInput) -> Tensor<3> {
        #[cfg(feature = "flex")]
        if let Some(packed) = Packed::new(&input, &self.embeddings) {
            let hidden_states = self.packed_states(&packed, false, input.dropout_seed);
            return packed.padded(hidden_states);
        }
        self.composed_states(input)
    }

    fn composed_states(&self, input: BertInput) -> Tensor<3> {
        let embedded = self.embeddings.forward(input.token_ids, input.token_type_ids);
        self.encoder.forward(embedded, additive_mask(input.attention_mask), self.precision)
    }

    #[cfg(feature = "flex")]
    fn packed_states(&self, packed: &Packed, first_only: bool, dropout_seed: u64) -> Tensor<2> {
        let embedded = self.embeddings.forward_packed(packed, dropout_seed, &self.word_rows);
        self.encoder.forward_packed(embedded, packed, first_only, dropout_seed)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use std::path::Path;

    use burn::tensor::TensorData;

    use super::*;
    use crate::device::{name_of_tests, of_tests};
    use crate::parameters::Gradient;
    use crate::weights;

    /// The batch of the goldens.
    fn input(golden: &serde_json::Value, device: &Device) -> BertInput {
        let matrix = |name: &str| -> Tensor<2, Int> {
            let rows: Vec<Vec<i64>> =
                serde_json::from_value(golden[name].clone()).expect("the golden has it");
            let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
            Tensor::from_data(data, device)
        };
        BertInput {
            token_ids: matrix("token_ids"),
            token_type_ids: matrix("token_type_ids"),
            attention_mask: matrix("attention_mask"),
            dropout_seed: 0,
        }
    }

    /// Other devices take the composed way only, and the tests of the references hold them to it.
    #[test]
    fn fused_and_composed_operations_agree_in_every_architecture() {
        if name_of_tests() != "cpu" {
            println!("not run: fused operations are the processor's");
            return;
        }
        for folder in ["tiny", "tiny_distilbert", "tiny_roberta"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(folder);
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
            let config = BertConfig::from_json(&read("config.json")).unwrap();
            let golden: serde_json::Value = serde_json::from_str(&read("golden.json")).unwrap();
            let device = of_tests().autodiff();
            let file = folder.join("model.safetensors");
            for pooling in [Pooling::Cls, Pooling::Mean] {
                let options = ClassifierOptions { pooling, ..ClassifierOptions::new(3) };
                let (model, _) = weights::load_file(&file, &config, &options, 0, &device).unwrap();
                let input = input(&golden["forward"], &device);
                let answers = [model.forward(input.clone()), model.composed_logits(input)];
                let [fused, composed] = answers.map(|logits| {
                    let values: Vec<f32> =
                        logits.clone().inner().into_data().try_into_vec().unwrap();
                    // Another weight for each logit, so that no gradient cancels out.
                    let weights = (1..=values.len()).map(|n| n as f32).collect::<Vec<_>>();
                    let weights = TensorData::new(weights, logits.dims());
                    let loss = (logits * Tensor::from_data(weights, &device)).sum();
                    (values, model.take_gradients(loss.backward()))
                });
                near("logits", &fused.0, &composed.0, 1e-5);
                for (parameter, (fused, composed)) in
                    model.parameters().iter().zip(fused.1.into_iter().zip(composed.1))
                {
                    let values =
                        |gradient: Option<Gradient>| gradient.unwrap().into_values(parameter);
                    let (fused, composed) = (values(fused), values(composed));
                    let largest = fused.iter().fold(1e-3_f32, |l, value| l.max(value.abs()));
                    near(&parameter.name, &fused, &composed, 1e-4 * largest + 1e-4);
                }
            }
        }
    }

    fn near(what: &str, left: &[f32], right: &[f32], tolerance: f32) {
        assert_eq!(left.len(), right.len(), "{what}");
        for (left, right) in left.iter().zip(right) {
            assert!((left - right).abs() <= tolerance, "{what}: {left} and {right}");
        }
    }
}

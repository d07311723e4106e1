//! What the settings are called in Hugging Face's libraries: the Trainer, the configuration of a model.

/// Key and equivalent; empty where there is none. Names in code marks are fields of `TrainingArguments`, or of the
/// model's configuration where it says so.
#[rustfmt::skip]
const EQUIVALENTS: &[(&str, &str)] = &[
    ("train.learning_rate", "`learning_rate` (default there 5e-5)"),
    ("train.batch_size", "`per_device_train_batch_size` × `gradient_accumulation_steps` × devices (8)"),
    ("train.epochs", "`num_train_epochs` (3)"),
    ("train.max_steps", "`max_steps` (-1: none)"),
    ("train.optimizer", "`optim`: `adamw_torch`, `sgd`, `rmsprop`, `adagrad`"),
    ("train.momentum", "`optim_args=\"momentum=…\"`"),
    ("train.beta1", "`adam_beta1` (0.9)"),
    ("train.beta2", "`adam_beta2` (0.999)"),
    ("train.epsilon", "`adam_epsilon` (1e-8)"),
    ("train.weight_decay", "`weight_decay` (0)"),
    ("train.max_grad_norm", "`max_grad_norm` (1)"),
    ("train.schedule", "`lr_scheduler_type`: `linear`, `cosine`, `constant_with_warmup`"),
    ("train.warmup_ratio", "`warmup_ratio`, in transformers 5 `warmup_steps` below 1 (0)"),
    ("train.warmup_steps", "`warmup_steps` (0)"),
    ("train.max_length", "the tokenizer's `max_length` with `truncation=True`"),
    ("train.evaluations_per_epoch", "`eval_strategy` and `eval_steps` (never)"),
    ("train.dropout", "model: the three below at once"),
    ("train.hidden_dropout", "model: `hidden_dropout_prob`"),
    ("train.attention_dropout", "model: `attention_probs_dropout_prob`"),
    ("train.classifier_dropout", "model: `classifier_dropout`"),
    ("train.label_smoothing", "`label_smoothing_factor` (0)"),
    ("train.gradient_accumulation", "`gradient_accumulation_steps`, but it divides `batch_size` (1)"),
    ("train.freeze", "`requires_grad_(False)` by hand"),
    ("train.head_learning_rate_multiplier", "parameter groups by hand"),
    ("train.class_weights", "`compute_loss` by hand"),
    ("train.pooling", "`cls` is `AutoModelForSequenceClassification`"),
    ("train.precision", "`bf16`, `fp16`"),
    ("model.path", "`from_pretrained(…)`"),
    ("model.preset", ""),
    ("model.layers", "model: `num_hidden_layers`"),
    ("data.train", "`train_dataset`"),
    ("data.validation", "`eval_dataset`"),
    ("data.test", "the argument of `predict`"),
    ("data.text", "the argument of the tokenizer"),
    ("data.text_pair", "the tokenizer's `text_pair`"),
    ("data.label", "the column `labels`"),
    ("data.validation_fraction", "`train_test_split(test_size=…, stratify_by_column=…)`"),
    ("data.test_fraction", "the same once more"),
    ("data.train_limit", "`select(range(…))`"),
    ("data.validation_limit", "`select(range(…))`"),
    // Not in every build yet; a row without a key does no harm.
    ("train.head_learning_rate", "parameter groups by hand"),
    ("train.head_init_std", "model: `initializer_range` (0.02)"),
    ("train.reinit_layers", "by hand (Zhang et al. 2021)"),
    ("train.reinit_pooler", "by hand (Zhang et al. 2021)"),
    ("train.layerwise_decay", "parameter groups by hand"),
    ("train.sampling", "`WeightedRandomSampler` by hand"),
    ("data.task", "model: `problem_type`"),
    ("data.label_separator", "by hand"),
];

/// Returns the equivalent of a setting, by its full name.
pub fn equivalent(name: &str) -> Option<&'static str> {
    EQUIVALENTS.iter().find(|(key, _)| *key == name).map(|(_, equivalent)| *equivalent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KEYS;

    #[test]
    fn every_setting_says_what_it_is_called_elsewhere() {
        let missing: Vec<_> =
            KEYS.iter().map(|key| key.name).filter(|name| equivalent(name).is_none()).collect();
        assert!(missing.is_empty(), "add a row for {missing:?}");
    }
}

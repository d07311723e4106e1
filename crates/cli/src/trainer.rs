//! A trial as a Python script for the Trainer of Hugging Face's transformers: the same data, split, model, and
//! arguments, as far as the Trainer can express them; what it cannot is said in the script.

use converge_core::facts::Facts;
use converge_core::key::KEYS;
use converge_core::micro_batches::MicroBatches;
use converge_core::seed::TrialSeeds;
use converge_core::settings::{
    ClassWeights, Freeze, Optimizer, Pooling, Precision, Schedule, Settings,
};
use converge_core::steps::{steps_per_epoch, total_steps, warmup_steps};
use converge_core::task::Task;
use converge_scheduler::trials::definition;
use converge_store::{SweepRecord, TrialDetail};
use serde_json::{Value, json};

use crate::drive::VERSION;
use crate::output;
use crate::report::Report;

/// What is the same whatever the trial: reading files as converge reads them, and drawing its splits.
const DATA: &str = include_str!("trainer/data.py");
/// Settings that the script follows; every other that differs from its default is named as one that it does not.
const FOLLOWED: [&str; 38] = [
    "train.learning_rate",
    "train.batch_size",
    "train.epochs",
    "train.max_steps",
    "train.optimizer",
    "train.momentum",
    "train.beta1",
    "train.beta2",
    "train.epsilon",
    "train.weight_decay",
    "train.max_grad_norm",
    "train.schedule",
    "train.warmup_ratio",
    "train.warmup_steps",
    "train.max_length",
    "train.evaluations_per_epoch",
    "train.dropout",
    "train.hidden_dropout",
    "train.attention_dropout",
    "train.classifier_dropout",
    "train.label_smoothing",
    "train.gradient_accumulation",
    "train.freeze",
    "train.class_weights",
    "train.pooling",
    "train.precision",
    "model.path",
    "model.layers",
    "data.train",
    "data.validation",
    "data.test",
    "data.text",
    "data.text_pair",
    "data.label",
    "data.validation_fraction",
    "data.test_fraction",
    "data.train_limit",
    "data.validation_limit",
];

/// Returns the script.
pub(crate) fn script(record: &SweepRecord, detail: &TrialDetail) -> Result<String, Report> {
    let settings = &detail.settings;
    let Some(model) = &settings.model.path else {
        return Err(Report::usage(
            "a preset's weights and vocabulary are made by converge: the Trainer has no such model",
            "`--as trainer` is for trials whose model has a `path`",
        ));
    };
    let facts =
        usize::try_from(detail.trial.facts_index).ok().and_then(|index| record.facts.get(index));
    let facts = facts.ok_or_else(|| {
        Report::usage(
            "the sweep's facts are not stored",
            "`converge repair` looks for what is wrong",
        )
    })?;
    let seeds = TrialSeeds::new(definition(record)?.seed, detail.trial.replicate);
    let script = Script { settings, facts, seeds };
    let mut text = script.introduction(record, detail);
    text += &script.constants(model.strip_prefix("hf:").unwrap_or(model));
    text += DATA.split_once("# ---\n").map_or(DATA, |(_, body)| body);
    text += &script.model();
    text += &script.arguments(detail.trial.number);
    text += &script.training();
    Ok(text)
}

struct Script<'a> {
    settings: &'a Settings,
    facts: &'a Facts,
    seeds: TrialSeeds,
}

impl Script<'_> {
    fn introduction(&self, record: &SweepRecord, detail: &TrialDetail) -> String {
        let trial = &detail.trial;
        let mut text = format!(
            "#!/usr/bin/env python3\n\
             # Trial {} of the sweep {}, for the Trainer of Hugging Face's transformers.\n\
             # {}, replicate {}\n\
             # Made by converge {VERSION}: `converge show {} --as trainer`. Needs torch, transformers 5 and accelerate.\n\
             #\n\
             # What is the same: data and splits, model, tokens, batch size, schedule, optimizer, clipping, decay.\n\
             # What is not:\n",
            trial.number,
            one_line(&record.name),
            one_line(&output::configuration(&trial.configuration)),
            trial.replicate,
            trial.number,
        );
        for line in self.differences() {
            text += &format!("# - {}\n", one_line(&line));
        }
        text
    }

    /// What the Trainer draws by its own generator, or cannot do.
    fn differences(&self) -> Vec<String> {
        let train = &self.settings.train;
        let mut lines = vec![
            "the order of examples, dropout masks, and the weights of a new head: drawn by torch from the seeds below".to_string(),
            "the weights that are kept: the Trainer keeps the last".to_string(),
        ];
        if train.pooling == Pooling::Mean {
            lines.push("pooling = mean: the class below reads the first token instead, and is another model".into());
        }
        match &train.class_weights {
            ClassWeights::None => {}
            ClassWeights::Balanced => lines.push("class_weights = balanced: give the loss weights n / (classes * count) in Trainer.compute_loss".into()),
            other => lines.push(format!("class_weights = {}: to be given to the loss in Trainer.compute_loss", json!(other))),
        }
        if train.optimizer == Optimizer::Adam {
            lines.push("optimizer = adam: the Trainer has AdamW only, whose decay is not added to the gradient".into());
        }
        if train.optimizer == Optimizer::Sgd && train.momentum != 0.0 {
            lines.push(format!("momentum = {}: the Trainer's sgd has none", train.momentum));
        }
        if self.facts.task != Task::Classes {
            lines.push("the split: drawn without regard to labels".into());
        }
        if self.settings.data.train_on_validation {
            lines.push(
                "this trial is a refit: the validation examples are trained on as well".into(),
            );
        }
        if self.settings.train.ramp.is_some() {
            lines.push("this trial is a probe: its learning rate climbs, and follows no scheduler of the Trainer's".into());
        }
        let defaults =
            Settings::defaults(self.settings.model.clone(), self.settings.data.train.clone());
        let [own, defaults] = [self.settings, &defaults].map(|settings| json!(settings));
        for key in KEYS.iter().filter(|key| !FOLLOWED.contains(&key.name)) {
            let (section, field) = key.section();
            let (value, default) = (&own[section][field], &defaults[section][field]);
            if value != default {
                lines.push(format!("{} = {value}", key.short_name()));
            }
        }
        lines
    }

    fn constants(&self, model: &str) -> String {
        let data = &self.settings.data;
        let separator = json!(data)["label_separator"].as_str().unwrap_or(",").to_string();
        let own_validation = data.validation.as_deref().filter(|path| *path != "none");
        let fraction = if data.validation.is_some() { 0.0 } else { data.validation_fraction };
        let test_fraction = if data.test.is_some() { 0.0 } else { data.test_fraction };
        let values = [
            ("MODEL", json!(model)),
            ("TRAIN", json!(data.train)),
            ("VALIDATION", json!(own_validation)),
            ("TEXT", json!(data.text)),
            ("TEXT_PAIR", json!(data.text_pair)),
            ("LABEL", json!(data.label)),
            ("SEPARATOR", json!(separator)),
            ("TASK", json!(self.facts.task.word())),
            ("LABELS", json!(self.facts.labels)),
            ("VALIDATION_FRACTION", json!(fraction)),
            ("TEST_FRACTION", json!(test_fraction)),
            ("TRAIN_LIMIT", json!(data.train_limit)),
            ("VALIDATION_LIMIT", json!(data.validation_limit)),
            ("TRAIN_ON_VALIDATION", json!(data.train_on_validation)),
            ("MAX_LENGTH", json!(self.facts.max_length)),
            ("SPLIT_SEED", json!(self.seeds.split.0)),
        ];
        let mut text = String::from(
            "\nimport csv\nimport hashlib\nimport json\nimport math\n\n\
             from transformers import (\n    AutoConfig,\n    AutoModelForSequenceClassification,\n    AutoTokenizer,\n    \
             DataCollatorWithPadding,\n    Trainer,\n    TrainingArguments,\n    set_seed,\n)\n\n",
        );
        for (name, value) in values {
            text += &format!("{name} = {}\n", python(&value));
        }
        text
    }

    fn model(&self) -> String {
        let train = &self.settings.train;
        let seed = torch_seed(self.seeds.head.0);
        let [hidden, attention, classifier] = train.dropouts();
        let mut text = format!(
            "\n\n# The head is drawn here; converge draws it by its own generator.\nset_seed({seed})\n\
             config = AutoConfig.from_pretrained(\n    MODEL,\n    num_labels=len(LABELS),\n    \
             id2label=dict(enumerate(LABELS)),\n    label2id={{label: id for id, label in enumerate(LABELS)}},\n    \
             problem_type={},\n)\n",
            python(&json!(self.facts.task.problem_type()))
        );
        if let Some(layers) = self.settings.model.layers {
            text += &format!("config.num_hidden_layers = {layers}\n");
        }
        text += "distilbert = config.model_type == \"distilbert\"\n";
        let mut set = |value: Option<f64>, plain: &str, distilled: &str| {
            if let Some(value) = value {
                text += &format!(
                    "setattr(config, \"{distilled}\" if distilbert else \"{plain}\", {})\n",
                    python(&json!(value))
                );
            }
        };
        set(hidden, "hidden_dropout_prob", "dropout");
        set(attention, "attention_probs_dropout_prob", "attention_dropout");
        // Where it is not given, converge takes the model's own, else the hidden one; so does transformers.
        set(classifier, "classifier_dropout", "seq_classif_dropout");
        text +=
            "model = AutoModelForSequenceClassification.from_pretrained(MODEL, config=config)\n";
        let layers = match train.freeze {
            Freeze::None => return text,
            Freeze::Embeddings => "0".to_string(),
            Freeze::Layers(layers) => layers.to_string(),
            Freeze::Encoder => "config.num_hidden_layers".to_string(),
        };
        text += &format!(
            "\n# freeze = {}\nprefix = model.base_model_prefix\n\
             frozen = [f\"{{prefix}}.embeddings.\"]\n\
             for layer in range({layers}):\n    \
             frozen += [f\"{{prefix}}.encoder.layer.{{layer}}.\", f\"{{prefix}}.transformer.layer.{{layer}}.\"]\n\
             for name, parameter in model.named_parameters():\n    \
             if name.startswith(tuple(frozen)):\n        parameter.requires_grad_(False)\n",
            json!(train.freeze)
        );
        text
    }

    fn arguments(&self, number: u64) -> String {
        let train = &self.settings.train;
        let examples = self.facts.train.examples;
        let steps = total_steps(examples, train);
        let in_epoch = steps_per_epoch(examples, train).max(1);
        let every = (in_epoch / train.evaluations_per_epoch.max(1)).max(1);
        let division = MicroBatches::of(train, 1);
        let optimizer = match train.optimizer {
            Optimizer::AdamW | Optimizer::Adam => "adamw_torch",
            Optimizer::Sgd => "sgd",
            Optimizer::RmsProp => "rmsprop",
            Optimizer::AdaGrad => "adagrad",
        };
        let schedule = match train.schedule {
            Schedule::Linear => "linear",
            Schedule::Cosine => "cosine",
            Schedule::Constant => "constant_with_warmup",
        };
        let has_validation = self.facts.validation.is_some();
        let mut arguments = vec![
            ("output_dir", json!(format!("trial-{number}"))),
            ("per_device_train_batch_size", json!(division.size.min(examples))),
            ("gradient_accumulation_steps", json!(division.count)),
            ("per_device_eval_batch_size", json!(64)),
            ("max_steps", json!(steps)),
            ("learning_rate", json!(train.learning_rate)),
            ("lr_scheduler_type", json!(schedule)),
            ("warmup_steps", json!(warmup_steps(steps, train))),
            ("optim", json!(optimizer)),
            ("weight_decay", json!(train.weight_decay)),
            ("max_grad_norm", json!(train.max_grad_norm)),
            ("label_smoothing_factor", json!(train.label_smoothing)),
            ("seed", json!(torch_seed(self.seeds.dropout.0))),
            ("data_seed", json!(torch_seed(self.seeds.order.0))),
            ("logging_steps", json!(1)),
            ("logging_first_step", json!(true)),
            ("eval_strategy", json!(if has_validation { "steps" } else { "no" })),
            ("eval_steps", json!(every)),
            ("save_strategy", json!("no")),
            ("report_to", json!("none")),
        ];
        if matches!(train.optimizer, Optimizer::AdamW | Optimizer::Adam) {
            arguments.push(("adam_beta1", json!(train.beta1)));
            arguments.push(("adam_beta2", json!(train.beta2)));
            arguments.push(("adam_epsilon", json!(train.epsilon)));
        }
        match train.precision {
            Precision::Float32 => {}
            Precision::BFloat16 => arguments.push(("bf16", json!(true))),
            Precision::Float16 => arguments.push(("fp16", json!(true))),
        }
        let lines: Vec<String> = arguments
            .iter()
            .map(|(name, value)| format!("    {name}={},\n", python(value)))
            .collect();
        format!(
            "\n# converge's batch_size is examples per step: {} = per_device_train_batch_size x\n\
             # gradient_accumulation_steps, on one device. Decay: none on biases and LayerNorm, as in converge.\n\
             arguments = TrainingArguments(\n{})\n",
            train.batch_size,
            lines.concat()
        )
    }

    fn training(&self) -> String {
        let evaluated = self.facts.validation.is_some();
        let set = if evaluated { "encode(validation)" } else { "None" };
        let last = if evaluated { "print(json.dumps(trainer.evaluate(), indent=2))\n" } else { "" };
        format!(
            "\n\ndef metrics(prediction):\n    answers = prediction.predictions.argmax(-1)\n    \
             return {{\"accuracy\": float((answers == prediction.label_ids).mean())}}\n\n\n\
             trainer = Trainer(\n    model=model,\n    args=arguments,\n    train_dataset=encode(train),\n    \
             eval_dataset={set},\n    data_collator=DataCollatorWithPadding(tokenizer),\n    processing_class=tokenizer,\n    \
             compute_metrics=metrics if TASK == \"classes\" else None,\n)\ntrainer.train()\ntrainer.save_state()\n{last}"
        )
    }
}

/// Torch's generators are seeded with 32 bits here.
fn torch_seed(seed: u64) -> u64 {
    seed & 0xffff_ffff
}

/// Returns a JSON value as Python writes it. Strings have the same form in both.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A comment that a stranger's name cannot end.
fn one_line(text: &str) -> String {
    converge_dashboard::terminal::escaped::printable(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_comment_and_a_text_not_its_quotes() {
        assert_eq!(one_line("a\nimport os"), "a import os");
        assert_eq!(python(&json!(["a\"\n", null, true, 1.5])), "[\"a\\\"\\n\", None, True, 1.5]");
    }

    #[test]
    fn every_setting_that_the_script_follows_exists() {
        for name in FOLLOWED {
            assert!(KEYS.iter().any(|key| key.name == name), "{name}");
        }
    }
}

//! What is said of a saved model: its card for people, `converge.json` for programs.

use converge_core::facts::Facts;
use converge_core::refit;
use converge_core::seed::TrialSeeds;
use converge_core::settings::Pooling;
use converge_core::task::Task;
use converge_core::trial::TrialKind;
use converge_dashboard::terminal::number::{count, of_metric};
use converge_scheduler::clock;
use converge_scheduler::trials::definition;
use converge_store::{Reader, TrialDetail};
use serde_json::{Map, Value, json};

use crate::commands::curve::number;
use crate::drive::VERSION;
use crate::output;
use crate::report::Report;
use crate::winner::{FORMAT, Winner};

/// What has to be known of a model with mean pooling.
pub(crate) const NOT_THAT_CLASS: &str = "note: this model takes the mean over its tokens, which transformers' \
     `AutoModelForSequenceClassification` does not compute: opened with that class it would answer at random";

/// Splits whose metrics are told, in this order.
const SPLITS: [&str; 3] = ["validation/", "test/", "train_subset/"];

/// What is said of a saved model.
pub(crate) struct Card<'a> {
    winner: &'a Winner,
    facts: &'a Facts,
    seeds: TrialSeeds,
    /// Step of the weights.
    step: u64,
    /// Metrics there.
    scores: Vec<(String, f64)>,
}

impl<'a> Card<'a> {
    /// Gathers what is stored.
    pub(crate) fn new(reader: &Reader, winner: &'a Winner) -> Result<Self, Report> {
        let Winner { detail, record } = winner;
        let index = usize::try_from(detail.trial.facts_index).ok();
        let facts = index.and_then(|index| record.facts.get(index));
        let facts = facts.ok_or_else(|| {
            Report::usage(
                "the sweep's facts are not stored",
                "`converge repair` looks for what is wrong",
            )
        })?;
        let seeds = TrialSeeds::new(definition(record)?.seed, detail.trial.replicate);
        let weights = detail.trial.best_weights.as_ref();
        let step = weights.map_or(detail.trial.total_steps, |weights| weights.step);
        Ok(Self { winner, facts, seeds, step, scores: scores(reader, detail, step)? })
    }

    fn is_refit(&self) -> bool {
        self.winner.detail.trial.kind == TrialKind::Refit
    }

    fn takes_mean(&self) -> bool {
        self.winner.detail.settings.train.pooling == Pooling::Mean
    }

    /// Returns `converge.json`, without the hash of the weights.
    pub(crate) fn description(&self) -> Result<Value, Report> {
        let Winner { detail, record } = self.winner;
        let trial = &detail.trial;
        let scores: Map<String, Value> =
            self.scores.iter().map(|(name, value)| (name.clone(), number(*value))).collect();
        let objective = if self.is_refit() { refit::objective() } else { record.objective.clone() };
        let transformers = if self.takes_mean() {
            json!({ "class": null, "note": NOT_THAT_CLASS })
        } else {
            json!({ "class": "AutoModelForSequenceClassification" })
        };
        Ok(json!({
            "format": FORMAT,
            "converge": VERSION,
            "saved_at_ms": clock::unix_ms(),
            "sweep": record.name,
            "trial": trial.number,
            "kind": trial.kind.word(),
            "replicate": trial.replicate,
            "configuration": trial.configuration,
            "fingerprint": trial.fingerprint,
            "settings": detail.settings,
            "seeds": self.seeds,
            "task": self.facts.task.word(),
            "labels": self.facts.labels,
            "max_length": self.facts.max_length,
            "pooling": detail.settings.train.pooling,
            "transformers": transformers,
            "objective": objective,
            "step": self.step,
            "total_steps": trial.total_steps,
            "scores": scores,
            "hashes": self.facts.content_hashes,
        }))
    }

    /// Returns the model card.
    pub(crate) fn text(&self) -> String {
        let Winner { detail, record } = self.winner;
        let settings = &detail.settings;
        let base = match (&settings.model.path, settings.model.preset) {
            // Where it lies on this machine is nobody's business.
            (Some(path), _) => {
                path.strip_prefix("hf:").map_or_else(|| file_name(path), str::to_string)
            }
            _ => "a small model with random weights".to_string(),
        };
        let mut text =
            String::from("---\nlibrary_name: transformers\npipeline_tag: text-classification\n");
        if let Some(name) = settings.model.path.as_deref().and_then(|path| path.strip_prefix("hf:"))
        {
            text += &format!("base_model: {name}\n");
        }
        text += "tags:\n- text-classification\n- converge\n---\n\n";
        text += &format!("# {}, trial {}\n\n", record.name, detail.trial.number);
        text += &format!("`{base}`, fine-tuned with converge {VERSION} {}.\n\n", self.task());
        text += &self.data();
        text += &self.configuration();
        text += &self.score_table();
        text += &self.usage();
        text
    }

    fn task(&self) -> String {
        let labels = &self.facts.labels;
        let names: Vec<String> = labels.iter().take(20).map(|label| format!("`{label}`")).collect();
        let more = if labels.len() > 20 {
            format!(" and {} more", labels.len() - 20)
        } else {
            String::new()
        };
        let names = format!("{}{more}", names.join(", "));
        match self.facts.task {
            Task::Classes => format!("to tell {} classes apart: {names}", labels.len()),
            Task::MultiLabel => format!("to find which of {} labels hold: {names}", labels.len()),
            Task::Regression => format!("to predict {names}"),
        }
    }

    fn data(&self) -> String {
        let settings = &self.winner.detail.settings.data;
        let hash = |role: &str| {
            let hash = self.facts.content_hashes.get(role).map_or("", String::as_str);
            hash.get(..12).unwrap_or(hash).to_string()
        };
        let mut text = format!(
            "## Data\n\n`{}` (SHA-256 {}…): {} examples for training",
            file_name(&settings.train),
            hash("train"),
            count(self.facts.train.examples)
        );
        for (name, split) in [("validation", &self.facts.validation), ("test", &self.facts.test)] {
            if let Some(split) = split {
                text += &format!(", {} for {name}", count(split.examples));
            }
        }
        text += &format!(". Texts are cut to {} tokens.\n\n", self.facts.max_length);
        if self.is_refit() {
            text += "The validation data that chose this configuration were trained on as well: there is no score on \
                     validation data, and what the configuration is worth is told by the trial that it repeats.\n\n";
        }
        text
    }

    fn configuration(&self) -> String {
        let trial = &self.winner.detail.trial;
        format!(
            "## Configuration\n\n`{}`, replicate {}, weights of step {} of {}. All settings are in `converge.json`.\n\n",
            output::configuration(&trial.configuration),
            trial.replicate,
            self.step,
            trial.total_steps
        )
    }

    fn score_table(&self) -> String {
        if self.scores.is_empty() {
            return String::new();
        }
        let mut text = String::from("## Scores\n\n| metric | value |\n|---|---|\n");
        let whole = |name: &str| !name.contains("/recall/") && !name.contains("/predicted/");
        for (name, value) in self.scores.iter().filter(|(name, _)| whole(name)) {
            text += &format!("| {name} | {} |\n", of_metric(name, *value));
        }
        text += "\n`train_subset` is a part of the training data.\n\n";
        text
    }

    fn usage(&self) -> String {
        let mut text = String::from("## Use\n\n");
        if self.takes_mean() {
            text += &format!("{}.\n\n", NOT_THAT_CLASS.trim_start_matches("note: "));
            text += MEAN_USAGE;
        } else {
            text += CLASS_USAGE;
        }
        text += "\nWithout Python: `converge predict FOLDER FILE`, or `echo 'some text' | converge predict FOLDER -`.\n";
        text
    }
}

/// Returns a path's last part.
fn file_name(path: &str) -> String {
    let name = std::path::Path::new(path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Lines of Python that use a saved model.
const CLASS_USAGE: &str = "```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(\".\")
model = AutoModelForSequenceClassification.from_pretrained(\".\").eval()
logits = model(**tokenizer(\"some text\", truncation=True, return_tensors=\"pt\")).logits
```
";

/// The same for one that takes the mean over tokens.
const MEAN_USAGE: &str = "```python
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(\".\")
encoder = AutoModel.from_pretrained(\".\", add_pooling_layer=False).eval()
head = load_file(\"model.safetensors\")
inputs = tokenizer(\"some text\", truncation=True, return_tensors=\"pt\")
hidden = encoder(**inputs).last_hidden_state
mask = inputs[\"attention_mask\"].unsqueeze(-1)
mean = (hidden * mask).sum(1) / mask.sum(1)
logits = mean @ head[\"classifier.weight\"].T + head[\"classifier.bias\"]
```
";

/// Returns the metrics of a trial at a step.
fn scores(reader: &Reader, detail: &TrialDetail, step: u64) -> Result<Vec<(String, f64)>, Report> {
    let mut scores = Vec::new();
    for split in SPLITS {
        for metric in detail.metrics.iter().filter(|metric| metric.metric.starts_with(split)) {
            let points = reader.curve(detail.trial.id, &metric.metric)?;
            let point = points.iter().find(|point| point.step == step);
            scores.extend(point.map(|point| (metric.metric.clone(), point.value)));
        }
    }
    Ok(scores)
}

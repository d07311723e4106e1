//! From a job to a training that is ready for its next step.

use std::collections::BTreeMap;
use std::fs;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use converge_bert::{BertClassifier, LayerGroup, Parameter};
use converge_core::failure::FailureClass;
use converge_core::micro_batches::MicroBatches;
use converge_core::problem::Problem;
use converge_core::ramp::Watch;
use converge_core::seed::Seed;
use converge_core::settings::{Freeze, Precision, Settings, TrainSettings};
use converge_core::steps;
use converge_core::task::Task;
use serde_json::json;

use crate::best::{BestDirectory, Usage};
use crate::checkpoint::{self, Progress};
use crate::data::dataset::{self, Dataset, Loader};
use crate::data::split;
use crate::device;
use crate::durable;
use crate::job::{FineTuneError, Job};
use crate::loss::Loss;
use crate::loss_scale::LossScale;
use crate::optimizer::Optimizer;
use crate::order::Order;
use crate::prepare::{classifier_options, settings_problems};
use crate::schedule::LearningRate;
use crate::source::Source;
use crate::train::{CheckpointClock, Training};
use crate::travel::Travel;

/// Loads data and model, and goes on from a checkpoint if the job names one.
///
/// # Errors
/// Class data for files that are unusable or not those of the sweep, config for settings that
/// cannot be run, `disk_full` where there is no room for the cache.
pub(crate) fn training(job: &Job) -> Result<Training, FineTuneError> {
    let device = device::open(&job.device)?;
    fs::create_dir_all(&job.attempt_directory)
        .map_err(|error| FineTuneError::io("make", &job.attempt_directory, error))?;
    let settings = &job.settings;
    let (source, dataset) = open(job)?;
    let unusable = settings_problems(settings, &source, &dataset, &job.device);
    if !unusable.is_empty() {
        return Err(FineTuneError::problems(FailureClass::Config, &unusable));
    }

    let train = &settings.train;
    let options = classifier_options(settings, dataset.labels.len());
    options.apply_to(&source.config).map_err(|error| FineTuneError::config(error.to_string()))?;
    let mut autodiff = device.clone().autodiff();
    if job.gradient_checkpointing {
        autodiff = autodiff.gradient_checkpointing();
    }
    let model = source
        .load(&options, job.seeds.head, &autodiff)
        .map_err(|problems| FineTuneError::problems(FailureClass::Data, &problems))?;
    let model = with_fresh_weights(model, train, job.seeds.head);
    let trains = |parameter: &Parameter| !is_frozen(parameter, train.freeze);
    let mut model = require_gradients(model, trains);
    let travel = Travel::new(&model, trains);
    let mut optimizer = Optimizer::new(train, &model, trains, &device);

    let hashes = content_hashes(&source, &dataset);
    let fingerprint = fingerprint(job, &hashes, dataset.task);
    let Source { encoder, tokenizer_json, .. } = source;
    let best = BestDirectory::new(
        &job.attempt_directory,
        &model,
        &dataset.labels,
        Usage { max_length: dataset.max_length, pooling: train.pooling, task: dataset.task },
        tokenizer_json,
    );
    let mut progress = Progress {
        step: 0,
        best: None,
        unreported: Vec::new(),
        loss_scale: (train.precision == Precision::Float16).then(LossScale::new),
        watch: train.ramp.map(|_| Watch::default()),
    };
    if let Some(directory) = &job.resume_from {
        best.create()?;
        (model, progress) =
            checkpoint::read(directory, &fingerprint, model, &mut optimizer, &best.weights())?;
    }

    let examples = dataset.train.len();
    let total_steps = steps::total_steps(examples as u64, train);
    let class_counts = dataset.train.class_counts(dataset.labels.len());
    let strata = dataset.train.all_strata();
    let subset_seed = job.seeds.split.stream("train_subset", 0);
    let subset =
        split::limit((0..examples).collect(), &strata, Some(steps::TRAIN_SUBSET), subset_seed);
    Ok(Training {
        model: Some(model),
        optimizer,
        progress,
        total_steps,
        until_step: job.until_step,
        patience: job.patience,
        rate: LearningRate::new(train, total_steps),
        loss: Loss::new(train, dataset.task, &class_counts),
        order: Order::new(job.seeds.order, &strata, train),
        dropout_seed: job.seeds.dropout,
        micro_batches: MicroBatches::of(train, job.accumulation_factor),
        settings: train.clone(),
        ends_with_test: settings.data.train_on_validation,
        objective: job.objective.clone(),
        train_subset: dataset.train.subset(subset.into_iter()),
        encoder,
        dataset,
        travel,
        device,
        autodiff,
        best,
        unwritten_best: None,
        attempt_directory: job.attempt_directory.clone(),
        fingerprint,
        checkpoints: CheckpointClock::new(job.checkpoint_seconds),
    })
}

/// Opens model and data and compares them with what the sweep was made with.
fn open(job: &Job) -> Result<(Source, Dataset), FineTuneError> {
    let failed = |problems: Vec<Problem>| FineTuneError::problems(FailureClass::Data, &problems);
    let Settings { train, model, data } = &job.settings;
    let mut loader = Loader::new(&job.cache_directory);
    let columns = dataset::columns(data);
    let source = Source::open(model, || loader.rows(&data.train, &columns)).map_err(failed)?;
    let dataset = Dataset::load(data, train.max_length, &source, job.seeds.split, &mut loader)
        .map_err(failed)?;
    let found = content_hashes(&source, &dataset);
    let changed: Vec<Problem> = job
        .expected_hashes
        .iter()
        .filter(|(role, expected)| found.get(*role) != Some(*expected))
        .map(|(role, expected)| {
            let found = found.get(role).map_or("nothing", |hash| hash.get(..12).unwrap_or(hash));
            let expected = expected.get(..12).unwrap_or(expected);
            let path = dataset::files(data).into_iter().find(|(name, _)| name == role);
            let place = path.map_or(role.as_str(), |(_, path)| path);
            Problem::new(
                place,
                format!(
                    "has changed since the sweep was made: SHA-256 of {role} was {expected}…, \
                     is {found}…"
                ),
            )
        })
        .collect();
    if changed.is_empty() { Ok((source, dataset)) } else { Err(failed(changed)) }
}

fn content_hashes(source: &Source, dataset: &Dataset) -> BTreeMap<String, String> {
    source.hashes.iter().chain(&dataset.hashes).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Returns a hash of everything that decides what the training computes. Where files lie is no part of it, and neither
/// is the accumulation factor: after running out of memory a trial goes on from the checkpoint that it has.
fn fingerprint(job: &Job, hashes: &BTreeMap<String, String>, task: Task) -> String {
    let Settings { train, model, data } = &job.settings;
    let mut identity = json!({
        "train": train,
        "model": { "preset": model.preset, "layers": model.layers },
        "data": {
            "columns": [&data.text, data.text_pair.as_ref().unwrap_or(&String::new()), &data.label],
            "without_validation": data.validation.as_deref() == Some("none"),
            "fractions": [data.validation_fraction, data.test_fraction],
            "limits": [data.train_limit, data.validation_limit],
        },
        "contents": hashes,
        "seeds": job.seeds,
        "objective": job.objective,
    });
    // Not there for classes, so that checkpoints from before there was a choice are still good.
    if task != Task::Classes {
        identity["task"] = json!([task, data.label_separator]);
    }
    if data.train_on_validation {
        identity["data"]["train_on_validation"] = true.into();
    }
    durable::sha256(identity.to_string().as_bytes())
}

/// Draws anew what the settings ask for. A parameter's values are a function of the head's seed and its name: the same
/// whatever else is drawn, and proportional to the deviation.
///
/// # Source
/// Zhang et al. 2021, *Revisiting few-sample BERT fine-tuning*, <https://arxiv.org/abs/2006.05987>, section 4: the
/// uppermost layers, and the pooler, as before pretraining.
fn with_fresh_weights(model: BertClassifier, train: &TrainSettings, seed: Seed) -> BertClassifier {
    let config = model.config();
    let (layers, usual) = (config.num_hidden_layers as u64, config.initializer_range);
    model.with_fresh_weights(seed.0, |parameter| match parameter.group {
        LayerGroup::Embeddings => None,
        LayerGroup::Layer(layer) => (layer as u64 + train.reinit_layers >= layers).then_some(usual),
        LayerGroup::Pooler => train.reinit_pooler.then_some(usual),
        LayerGroup::Head => train.head_init_std,
    })
}

fn is_frozen(parameter: &Parameter, freeze: Freeze) -> bool {
    match (freeze, parameter.group) {
        (Freeze::None, _) | (_, LayerGroup::Pooler | LayerGroup::Head) => false,
        (Freeze::Encoder, LayerGroup::Embeddings | LayerGroup::Layer(_)) => true,
        (Freeze::Embeddings | Freeze::Layers(_), LayerGroup::Embeddings) => true,
        (Freeze::Embeddings, LayerGroup::Layer(_)) => false,
        (Freeze::Layers(frozen), LayerGroup::Layer(layer)) => (layer as u64) < frozen,
    }
}

/// Spares the backward pass what is frozen. Dropout acts there all the same, as in PyTorch; burn's
/// `freeze` would turn it off.
fn require_gradients(model: BertClassifier, trains: impl Fn(&Parameter) -> bool) -> BertClassifier {
    struct Mapper(std::vec::IntoIter<bool>);

    impl ModuleMapper for Mapper {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.0.next() {
                Some(true) | None => param,
                Some(false) => param.set_require_grad(false),
            }
        }
    }

    // Burn visits parameters in the order of the table.
    let trained: Vec<bool> = model.parameters().iter().map(trains).collect();
    model.map(&mut Mapper(trained.into_iter()))
}

#[cfg(test)]
mod tests;

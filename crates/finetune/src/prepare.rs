//! What is found out about model and data before the first trial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_bert::{BertClassifier, ClassifierOptions};
use converge_core::facts::{Facts, ModelFacts};
use converge_core::fit::{self, Ground};
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::{Pooling, Precision, Settings};

use crate::data::bag_of_words::bag_of_words;
use crate::data::dataset::{self, Dataset, Loader};
use crate::device;
use crate::evaluation::items::right_answers;
use crate::source::{Source, config_problems};

/// The settings that a sweep is going to use.
#[derive(Debug, Clone)]
pub struct PrepareRequest {
    /// One for each combination of model and data settings.
    pub cases: Vec<Settings>,
    /// [`TrialSeeds::split`](converge_core::seed::TrialSeeds) of the sweep.
    pub split_seed: Seed,
    /// Where tokenised data is kept between trials.
    pub cache_directory: PathBuf,
    /// A name out of [`devices`](crate::devices).
    pub device: String,
}

/// Validates model and data of every case, tokenises into the cache, and returns the facts of each
/// case in order.
///
/// # Errors
/// Every problem of every case, each once.
pub fn prepare(request: &PrepareRequest) -> Result<Vec<Facts>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut add = |found: Vec<Problem>| {
        for problem in found {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    };
    add(device::problem(&request.device).into_iter().collect());
    let mut preparation = Preparation {
        split_seed: request.split_seed,
        device: request.device.clone(),
        loader: Loader::new(&request.cache_directory),
        sources: BTreeMap::new(),
        models: BTreeMap::new(),
    };
    let mut facts = Vec::new();
    for case in &request.cases {
        match preparation.case(case) {
            Ok(found) => facts.push(found),
            Err(found) => add(found),
        }
    }
    add(std::mem::take(&mut preparation.loader.unwritable));
    if problems.is_empty() { Ok(facts) } else { Err(problems) }
}

/// What was opened for earlier cases.
struct Preparation {
    split_seed: Seed,
    device: String,
    loader: Loader,
    /// By model and, for a preset, training file.
    sources: BTreeMap<String, Result<Source, Vec<Problem>>>,
    /// Facts of the models that were loaded, by source and shape.
    models: BTreeMap<String, Result<ModelFacts, Vec<Problem>>>,
}

impl Preparation {
    fn case(&mut self, case: &Settings) -> Result<Facts, Vec<Problem>> {
        let columns = dataset::columns(&case.data);
        let source_key = source_key(case);
        let source = self.sources.entry(source_key.clone()).or_insert_with(|| {
            Source::open(&case.model, || self.loader.rows(&case.data.train, &columns))
        });
        let source = match source {
            Ok(source) => source,
            Err(problems) => {
                // Without a tokenizer, the files can still be read.
                let mut problems = problems.clone();
                for (_, path) in dataset::files(&case.data) {
                    problems.extend(self.loader.rows(path, &columns).err().into_iter().flatten());
                }
                return Err(problems);
            }
        };
        let dataset = Dataset::load(
            &case.data,
            case.train.max_length,
            source,
            self.split_seed,
            &mut self.loader,
        )?;
        let options = classifier_options(case, dataset.labels.len());
        let mut problems = settings_problems(case, source, &dataset, &self.device);
        if let Err(error) = options.apply_to(&source.config) {
            problems.extend(config_problems(Path::new("model"), &error));
            return Err(problems);
        }
        // Dropouts change no weight: cases that differ in them share a model.
        let shape = (options.labels, options.pooling, options.layers);
        let model_key = format!("{source_key} {shape:?}");
        let model = self.models.entry(model_key).or_insert_with(|| model_facts(source, &options));
        match model {
            Ok(model) if problems.is_empty() => {
                let mut content_hashes = dataset.hashes.clone();
                content_hashes.extend(source.hashes.clone());
                let (train, validation, test) = dataset.split_facts();
                let right = |split| right_answers(split, dataset.labels.len());
                Ok(Facts {
                    content_hashes,
                    train,
                    validation,
                    test,
                    validation_answers: dataset.validation.as_ref().and_then(right),
                    max_length: dataset.max_length as u64,
                    duplicates_between_splits: dataset.duplicates_between_splits(),
                    contradicted_between_splits: dataset.contradicted_between_splits(),
                    truncated_validation: dataset.truncated_validation(),
                    bag_of_words: bag_of_words(&dataset, &source.encoder),
                    model: model.clone(),
                    task: dataset.task,
                    task_reason: dataset.task_reason,
                    labels: dataset.labels,
                })
            }
            Ok(_) => Err(problems),
            Err(found) => {
                problems.extend(found.iter().cloned());
                Err(problems)
            }
        }
    }
}

fn source_key(case: &Settings) -> String {
    match (&case.model.path, case.model.preset) {
        (Some(path), None) => format!("path {path}"),
        _ => format!("{:?} {:?} {:?}", case.model, dataset::columns(&case.data), case.data.train),
    }
}

/// Returns what the settings make of the published model.
pub(crate) fn classifier_options(settings: &Settings, labels: usize) -> ClassifierOptions {
    let [hidden_dropout, attention_dropout, classifier_dropout] = settings.train.dropouts();
    ClassifierOptions {
        labels,
        pooling: match settings.train.pooling {
            Pooling::Cls => converge_bert::Pooling::Cls,
            Pooling::Mean => converge_bert::Pooling::Mean,
        },
        hidden_dropout,
        attention_dropout,
        classifier_dropout,
        layers: settings.model.layers.map(|layers| usize::try_from(layers).unwrap_or(usize::MAX)),
        precision: match settings.train.precision {
            Precision::Float32 => converge_bert::Precision::Float32,
            Precision::BFloat16 => converge_bert::Precision::BFloat16,
            Precision::Float16 => converge_bert::Precision::Float16,
        },
    }
}

/// Returns what is wrong with settings that only model and data together can tell.
pub(crate) fn settings_problems(
    settings: &Settings,
    source: &Source,
    dataset: &Dataset,
    device: &str,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let precision = classifier_options(settings, dataset.labels.len()).precision;
    if device::open(device).is_ok_and(|device| !precision.is_offered_by(&device)) {
        let message = format!("is not offered by the device `{device}`");
        problems.push(
            Problem::new("train.precision", message).hint(
                "\"float32\" is by every device; GPUs have \"bfloat16\", \"float16\" or both",
            ),
        );
    }
    let layers = settings.model.layers.unwrap_or(source.config.num_hidden_layers as u64);
    let ground = Ground { task: dataset.task, labels: &dataset.labels, layers };
    problems.extend(fit::problems(&settings.train, ground));
    let token_types = source.config.type_vocab_size;
    let largest = source.encoder.largest_token_type(dataset.train.file.has_pairs);
    if source.config.architecture.has_token_types() && largest as usize >= token_types {
        let message = format!("has {token_types} token types, the sequences need {}", largest + 1);
        problems.push(Problem::new("model", message).hint("leave out `text_pair`"));
    }
    if settings.train.batch_size == 0 {
        problems.push(Problem::new("train.batch_size", "is 0: expected at least 1"));
    }
    problems
}

/// Loads the model to see whether that works, and measures it.
fn model_facts(source: &Source, options: &ClassifierOptions) -> Result<ModelFacts, Vec<Problem>> {
    let model = source.load(options, Seed(0), &device::for_checking()?)?;
    Ok(facts_of(&model))
}

fn facts_of(model: &BertClassifier) -> ModelFacts {
    let config = model.config();
    ModelFacts {
        parameters: model.parameters().iter().map(|parameter| parameter.elements() as u64).sum(),
        hidden_size: config.hidden_size as u64,
        layers: config.num_hidden_layers as u64,
        heads: config.num_attention_heads as u64,
        intermediate_size: config.intermediate_size as u64,
        vocabulary_size: config.vocab_size as u64,
        max_positions: config.max_sequence() as u64,
    }
}

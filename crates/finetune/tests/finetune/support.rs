//! Toy data and complete settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use converge_bert::device::of_tests;
use converge_bert::{Architecture, BertClassifier, BertConfig, ClassifierOptions, weights};
use converge_core::items::ItemResults;
use converge_core::objective::{At, Goal, Objective};
use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::{Preset, Settings};
use converge_finetune::{Control, Job, Observer, PrepareRequest};

const SIGNS: [[&str; 3]; 2] = [["awful", "boring", "dull"], ["great", "lovely", "superb"]];
const FILLERS: [&str; 10] =
    ["the", "film", "was", "a", "plot", "and", "actor", "scene", "with", "of"];

/// Writes a table of texts that a few words give away, and returns its path.
pub(crate) fn write_toy(directory: &Path, name: &str, rows: usize) -> String {
    let mut text = String::from("text\tlabel\n");
    let mut draw = 0;
    let mut below = |bound: usize| {
        draw += 1;
        (Seed(11).stream("toy", draw).0 % bound as u64) as usize
    };
    for row in 0..rows {
        let class = row % 2;
        let mut words: Vec<&str> = (0..3 + below(9)).map(|_| FILLERS[below(10)]).collect();
        words.insert(below(words.len()), SIGNS[class][below(3)]);
        text += &format!("{}\t{}\n", words.join(" "), ["neg", "pos"][class]);
    }
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

/// Writes a random model of an architecture, with a `vocab.txt` for the words of [`write_toy`], and returns its path.
pub(crate) fn write_model(directory: &Path, architecture: Architecture) -> String {
    let directory = directory.join(architecture.model_type());
    std::fs::create_dir_all(&directory).unwrap();
    let (special, settings, pad_token_id) = match architecture {
        Architecture::Bert | Architecture::DistilBert => {
            (["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "{}", 0)
        }
        Architecture::Roberta | Architecture::XlmRoberta => (
            ["<s>", "<pad>", "</s>", "<unk>"],
            r#"{"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}"#,
            1,
        ),
    };
    let words = SIGNS.into_iter().flatten().chain(FILLERS);
    let tokens: Vec<&str> = special.into_iter().chain(words).collect();
    let config = BertConfig {
        architecture,
        pad_token_id,
        type_vocab_size: match architecture {
            Architecture::Bert => 2,
            Architecture::DistilBert => 0,
            Architecture::Roberta | Architecture::XlmRoberta => 1,
        },
        ..BertConfig::tiny(tokens.len())
    };
    let write = |name: &str, content: &str| std::fs::write(directory.join(name), content).unwrap();
    write("config.json", &config.to_json());
    write("vocab.txt", &(tokens.join("\n") + "\n"));
    write("tokenizer_config.json", settings);
    let model = BertClassifier::new(&config, &ClassifierOptions::new(2), 7, &of_tests()).unwrap();
    let mut file = std::fs::File::create(directory.join("model.safetensors")).unwrap();
    weights::save(&model, &mut file).unwrap();
    directory.to_string_lossy().into_owned()
}

/// Returns settings for the preset on a file, with dropout.
pub(crate) fn settings(train: &str) -> Settings {
    let mut settings = Settings::defaults(Preset::Tiny.into(), train);
    settings.train.learning_rate = 3e-3;
    settings.train.batch_size = 8;
    settings.train.epochs = 2;
    settings.train.dropout = Some(0.1);
    settings
}

pub(crate) fn objective(metric: &str, goal: Goal, at: At) -> Objective {
    Objective { metric: metric.to_owned(), goal, at }
}

/// Returns a job below `directory` that never writes a checkpoint on its own.
pub(crate) fn job(settings: Settings, directory: &Path) -> Job {
    Job {
        settings,
        seeds: TrialSeeds::new(Seed(42), 0),
        objective: objective("validation/accuracy", Goal::Maximize, At::Last),
        cache_directory: directory.join("cache"),
        attempt_directory: directory.join("attempt"),
        resume_from: None,
        checkpoint_seconds: 1e9,
        until_step: None,
        patience: None,
        gradient_checkpointing: false,
        accumulation_factor: 1,
        device: converge_bert::device::name_of_tests(),
        expected_hashes: BTreeMap::new(),
    }
}

pub(crate) fn request(cases: &[Settings], directory: &Path) -> PrepareRequest {
    PrepareRequest {
        cases: cases.to_vec(),
        split_seed: TrialSeeds::new(Seed(42), 0).split,
        cache_directory: directory.join("cache"),
        device: converge_bert::device::name_of_tests(),
    }
}

/// Bits of every metric but the times, by step and name.
pub(crate) type Curves = BTreeMap<(u64, String), u64>;

/// Remembers what it is told; stops at a call of `control` if asked to.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) curves: Curves,
    pub(crate) items: BTreeMap<u64, ItemResults>,
    pub(crate) checkpoints: Vec<(u64, PathBuf)>,
    pub(crate) calls: u64,
    pub(crate) stop_at_call: Option<u64>,
    pub(crate) stop_after_step: Option<u64>,
    pub(crate) last_step: u64,
}

impl Observer for Recorder {
    fn observe(&mut self, step: u64, metrics: &[(String, f64)], items: Option<ItemResults>) {
        self.last_step = step;
        for (name, value) in metrics.iter().filter(|(name, _)| name != "train/seconds") {
            self.curves.insert((step, name.clone()), value.to_bits());
        }
        if let Some(items) = items {
            // Among the curves, so that every comparison of those holds for them too.
            let bytes = converge_core::packed::items(&items).unwrap();
            let mut hasher = std::hash::DefaultHasher::new();
            std::hash::Hash::hash(&bytes, &mut hasher);
            self.curves.insert((step, "items".into()), std::hash::Hasher::finish(&hasher));
            self.items.insert(step, items);
        }
    }

    fn checkpointed(&mut self, step: u64, directory: &Path) {
        self.checkpoints.push((step, directory.to_owned()));
    }

    fn control(&mut self) -> Control {
        self.calls += 1;
        let stop = self.stop_at_call == Some(self.calls)
            || self.stop_after_step.is_some_and(|step| self.last_step >= step);
        if stop { Control::Stop } else { Control::Continue }
    }
}

impl Recorder {
    pub(crate) fn value(&self, step: u64, name: &str) -> Option<f64> {
        self.curves.get(&(step, name.to_owned())).map(|bits| f64::from_bits(*bits))
    }

    pub(crate) fn curve(&self, name: &str) -> Vec<f64> {
        let points = self.curves.iter().filter(|((_, metric), _)| metric == name);
        points.map(|(_, bits)| f64::from_bits(*bits)).collect()
    }
}

/// Returns the bytes of the best weights of an attempt.
pub(crate) fn best_weights(attempt_directory: &Path) -> Vec<u8> {
    std::fs::read(attempt_directory.join("best/model.safetensors")).unwrap()
}

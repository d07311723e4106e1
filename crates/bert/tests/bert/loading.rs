//! Files as they are published, and files as they are broken.

use std::collections::BTreeMap;
use std::error::Error;

use converge_bert::device::of_tests;
use converge_bert::weights::{self, TensorProblem};
use converge_bert::{
    BertClassifier, BertConfig, ClassifierOptions, LoadError, LoadReport, Pooling,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::golden::{self, BERT, DISTILBERT, FIXTURES, Fixture, ROBERTA, assert_close, values};

type Loaded = Result<(BertClassifier, LoadReport), LoadError>;

fn load(bytes: &[u8], options: &ClassifierOptions) -> Loaded {
    weights::load(bytes, &golden::BERT.config(), options, 11, &of_tests())
}

fn problems(loaded: Loaded) -> Vec<TensorProblem> {
    match loaded {
        Err(LoadError::Tensors { problems }) => problems,
        other => panic!("expected problems with tensors, got {:?}", other.map(|found| found.1)),
    }
}

/// A file's tensors, to be changed and written again.
#[derive(Clone)]
struct File(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl File {
    fn tiny() -> Self {
        Self::of(BERT)
    }

    fn of(fixture: Fixture) -> Self {
        let bytes = std::fs::read(fixture.weights()).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let owned = |view: &TensorView| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        Self(file.iter().map(|(name, view)| (name.to_owned(), owned(&view))).collect())
    }

    fn renamed(self, rename: impl Fn(&str) -> String) -> Self {
        Self(self.0.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect())
    }

    fn set(&mut self, name: &str, dtype: Dtype, shape: &[usize]) {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        self.0.insert(name.to_owned(), (dtype, shape.to_vec(), vec![0; bytes]));
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

#[test]
fn a_complete_file_is_used_completely() {
    let file = File::tiny();
    let (model, report) = load(&file.bytes(), &ClassifierOptions::new(3)).unwrap();
    assert_eq!(report.used.len(), file.0.len());
    assert_eq!(report.ignored, []);
    assert_eq!(report.newly_initialised, [""; 0]);
    let expected = golden::tensors("tiny/model.safetensors");
    for (name, expected) in expected {
        let data = model.parameter_data(&name).unwrap();
        assert_eq!(data.shape().to_vec(), file.0[&name].1, "`{name}`");
        assert_eq!(data.try_into_vec::<f32>().unwrap(), expected, "`{name}`");
    }
}

#[test]
fn names_without_prefix_load_the_same_model() {
    let device = of_tests();
    let options = ClassifierOptions::new(3);
    for fixture in FIXTURES {
        let prefix = format!("{}.", fixture.config().architecture.model_type());
        let stripped = File::of(fixture).renamed(|name| {
            let name = name.strip_prefix(&prefix).unwrap_or(name);
            // As in 2018.
            let norm = name.contains("LayerNorm") || name.contains("layer_norm");
            match name.rsplit_once('.') {
                Some((module, "weight")) if norm => format!("{module}.gamma"),
                Some((module, "bias")) if norm => format!("{module}.beta"),
                _ => name.to_owned(),
            }
        });
        let batch = fixture.read().forward.batch;
        let (model, report) =
            weights::load(&stripped.bytes(), &fixture.config(), &options, 11, &device).unwrap();
        assert_eq!(report.used.len(), stripped.0.len());
        assert!(report.used.contains(&"embeddings.LayerNorm.gamma".to_owned()));
        let expected = fixture.model(&options, &device).forward(batch.input(&device));
        assert_eq!(values(model.forward(batch.input(&device))), values(expected));
    }
}

#[test]
fn what_is_no_classifier_in_other_architectures_is_ignored_by_name() {
    let reasons = |fixture: Fixture, names: &[&str]| -> Vec<String> {
        let mut file = File::of(fixture);
        for name in names {
            file.set(name, Dtype::F32, &[2]);
        }
        let options = ClassifierOptions { layers: Some(1), ..ClassifierOptions::new(3) };
        let (_, report) =
            weights::load(&file.bytes(), &fixture.config(), &options, 11, &of_tests()).unwrap();
        assert_eq!(report.newly_initialised, [""; 0]);
        let of = |name: &&str| {
            let found = report.ignored.iter().find(|(ignored, _)| ignored == name);
            found.unwrap_or_else(|| panic!("`{name}` is not ignored")).1.clone()
        };
        names.iter().map(of).collect()
    };
    let pretraining = "head of the pre-training task";
    let cut = "only the first 1 layers are kept";
    assert_eq!(
        reasons(
            DISTILBERT,
            &[
                "vocab_transform.weight",
                "vocab_layer_norm.bias",
                "vocab_projector.weight",
                "qa_outputs.weight",
                "distilbert.transformer.layer.1.ffn.lin3.bias",
            ]
        ),
        [pretraining, pretraining, pretraining, "not part of a DistilBERT classifier", cut]
    );
    assert_eq!(
        reasons(
            ROBERTA,
            &[
                "lm_head.dense.weight",
                "roberta.pooler.dense.weight",
                "roberta.embeddings.position_ids",
                "classifier.weight",
                "roberta.encoder.layer.1.x",
            ]
        ),
        [
            pretraining,
            "RoBERTa's classifier has a layer of its own for it",
            "positions are counted, not stored",
            "not part of a RoBERTa classifier",
            cut
        ]
    );
}

#[test]
fn a_base_alone_gets_the_head_of_its_architecture() {
    for (fixture, head) in [
        (DISTILBERT, ["pre_classifier", "classifier"]),
        (ROBERTA, ["classifier.dense", "classifier.out_proj"]),
    ] {
        let mut file = File::of(fixture);
        file.0.retain(|name, _| !name.contains("classifier"));
        let options = ClassifierOptions::new(3);
        let loaded = weights::load(&file.bytes(), &fixture.config(), &options, 11, &of_tests());
        let expected = head.map(|name| [format!("{name}.weight"), format!("{name}.bias")]).concat();
        assert_eq!(loaded.unwrap().1.newly_initialised, expected);
    }
}

#[test]
fn a_published_base_in_half_precision_loads() {
    let golden = golden::BERT.read().forward;
    let device = of_tests();
    let bytes = golden::bytes("tiny/published_base.safetensors");
    let (model, report) = load(&bytes, &ClassifierOptions::new(3)).unwrap();
    assert_eq!(
        report.newly_initialised,
        [
            "bert.pooler.dense.weight",
            "bert.pooler.dense.bias",
            "classifier.weight",
            "classifier.bias"
        ]
    );
    let ignored = [
        ("cls.predictions.bias", "head of the pre-training task"),
        ("embeddings.position_ids", "positions are counted, not stored"),
    ];
    assert_eq!(report.ignored, ignored.map(|(name, why)| (name.to_owned(), why.to_owned())));
    assert!(report.used.contains(&"embeddings.LayerNorm.gamma".to_owned()));

    let input = golden.batch.input(&device);
    let mask = input.attention_mask.clone();
    let pooled = converge_bert::heads::mean_pooling(model.hidden_states(input), mask);
    let expected = golden.published_base_mean_pooled.concat();
    assert_close("published base", &values(pooled), &expected, 1e-5);
}

#[test]
fn bfloat16_values_are_the_upper_halves_of_floats() {
    let exact = File::tiny();
    let mut file = exact.clone();
    for (dtype, _, data) in file.0.values_mut() {
        *dtype = Dtype::BF16;
        *data = data.as_chunks::<4>().0.iter().flat_map(|float| [float[2], float[3]]).collect();
    }
    let (model, _) = load(&file.bytes(), &ClassifierOptions::new(3)).unwrap();
    let name = "bert.encoder.layer.1.output.dense.weight";
    let found: Vec<f32> = model.parameter_data(name).unwrap().try_into_vec().unwrap();
    let expected = exact.0[name].2.as_chunks::<4>().0.iter();
    let expected: Vec<f32> =
        expected.map(|float| f32::from_le_bytes([0, 0, float[2], float[3]])).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_head_is_initialised_from_the_seed_as_in_a_new_model() {
    let device = of_tests();
    let options = ClassifierOptions::new(5);
    let (model, report) = load(&File::tiny().bytes(), &options).unwrap();
    assert_eq!(report.newly_initialised, ["classifier.weight", "classifier.bias"]);
    let reason = "another head: its shape is [3, 32], this task's [5, 32]";
    assert!(report.ignored.contains(&("classifier.weight".to_owned(), reason.to_owned())));
    let new = BertClassifier::new(&golden::BERT.config(), &options, 11, &device).unwrap();
    let head = |model: &BertClassifier| model.parameter_data("classifier.weight").unwrap();
    assert_eq!(head(&model), head(&new));
    let other = weights::load(&File::tiny().bytes(), &golden::BERT.config(), &options, 12, &device);
    assert_ne!(head(&model), head(&other.unwrap().0));
}

#[test]
fn what_is_left_out_is_listed_with_its_reason() {
    let mut file = File::tiny();
    file.set("bert.embeddings.position_ids", Dtype::I64, &[1, 24]);
    file.set("cls.seq_relationship.weight", Dtype::F32, &[2, 32]);
    file.set("embeddings.word_embeddings.weight", Dtype::F32, &[1]);
    file.set("qa_outputs.bias", Dtype::F32, &[2]);
    let options =
        ClassifierOptions { pooling: Pooling::Mean, layers: Some(1), ..ClassifierOptions::new(3) };
    let (_, report) = load(&file.bytes(), &options).unwrap();
    let of = |start: &str| {
        let found = report.ignored.iter().find(|(name, _)| name.starts_with(start));
        found.map(|(_, reason)| reason.as_str())
    };
    assert_eq!(of("bert.embeddings.position_ids"), Some("positions are counted, not stored"));
    assert_eq!(of("cls."), Some("head of the pre-training task"));
    assert_eq!(
        of("embeddings.word"),
        Some("`bert.embeddings.word_embeddings.weight` is the same parameter")
    );
    assert_eq!(of("qa_outputs."), Some("not part of a BERT classifier"));
    assert_eq!(of("bert.pooler."), Some("mean pooling has no pooler"));
    assert_eq!(of("bert.encoder.layer.1."), Some("only the first 1 layers are kept"));
    assert_eq!(report.newly_initialised, [""; 0]);
    assert_eq!(report.used.len() + report.ignored.len(), file.0.len());
}

#[test]
fn all_missing_tensors_are_listed() {
    let mut file = File::tiny();
    file.0.retain(|name, _| !name.contains("layer.1.attention.self") && !name.contains("pooler"));
    file.set("bert.pooler.dense.weight", Dtype::F32, &[32, 32]);
    let problems = problems(load(&file.bytes(), &ClassifierOptions::new(3)));
    let missing = |name: &str| TensorProblem::Missing { name: name.to_owned() };
    assert_eq!(
        problems,
        [
            missing("bert.encoder.layer.1.attention.self.query.weight"),
            missing("bert.encoder.layer.1.attention.self.query.bias"),
            missing("bert.encoder.layer.1.attention.self.key.weight"),
            missing("bert.encoder.layer.1.attention.self.key.bias"),
            missing("bert.encoder.layer.1.attention.self.value.weight"),
            missing("bert.encoder.layer.1.attention.self.value.bias"),
            missing("bert.pooler.dense.bias"),
        ]
    );
}

#[test]
fn wrong_shapes_and_types_are_named_all_at_once() {
    let mut file = File::tiny();
    file.set("bert.encoder.layer.0.intermediate.dense.weight", Dtype::F32, &[64, 32]);
    file.set("bert.embeddings.LayerNorm.bias", Dtype::I32, &[32]);
    file.0.remove("bert.encoder.layer.1.output.dense.bias");
    let config = BertConfig { vocab_size: 70, ..golden::BERT.config() };
    let options = ClassifierOptions::new(3);
    let error = weights::load(&file.bytes(), &config, &options, 0, &of_tests()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the weights do not fit the configuration: 4 problems\n  \
         - `bert.embeddings.word_embeddings.weight` has shape [64, 32], \
         the configuration gives [70, 32]\n  \
         - `bert.embeddings.LayerNorm.bias` has type I32; supported: F32, F16, BF16\n  \
         - `bert.encoder.layer.0.intermediate.dense.weight` has shape [64, 32], \
         the configuration gives [48, 32]\n  \
         - `bert.encoder.layer.1.output.dense.bias` is missing"
    );
}

#[test]
fn a_shorter_file_is_corrupt_wherever_it_ends() {
    let bytes = golden::bytes("tiny/model.safetensors");
    let cuts = (0..bytes.len()).step_by(997).chain([7, 8, 9, bytes.len() - 1]);
    for length in cuts {
        match load(&bytes[..length], &ClassifierOptions::new(3)) {
            Err(LoadError::Files { problems }) => {
                let said = problems[0].to_string();
                assert!(said.starts_with("the weights are not a sound safetensors file"), "{said}");
                assert!(said.ends_with(&format!("({length} bytes)")), "{said}");
            }
            other => panic!("{length} bytes: {:?}", other.map(|found| found.1)),
        }
    }
}

#[test]
fn damage_to_the_header_is_an_error_or_harmless_but_never_a_panic() {
    let bytes = golden::bytes("tiny/published_base.safetensors");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut refused = 0;
    for position in (0..8).chain((8..header).step_by(5)) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x15;
        refused += usize::from(load(&damaged, &ClassifierOptions::new(3)).is_err());
    }
    assert!(refused > header / 10, "{refused} of {} were refused", header / 5);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let path = golden::path("nowhere/model.safetensors");
    let error = weights::load_file(
        &path,
        &golden::BERT.config(),
        &ClassifierOptions::new(3),
        0,
        &of_tests(),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read the weights `{}`", path.display()));
    let LoadError::Files { problems } = error else { panic!("{error}") };
    assert!(problems[0].source().is_some());
}

#[test]
fn impossible_options_are_refused_before_the_file_is_looked_at() {
    let options = ClassifierOptions { layers: Some(3), ..ClassifierOptions::new(3) };
    let error = load(b"", &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's configuration is not usable: \
         cannot keep 3 layers of a model that has 2: give 1 to 2"
    );
}

#[test]
fn a_saved_model_comes_back_bit_for_bit() {
    let device = of_tests().autodiff();
    let options = ClassifierOptions::new(3);
    for fixture in FIXTURES {
        let model = fixture.model(&options, &device);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        weights::save(&model, &mut file).unwrap();
        // What was written beside it, as the architecture has it.
        let config = BertConfig::from_json(&model.config().to_json()).unwrap();
        let (loaded, report) =
            weights::load_file(file.path(), &config, &options, 0, &device).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(report.used.len(), model.parameters().len());
        assert_eq!(report.newly_initialised, [""; 0]);
        let mut again = Vec::new();
        weights::save(&loaded, &mut again).unwrap();
        assert_eq!(bytes, again);

        let original = File::of(fixture);
        let saved = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(saved.len(), original.0.len());
        for (name, view) in saved.iter() {
            let (dtype, shape, data) = &original.0[name];
            assert_eq!((view.dtype(), view.shape(), view.data()), (*dtype, &shape[..], &data[..]));
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    }
}

#[test]
fn a_failing_writer_is_an_error() {
    let mut full = [0_u8; 100];
    let model = golden::BERT.model(&ClassifierOptions::new(3), &of_tests());
    let error = weights::save(&model, &mut &mut full[..]).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::WriteZero);
}

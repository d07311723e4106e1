//! Dropout, initial values and the ownership rules of an optimizer's step.

use std::sync::Mutex;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use converge_bert::device::{name_of_tests, of_tests};
use converge_bert::{
    BertClassifier, BertConfig, BertInput, ClassifierOptions, LayerGroup, Pooling,
};

use crate::golden::{self, assert_close, values};

/// Held while a test depends on what the process-wide generator draws.
static GENERATOR: Mutex<()> = Mutex::new(());

fn tiny(seed: u64, device: &Device) -> BertClassifier {
    BertClassifier::new(&BertConfig::tiny(50), &ClassifierOptions::new(2), seed, device).unwrap()
}

fn input(device: &Device) -> BertInput {
    let ids: Vec<i64> = (0..40).map(|i| 1 + i * 7 % 49).collect();
    let token_ids = Tensor::from_data(TensorData::new(ids, [4, 10]), device);
    BertInput {
        token_type_ids: Tensor::zeros([4, 10], device),
        attention_mask: Tensor::ones([4, 10], device),
        token_ids,
        dropout_seed: 0,
    }
}

fn all_values(model: &BertClassifier) -> Vec<(String, Vec<u32>)> {
    let mut all = Vec::new();
    model.visit_parameters(|parameter, tensor| {
        let bits = values(tensor).iter().map(|value| value.to_bits()).collect();
        all.push((parameter.name.clone(), bits));
    });
    all
}

#[test]
fn dropout_acts_in_training_and_is_off_in_evaluation() {
    let _generator = GENERATOR.lock();
    let device = of_tests().autodiff();
    let model = tiny(1, &device);
    let train = |seed| {
        let input = BertInput { dropout_seed: seed, ..input(&device) };
        values(model.forward(input).inner())
    };
    assert_ne!(train(1), train(2), "training draws masks");
    assert_eq!(train(3), train(3), "masks follow the seed");

    let plain = of_tests();
    let validated = model.valid();
    let first = values(validated.forward(input(&plain)));
    assert_eq!(first, values(validated.forward(input(&plain))));
    assert_eq!(first, values(tiny(1, &plain).forward(input(&plain))));
    // Inputs on the training device put the rest of the computation there, in other operations.
    let mixed = || values(validated.forward(input(&device)).inner());
    assert_eq!(mixed(), mixed());
    assert_close("inputs on the training device", &mixed(), &first, 1e-6);
}

#[test]
fn each_dropout_option_acts_alone() {
    let _generator = GENERATOR.lock();
    let device = of_tests().autodiff();
    let off = ClassifierOptions {
        hidden_dropout: Some(0.0),
        attention_dropout: Some(0.0),
        classifier_dropout: Some(0.0),
        ..ClassifierOptions::new(2)
    };
    let varies = |options: &ClassifierOptions| {
        let model = BertClassifier::new(&BertConfig::tiny(50), options, 1, &device).unwrap();
        let forward = |seed| {
            let input = BertInput { dropout_seed: seed, ..input(&device) };
            values(model.forward(input).inner())
        };
        forward(1) != forward(2)
    };
    assert!(!varies(&off));
    assert!(varies(&ClassifierOptions { hidden_dropout: Some(0.5), ..off.clone() }));
    assert!(varies(&ClassifierOptions { attention_dropout: Some(0.5), ..off.clone() }));
    assert!(varies(&ClassifierOptions { classifier_dropout: Some(0.5), ..off.clone() }));
}

#[test]
fn initial_values_are_a_function_of_the_seed_alone() {
    let _generator = GENERATOR.lock();
    let device = of_tests();
    device.seed(1);
    let first = all_values(&tiny(5, &device));
    device.seed(2);
    assert_eq!(first, all_values(&tiny(5, &device)));
    assert_eq!(first, all_values(&tiny(5, &device.clone().autodiff())));
    let other = all_values(&tiny(6, &device));
    for ((name, values), (_, others)) in first.iter().zip(&other) {
        let constant = name.ends_with("bias") || name.contains("LayerNorm");
        assert_eq!(values == others, constant, "`{name}`");
    }
}

#[test]
fn initial_values_are_those_of_the_reference_in_distribution() {
    let config = BertConfig { initializer_range: 0.02, ..BertConfig::tiny(3000) };
    let model = BertClassifier::new(&config, &ClassifierOptions::new(2), 3, &of_tests()).unwrap();
    model.visit_parameters(|parameter, tensor| {
        let values = values(tensor);
        let name = &parameter.name;
        if name.ends_with("LayerNorm.weight") {
            assert!(values.iter().all(|value| *value == 1.0), "`{name}`");
        } else if name.ends_with("bias") {
            assert!(values.iter().all(|value| *value == 0.0), "`{name}`");
        } else {
            let count = values.len() as f32;
            let deviation = (values.iter().map(|value| value * value).sum::<f32>() / count).sqrt();
            // Five standard errors; the padding row takes a part in 3000.
            let tolerance = 5.0 * 0.02 / (2.0 * count).sqrt() + 1e-5;
            assert!((deviation - 0.02).abs() < tolerance, "`{name}`: {deviation}");
        }
    });
    let words = model.parameter_data("bert.embeddings.word_embeddings.weight").unwrap();
    let words: Vec<f32> = words.try_into_vec().unwrap();
    assert!(words[..32].iter().all(|value| *value == 0.0), "the padding token starts at zero");
    assert!(words[32..].iter().all(|value| *value != 0.0));
}

#[test]
fn groups_and_decay_follow_the_names() {
    let model = tiny(1, &of_tests());
    let parameters = model.parameters();
    assert_eq!(parameters.len(), 5 + 2 * 16 + 2 + 2);
    assert_eq!(parameters.iter().map(|p| p.elements()).sum::<usize>(), model.num_params());
    assert!(parameters.is_sorted_by_key(|parameter| parameter.group));
    for (index, parameter) in parameters.iter().enumerate() {
        assert_eq!(parameter.index, index);
        let name = &parameter.name;
        let group = match name.split('.').collect::<Vec<_>>()[..] {
            ["bert", "embeddings", ..] => LayerGroup::Embeddings,
            ["bert", "encoder", "layer", number, ..] => LayerGroup::Layer(number.parse().unwrap()),
            ["bert", "pooler", ..] => LayerGroup::Pooler,
            ["classifier", ..] => LayerGroup::Head,
            _ => panic!("`{name}` is in no group"),
        };
        assert_eq!(parameter.group, group, "`{name}`");
        let decays = !name.ends_with(".bias") && !name.contains("LayerNorm");
        assert_eq!(parameter.decays, decays, "`{name}`");
        assert_eq!(model.parameter(name), Some(parameter));
    }
    assert_eq!(model.parameter("bert.pooler.dense"), None);
}

#[test]
fn mean_pooling_has_no_pooler() {
    let options = ClassifierOptions { pooling: Pooling::Mean, ..ClassifierOptions::new(2) };
    let model = BertClassifier::new(&BertConfig::tiny(50), &options, 1, &of_tests()).unwrap();
    assert!(model.parameters().iter().all(|parameter| parameter.group != LayerGroup::Pooler));
}

#[test]
fn a_mapped_model_keeps_training() {
    let device = of_tests().autodiff();
    let model = golden::BERT.model(&ClassifierOptions::new(3), &device);
    let before = all_values(&model);
    let model = model.map_parameters(|_, tensor| {
        assert!(!tensor.is_autodiff());
        tensor
    });
    assert_eq!(before, all_values(&model));
    let batch = golden::BERT.read().forward.batch;
    let loss = batch.loss(model.forward(batch.input(&device)));
    let gradients = model.take_gradients(loss.backward());
    assert!(gradients.iter().all(|gradient| gradient.is_some()));
    let validated = model.valid().map_parameters(|_, tensor| tensor + 1.0);
    let logits = validated.forward(batch.input(&of_tests()));
    assert!(!logits.is_autodiff());
    assert_eq!(before, all_values(&model), "a copy is a copy");
}

#[test]
fn a_parameter_is_moved_out_after_a_backward_pass_and_not_copied() {
    if name_of_tests() != "cpu" {
        println!("not run: other devices copy what they hand over");
        return;
    }
    let device = of_tests().autodiff();
    let batch = golden::BERT.read().forward.batch;
    let addresses = |model: BertClassifier| {
        let mut addresses = Vec::new();
        let model = model.map_parameters(|_, tensor| {
            // The only owner of a tensor on the CPU hands over its memory; anyone else a copy.
            let (device, data) = (tensor.device(), tensor.into_data());
            addresses.push(data.as_bytes().as_ptr());
            Tensor::from_data(data, &device)
        });
        (model, addresses)
    };
    let (model, before) = addresses(golden::BERT.model(&ClassifierOptions::new(3), &device));
    let loss = batch.loss(model.forward(batch.input(&device)));
    let gradients = model.take_gradients(loss.backward());
    let (model, after) = addresses(model);
    assert_eq!(before, after);
    let copy = model.clone();
    let (_, copied) = addresses(model);
    assert_ne!(before, copied, "a clone of the model keeps its own");
    drop((copy, gradients));
}

#[test]
fn gradient_checkpointing_survives_an_update() {
    let device = of_tests().autodiff().gradient_checkpointing();
    let model = golden::BERT.model(&ClassifierOptions::new(3), &device);
    let batch = golden::BERT.read().forward.batch;
    let model = model.map_parameters(|_, tensor| tensor * 1.0);
    let loss = batch.loss(model.forward(batch.input(&device)));
    let gradients = model.take_gradients(loss.backward());
    assert!(gradients.iter().all(|gradient| gradient.is_some()));
}

#[test]
#[should_panic(expected = "a sequence of 65 tokens exceeds the model's 64 positions")]
fn a_sequence_beyond_the_positions_is_refused() {
    let device = of_tests();
    let ids = || Tensor::zeros([1, 65], &device);
    let input = BertInput {
        token_ids: ids(),
        token_type_ids: ids(),
        attention_mask: ids().add_scalar(1),
        dropout_seed: 0,
    };
    let _ = tiny(1, &device).forward(input);
}

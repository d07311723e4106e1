use converge_bert::{BertConfig, ClassifierOptions};
use converge_core::settings::Pooling;

use super::*;

fn model(seed: u64) -> BertClassifier {
    let device = converge_bert::device::of_tests();
    let config = BertConfig { num_hidden_layers: 3, ..BertConfig::tiny(16) };
    BertClassifier::new(&config, &ClassifierOptions::new(2), seed, &device).unwrap()
}

/// Returns the values of every parameter by name.
fn values(model: &BertClassifier) -> BTreeMap<String, Vec<f32>> {
    let names: Vec<String> = model.parameters().iter().map(|one| one.name.clone()).collect();
    let of = |name: String| {
        let values = model.parameter_data(&name).unwrap().try_into_vec().unwrap();
        (name, values)
    };
    names.into_iter().map(of).collect()
}

/// Returns which parts of a pretrained model have other weights than before.
fn drawn_anew(train: &TrainSettings) -> Vec<String> {
    let before = values(&model(1));
    let after = values(&with_fresh_weights(model(1), train, Seed(7)));
    let other: std::collections::BTreeSet<String> = before
        .iter()
        .filter(|(name, values)| after[*name] != **values)
        .map(|(name, _)| name.split(".attention.").next().unwrap_or(name).to_owned())
        .map(|name| name.replace(".weight", "").replace(".dense", ""))
        .map(|name| name.replace(".intermediate", "").replace(".output", ""))
        .collect();
    other.into_iter().collect()
}

#[test]
fn what_is_asked_for_is_drawn_anew_and_nothing_else() {
    let train = TrainSettings::defaults();
    assert_eq!(drawn_anew(&train), [""; 0]);
    let layers = TrainSettings { reinit_layers: 2, ..train.clone() };
    assert_eq!(drawn_anew(&layers), ["bert.encoder.layer.1", "bert.encoder.layer.2"]);
    let pooler = TrainSettings { reinit_pooler: true, ..train.clone() };
    assert_eq!(drawn_anew(&pooler), ["bert.pooler"]);
    let head = TrainSettings { head_init_std: Some(0.02), ..train };
    assert_eq!(drawn_anew(&head), ["classifier"]);
}

#[test]
fn fresh_weights_are_those_of_the_seed_scaled() {
    let train = TrainSettings {
        reinit_layers: 3,
        reinit_pooler: true,
        head_init_std: Some(0.5),
        pooling: Pooling::Cls,
        ..TrainSettings::defaults()
    };
    let fresh = values(&with_fresh_weights(model(1), &train, Seed(7)));
    // A model that is random from the start, with the same seed.
    for (name, expected) in values(&model(7)) {
        // The preset's own deviation is 0.1.
        let scale = if name == "classifier.weight" { 5.0 } else { 1.0 };
        if name.starts_with("bert.embeddings") {
            continue;
        }
        for (found, expected) in fresh[&name].iter().zip(expected) {
            assert!((found - scale * expected).abs() <= 1e-6 * scale, "{name}");
        }
    }
}

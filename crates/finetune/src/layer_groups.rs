//! Layer groups, in which gradient norms and travel are recorded.

use converge_bert::{LayerGroup, Parameter};
use converge_core::metric::LAYER_GROUPS;

/// A number for each of [`LAYER_GROUPS`].
pub(crate) type PerGroup = [f64; LAYER_GROUPS.len()];

/// Place of the embeddings in [`LAYER_GROUPS`].
pub(crate) const EMBEDDINGS: usize = 0;
/// Place of the head, the pooler included, in [`LAYER_GROUPS`].
pub(crate) const HEAD: usize = 4;

/// Returns the place in [`LAYER_GROUPS`] of a parameter of a model with so many layers.
///
/// A layer is in the third that its middle falls into: a single layer is the middle one, two are
/// bottom and top.
pub(crate) fn of(parameter: &Parameter, layers: usize) -> usize {
    match parameter.group {
        LayerGroup::Embeddings => EMBEDDINGS,
        LayerGroup::Layer(layer) => 1 + (2 * layer + 1) * 3 / (2 * layers.max(1)),
        LayerGroup::Pooler | LayerGroup::Head => HEAD,
    }
}

/// Returns how far below the head a parameter of a model with so many layers lies: 0 for the head and the pooler, 1 for
/// the uppermost layer, one more than there are layers for the embeddings.
///
/// # Source
/// As the code of Zhang et al. 2021 counts for its layer-wise learning rates: `get_optimizer_grouped_parameters` of
/// asappresearch/revisit-bert-finetuning, `run_glue.py`.
pub(crate) fn depth(parameter: &Parameter, layers: usize) -> i32 {
    let depth = match parameter.group {
        LayerGroup::Embeddings => layers + 1,
        LayerGroup::Layer(layer) => layers.saturating_sub(layer),
        LayerGroup::Pooler | LayerGroup::Head => 0,
    };
    i32::try_from(depth).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use converge_bert::{BertClassifier, BertConfig, ClassifierOptions};

    use super::*;

    #[test]
    fn layers_are_shared_among_three_thirds() {
        for (layers, expected) in [
            (1, vec!["middle"]),
            (2, vec!["bottom", "top"]),
            (3, vec!["bottom", "middle", "top"]),
            (4, vec!["bottom", "middle", "middle", "top"]),
            (6, vec!["bottom", "bottom", "middle", "middle", "top", "top"]),
        ] {
            let config = BertConfig { num_hidden_layers: layers, ..BertConfig::tiny(8) };
            let device = converge_bert::device::of_tests();
            let model =
                BertClassifier::new(&config, &ClassifierOptions::new(2), 1, &device).unwrap();
            let group = |name: &str| LAYER_GROUPS[of(model.parameter(name).unwrap(), layers)];
            let found: Vec<_> = (0..layers)
                .map(|layer| group(&format!("bert.encoder.layer.{layer}.output.dense.weight")))
                .collect();
            assert_eq!(found, expected);
            assert_eq!(group("bert.embeddings.word_embeddings.weight"), "embeddings");
            assert_eq!(group("bert.pooler.dense.bias"), "head");
            assert_eq!(group("classifier.weight"), "head");
        }
    }
}

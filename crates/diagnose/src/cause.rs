//! The catalogue of what can be wrong with a training.

use serde::Serialize;

/// What keeps a training from converging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A number became infinite or undefined, and no learning rate explains it.
    NotFinite,
    /// The tokenizer does not know the words of the texts.
    UnknownWords,
    /// Weights that should train cannot.
    Frozen,
    /// Steps are so large that they destroy what the model knows.
    LearningRateTooHigh,
    /// SGD with a learning rate made for Adam.
    OptimizerMismatch,
    /// The learning rate never reaches what was asked for.
    WarmupTooLong,
    /// Epsilon eats Adam's steps.
    EpsilonTooLarge,
    /// Steps are so small that nothing changes.
    LearningRateTooLow,
    /// Nothing connects texts and labels.
    NoSignal,
    /// One class is so frequent that answering it always is the easy way.
    ClassImbalance,
    /// Too few examples to learn from.
    TooLittleData,
    /// Training ended before it was done.
    TooFewSteps,
    /// The model learnt its examples by heart and got worse at others.
    Overfitting,
    /// Dropout, decay or smoothing keep it from fitting even its own examples.
    RegularisationTooStrong,
    /// Many labels are wrong.
    LabelNoise,
    /// What tells the classes apart is cut off.
    Truncation,
    /// Another seed of the same configuration works.
    UnluckySeed,
}

/// What the catalogue says of a cause.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The cause.
    pub cause: Cause,
    /// Its name in `--json`, and of its section in `docs/diagnosis.md` with hyphens.
    pub id: &'static str,
    /// The headline: completes "did not converge: ".
    pub headline: &'static str,
    /// What that is, for someone who has never fine-tuned.
    pub meaning: &'static str,
    /// Which signals it is told by.
    pub inputs: &'static [&'static str],
    /// Parameters whose change mends it.
    pub parameters: &'static [&'static str],
    /// Where the knowledge is from.
    pub source: &'static str,
}

macro_rules! causes {
    ($($cause:ident $id:literal $headline:literal $meaning:literal [$($input:literal)*] [$($parameter:literal)*] $source:literal;)*) => {
        /// The catalogue, in the order of priority: where several causes are as sure, the first is the headline.
        pub const CAUSES: &[Entry] = &[$(Entry {
            cause: Cause::$cause, id: $id, headline: $headline, meaning: $meaning,
            inputs: &[$($input),*], parameters: &[$($parameter),*], source: $source,
        }),*];
    };
}

causes! {
    NotFinite "not_finite"
        "a number became infinite or undefined"
        "The loss or a gradient was not a number any more, so no further step could be made. Where the learning rate is not the reason, it is half precision, a broken input, or a defect."
        ["train/loss" "train/gradient_norm" "learning rate"] ["precision" "learning_rate" "max_grad_norm"]
        "Micikevicius et al. 2018, arXiv:1710.03740 (half precision)";
    UnknownWords "unknown_words"
        "the tokenizer does not know the words of the texts"
        "A word that the tokenizer does not know becomes the placeholder [UNK]. The model then sees placeholders where the meaning was: no setting of the training can bring it back."
        ["unknown_token_share"] ["model.path"]
        "Devlin et al. 2019, arXiv:1810.04805 (vocabulary)";
    Frozen "frozen"
        "the encoder is frozen, and its head alone cannot do it"
        "Only the last layer trains; everything below stays as it was pretrained. That is quick, and enough for easy tasks only."
        ["freeze" "travel"] ["freeze"]
        "Peters, Ruder and Smith 2019, arXiv:1903.05987";
    LearningRateTooHigh "learning_rate_too_high"
        "the learning rate is too high"
        "Every step changes the weights so much that what the model knew of language is overwritten. It typically ends by giving every text the same answer, and does not come back."
        ["loss_peak" "loss_settled" "travel" "update_ratio" "bottom_gradient" "straightness" "largest_answer"]
        ["learning_rate" "warmup_ratio" "max_grad_norm"]
        "Mosbach et al. 2021, arXiv:2006.04884; Google Tuning Playbook";
    OptimizerMismatch "optimizer_mismatch"
        "SGD runs with a learning rate made for Adam"
        "Adam divides each step by the size of the gradient, SGD does not. At the same learning rate SGD's steps are about a thousand times smaller: nothing moves."
        ["optimizer" "learning rate" "travel"] ["optimizer" "learning_rate"]
        "Gkouti et al. 2024, arXiv:2402.06948 (tuned, the optimizers are equal)";
    WarmupTooLong "warmup_too_long"
        "the warm-up takes most of the training"
        "The learning rate climbs from zero during the warm-up. Here it never, or hardly ever, was what you asked for."
        ["warmup" "rate_reached"] ["warmup_ratio" "warmup_steps" "epochs"]
        "Google Tuning Playbook (at most a tenth of the steps)";
    EpsilonTooLarge "epsilon_too_large"
        "Adam's epsilon swallows the steps"
        "Adam divides by the root of the gradients' squares plus epsilon. Where epsilon is the larger of the two, steps shrink as if the learning rate were much lower than it says."
        ["epsilon_share"] ["epsilon" "learning_rate"]
        "Kingma and Ba 2015, arXiv:1412.6980";
    LearningRateTooLow "learning_rate_too_low"
        "the learning rate is too low"
        "The steps are so small that training ends long before the weights could get anywhere. More of the same steps would take far too long; larger ones get there."
        ["travel" "update_ratio" "straightness" "skill"] ["learning_rate"]
        "Devlin et al. 2019, arXiv:1810.04805 (usual rates)";
    NoSignal "no_signal"
        "nothing in the texts tells the labels apart"
        "The weights moved as they should, and still neither this model nor a plain count of words does better than always giving the most frequent answer. Most often labels and texts were mixed up on the way, or the text column is the wrong one."
        ["skill" "travel" "bag_of_words"] []
        "Zhang et al. 2017, arXiv:1611.03530 (networks learn random labels by heart)";
    ClassImbalance "class_imbalance"
        "one class is so frequent that always answering it is the easy way"
        "The loss is smallest, at first, for a model that ignores the text and gives the frequent answer. Rare classes are never answered."
        ["class counts" "largest_answer" "missed_classes"] ["class_weights" "sampling" "epochs"]
        "Buda et al. 2018, arXiv:1710.05381";
    TooLittleData "too_little_data"
        "there are too few examples to learn from"
        "The model learns its few examples by heart, which says nothing about other texts. No setting replaces examples."
        ["examples" "train_accuracy" "accuracy"] ["data.train_limit"]
        "Zhang et al. 2021, arXiv:2006.05987";
    TooFewSteps "too_few_steps"
        "training ended before it was done"
        "The loss was still falling when the steps were over. A small data set, a large batch or few epochs leave few steps, whatever the number of examples."
        ["steps" "late_gain" "skill"] ["epochs" "batch_size" "max_steps"]
        "Mosbach et al. 2021, arXiv:2006.04884 (20 epochs on small sets)";
    Overfitting "overfitting"
        "the model got better at its own examples and worse at others"
        "After its best evaluation the model went on learning its training examples by heart, and its answers to other texts became worse."
        ["best_accuracy" "accuracy" "train_accuracy"] ["epochs" "dropout" "weight_decay" "data.train_limit"]
        "Google Tuning Playbook (validation error that rises during training)";
    RegularisationTooStrong "regularisation_too_strong"
        "regularisation keeps the model from fitting its own examples"
        "Dropout, weight decay and label smoothing exist to keep a model from learning by heart. Too much of them keeps it from learning at all."
        ["dropout" "weight_decay" "label_smoothing" "train_skill"] ["dropout" "weight_decay" "label_smoothing"]
        "Srivastava et al. 2014, JMLR 15 (dropout)";
    LabelNoise "label_noise"
        "many labels seem to be wrong"
        "At its best the model contradicts many training examples with great certainty. Where that is so, the label is often the one that errs."
        ["confidently_wrong"] ["label_smoothing" "epochs"]
        "Northcutt et al. 2021, arXiv:1911.00068 (confident learning)";
    Truncation "truncation"
        "what tells the classes apart is cut off"
        "Texts longer than max_length lose their end. Here words beyond the cut would help."
        ["truncated_share" "bag_of_words"] ["max_length"]
        "Sun et al. 2019, arXiv:1905.05583";
    UnluckySeed "unlucky_seed"
        "this seed failed where others of the same configuration work"
        "Head, order and dropout are drawn at random. Close to the edge of what works some draws fail: a sign of a learning rate that is nearly too high."
        ["replicates"] ["learning_rate" "warmup_ratio" "epochs"]
        "Dodge et al. 2020, arXiv:2002.06305; Mosbach et al. 2021, arXiv:2006.04884";
}

impl Cause {
    /// Returns what the catalogue says of it.
    ///
    /// # Panics
    /// Never: a test holds the catalogue complete.
    pub fn entry(self) -> &'static Entry {
        CAUSES.iter().find(|entry| entry.cause == self).expect("the catalogue is complete")
    }

    /// Returns its place in the catalogue: where several are as sure, the smallest is the headline.
    pub fn priority(self) -> usize {
        CAUSES.iter().position(|entry| entry.cause == self).unwrap_or(CAUSES.len())
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// One sign speaks for it.
    Suspected,
    /// Several signs that do not depend on each other agree.
    Likely,
    /// A fact, or other trials of the sweep that differ in nothing else show it.
    Proven,
}

impl Confidence {
    /// Returns it as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Likely => "likely",
            Self::Proven => "proven",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_has_an_entry_and_no_id_comes_twice() {
        let ids: BTreeSet<&str> = CAUSES.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), CAUSES.len());
        for entry in CAUSES {
            assert_eq!(entry.cause.entry().id, entry.id);
            assert_eq!(serde_json::to_value(entry.cause).unwrap(), entry.id);
        }
        assert_eq!(CAUSES.last().unwrap().cause.priority(), CAUSES.len() - 1);
    }

    #[test]
    fn parameters_are_keys_of_a_sweep_file() {
        for parameter in CAUSES.iter().flat_map(|entry| entry.parameters) {
            assert!(converge_core::key::Key::find(parameter).is_some(), "{parameter}");
        }
    }
}

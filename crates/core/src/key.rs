//! Every key of `[train]`, `[model]` and `[data]`: what values it takes, its default, what it means.
//!
//! The table serves the checks of a sweep file, its parameters and its overrides alike.

use crate::value::Value;

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Full dotted name, `train.learning_rate`.
    pub name: &'static str,
    /// Values it takes.
    pub kind: Kind,
    /// What it means, in one line.
    pub meaning: &'static str,
}

/// Values that a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A finite number within bounds.
    Float(Bounds),
    /// A whole number of at least so much.
    Integer(i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any non-empty text.
    Text,
    /// A path, relative to the working directory.
    Path,
    /// One of these words, or a whole number of at least so much.
    ChoiceOrInteger(&'static [&'static str], i64),
    /// One of these words, or a list of positive numbers.
    ChoiceOrList(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
}

/// Bounds of a number.
#[derive(Debug, Clone, Copy)]
pub enum Bounds {
    /// Greater than zero.
    Positive,
    /// Zero or more.
    NonNegative,
    /// From zero to less than one.
    Share,
    /// Greater than zero, at most one.
    Factor,
}

const OPTIMIZERS: &[&str] = &["adamw", "adam", "sgd", "rmsprop", "adagrad"];

macro_rules! keys {
    ($($name:literal $kind:expr, $meaning:literal;)*) => {
        /// All keys, in the order in which documents show them.
        pub const KEYS: &[Key] = &[$(Key { name: $name, kind: $kind, meaning: $meaning }),*];
    };
}

keys! {
    "train.learning_rate" Kind::Float(Bounds::Positive), "peak learning rate";
    "train.batch_size" Kind::Integer(1), "examples per step, all micro-batches together";
    "train.epochs" Kind::Integer(1), "passes over the training split";
    "train.max_steps" Kind::Integer(1), "ends training after this many steps";
    "train.optimizer" Kind::Choice(OPTIMIZERS), "update rule";
    "train.momentum" Kind::Float(Bounds::Share), "momentum of sgd";
    "train.beta1" Kind::Float(Bounds::Share), "first-moment decay of adam and adamw";
    "train.beta2" Kind::Float(Bounds::Share), "second-moment decay of adam and adamw";
    "train.epsilon" Kind::Float(Bounds::Positive), "added to the root of the second moment";
    "train.weight_decay" Kind::Float(Bounds::NonNegative), "none on biases and LayerNorm";
    "train.max_grad_norm" Kind::Float(Bounds::NonNegative), "global clipping; 0 turns it off";
    "train.schedule" Kind::Choice(&["linear", "cosine", "constant"]), "learning rate after the warm-up";
    "train.warmup_ratio" Kind::Float(Bounds::Share), "share of all steps in warm-up";
    "train.warmup_steps" Kind::Integer(0), "steps of warm-up; wins over warmup_ratio";
    "train.max_length" Kind::ChoiceOrInteger(&["auto"], 3), "longest sequence in tokens";
    "train.evaluations_per_epoch" Kind::Integer(1), "evaluations per epoch";
    "train.dropout" Kind::Float(Bounds::Share), "hidden, attention and classifier dropout at once";
    "train.hidden_dropout" Kind::Float(Bounds::Share), "after embeddings and sublayers";
    "train.attention_dropout" Kind::Float(Bounds::Share), "on attention probabilities";
    "train.classifier_dropout" Kind::Float(Bounds::Share), "before the classification head";
    "train.label_smoothing" Kind::Float(Bounds::Share), "mass spread evenly over all classes";
    "train.gradient_accumulation" Kind::Integer(1), "micro-batches that make one step";
    "train.freeze" Kind::ChoiceOrInteger(&["none", "embeddings", "encoder"], 1), "what stays pretrained";
    "train.head_learning_rate_multiplier" Kind::Float(Bounds::Positive), "head's rate over learning_rate";
    "train.class_weights" Kind::ChoiceOrList(&["none", "balanced", "sqrt"]), "weights of classes in the loss";
    "train.pooling" Kind::Choice(&["cls", "mean"]), "how a sequence becomes one vector";
    "train.precision" Kind::Choice(&["float32", "bfloat16", "float16"]), "of the encoder's matrix products";
    "train.head_init_std" Kind::Float(Bounds::Positive), "deviation of the head's fresh weights";
    "train.reinit_layers" Kind::Integer(0), "uppermost layers that start from fresh weights";
    "train.reinit_pooler" Kind::Boolean, "the pooler starts from fresh weights";
    "train.layerwise_decay" Kind::Float(Bounds::Factor), "a layer's rate over that of the layer above";
    "train.head_learning_rate" Kind::Float(Bounds::Positive), "the head's own peak learning rate";
    "train.sampling" Kind::Choice(&["shuffle", "stratified", "balanced"]), "order of an epoch's examples";
    "model.path" Kind::Path, "a Hugging Face directory, or hf:org/name";
    "model.preset" Kind::Choice(&["tiny"]), "a model with random weights, no download";
    "model.layers" Kind::Integer(1), "keeps the first so many encoder layers";
    "data.train" Kind::Path, "csv, tsv or jsonl file with a header";
    "data.validation" Kind::Path, "a file of its own, or \"none\"";
    "data.test" Kind::Path, "a file of its own";
    "data.text" Kind::Text, "column of the text";
    "data.text_pair" Kind::Text, "column of the second text";
    "data.label" Kind::Text, "column of the label";
    "data.validation_fraction" Kind::Float(Bounds::Share), "share of train held out";
    "data.test_fraction" Kind::Float(Bounds::Share), "share of train held out for the test";
    "data.train_limit" Kind::Integer(1), "most training examples";
    "data.validation_limit" Kind::Integer(1), "most validation examples";
    "data.task" Kind::Choice(&["auto", "classes", "multi_label", "regression"]), "what the model learns to answer";
    "data.label_separator" Kind::Text, "between the labels of a cell, in a multi-label task";
}

impl Key {
    /// Returns the key of a name as users write it: keys of `[train]` may lose their prefix.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name || key.name.strip_prefix("train.") == Some(name))
    }

    /// Returns the name as users write it in `[parameters]` and on the command line.
    pub fn short_name(&self) -> &'static str {
        self.name.strip_prefix("train.").unwrap_or(self.name)
    }

    /// Returns the section and the key within it.
    pub fn section(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("train", self.name))
    }

    /// Returns `value` in the key's own type, or what would be right.
    ///
    /// # Errors
    /// A sentence fragment, `expected … , found …`.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let expected = || Err(format!("expected {}, found {}", self.kind.expected(), shown(value)));
        match (self.kind, value) {
            (Kind::Float(bounds), Value::Integer(_) | Value::Float(_)) => {
                let number = value.number().unwrap_or(f64::NAN);
                if bounds.contain(number) { Ok(Value::Float(number)) } else { expected() }
            }
            (Kind::Integer(min) | Kind::ChoiceOrInteger(_, min), Value::Integer(number))
                if *number >= min =>
            {
                Ok(value.clone())
            }
            (
                Kind::Choice(words) | Kind::ChoiceOrInteger(words, _) | Kind::ChoiceOrList(words),
                Value::Text(word),
            ) if words.contains(&word.as_str()) => Ok(value.clone()),
            (Kind::ChoiceOrList(_), Value::List(numbers))
                if !numbers.is_empty() && numbers.iter().all(|n| n.is_finite() && *n > 0.0) =>
            {
                Ok(value.clone())
            }
            (Kind::Boolean, Value::Boolean(_)) => Ok(value.clone()),
            (Kind::Text | Kind::Path, Value::Text(text)) if !text.is_empty() => Ok(value.clone()),
            _ => expected(),
        }
    }
}

impl Kind {
    /// Describes the values, as the continuation of "expected".
    pub fn expected(&self) -> String {
        let quoted = |words: &[&str]| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Float(Bounds::Positive) => "a number greater than 0".into(),
            Self::Float(Bounds::NonNegative) => "a number of 0 or more".into(),
            Self::Float(Bounds::Share) => "a number from 0 to less than 1".into(),
            Self::Float(Bounds::Factor) => "a number greater than 0, at most 1".into(),
            Self::Integer(min) => format!("a whole number of {min} or more"),
            Self::Choice(words) => format!("one of {}", quoted(words)),
            Self::Boolean => "true or false".into(),
            Self::Text => "a text".into(),
            Self::Path => "a path".into(),
            Self::ChoiceOrInteger(words, min) => {
                format!("one of {} or a whole number of {min} or more", quoted(words))
            }
            Self::ChoiceOrList(words) => {
                format!("one of {} or a list of positive numbers", quoted(words))
            }
        }
    }
}

impl Bounds {
    fn contain(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Self::Positive => number > 0.0,
                Self::NonNegative => number >= 0.0,
                Self::Share => (0.0..1.0).contains(&number),
                Self::Factor => number > 0.0 && number <= 1.0,
            }
    }
}

/// Shows a value with its type visible, for messages.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

/// Returns the candidate nearest to `name`, if it is near enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + name.len().min(candidate.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the Levenshtein distance, over characters.
pub fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_a_stranger_does_not() {
        let names = || KEYS.iter().map(Key::short_name);
        assert_eq!(nearest("learning_rat", names()), Some("learning_rate"));
        assert_eq!(nearest("lerning_rate", names()), Some("learning_rate"));
        assert_eq!(nearest("optimiser", names()), Some("optimizer"));
        assert_eq!(nearest("colour", names()), None);
    }

    #[test]
    fn a_whole_number_serves_where_a_float_is_expected_and_not_the_reverse() {
        let check = |name: &str, value| Key::find(name).unwrap().check(&value);
        assert_eq!(check("weight_decay", Value::Integer(0)), Ok(Value::Float(0.0)));
        assert_eq!(
            check("batch_size", Value::Float(16.0)),
            Err("expected a whole number of 1 or more, found 16".into())
        );
        assert!(check("dropout", Value::Float(1.0)).is_err());
        assert!(check("learning_rate", Value::Float(f64::NAN)).is_err());
    }
}

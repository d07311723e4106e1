//! Causes that lie in the data.

use converge_core::task::Task;
use converge_core::value::Value;

use super::{Case, Claim, Evidence, Fix, percent};
use crate::cause::{Cause, Confidence};
use crate::standing::Standing;
use crate::thresholds::Thresholds;

/// Data sets up to this size are too small whatever else is so. Unit: training examples.
const HANDFUL: u64 = 16;

pub(super) fn unknown_words(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let share = case.record.facts.train.unknown_token_share;
    if share < thresholds.unknown_words || case.judged.standing == Standing::Converged {
        return None;
    }
    let mostly = share >= thresholds.mostly_unknown;
    let confidence = if mostly { Confidence::Proven } else { Confidence::Suspected };
    let evidence = vec![Evidence::new(format!(
        "{} of the tokens are [UNK], words that the vocabulary does not have (usual: below 1 %)",
        percent(share)
    ))];
    let fixes = vec![Fix::new(
        "take a model whose vocabulary was made for such texts: for other languages a multilingual one",
    )];
    Some(Claim { cause: Cause::UnknownWords, confidence, evidence, fixes })
}

pub(super) fn no_signal(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let signals = &case.signals;
    if case.judged.standing != Standing::AtChance {
        return None;
    }
    // Only a model that had its chance to learn can say that there is nothing.
    let travel = signals
        .travel
        .filter(|travel| *travel > 10.0 * thresholds.still && *travel < thresholds.far)?;
    let words = case.record.facts.bag_of_words?;
    let chance = case.chance?;
    if chance.is_beaten_by(&words)? {
        return None;
    }
    let mut evidence = vec![
        Evidence::new(format!(
            "a count of words gets {} right; always giving the most frequent answer gets {}",
            percent(words.accuracy),
            percent(chance.accuracy?)
        )),
        Evidence::new(format!(
            "the encoder's weights moved by {}, as they should",
            percent(travel)
        )),
    ];
    let by_heart = signals.train_accuracy.filter(|accuracy| *accuracy > thresholds.by_heart);
    evidence.extend(by_heart.map(|accuracy| {
        Evidence::new(format!(
            "its training examples it learnt by heart ({} right), and nothing of that helps with others",
            percent(accuracy)
        ))
    }));
    let confidence = if by_heart.is_some() { Confidence::Likely } else { Confidence::Suspected };
    let fixes = vec![
        Fix::new("look whether texts and labels of the data file still belong together"),
        Fix::new("look whether `text` and `label` in [data] name the right columns"),
    ];
    Some(Claim { cause: Cause::NoSignal, confidence, evidence, fixes })
}

pub(super) fn class_imbalance(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let (signals, facts) = (&case.signals, &case.record.facts);
    if facts.task != Task::Classes || case.judged.standing == Standing::Converged {
        return None;
    }
    let counts = facts.train.class_counts.iter().zip(&facts.labels);
    let (largest, frequent) = counts.clone().max_by_key(|(count, _)| **count)?;
    let (smallest, rare) = counts.min_by_key(|(count, _)| **count)?;
    let ratio = *largest as f64 / (*smallest).max(1) as f64;
    let missed = signals.missed_classes.filter(|missed| *missed > 0)?;
    if ratio < thresholds.imbalance {
        return None;
    }
    let evidence = vec![
        Evidence::new(format!(
            "`{frequent}` has {largest} training examples, `{rare}` has {smallest}: {ratio:.0} times as many"
        )),
        Evidence::new(format!(
            "of {missed} of the {} classes not one validation example is answered right",
            facts.labels.len()
        )),
    ];
    let longer = case.record.train().epochs.saturating_mul(2);
    let fixes = vec![
        Fix::set(
            "class_weights = \"balanced\": rare classes count more",
            &[("class_weights", Value::Text("balanced".into()))],
        ),
        Fix::set(
            "or sampling = \"balanced\": rare classes come as often as frequent ones",
            &[("sampling", Value::Text("balanced".into()))],
        ),
        Fix::set(
            format!("or epochs = {longer}: rare classes are learnt later"),
            &[("epochs", Value::Integer(longer as i64))],
        ),
        Fix::new("rank by validation/macro_f1: accuracy hardly sees rare classes"),
    ];
    Some(Claim { cause: Cause::ClassImbalance, confidence: Confidence::Likely, evidence, fixes })
}

pub(super) fn too_little_data(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let (signals, facts) = (&case.signals, &case.record.facts);
    let groups = if facts.task == Task::Classes { facts.labels.len().max(1) } else { 1 };
    let each = facts.train.examples as f64 / groups as f64;
    if each >= thresholds.few_examples || case.judged.standing == Standing::Converged {
        return None;
    }
    let mut evidence = vec![Evidence::new(format!(
        "there are {} training examples, about {each:.0} of each class (hundreds are usual)",
        facts.train.examples
    ))];
    let by_heart = signals.train_accuracy.filter(|accuracy| *accuracy >= thresholds.by_heart);
    if let (Some(train), Some(accuracy)) = (by_heart, signals.accuracy) {
        evidence.push(Evidence::new(format!(
            "{} of the training examples are right, and {} of the validation examples",
            percent(train),
            percent(accuracy)
        )));
    }
    let confidence = match by_heart {
        Some(_) if facts.train.examples <= HANDFUL => Confidence::Proven,
        Some(_) => Confidence::Likely,
        None => Confidence::Suspected,
    };
    let more = match case.record.settings.data.train_limit {
        Some(_) => "more training examples: raise or drop `data.train_limit`",
        None => "more training examples: a few hundred of each class",
    };
    let head = [("freeze", Value::Text("encoder".into())), ("learning_rate", Value::Float(1e-3))];
    let fixes = vec![
        Fix::new(more),
        Fix::set(
            "until there are: freeze = \"encoder\" with learning_rate = 1e-3, to learn the head alone",
            &head,
        ),
    ];
    Some(Claim { cause: Cause::TooLittleData, confidence, evidence, fixes })
}

pub(super) fn label_noise(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let share = case.signals.confidently_wrong.filter(|share| *share >= thresholds.contradicted)?;
    if matches!(case.judged.standing, Standing::AtChance | Standing::Converged) {
        return None;
    }
    let evidence = vec![Evidence::new(format!(
        "at its best evaluation it contradicted the label of {} of the training examples with more than 90 % certainty (usual: below 2 %)",
        percent(share)
    ))];
    let fixes = vec![
        Fix::new("look through the training examples for wrong labels"),
        Fix::set("label_smoothing = 0.1", &[("label_smoothing", Value::Float(0.1))]),
    ];
    Some(Claim { cause: Cause::LabelNoise, confidence: Confidence::Suspected, evidence, fixes })
}

pub(super) fn truncation(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let facts = &case.record.facts;
    let examples = facts.validation.as_ref()?.examples.max(1) as f64;
    let words = facts.bag_of_words?;
    let whole = words.accuracy_untruncated?;
    let error = (whole * (1.0 - whole) / examples).sqrt();
    if facts.train.truncated_share < thresholds.truncated
        || whole - words.accuracy < 2.0 * error
        || case.judged.standing == Standing::Converged
    {
        return None;
    }
    let evidence = vec![
        Evidence::new(format!(
            "{} of the texts are longer than max_length, {} tokens",
            percent(facts.train.truncated_share),
            facts.max_length
        )),
        Evidence::new(format!(
            "a count of words gets {} right with whole texts, and {} with what is left of them",
            percent(whole),
            percent(words.accuracy)
        )),
    ];
    let [_, _, most, _] = facts.train.token_lengths;
    let length = most.min(facts.model.max_positions);
    let fixes = vec![Fix::set(
        format!("max_length = {length}"),
        &[("max_length", Value::Integer(length as i64))],
    )];
    Some(Claim { cause: Cause::Truncation, confidence: Confidence::Likely, evidence, fixes })
}

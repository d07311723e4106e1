//! Causes that have to do with how well, and how long, a model fits its examples.

use converge_core::objective::At;
use converge_core::value::Value;

use super::{Case, Claim, Evidence, Fix, percent};
use crate::cause::{Cause, Confidence};
use crate::record::End;
use crate::standing::Standing;
use crate::thresholds::Thresholds;

pub(super) fn too_few_steps(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let (signals, record, train) = (&case.signals, case.record, case.record.train());
    // Who knows the training examples has had steps enough.
    let unfit = signals.train_skill.is_none_or(|skill| skill < 1.0 - 2.0 * thresholds.at_chance);
    // One that ended before its schedule ran out of patience: it had stopped getting better.
    let whole = record.end == End::Completed && record.last_step() >= record.total_steps;
    if case.judged.standing == Standing::Converged || !unfit || !whole {
        return None;
    }
    let few = record.total_steps < thresholds.few_steps;
    let improving = signals.late_gain.filter(|gain| *gain > thresholds.still_improving);
    let mut evidence = Vec::new();
    if few {
        evidence.push(Evidence::new(format!(
            "the whole training has {} steps, of {} examples each (usual: hundreds)",
            record.total_steps, train.batch_size
        )));
    }
    evidence.extend(improving.map(|gain| {
        let what = format!(
            "the last third of the steps still saved {} of what a constant answer costs on validation",
            percent(gain)
        );
        Evidence::new(what).at(record.last_step() * 2 / 3, record.last_step())
    }));
    if evidence.is_empty() {
        return None;
    }
    let both = few && improving.is_some();
    let confidence = if both { Confidence::Likely } else { Confidence::Suspected };
    let factor = (3 * thresholds.few_steps / record.total_steps.max(1)).clamp(2, 10);
    let epochs = train.epochs.saturating_mul(factor);
    let mut change = vec![("epochs", Value::Integer(epochs as i64))];
    let mut text = format!("epochs = {epochs}");
    if train.max_steps.is_some() {
        let steps = record.total_steps.saturating_mul(factor);
        change.push(("max_steps", Value::Integer(steps as i64)));
        text += &format!(" and max_steps = {steps}");
    }
    let mut fixes = vec![Fix::set(text, &change)];
    if train.batch_size > 16 {
        fixes.push(Fix::set(
            "batch_size = 16: more steps of the same examples",
            &[("batch_size", Value::Integer(16))],
        ));
    }
    Some(Claim { cause: Cause::TooFewSteps, confidence, evidence, fixes })
}

pub(super) fn overfitting(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let signals = &case.signals;
    let (best, last) = (signals.best_accuracy?, signals.accuracy?);
    let examples = case.record.facts.validation.as_ref()?.examples.max(1) as f64;
    // The same examples twice: only those that changed count, and some change both ways.
    let error = ((best - last).abs() / examples).sqrt();
    let train = signals.train_accuracy.filter(|accuracy| *accuracy >= thresholds.by_heart)?;
    // Where the best evaluation counts, what comes after it costs nothing but time.
    if best - last < (3.0 * error).max(0.02)
        || case.judged.standing == Standing::Converged
        || case.record.objective.at == At::Best
    {
        return None;
    }
    let (step, _) = case.record.curve("validation/accuracy").largest()?;
    let what = format!(
        "accuracy on validation was {} at step {step} and is {} at the end",
        percent(best),
        percent(last)
    );
    let evidence = vec![
        Evidence::new(what).at(step, case.record.last_step()),
        Evidence::new(format!("{} of the training examples are right", percent(train))),
    ];
    let epochs = (case.record.train().epochs / 2).max(1);
    let fixes = vec![
        Fix::set(format!("epochs = {epochs}"), &[("epochs", Value::Integer(epochs as i64))]),
        Fix::new("more training examples, where there are any"),
        Fix::set("weight_decay = 0.1", &[("weight_decay", Value::Float(0.1))]),
    ];
    Some(Claim { cause: Cause::Overfitting, confidence: Confidence::Likely, evidence, fixes })
}

pub(super) fn regularisation_too_strong(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let (signals, train) = (&case.signals, case.record.train());
    let unfit = signals.train_skill.filter(|skill| *skill < 0.6)?;
    let blown_up = signals.loss_end.is_some_and(|end| end > thresholds.blown_up);
    if case.judged.standing == Standing::Converged || blown_up {
        return None;
    }
    let mut found: Vec<(f64, Evidence, Fix)> = Vec::new();
    let dropout = train.dropouts().into_iter().flatten().fold(0.0, f64::max);
    if dropout > thresholds.strong_dropout {
        let what =
            format!("dropout takes out {} of the activations (usual: 10 %)", percent(dropout));
        let fix = Fix::set("dropout = 0.1", &[("dropout", Value::Float(0.1))]);
        found.push((dropout, Evidence::new(what), fix));
    }
    let smoothing = train.label_smoothing;
    if smoothing > thresholds.strong_smoothing {
        let what = format!(
            "label smoothing gives {} of each label to the other classes (usual: at most 10 %)",
            percent(smoothing)
        );
        let fix = Fix::set("label_smoothing = 0", &[("label_smoothing", Value::Float(0.0))]);
        found.push((smoothing, Evidence::new(what), fix));
    }
    let decayed = signals.decayed.filter(|_| train.weight_decay > 0.01);
    if let Some(decayed) = decayed.filter(|decayed| *decayed > thresholds.strong_decay) {
        let what = format!(
            "weight decay alone takes {} off the weights (usual: below 1 %)",
            percent(decayed)
        );
        let fix = Fix::set("weight_decay = 0.01", &[("weight_decay", Value::Float(0.01))]);
        found.push((decayed, Evidence::new(what), fix));
    }
    let strongest = found.iter().map(|(strength, ..)| *strength).reduce(f64::max)?;
    let (mut evidence, fixes): (Vec<Evidence>, Vec<Fix>) =
        found.into_iter().map(|(_, evidence, fix)| (evidence, fix)).unzip();
    evidence.push(Evidence::new(format!(
        "with dropout off, it saves {} of what a constant answer costs on its own training examples",
        percent(unfit.max(0.0))
    )));
    let confidence = if strongest >= 0.5 { Confidence::Likely } else { Confidence::Suspected };
    Some(Claim { cause: Cause::RegularisationTooStrong, confidence, evidence, fixes })
}

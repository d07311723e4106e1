//! Causes that have to do with how large the steps are.

use converge_core::settings::{Freeze, Optimizer, Precision};
use converge_core::value::Value;

use super::usual::{self, name};
use super::{Case, Claim, Evidence, Fix, percent, rounded};
use crate::cause::{Cause, Confidence};
use crate::record::End;
use crate::standing::Standing;
use crate::thresholds::Thresholds;

/// What one update usually changes of the weights.
const USUAL_UPDATE: &str = "usual: 0.001 to 0.1 %";

fn learning_rate(rate: f64) -> Fix {
    Fix::set(
        format!("learning_rate = {}", Value::Float(rate)),
        &[("learning_rate", Value::Float(rate))],
    )
}

pub(super) fn not_finite(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let End::Diverged { step, quantity } = &case.record.end else { return None };
    // With another sign of too large steps those are the cause, and this is what came of them.
    if too_large(case, thresholds).len() > 1 {
        return None;
    }
    let what = format!("{quantity} was not a number at step {step}");
    let mut evidence = vec![Evidence::new(what).at(*step, *step)];
    evidence.extend(case.signals.gradient_norm.map(|norm| {
        Evidence::new(format!("until then the gradient's norm was {} mostly", rounded(norm)))
    }));
    let mut fixes = Vec::new();
    if case.record.train().precision != Precision::Float32 {
        let single = [("precision", Value::Text("float32".into()))];
        fixes.push(Fix::set("precision = \"float32\"", &single));
    }
    fixes.push(learning_rate(case.record.train().learning_rate / 10.0));
    let confidence = if *step <= 2 { Confidence::Likely } else { Confidence::Suspected };
    Some(Claim { cause: Cause::NotFinite, confidence, evidence, fixes })
}

/// Returns the signs that steps are too large, each by another signal.
fn too_large(case: &Case<'_>, thresholds: &Thresholds) -> Vec<Evidence> {
    let (signals, steps) = (&case.signals, case.record.last_step());
    let mut signs = Vec::new();
    if let End::Diverged { step, quantity } = &case.record.end {
        let what = format!("{quantity} was not a number any more at step {step}");
        signs.push(Evidence::new(what).at(*step, *step));
    }
    // A fresh head may begin above chance, where classes are not equally frequent: only what rises counts.
    let rose = signals.loss_rise.is_some_and(|rise| rise > thresholds.rise);
    if let (Some(peak), Some(step)) = (signals.loss_peak, signals.loss_peak_step)
        && peak > thresholds.spike
        && rose
    {
        let what = format!(
            "the training loss rose to {} times what a constant answer costs",
            rounded(peak)
        );
        signs.push(Evidence::new(what).at(step.saturating_sub(steps / 20), step));
    }
    let far = case.usual_travel.map_or(thresholds.far, |usual| thresholds.far.max(2.0 * usual));
    if let Some(travel) = signals.travel.filter(|travel| *travel > far) {
        signs.push(Evidence::new(format!(
            "the encoder's weights moved by {} from where pretraining left them ({})",
            percent(travel),
            usual_travel(case)
        )));
    }
    let ratio = signals.early_update_ratio.filter(|ratio| *ratio > thresholds.update_large);
    signs.extend(ratio.map(|ratio| {
        let what =
            format!("one step changed the weights by up to {} ({USUAL_UPDATE})", percent(ratio));
        Evidence::new(what).at(1, steps / 3)
    }));
    let died = signals.bottom_gradient.filter(|ratio| *ratio < thresholds.gradient_died);
    signs.extend(died.filter(|_| case.is_flat(thresholds)).map(|ratio| {
        let what = format!(
            "the gradient in the lowest layers fell to {} of what it was (where something is learnt, it stays or grows)",
            percent(ratio)
        );
        Evidence::new(what).at(steps * 3 / 4, steps)
    }));
    let overshoots = signals.straightness.filter(|value| *value < thresholds.overshoots);
    signs.extend(overshoots.map(|_| {
        Evidence::new("most steps raised the loss of the very batch that they were made for")
    }));
    signs
}

pub(super) fn too_high(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let signals = &case.signals;
    let mut signs = too_large(case, thresholds);
    if signs.is_empty() || case.judged.standing == Standing::Converged {
        return None;
    }
    let steps = case.record.last_step();
    if case.is_flat(thresholds) {
        let what = "in its second half the training loss stays at what a constant answer costs";
        signs.push(Evidence::new(what).at(steps / 2, steps));
    }
    let share = signals.largest_answer.filter(|share| *share >= thresholds.same_answer);
    let majority = case.chance.and_then(|chance| chance.accuracy);
    signs.extend(share.filter(|_| majority.is_some_and(|share| share < 0.9)).map(|share| {
        let what = format!("{} of the validation examples get the same answer", percent(share));
        Evidence::new(what)
    }));
    let confidence = if signs.len() >= 2 { Confidence::Likely } else { Confidence::Suspected };
    let fixes = lower(case);
    Some(Claim { cause: Cause::LearningRateTooHigh, confidence, evidence: signs, fixes })
}

fn lower(case: &Case<'_>) -> Vec<Fix> {
    let train = case.record.train();
    let usual = usual::rate(train, &case.record.facts);
    let far_above = train.learning_rate > 2.0 * usual;
    let mut fixes = vec![learning_rate(if far_above { usual } else { train.learning_rate / 4.0 })];
    let warmup = train.warmup_steps.map_or(train.warmup_ratio > 0.0, |steps| steps > 0);
    if !warmup {
        fixes.push(Fix::set(
            "warmup_ratio = 0.1: begin with small steps",
            &[("warmup_ratio", Value::Float(0.1))],
        ));
    }
    if train.max_grad_norm == 0.0 {
        fixes.push(Fix::set(
            "max_grad_norm = 1: limit single steps",
            &[("max_grad_norm", Value::Float(1.0))],
        ));
    }
    fixes
}

pub(super) fn too_low(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let (signals, train) = (&case.signals, case.record.train());
    let is_mismatch = train.optimizer == Optimizer::Sgd && effective(case) < thresholds.sgd_rate;
    if case.judged.standing == Standing::Converged || is_mismatch || train.freeze == Freeze::Encoder
    {
        return None;
    }
    let mut signs = Vec::new();
    let still = signals.travel.filter(|travel| *travel < thresholds.still);
    signs.extend(still.map(|travel| moved_by(case, travel)));
    let tiny = signals.update_ratio.filter(|ratio| *ratio < thresholds.update_tiny);
    signs.extend(tiny.map(|ratio| {
        Evidence::new(format!(
            "one step changes the weights by {} ({USUAL_UPDATE})",
            percent(ratio)
        ))
    }));
    let usual = usual::rate(train, &case.record.facts);
    if train.learning_rate * 5.0 < usual {
        signs.push(Evidence::new(format!(
            "the learning rate is {}; {} usually works with about {}",
            Value::Float(train.learning_rate),
            name(train.optimizer),
            Value::Float(usual)
        )));
    }
    if signs.is_empty() {
        return None;
    }
    let confidence = if signs.len() >= 2 { Confidence::Likely } else { Confidence::Suspected };
    let rate = if train.learning_rate < usual { usual } else { train.learning_rate * 4.0 };
    let fixes = vec![learning_rate(rate)];
    Some(Claim { cause: Cause::LearningRateTooLow, confidence, evidence: signs, fixes })
}

/// What a step of SGD comes to when its momentum has built up.
fn effective(case: &Case<'_>) -> f64 {
    let train = case.record.train();
    train.learning_rate / (1.0 - train.momentum.min(0.999))
}

fn usual_travel(case: &Case<'_>) -> String {
    match case.usual_travel {
        Some(usual) => format!("trials of this sweep that work: {}", percent(usual)),
        None => "usual: about 1 %".to_owned(),
    }
}

fn moved_by(case: &Case<'_>, travel: f64) -> Evidence {
    Evidence::new(format!(
        "in {} steps the encoder's weights moved by {} ({})",
        case.record.last_step(),
        percent(travel),
        usual_travel(case)
    ))
}

pub(super) fn optimizer_mismatch(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let (signals, train) = (&case.signals, case.record.train());
    if train.optimizer != Optimizer::Sgd
        || effective(case) >= thresholds.sgd_rate
        || case.judged.standing == Standing::Converged
        || train.freeze == Freeze::Encoder
    {
        return None;
    }
    let momentum = match train.momentum {
        0.0 => String::new(),
        momentum => format!(" with momentum {momentum}"),
    };
    let mut evidence = vec![Evidence::new(format!(
        "the learning rate is {}{momentum}; SGD usually needs about {}",
        Value::Float(train.learning_rate),
        Value::Float(usual::rate(train, &case.record.facts))
    ))];
    let unfit = signals.train_skill.filter(|skill| *skill < thresholds.hardly);
    let confidence = match signals.travel {
        // It moved as far as others: a rate that suits it.
        Some(travel) if travel >= thresholds.sgd_still => return None,
        Some(travel) => {
            evidence.push(moved_by(case, travel));
            match (travel < thresholds.still, unfit) {
                (true, _) => Confidence::Proven,
                (false, Some(_)) => Confidence::Likely,
                (false, None) => Confidence::Suspected,
            }
        }
        None => Confidence::Suspected,
    };
    evidence.extend(unfit.map(|skill| {
        Evidence::new(format!(
            "even on its training examples it saves only {} of what a constant answer costs",
            percent(skill.max(0.0))
        ))
    }));
    evidence.extend(signals.update_ratio.map(|ratio| {
        Evidence::new(format!(
            "one step changes the weights by {} ({USUAL_UPDATE})",
            percent(ratio)
        ))
    }));
    let mut adam = train.clone();
    adam.optimizer = Optimizer::AdamW;
    let adam = usual::rate(&adam, &case.record.facts);
    let fixes = vec![
        Fix::set(
            format!("optimizer = \"adamw\" with learning_rate = {}", Value::Float(adam)),
            &[("optimizer", Value::Text("adamw".into())), ("learning_rate", Value::Float(adam))],
        ),
        Fix::set(
            "or SGD with momentum = 0.9 and learning_rate = 0.01",
            &[("momentum", Value::Float(0.9)), ("learning_rate", Value::Float(0.01))],
        ),
    ];
    Some(Claim { cause: Cause::OptimizerMismatch, confidence, evidence, fixes })
}

pub(super) fn frozen(case: &Case<'_>, _: &Thresholds) -> Option<Claim> {
    let train = case.record.train();
    let asked = train.freeze == Freeze::Encoder;
    let still = case.signals.travel == Some(0.0) && train.learning_rate > 0.0;
    if !(asked || still) || case.judged.standing == Standing::Converged {
        return None;
    }
    let mut evidence = vec![Evidence::new(match asked {
        true => "freeze = \"encoder\": only the pooler and the head train",
        false => "no weight of the encoder's layers has changed at all",
    })];
    let unfit = case.signals.train_skill.filter(|skill| *skill < 0.5);
    evidence.extend(unfit.map(|skill| {
        Evidence::new(format!(
            "even on its training examples it saves only {} of what a constant answer costs",
            percent(skill.max(0.0))
        ))
    }));
    let confidence = if evidence.len() > 1 { Confidence::Likely } else { Confidence::Suspected };
    if !asked {
        let fix = Fix::new(
            "look at `converge show --log`: something keeps the encoder's weights as they are",
        );
        return Some(Claim { cause: Cause::Frozen, confidence, evidence, fixes: vec![fix] });
    }
    let none = ("freeze", Value::Text("none".into()));
    let usual = usual::rate(train, &case.record.facts);
    let fix = match train.learning_rate > 3.0 * usual {
        true => Fix::set(
            format!("freeze = \"none\" with learning_rate = {}", Value::Float(usual)),
            &[none, ("learning_rate", Value::Float(usual))],
        ),
        false => Fix::set("freeze = \"none\": let all layers train", &[none]),
    };
    Some(Claim { cause: Cause::Frozen, confidence, evidence, fixes: vec![fix] })
}

pub(super) fn warmup_too_long(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let warmup = case.signals.warmup.filter(|warmup| *warmup > thresholds.warmup)?;
    // Of one that ended before its warm-up nobody knows.
    if case.judged.standing == Standing::Converged || case.record.end != End::Completed {
        return None;
    }
    let mut evidence = vec![Evidence::new(format!(
        "the warm-up takes {} of the {} steps (usual: a tenth)",
        percent(warmup.min(1.0)),
        case.record.total_steps
    ))];
    let reached = case.signals.rate_reached.filter(|reached| *reached < 0.99);
    evidence.extend(reached.map(|reached| {
        Evidence::new(format!(
            "the learning rate never was more than {} of what you asked for",
            percent(reached)
        ))
    }));
    let confidence = match reached {
        Some(reached) if reached < 0.5 => Confidence::Proven,
        Some(_) => Confidence::Likely,
        None => Confidence::Suspected,
    };
    let mut change = vec![("warmup_ratio", Value::Float(0.1))];
    if case.record.train().warmup_steps.is_some() {
        let tenth = case.record.total_steps.div_ceil(10);
        change = vec![("warmup_steps", Value::Integer(tenth as i64))];
    }
    let (key, value) = &change[0];
    let fixes = vec![Fix::set(format!("{key} = {value}"), &change)];
    Some(Claim { cause: Cause::WarmupTooLong, confidence, evidence, fixes })
}

pub(super) fn epsilon_too_large(case: &Case<'_>, thresholds: &Thresholds) -> Option<Claim> {
    let share = case.signals.epsilon_share.filter(|share| *share > thresholds.epsilon_share)?;
    if case.judged.standing == Standing::Converged {
        return None;
    }
    let evidence = vec![Evidence::new(format!(
        "epsilon = {} takes {} of each step (usual: below 1 %)",
        Value::Float(case.record.train().epsilon),
        percent(share)
    ))];
    let fixes = vec![Fix::set("epsilon = 1e-8", &[("epsilon", Value::Float(1e-8))])];
    Some(Claim { cause: Cause::EpsilonTooLarge, confidence: Confidence::Likely, evidence, fixes })
}

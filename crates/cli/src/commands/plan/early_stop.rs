//! What early stopping will leave of planned trials.

use converge_core::early_stop::Rule;
use converge_core::materialise::PlannedTrial;
use converge_core::sweep::Sweep;
use converge_dashboard::terminal::number::{bytes, count, plural, share};
use converge_scheduler::trials::SCRIPTED;

use crate::drive::Prepared;

/// What early stopping leaves of the work.
pub(super) struct Left {
    /// The rungs, how many trials come to each, and the steps that this takes; for people.
    pub(super) text: String,
    /// Whether anything can be stopped.
    pub(super) stops: bool,
    /// Share of all steps that is trained; none where nothing is stopped, or nobody knows how much.
    pub(super) share: Option<f64>,
    /// Whether it may be more: ties go on too, and `asha` promotes early comers for less.
    pub(super) at_least: bool,
}

/// Returns what early stopping will leave of planned trials.
pub(super) fn left(sweep: &Sweep, prepared: &Prepared, planned: &[PlannedTrial]) -> Left {
    let rule = &sweep.early_stop;
    let steps: u64 = planned.iter().map(|trial| trial.total_steps).sum();
    let mut text = String::new();
    let unknown = |text: String, stops| Left { text, stops, share: None, at_least: false };
    if let Some(patience) = rule.patience {
        let evaluations = plural(patience, "evaluation");
        text +=
            &format!("patience    a trial ends after {evaluations} without a better objective\n");
    }
    if rule.rule == Rule::None {
        return unknown(text, false);
    }
    let rungs_of = |trial: &PlannedTrial| match sweep.run.device.as_str() {
        SCRIPTED => {
            rule.rungs_of_script(&sweep.script_of(&trial.configuration), &trial.settings.train)
        }
        _ => rule.rungs(prepared.facts[trial.case].train.examples, &trial.settings.train),
    };
    // What stands beside the search is compared at no rung.
    let (planned, beside): (Vec<_>, Vec<_>) =
        planned.iter().partition(|trial| trial.kind.is_ranked());
    let rungs: Vec<Vec<u64>> = planned.iter().map(|trial| rungs_of(trial)).collect();
    let most = rungs.iter().map(Vec::len).max().unwrap_or(0);
    if most == 0 {
        let why = "no trial is evaluated before its end at or after `first`";
        text += &format!("early stop  {}: {why}, so none is stopped\n", rule.rule.word());
        return unknown(text, false);
    }
    if rule.rule == Rule::Median {
        let median = format!("median of at least {} trials before", rule.min_trials);
        text += &format!(
            "early stop  {median}, at up to {}; at most {} steps\n",
            plural(most as u64, "rung"),
            count(steps)
        );
        return unknown(text, true);
    }
    let mut on = planned.len() as u64;
    let mut stages = vec![on.to_string()];
    // Trials in the order of their numbers: which of them go on is not known, and they may differ in length.
    let (mut expected, mut before) = (0.0, 0.0);
    let mean = |steps: &mut dyn Iterator<Item = u64>| {
        let (sum, n) = steps.fold((0, 0), |(sum, n), step| (sum + step, n + 1));
        if n == 0 { 0.0 } else { sum as f64 / f64::from(n) }
    };
    for rung in 0..most {
        let here = mean(&mut rungs.iter().filter_map(|rungs| rungs.get(rung).copied()));
        expected += on as f64 * (here - before);
        before = here;
        on = rule.promoted(on).max(1).min(on);
        stages.push(on.to_string());
    }
    let whole = mean(&mut planned.iter().map(|trial| trial.total_steps));
    expected += on as f64 * (whole - before);
    expected += beside.iter().map(|trial| trial.total_steps as f64).sum::<f64>();
    let share_of = expected / (steps as f64).max(1.0);
    let mut at: Vec<String> = rungs
        .iter()
        .max_by_key(|rungs| rungs.len())
        .map_or(Vec::new(), |rungs| rungs.iter().map(u64::to_string).collect());
    let last = at.pop().unwrap_or_default();
    let at = if at.is_empty() { last } else { format!("{} and {last}", at.join(", ")) };
    let ties = if rule.ties { ", and what is tied with the last of them" } else { "" };
    text += &format!(
        "early stop  {}: {} trials, at step {at}{ties}\n",
        rule.rule.word(),
        stages.join(" → ")
    );
    let at_least = rule.ties || rule.rule == Rule::Asha;
    let more = if at_least { "at least " } else { "" };
    text += &format!(
        "            {more}about {} steps, {} of all; a trial that waits keeps its checkpoint: up to {}\n",
        count(expected.round() as u64),
        share(share_of),
        bytes(planned.len() as u64 * checkpoint_bytes(prepared))
    );
    Left { text, stops: true, share: Some(share_of.min(1.0)), at_least }
}

/// Weights, two moments and the best weights. Unit: bytes.
fn checkpoint_bytes(prepared: &Prepared) -> u64 {
    let parameters = prepared.facts.iter().map(|facts| facts.model.parameters).max().unwrap_or(0);
    parameters * 4 * 4
}

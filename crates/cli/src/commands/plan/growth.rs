//! What is added to planned trials while the sweep runs, and the time that all of it takes.

use converge_core::materialise::PlannedTrial;
use converge_core::sampler::tpe::STARTUP;
use converge_core::sweep::Sweep;
use converge_core::trial::TrialKind;
use converge_dashboard::terminal::number::{count, duration, plural, share};

use super::early_stop::Left;
use crate::cost::{Outlook, rounded};
use crate::drive::Prepared;

/// Returns the trials that an adaptive sweep still draws, once the planned ones have results.
fn to_draw(sweep: &Sweep, prepared: &Prepared, planned: &[PlannedTrial]) -> u64 {
    if !sweep.method.is_adaptive() || prepared.sample.dry.is_some() {
        return 0;
    }
    let most = sweep.budget.max_trials.unwrap_or(0).saturating_mul(sweep.replicates);
    let there = planned.iter().filter(|trial| trial.kind.is_ranked()).count() as u64;
    most.saturating_sub(there)
}

/// What is beside the search, and what is added while it runs.
pub(super) fn still_to_come(
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
) -> String {
    let mut text = String::new();
    if sweep.baseline {
        let apart = planned.iter().any(|trial| trial.kind == TrialKind::Baseline);
        text += match apart {
            true => "baseline    the defaults, as the first trial, beside the search\n",
            false => "baseline    the search holds the defaults: no trial of their own\n",
        };
    }
    // What is left out says already that the search space holds no more.
    if sweep.method.is_adaptive() && prepared.sample.dry.is_none() {
        let ahead = sweep.ahead;
        text += &match to_draw(sweep, prepared, planned) {
            0 => format!(
                "drawn       all {} `max_trials` are drawn before a result counts: the first {} (10 + `ahead` - 1) \
                 are Sobol's,\n            and the model draws those of a larger `max_trials`\n",
                count(sweep.budget.max_trials.unwrap_or(0)),
                count(STARTUP.saturating_add(ahead).saturating_sub(1)),
            ),
            more => format!(
                "drawn       {} more from results, each {} ahead of those that it knows\n",
                plural(more, "trial"),
                plural(ahead, "trial")
            ),
        };
    }
    if sweep.racing {
        let most = sweep.max_replicates;
        text += &format!(
            "racing      up to {most} seeds for each configuration that is tied for best\n"
        );
    }
    text
}

/// Returns how long the planned trials and those still to be drawn take, less what early stopping spares. Unit: seconds.
pub(super) fn expected_seconds(
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
    outlook: &Outlook,
    left: &Left,
) -> Option<f64> {
    let seconds = outlook.seconds()?;
    Some(grown(seconds, to_draw(sweep, prepared, planned), planned) * left.share.unwrap_or(1.0))
}

/// Adds what is still to be drawn, at the mean of what is planned: nobody knows yet which configurations it will be.
fn grown(seconds: f64, to_draw: u64, planned: &[PlannedTrial]) -> f64 {
    seconds * (1.0 + to_draw as f64 / planned.len().max(1) as f64)
}

/// Says what the time of planned trials does not cover, as lines below it.
pub(super) fn time_beyond(
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
    outlook: &Outlook,
    left: &Left,
) -> String {
    let Some(seconds) = outlook.seconds() else { return String::new() };
    // A guess has no digits to spare.
    let told = |seconds: f64| match outlook {
        Outlook::Measured { .. } => duration(seconds),
        _ => rounded(seconds),
    };
    let mut lines = Vec::new();
    let more = to_draw(sweep, prepared, planned);
    let all = grown(seconds, more, planned);
    if more > 0 {
        lines.push(format!(
            "with the {} still to be drawn, at the mean of these: about {}",
            plural(more, "trial"),
            told(all)
        ));
    }
    if left.stops {
        let trained = "that is all trials trained to their end; early stopping leaves";
        lines.push(match left.share {
            Some(part) => {
                let least = if left.at_least { "at least " } else { "" };
                format!("{trained} {least}about {} of it: {}", share(part), told(all * part))
            }
            None => format!("{trained} less, by as much as only the results tell"),
        });
    }
    if sweep.racing {
        lines.push("the further seeds of `racing` are not in it".into());
    }
    lines.iter().map(|line| format!("            {line}\n")).collect()
}

/// Says whether the time of the budget suffices for what is expected.
pub(super) fn too_long(
    sweep: &Sweep,
    prepared: &Prepared,
    planned: &[PlannedTrial],
    outlook: &Outlook,
    left: &Left,
) -> String {
    let expected = expected_seconds(sweep, prepared, planned, outlook, left);
    let Some((most, expected)) = sweep.budget.max_wall.zip(expected) else {
        return String::new();
    };
    let most = most.seconds() as f64;
    let what = if left.share.is_some() {
        "all trials take with early stopping"
    } else {
        "all trials take"
    };
    let line = if expected > most {
        format!(
            "less time than {what}: about {:.0} % of the work will be done",
            100.0 * most / expected
        )
    } else if left.share.is_some() && expected / left.share.unwrap_or(1.0) > most {
        let most = if left.at_least { ", if it leaves no more than that" } else { "" };
        format!("time enough for all trials with early stopping{most}")
    } else {
        "time enough for all trials".into()
    };
    format!("            {line}\n")
}

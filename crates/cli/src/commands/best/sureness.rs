//! How sure the best configuration is, as text for people and as JSON.

use converge_core::objective::{Goal, Objective};
use converge_core::statistics::distributions::jeffreys;
use converge_core::statistics::standing::{CONFIDENCE, Gain, Interval, Noise};
use converge_dashboard::terminal::number::{Kind, count, general, kind_of, of_metric, plural};
use converge_store::TrialCounts;
use serde_json::{Value, json};

use crate::output;
use crate::standing::Compared;

/// Width of the first column.
const LABEL: usize = 12;
/// Where the lines are broken where there is no terminal to ask.
const WIDTH: usize = 110;
/// Trials that are named; of more, the number is told.
const NAMED: usize = 8;

/// A word, and what it says.
pub(crate) type Row = (&'static str, String);

/// Returns the rows as text, broken to the width of the terminal.
pub(crate) fn text(rows: &[Row]) -> String {
    let width = output::width().unwrap_or(WIDTH).max(40);
    let mut text = String::new();
    for (label, sentence) in rows {
        let mut line = format!("{label:<LABEL$}");
        let mut used = LABEL;
        for (place, word) in sentence.split(' ').enumerate() {
            let length = word.chars().count();
            if place > 0 && used + 1 + length > width {
                text += line.trim_end();
                text.push('\n');
                line = " ".repeat(LABEL);
                used = LABEL;
            } else if place > 0 {
                line.push(' ');
                used += 1;
            }
            line += word;
            used += length;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Returns what is known of the winner, and what is missing for more.
pub(crate) fn rows(compared: &Compared, objective: &Objective) -> Vec<Row> {
    let standing = &compared.standing;
    let metric = objective.metric.as_str();
    let mut rows = vec![("best", best(compared, metric))];
    if let Some(tied) = &standing.indistinguishable {
        rows.push(("tied", ties(compared, tied)));
    }
    if let (Some(gain), Some(baseline)) = (&standing.gain, compared.baseline) {
        let trials = named(&compared.contenders[baseline].trials);
        rows.push(("gain", gained(gain, objective, &trials)));
    }
    rows.push(match standing.noise {
        Noise::Unknown => ("how sure", unknown(compared)),
        _ => ("based on", basis(compared)),
    });
    rows
}

fn best(compared: &Compared, metric: &str) -> String {
    let standing = &compared.standing;
    let who = match compared.baseline_wins() {
        true => format!("the defaults, {}", named(&compared.winner().trials)),
        false => named(&compared.winner().trials),
    };
    let mut text = format!("{who}: {}", of_metric(metric, standing.value));
    if let Some(interval) = standing.interval {
        text += &format!(" ({})", interval_of(interval, |value| of_metric(metric, value)));
    }
    if let Some(corrected) = standing.corrected {
        let corrected = of_metric(metric, corrected);
        text += &format!(", about {corrected} once the luck of being chosen is taken out");
    }
    text
}

fn ties(compared: &Compared, tied: &[usize]) -> String {
    // Each by its first trial: of a configuration with five seeds the others say nothing new.
    let first = |place: &usize| compared.contenders[*place].trials.first().copied();
    let others: Vec<u64> =
        tied.iter().filter(|place| **place != compared.standing.winner).filter_map(first).collect();
    if others.is_empty() {
        return match compared.standing.compared {
            1 => "it is the only one that can be compared".into(),
            _ => "no other of those compared can be the best one, as far as noise goes".into(),
        };
    }
    let replicated = tied.iter().any(|place| compared.contenders[*place].trials.len() > 1);
    let who = |trials: &[u64]| match (replicated, trials.len()) {
        (false, _) => named(trials),
        (true, 1) => format!("the configuration of {}", named(trials)),
        (true, _) => format!("the configurations of {}", named(trials)),
    };
    let mut text = format!("{} cannot be told apart from it", who(&others));
    match compared.standing.cheapest {
        Some(cheapest) if cheapest != compared.standing.winner => {
            let work = compared.relative_work(cheapest);
            let work = work.filter(|share| *share < 0.995);
            text += &format!(
                "; the cheapest of all these is {}",
                match first(&cheapest) {
                    Some(trial) => who(&[trial]),
                    None => who(&[]),
                }
            );
            if let Some(share) = work {
                text += &format!(", at {:.0} % of the work", share * 100.0);
            }
        }
        Some(_) => text += "; none of them is cheaper",
        None => {}
    }
    text
}

fn gained(gain: &Gain, objective: &Objective, baseline: &str) -> String {
    let is_share = kind_of(&objective.metric) == Kind::Share;
    // A gain is positive where it is better; what is told is the metric's own difference, as `compare` tells it.
    let sign = if objective.goal == Goal::Minimize { -1.0 } else { 1.0 };
    let interval = gain.interval.map(|Interval { low, high }| match objective.goal {
        Goal::Maximize => Interval { low, high },
        Goal::Minimize => Interval { low: -high, high: -low },
    });
    let number = |value: f64| match is_share {
        true => format!("{:+.1}", value * 100.0),
        false if value > 0.0 => format!("+{}", general(value)),
        false => general(value),
    };
    let mut text = number(sign * gain.value);
    text += match (is_share, objective.goal) {
        (true, _) => " points",
        (false, Goal::Maximize) => "",
        (false, Goal::Minimize) => " (less is better)",
    };
    text += &format!(" over the defaults, {baseline}");
    if let Some(interval) = interval {
        text += &format!(" ({})", interval_of(interval, number));
    }
    if let Some(corrected) = gain.corrected {
        text += &format!(", about {} without the luck", number(sign * corrected));
    }
    if interval.is_some_and(|interval| interval.low <= 0.0 && interval.high >= 0.0) {
        text += ": it may be noise";
    }
    text
}

/// Says what the numbers above were made from.
fn basis(compared: &Compared) -> String {
    let standing = &compared.standing;
    let examples =
        standing.items.map(|items| format!("{} validation examples", count(items as u64)));
    let seeds = seeds(compared);
    let mut text = match (standing.noise, examples) {
        (Noise::SeedsAndItems, Some(examples)) => format!("{examples} and {seeds}"),
        (Noise::Items, Some(examples)) => {
            format!("{examples}; with one seed each, what another seed would do is not in it")
        }
        _ => format!("{seeds}, on this one validation split"),
    };
    if let Some(missing) = compared.without_items {
        text += &format!(" ({})", missing.why());
    }
    text += &format!("; {} compared", plural(standing.compared as u64, "configuration"));
    if standing.luck_of_evaluation != 0.0 {
        text += "; each counts by the best of its evaluations, and that luck is taken out too";
    }
    if compared.left_out > 0 {
        text += &format!(
            ", the best of {} by their mean",
            count(compared.left_out + standing.compared as u64)
        );
        if compared.is_open() {
            text += "; some of those behind them may be as good";
        }
    }
    text
}

fn unknown(compared: &Compared) -> String {
    let why = compared.without_items.map_or("", |missing| missing.why());
    match compared.contenders.len() {
        1 => format!("not known: one configuration with one seed, and {why}"),
        _ => format!(
            "not known: one seed each, and {why}; more seeds would tell (`replicates`, `converge extend`)"
        ),
    }
}

fn seeds(compared: &Compared) -> String {
    let counts =
        || compared.contenders.iter().map(|contender| contender.replicates).filter(|n| *n > 0);
    match (counts().min(), counts().max()) {
        (Some(least), Some(most)) if least == most => {
            format!("{} each", plural(most as u64, "seed"))
        }
        (Some(least), Some(most)) => format!("{least} to {most} seeds each"),
        _ => "no seed".into(),
    }
}

/// Returns what share of the trials that ended has no value; nothing where all have.
pub(super) fn lost_row(trials: &TrialCounts) -> Option<Row> {
    let lost = trials.failed + trials.diverged;
    let ended = lost + trials.completed;
    let parts = [(trials.failed, "failed"), (trials.diverged, "diverged")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(number, word)| format!("{} {word}", count(*number)))
        .collect();
    let share = 100.0 * lost as f64 / ended.max(1) as f64;
    (lost > 0).then(|| {
        let text = format!(
            "{} of {} ({share:.0} %): {}; the values above are of those that worked",
            count(lost),
            plural(ended, "trial"),
            parts.join(", ")
        );
        ("lost", text)
    })
}

/// Returns `95 % interval 73.2 to 80.5 %`.
pub(crate) fn interval_of(interval: Interval, number: impl Fn(f64) -> String) -> String {
    let (low, high) = (number(interval.low), number(interval.high));
    let low = match high.ends_with(" %") {
        true => low.trim_end_matches(" %"),
        false => &low,
    };
    format!("{:.0} % interval {low} to {high}", CONFIDENCE * 100.0)
}

/// Returns `trial 4`, `trials 2, 9 and 11`, or how many more.
pub(crate) fn named(trials: &[u64]) -> String {
    let list = |trials: &[u64]| trials.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    match trials {
        [] => "no trial".into(),
        [one] => format!("trial {one}"),
        many if many.len() > NAMED => {
            let more = many.len() - NAMED;
            format!("trials {} and {more} more", list(&many[..NAMED]))
        }
        [first @ .., last] => format!("trials {} and {last}", list(first)),
    }
}

/// Returns all of it; `docs/best.md` describes the fields.
pub(super) fn json_of(compared: &Compared) -> Value {
    let standing = &compared.standing;
    let contender = |place: usize| {
        let contender = &compared.contenders[place];
        json!({
            "trials": contender.trials,
            "configuration": contender.configuration,
            "baseline": compared.baseline == Some(place),
            "relative_work": compared.relative_work(place),
        })
    };
    let gain = standing.gain.zip(compared.baseline).map(|(gain, baseline)| {
        json!({
            "over": contender(baseline),
            "value": gain.value,
            "corrected": gain.corrected,
            "interval": gain.interval,
            "p": gain.p,
        })
    });
    json!({
        "winner": contender(standing.winner),
        "value": standing.value,
        "noise": standing.noise,
        "confidence": CONFIDENCE,
        "interval": standing.interval,
        "corrected": standing.corrected,
        "luck_of_evaluation": standing.luck_of_evaluation,
        "indistinguishable": standing
            .indistinguishable
            .as_ref()
            .map(|tied| tied.iter().map(|place| contender(*place)).collect::<Vec<_>>()),
        "cheapest": standing.cheapest.map(contender),
        "gain": gain,
        "compared": standing.compared,
        "left_out": compared.left_out,
        "open": compared.is_open(),
        "examples": standing.items,
        "without_items": compared.without_items.map(crate::standing::WithoutItems::why),
        "seeds": standing.seeds,
    })
}

/// Returns the trials of the search that ended without a value, apart from the mean of the others.
pub(super) fn json_of_lost(trials: &TrialCounts) -> Value {
    let lost = trials.failed + trials.diverged;
    let share = jeffreys(lost, lost + trials.completed, CONFIDENCE);
    json!({
        "failed": trials.failed,
        "diverged": trials.diverged,
        "count": share.count,
        "of": share.of,
        "interval": share.interval,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_named_as_people_do() {
        assert_eq!(named(&[4]), "trial 4");
        assert_eq!(named(&[2, 9]), "trials 2 and 9");
        assert_eq!(named(&[2, 9, 11]), "trials 2, 9 and 11");
        let many: Vec<u64> = (1..=20).collect();
        assert_eq!(named(&many), "trials 1, 2, 3, 4, 5, 6, 7, 8 and 12 more");
    }

    #[test]
    fn an_interval_names_its_unit_once() {
        let interval = Interval { low: 0.732, high: 0.805 };
        let share = |value| of_metric("validation/accuracy", value);
        assert_eq!(interval_of(interval, share), "95 % interval 73.2 to 80.5 %");
        let loss = |value| of_metric("validation/loss", value);
        assert_eq!(interval_of(interval, loss), "95 % interval 0.7320 to 0.8050");
    }

    #[test]
    fn a_gain_is_told_in_points_or_in_the_metric_s_own_unit() {
        let gain = Gain {
            value: 0.07,
            corrected: Some(0.059),
            interval: Some(Interval { low: -0.003, high: 0.109 }),
            p: Some(0.06),
        };
        let objective = |metric: &str, goal| Objective {
            metric: metric.into(),
            goal,
            at: converge_core::objective::At::Best,
        };
        assert_eq!(
            gained(&gain, &objective("validation/accuracy", Goal::Maximize), "trial 1"),
            "+7.0 points over the defaults, trial 1 (95 % interval -0.3 to +10.9), about +5.9 without the luck: it may be noise"
        );
        assert_eq!(
            gained(&gain, &objective("validation/loss", Goal::Minimize), "trial 1"),
            "-0.07 (less is better) over the defaults, trial 1 (95 % interval -0.109 to +0.003), about -0.059 without the luck: it may be noise"
        );
    }

    #[test]
    fn lost_trials_are_a_share_of_those_that_ended() {
        let trials =
            TrialCounts { completed: 22, failed: 1, diverged: 1, queued: 9, ..Default::default() };
        let (_, text) = lost_row(&trials).unwrap();
        assert_eq!(
            text,
            "2 of 24 trials (8 %): 1 failed, 1 diverged; the values above are of those that worked"
        );
        assert_eq!(lost_row(&TrialCounts { completed: 3, ..Default::default() }), None);
    }
}

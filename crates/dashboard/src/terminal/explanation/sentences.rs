//! The same in a few plain sentences.

use converge_core::effects::edge::{Edge, EdgeKind, Side};
use converge_core::effects::explanation::{Explanation, Standing};
use converge_core::effects::importance::{Importances, NoImportances};
use converge_core::effects::variance::{NoShares, NoiseSource, PartKind, PartShare, Variance};

use super::super::heat_map::short;
use super::super::number::{Kind, general, kind_of, of_metric, of_parameter, plural};
use super::{SLIGHT, interval, part_name, percent};

/// Parts that are named in a sentence.
const NAMED: usize = 4;

/// Returns what there is to say, most important first.
pub fn sentences(found: &Explanation) -> Vec<String> {
    let mut said = vec![standing(&found.standing)];
    let standing = &found.standing;
    if standing.configurations == 0 {
        said.push("No trial has ended yet: there is nothing to explain.".to_owned());
        return said;
    }
    if found.best.is_none() {
        said.push(
            "No configuration completed all of its trials: there is no value to explain."
                .to_owned(),
        );
    }
    if found.no_variance == Some(NoShares::AllEqual) {
        said.push("All configurations have the same value: nothing made a difference.".to_owned());
        return said;
    }
    if standing.configurations < 2 || found.parameters.is_empty() {
        said.push(match found.parameters.len() {
            0 if standing.configurations < 2 => {
                "One configuration: there is nothing to compare it with.".to_owned()
            }
            _ => "No parameter has more than one value yet.".to_owned(),
        });
        return said;
    }
    if let Some(variance) = &found.variance {
        said.extend(of_variance(variance, found));
    }
    said.extend(found.working.as_ref().map(working));
    said.extend(among_best(found));
    said.extend(found.edges.iter().map(edge));
    said.extend(sensitivity(found));
    said.extend(further(found));
    said
}

fn standing(standing: &Standing) -> String {
    let mut counts = Vec::new();
    let useful = standing.completed - standing.at_chance;
    let count_of = super::super::number::count;
    let mut count = |number: u64, what: &str| {
        if number > 0 {
            counts.push(format!("{} {what}", count_of(number)));
        }
    };
    count(
        useful,
        if standing.at_chance > 0 { "better than a constant answer" } else { "completed" },
    );
    count(standing.at_chance, "no better than a constant answer");
    count(standing.diverged, "diverged");
    count(standing.failed, "failed");
    count(standing.stopped, "stopped early and left out");
    count(standing.open, "without a result, and left out");
    let ended = standing.trials - standing.open - standing.stopped;
    let of = if ended == standing.configurations {
        String::new()
    } else {
        format!(" of {}", plural(standing.configurations, "configuration"))
    };
    format!(
        "{}{of}: {}.",
        plural(standing.trials, "trial"),
        if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
    )
}

/// Joins words as `a, b and c`.
fn joined(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn bounds(part: &PartShare) -> String {
    part.low
        .zip(part.high)
        .map_or(String::new(), |(low, high)| format!(" [{}]", interval(low, high)))
}

fn of_variance(variance: &Variance, found: &Explanation) -> Vec<String> {
    let mut said = Vec::new();
    let real = |part: &&PartShare| part.significant != Some(false) && part.kind != PartKind::Noise;
    let alone = |part: &&PartShare| matches!(part.kind, PartKind::Main | PartKind::Between);
    let matter: Vec<&PartShare> = variance.parts.iter().filter(alone).filter(real).collect();
    let idle: Vec<String> = variance
        .parts
        .iter()
        .filter(alone)
        .filter(|part| part.significant == Some(false))
        .map(|part| part.parameters.join(", "))
        .collect();
    let within = |words: &[String]| {
        let verb = if words.len() == 1 { "is" } else { "are" };
        format!("{} {verb} within noise", joined(words))
    };
    match &matter[..] {
        [] => said.push("No parameter moves the objective beyond noise.".to_owned()),
        [first, rest @ ..] => {
            let verb = if first.share >= 0.5 { "decides" } else { "matters most" };
            let mut text = format!(
                "{} {verb}: {} of the variance{}",
                part_name(first, found),
                percent(first.share),
                bounds(first)
            );
            let (rest, slight): (Vec<&PartShare>, Vec<&PartShare>) =
                rest.iter().copied().partition(|part| part.share >= SLIGHT);
            let rest: Vec<String> = rest
                .iter()
                .take(NAMED)
                .map(|part| {
                    format!(
                        "{} {}{}",
                        part.parameters.join(", "),
                        percent(part.share),
                        bounds(part)
                    )
                })
                .collect();
            if !rest.is_empty() {
                text += &format!(", then {}", joined(&rest));
            }
            if !slight.is_empty() {
                let slight: Vec<String> =
                    slight.iter().map(|part| part.parameters.join(", ")).collect();
                let verb = if slight.len() == 1 { "adds" } else { "add" };
                text += &format!("; {} {verb} less than 1 %", joined(&slight));
            }
            if !idle.is_empty() {
                text += &format!("; {}", within(&idle));
            }
            said.push(text + ".");
        }
    }
    let pairs: Vec<&PartShare> = variance
        .parts
        .iter()
        .filter(|part| part.kind == PartKind::Interaction)
        .filter(real)
        .filter(|part| part.significant == Some(true) && part.share >= 0.01)
        .take(2)
        .collect();
    for pair in pairs {
        said.push(format!(
            "{} interact ({}{}): the effect of one depends on the other.",
            joined(&pair.parameters),
            percent(pair.share),
            bounds(pair)
        ));
    }
    said.push(match (variance.noise, variance.noise_deviation) {
        (NoiseSource::Replicates, Some(deviation)) => format!(
            "Noise: seeds of one configuration differ by {} (standard deviation).",
            difference(&found.objective.metric, deviation)
        ),
        (NoiseSource::Interactions, Some(deviation)) => format!(
            "Each configuration has one seed, so that interactions stand in for the noise ({}): `replicates = 3` would measure it.",
            difference(&found.objective.metric, deviation)
        ),
        _ => "Nothing says how large the noise is: `replicates = 3` would measure it.".to_owned(),
    });
    if !variance.left_out.is_empty() {
        let values: Vec<String> = variance
            .left_out
            .iter()
            .map(|one| {
                let when =
                    if one.when.is_empty() { String::new() } else { format!(" ({})", one.when) };
                format!("{}={}{when}", one.parameter, of_parameter(&one.value))
            })
            .collect();
        said.push(format!(
            "Left out of the shares, since no trial with it has a value: {}.",
            joined(&values)
        ));
    }
    said
}

/// Returns a difference of a metric's values: `2.1 points` of a share.
fn difference(metric: &str, value: f64) -> String {
    if kind_of(metric) != Kind::Share {
        return general(value);
    }
    let points = value * 100.0;
    if points == 0.0 || points >= 0.95 {
        format!("{points:.1} points")
    } else {
        format!("{} points", short(points))
    }
}

fn working(found: &Importances) -> String {
    let matter: Vec<String> = found
        .parameters
        .iter()
        .filter(|one| one.significant)
        .take(NAMED)
        .map(|one| format!("{} ({} of the importance)", one.parameter, percent(one.share)))
        .collect();
    if matter.is_empty() {
        "No parameter tells which configurations work from those that do not.".to_owned()
    } else {
        format!("Whether a configuration works at all is up to {}.", joined(&matter))
    }
}

fn among_best(found: &Explanation) -> Option<String> {
    if let Some(importances) = &found.among_best {
        let (matter, idle): (Vec<_>, Vec<_>) =
            importances.parameters.iter().partition(|one| one.significant);
        let idle: Vec<String> = idle.iter().map(|one| one.parameter.clone()).collect();
        let idle = match &idle[..] {
            [] => String::new(),
            _ => format!("; {} no more than luck would give", joined(&idle)),
        };
        let matter: Vec<String> = matter
            .iter()
            .take(NAMED)
            .map(|one| {
                format!(
                    "{} {} [{}]",
                    one.parameter,
                    percent(one.share),
                    interval(one.low, one.high)
                )
            })
            .collect();
        return Some(if matter.is_empty() {
            format!(
                "Which of those that work are the best {} no parameter tells beyond luck.",
                importances.target
            )
        } else {
            format!(
                "Importance for being among the best {}: {}{idle}.",
                importances.target,
                joined(&matter)
            )
        });
    }
    match found.no_among_best? {
        NoImportances::TooFew => Some(format!(
            "{} that {}: too few to say which parameters make the best ones (10 are needed, and more are better).",
            plural(found.standing.working, "configuration"),
            if found.standing.working == 1 { "works" } else { "work" }
        )),
        NoImportances::AllEqual => {
            Some("Too many of the best are equal to say what makes them so.".to_owned())
        }
        NoImportances::AllWork => None,
    }
}

fn edge(edge: &Edge) -> String {
    let when = if edge.when.is_empty() { String::new() } else { format!(" ({})", edge.when) };
    let (name, best) = (&edge.parameter, of_parameter(&edge.best));
    match &edge.kind {
        EdgeKind::Tried { next } => {
            let (which, way) = match edge.side {
                Side::Low => ("smallest", "downwards"),
                Side::High => ("largest", "upwards"),
            };
            format!(
                "The best {name}, {best}{when}, is among the {which} tried, as are {} of the best {}: extend {way}, to {} say.",
                edge.at_edge,
                edge.few,
                of_parameter(next)
            )
        }
        EdgeKind::Working { trials, lost, from, to } => {
            let (beyond, remedy) = match edge.side {
                Side::Low => ("below", ""),
                Side::High if name == "learning_rate" => (
                    "above",
                    "; a longer warm-up or lower max_grad_norm may make larger rates work",
                ),
                Side::High => ("above", ""),
            };
            let at = match to {
                Some(to) => {
                    format!("between {} and {}", general(from.min(*to)), general(from.max(*to)))
                }
                None => format!("at {}", general(*from)),
            };
            format!(
                "The best {name}, {best}{when}, is next to a cliff: {beyond} it, {at}, {lost} of {} came to nothing{remedy}.",
                plural(*trials, "trial")
            )
        }
    }
}

fn sensitivity(found: &Explanation) -> Option<String> {
    let metric = &found.objective.metric;
    let costs: Vec<String> = found
        .sensitivity
        .iter()
        .map(|one| {
            let with = if one.optimizer.is_empty() {
                String::new()
            } else {
                format!(" with {}", one.optimizer)
            };
            format!(
                "{}{with} ({} to {})",
                difference(metric, one.sensitivity),
                short(one.low),
                short(one.high)
            )
        })
        .collect();
    (!costs.is_empty()).then(|| {
        format!(
            "A learning rate picked blindly from those tried costs on average {}.",
            joined(&costs)
        )
    })
}

fn further(found: &Explanation) -> Option<String> {
    let gain = found.further_gain?;
    let metric = &found.objective.metric;
    let best = found.best.as_ref()?;
    Some(format!(
        "{} of the same kind would raise the best of {} by {} at most, on average.",
        plural(gain.configurations, "more configuration"),
        of_metric(metric, best.mean),
        difference(metric, gain.at_most)
    ))
}

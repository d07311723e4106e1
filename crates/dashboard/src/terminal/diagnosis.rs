//! Why trials did not converge, as text.

use converge_core::objective::Objective;
use converge_diagnose::cause::Confidence;
use converge_diagnose::diagnosis::{Diagnosis, Verdict};
use converge_diagnose::overview::{Group, Overview, Region};
use converge_diagnose::rules::Claim;
use converge_diagnose::standing::Standing;

use super::escaped::printable;
use super::number::count;
use super::plot::{Curve, PlotSettings, Scale, plot_marked};
use super::style::{Colour, Style};
use super::wrapped::wrapped;

/// Height of the plot.
const HEIGHT: usize = 12;
/// Trials that are listed at most; the others are counted.
const LISTED: usize = 12;

/// Returns the diagnosis of one trial. `loss` is its training loss, shown where steps are to be pointed at.
pub fn diagnosis(
    sweep: &str,
    found: &Diagnosis,
    objective: &Objective,
    loss: &[(u64, f64)],
    style: Style,
    width: usize,
) -> String {
    let (title, colour) = match (&found.verdict, found.judged.standing) {
        (Verdict::Converged, _) => ("converged", Colour::Green),
        (Verdict::NotJudged { .. }, _) => ("cannot be judged", Colour::Yellow),
        (_, Standing::Poor) => ("converged to less than is possible", Colour::Red),
        _ => ("did not converge", Colour::Red),
    };
    let title = style.paint(colour, title);
    let mut text = format!("trial {} of sweep `{}`: {title}\n", found.trial, printable(sweep));
    match &found.verdict {
        Verdict::NotJudged { reason } => text += &wrapped("", reason, width),
        _ => text += &wrapped("", &found.standing(objective), width),
    }
    match &found.verdict {
        Verdict::Converged | Verdict::NotJudged { .. } => return text,
        Verdict::Inconclusive { missing } => {
            text += "\nnothing that was recorded tells why. To find out, one would need:\n";
            text += &missing.iter().map(|what| wrapped("- ", what, width)).collect::<String>();
        }
        Verdict::Cause(claim) => text += &headline(claim, loss, style, width),
    }
    if !found.alternates.is_empty() {
        text += "\ncould also be\n";
    }
    for claim in &found.alternates {
        let entry = claim.cause.entry();
        let because = claim
            .evidence
            .first()
            .map_or(String::new(), |sign| format!(": {}", printable(&sign.text)));
        let line = format!("{}, {}{because}", claim.confidence.word(), entry.headline);
        text += &wrapped("- ", &line, width);
    }
    text
}

fn headline(claim: &Claim, loss: &[(u64, f64)], style: Style, width: usize) -> String {
    let entry = claim.cause.entry();
    let word = match claim.confidence {
        Confidence::Proven => "proven",
        Confidence::Likely => "likely",
        Confidence::Suspected => "suspected",
    };
    let mut text = format!("\n{}: {}\n", word, entry.headline);
    text += &wrapped("", entry.meaning, width);
    text += "\nwhat shows it\n";
    for sign in &claim.evidence {
        let steps = sign.steps.map_or(String::new(), |(from, to)| match from == to {
            true => format!(" (step {from})"),
            false => format!(" (steps {from} to {to})"),
        });
        text += &wrapped("- ", &format!("{}{steps}", printable(&sign.text)), width);
    }
    if let Some((from, to)) = claim.evidence.iter().find_map(|sign| sign.steps)
        && loss.len() > 2
    {
        let points = loss.iter().map(|(step, value)| (*step as f64, *value)).collect();
        let curves = [Curve { name: "train/loss".into(), points }];
        let settings = PlotSettings {
            width: width.min(100),
            height: HEIGHT,
            scale: Scale::Linear,
            metric: "train/loss",
            unit: "step",
            style,
        };
        text += &format!("\n{}", plot_marked(&curves, &settings, (from as f64, to as f64, "here")));
    }
    text += "\nwhat to do\n";
    for (place, fix) in claim.fixes.iter().enumerate() {
        text += &wrapped(&format!("{}. ", place + 1), &printable(&fix.text), width);
    }
    text + &format!("\nmore: docs/diagnosis.md#{}\n", entry.id.replace('_', "-"))
}

/// Returns what became of the trials of a sweep, and why.
pub fn overview(sweep: &str, found: &Overview, style: Style, width: usize) -> String {
    let judged = found.converged.len() + found.failed.len();
    let mut text = format!("sweep `{}`: ", printable(sweep));
    let open = count(found.not_judged.len() as u64);
    text += &match (judged, found.not_judged.len()) {
        (0, _) => "no trial can be judged yet".to_owned(),
        (_, left) => {
            let done = count(found.converged.len() as u64);
            let open = if left > 0 { format!("; {open} cannot be judged") } else { String::new() };
            format!("{done} of {} trials converged{open}", count(judged as u64))
        }
    };
    text.push('\n');
    if !found.works.is_empty() {
        text += &wrapped("", &format!("what works: {}", regions(&found.works)), width);
    }
    if !found.causes.is_empty() || !found.inconclusive.is_empty() {
        text += "\nwhy the others did not\n";
    }
    for group in &found.causes {
        text += &cause(group, style, width);
    }
    if !found.inconclusive.is_empty() {
        let line = format!("nothing tells why: {}", trials(&found.inconclusive));
        text += &wrapped(&format!("{:>4}  ", found.inconclusive.len()), &line, width);
    }
    if !found.limits.is_empty() {
        text += "\nwhat limits the best\n";
        for limit in &found.limits {
            text += &wrapped("- ", &printable(limit), width);
        }
    }
    let more = match found.causes.first().and_then(|group| group.trials.first()) {
        Some(first) => format!("`converge why {first}` says more of one trial; "),
        None => String::new(),
    };
    let more = more + "`converge next` writes the sweep that comes after";
    text + "\n" + &wrapped("", &more, width)
}

fn cause(group: &Group, style: Style, width: usize) -> String {
    let entry = group.cause.entry();
    let sure: Vec<String> = [
        (group.proven, Confidence::Proven),
        (group.likely, Confidence::Likely),
        (group.suspected, Confidence::Suspected),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, confidence)| format!("{} {count}", confidence.word()))
    .collect();
    let lies = match group.region.is_empty() {
        true => String::new(),
        false => format!("; all with {}, where nothing works", regions(&group.region)),
    };
    let number = style.paint(Colour::Red, &format!("{:>4}", group.trials.len()));
    let indent = format!("{number}  ");
    let line = format!("{} ({}){lies}: {}", entry.headline, sure.join(", "), trials(&group.trials));
    wrapped(&indent, &printable(&line), width)
}

fn regions(regions: &[Region]) -> String {
    let texts: Vec<&str> = regions.iter().map(|region| region.text.as_str()).collect();
    printable(&texts.join(", ")).into_owned()
}

fn trials(numbers: &[u64]) -> String {
    let listed: Vec<String> = numbers.iter().take(LISTED).map(u64::to_string).collect();
    let more = numbers.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("trial{} {}{rest}", if numbers.len() == 1 { "" } else { "s" }, listed.join(", "))
}

#[cfg(test)]
mod tests;

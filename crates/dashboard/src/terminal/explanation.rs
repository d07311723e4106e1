//! What mattered in a sweep, as text: sentences first, tables after.

mod sentences;

use converge_core::effects::candidate::Counts;
use converge_core::effects::expected_best::Estimator;
use converge_core::effects::explanation::Explanation;
use converge_core::effects::importance::{Importances, Question};
use converge_core::effects::ladder::Ladder;
use converge_core::effects::variance::{PartKind, PartShare, Variance};

use super::heat_map::{differ, heat_map, level_name, short};
use super::number::{count, general, of_metric};
use super::style::Style;
use super::table::{Align, Table, cut};
use super::wrapped::wrapped;

pub use sentences::sentences;

/// Characters of a bar at most, and of the columns beside it.
const BAR: usize = 20;
const BESIDE: usize = 72;
/// What is below it rounds to none, and is `<1 %`.
const SLIGHT: f64 = 0.005;

/// Returns the whole text. Names in it are escaped; what is left of escape codes are our own colours.
pub fn explanation(name: &str, found: &Explanation, style: Style, width: usize) -> String {
    let mut text = format!("sweep `{}`: what mattered\n", super::escaped::printable(name));
    for sentence in sentences(found) {
        text += &wrapped("- ", &super::escaped::printable(&sentence), width);
    }
    if found.standing.configurations < 2 {
        return text;
    }
    let wide = Some(width);
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            text += &format!("\n{}\n{body}", cut(title, width));
        }
    };
    if let Some(variance) = &found.variance {
        section(
            "Shares of the variance",
            variance_table(variance, found, style, width).render(wide),
        );
    }
    for importances in found.working.iter().chain(&found.among_best) {
        section(
            &importance_title(importances),
            importance_table(importances, style, width).render(wide),
        );
    }
    if let Some(map) = &found.heat_map {
        section("The two that matter most", heat_map(map, &found.objective, style, width));
    }
    for ladder in &found.isolation {
        section(
            &format!("{}: each value at its best over all others", ladder.parameter),
            isolation_table(ladder, found).render(wide),
        );
    }
    section("Best value by the number of configurations", expected_table(found, wide));
    text
}

/// Returns a share of a whole as `71 %`.
fn percent(share: f64) -> String {
    if !share.is_finite() {
        return general(share);
    }
    if share > 0.0 && share < SLIGHT {
        "<1 %".to_owned()
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

/// Returns an interval as `60-80 %`.
fn interval(low: f64, high: f64) -> String {
    format!("{:.0}-{:.0} %", low * 100.0, high * 100.0)
}

/// Returns a bar as wide as there is room for; none in a narrow terminal.
fn bar(share: f64, style: Style, width: usize) -> String {
    let bar = width.saturating_sub(BESIDE).min(BAR);
    let bar = if bar < 5 { 0 } else { bar };
    Style { colour: false, unicode: style.unicode }.bar(share, bar)
}

/// Returns an importance: what is left by rounding is nothing.
fn small(value: f64) -> String {
    if value < 1e-6 { "0".to_owned() } else { short(value) }
}

fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// Returns what a part is due to.
fn part_name(part: &PartShare, found: &Explanation) -> String {
    match part.kind {
        PartKind::Noise => "noise".to_owned(),
        PartKind::Higher => "three parameters and more".to_owned(),
        PartKind::Between | PartKind::Interaction => part.parameters.join(" × "),
        PartKind::Main => {
            let within = found.variance.as_ref().and_then(|variance| {
                variance.parts.iter().find(|part| part.kind == PartKind::Between)
            });
            match within {
                Some(within) => {
                    format!(
                        "{} (within {})",
                        part.parameters.join(" "),
                        within.parameters.join(", ")
                    )
                }
                None => part.parameters.join(" "),
            }
        }
    }
}

fn variance_table(variance: &Variance, found: &Explanation, style: Style, width: usize) -> Table {
    let mut table = Table::new([
        ("due to", Align::Left),
        ("share", Align::Right),
        ("", Align::Left),
        ("95 %", Align::Right),
        ("df", Align::Right),
        ("F", Align::Right),
        ("p", Align::Right),
        ("", Align::Left),
    ]);
    for part in &variance.parts {
        table.push([
            part_name(part, found),
            percent(part.share),
            bar(part.share, style, width),
            part.low.zip(part.high).map_or(String::new(), |(low, high)| interval(low, high)),
            part.degrees.to_string(),
            part.f.map_or(String::new(), general),
            part.p.map_or(String::new(), probability),
            if part.significant == Some(false) { "n.s.".to_owned() } else { String::new() },
        ]);
    }
    table
}

fn importance_title(found: &Importances) -> String {
    match found.question {
        Question::Working => format!(
            "What decides whether a configuration works ({} of {})",
            count(found.target),
            count(found.region)
        ),
        Question::Best => format!(
            "What decides, among the better half that works, which are the best ({} of {})",
            count(found.target),
            count(found.region)
        ),
    }
}

fn importance_table(found: &Importances, style: Style, width: usize) -> Table {
    let mut table = Table::new([
        ("parameter", Align::Left),
        ("share", Align::Right),
        ("", Align::Left),
        ("bootstrap", Align::Right),
        ("importance", Align::Right),
        ("by luck", Align::Right),
        ("p", Align::Right),
        ("", Align::Left),
    ]);
    for one in &found.parameters {
        table.push([
            one.parameter.clone(),
            percent(one.share),
            bar(one.share, style, width),
            interval(one.low, one.high),
            small(one.importance),
            small(one.null_level),
            probability(one.p),
            if one.significant { String::new() } else { "n.s.".to_owned() },
        ]);
    }
    table
}

/// Takes one number out of the counts of a level.
type Count = fn(&Counts) -> u64;

fn isolation_table(ladder: &Ladder, found: &Explanation) -> Table {
    let levels = &ladder.levels;
    let lost: [(&str, Count); 3] = [
        ("at chance", |counts| counts.at_chance),
        ("diverged", |counts| counts.diverged),
        ("failed", |counts| counts.failed),
    ];
    let occurs = |count: Count| levels.iter().any(|level| count(&level.counts) > 0);
    let columns: Vec<(&str, Count)> =
        lost.into_iter().filter(|(_, count)| occurs(*count)).collect();
    let mut headers = vec![
        (ladder.parameter.as_str(), Align::Left),
        ("best", Align::Right),
        ("median", Align::Right),
        ("trials", Align::Right),
    ];
    headers.extend(columns.iter().map(|(name, _)| (*name, Align::Right)));
    headers.push(("", Align::Left));
    let mut table = Table::new(headers);
    let value = |value: Option<f64>| {
        value.map_or("-".to_owned(), |value| of_metric(&found.objective.metric, value))
    };
    let differ = differ(levels);
    for level in levels {
        let mut row = vec![
            level_name(level, differ),
            value(level.best),
            value(level.median),
            level.counts.trials.to_string(),
        ];
        row.extend(columns.iter().map(|(_, count)| count(&level.counts).to_string()));
        row.push(if level.holds_best { "* best".to_owned() } else { String::new() });
        table.push(row);
    }
    table
}

fn expected_table(found: &Explanation, width: Option<usize>) -> String {
    if !found.independent {
        return "not told: the configurations are no independent draws\n".to_owned();
    }
    if found.expected_best.len() < 2 {
        return String::new();
    }
    let mut table = Table::new([
        ("after", Align::Right),
        (found.objective.metric.as_str(), Align::Right),
        ("estimate", Align::Left),
    ]);
    for row in &found.expected_best {
        table.push([
            row.configurations.to_string(),
            of_metric(&found.objective.metric, row.value),
            match row.by {
                Estimator::Unbiased => "unbiased".to_owned(),
                Estimator::PlugIn => "plug-in, a little low".to_owned(),
            },
        ]);
    }
    table.render(width)
}

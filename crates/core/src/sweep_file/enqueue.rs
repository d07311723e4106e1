//! `[[enqueue]]`: configurations that run first.

use super::document::{Node, NodeKind};
use super::parameters::flattened;
use crate::key::{KEYS, Key, nearest};
use crate::problem::Problem;
use crate::sampler::complete;
use crate::search_space::Configuration;
use crate::sweep::Sweep;

/// Reads the entries, each with its place.
pub(super) fn read(node: Node, problems: &mut Vec<Problem>) -> Vec<(Configuration, String)> {
    let Some(nodes) = super::sections::tables("enqueue", node, problems) else { return Vec::new() };
    let mut found = Vec::new();
    for node in nodes {
        let place = node.place.clone();
        let NodeKind::Table(entries) = node.kind else { continue };
        let before = problems.len();
        let mut configuration = Configuration::new();
        for (name, node) in flattened(entries) {
            read_entry(&name, &node, &mut configuration, problems);
        }
        if configuration.is_empty() && problems.len() == before {
            problems.push(
                Problem::new(&place, "[[enqueue]]: names no value")
                    .hint("write, for example, learning_rate = 2e-5"),
            );
        }
        found.push((configuration, place));
    }
    found
}

fn read_entry(
    name: &str,
    node: &Node,
    configuration: &mut Configuration,
    problems: &mut Vec<Problem>,
) {
    let Some(key) = Key::find(name) else {
        let problem = Problem::new(&node.place, format!("[[enqueue]]: unknown key `{name}`"));
        problems.push(match nearest(name, KEYS.iter().map(Key::short_name)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("a key of [train], or another by its dotted name"),
        });
        return;
    };
    let checked = match node.value() {
        Some(value) => key.check(&value),
        None => Err(format!("expected {}, found {}", key.kind.expected(), node.found())),
    };
    match checked {
        Ok(value) => {
            if configuration.insert(key.short_name().to_string(), value).is_some() {
                let message = format!("[[enqueue]]: `{}` stands twice", key.short_name());
                problems.push(Problem::new(&node.place, message));
            }
        }
        Err(message) => {
            problems.push(Problem::new(&node.place, format!("[[enqueue]] `{name}`: {message}")));
        }
    }
}

/// Checks that each entry stands for a whole configuration that no constraint leaves out, and that all of them have
/// room in the budget.
pub(super) fn check(sweep: &Sweep, places: &[String], problems: &mut Vec<Problem>) {
    let (given, most) = (sweep.enqueue.len() as u64, sweep.budget.max_trials);
    if let (Some(most), Some(place)) = (most.filter(|most| *most < given), places.last()) {
        problems.push(
            Problem::new(
                place,
                format!("[[enqueue]]: {given} entries, and `max_trials` is {most}"),
            )
            .hint("enqueued configurations count: raise `max_trials`"),
        );
    }
    for (index, (given, place)) in sweep.enqueue.iter().zip(places).enumerate() {
        let configuration = match complete(sweep, given, index) {
            Ok(configuration) => configuration,
            Err(wrong) => {
                problems.extend(wrong.into_iter().map(|message| {
                    Problem::new(place, format!("[[enqueue]]: {message}"))
                        .hint("an entry holds a value of every parameter that its other values leave in force")
                }));
                continue;
            }
        };
        if let Some(constraint) = sweep.constraint_on(&configuration) {
            let constraint = &sweep.constraints[constraint];
            problems.push(
                Problem::new(
                    place,
                    format!("[[enqueue]]: the constraint `{constraint}` leaves it out"),
                )
                .hint("take out one of the two"),
            );
        }
    }
}

//! `[[constraints]]`: points of the search space that are left out.

use super::document::{Node, NodeKind};
use super::table::Table;
use crate::constraint::Constraint;
use crate::problem::Problem;
use crate::sampler::{Dry, sample};
use crate::sweep::Sweep;
use crate::value::Value;

/// Reads the entries.
pub(super) fn read(node: Node, problems: &mut Vec<Problem>) -> Vec<Constraint> {
    let Some(nodes) = super::sections::tables("constraints", node, problems) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for node in nodes {
        let mut table = Table::new("[[constraints]]", node, problems);
        let given = table.take("unless");
        if given.is_none() {
            table.problem("needs `unless`").hint =
                Some("write unless = \"optimizer == 'sgd' && learning_rate < 2e-5\"".into());
        }
        table.finish();
        let Some(node) = given else { continue };
        match &node.kind {
            NodeKind::Scalar(Value::Text(text)) => match Constraint::parse(text) {
                Ok(constraint) => found.push(constraint),
                Err(error) => {
                    let message = format!("[[constraints]] `unless`, {error}");
                    let problem = Problem::new(&node.place, message);
                    problems.push(match error.hint {
                        Some(hint) => problem.hint(hint),
                        None => problem,
                    });
                }
            },
            _ => {
                let message =
                    format!("[[constraints]] `unless`: expected a text, found {}", node.found());
                problems.push(
                    Problem::new(&node.place, message)
                        .hint("write the condition in quotes: unless = \"batch_size > 32\""),
                );
            }
        }
    }
    found
}

/// Reports constraints that leave too little.
pub(super) fn check(sweep: &Sweep, file: &str, problems: &mut Vec<Problem>) {
    if sweep.constraints.is_empty() {
        return;
    }
    let sample = sample(sweep);
    let found = sample.configurations.len();
    if sample.dry == Some(Dry::Constrained) {
        let wanted = sweep.budget.max_trials.unwrap_or(0);
        let message = format!(
            "[[constraints]]: 10,000 draws in a row are left out, after {found} of {wanted} configurations were found"
        );
        problems.push(
            Problem::new(file, message)
                .hint("search where the constraints leave something, or ask for fewer trials"),
        );
    } else if found == 0 {
        problems.push(
            Problem::new(file, "[[constraints]]: every point of the search space is left out")
                .hint("a point is left out where `unless` holds"),
        );
    }
}

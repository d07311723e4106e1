//! `[early_stop]`: which trials go on after a part of their training.

use super::document::Node;
use super::table::Table;
use crate::early_stop::{EarlyStop, Rule};
use crate::objective::{At, Objective};
use crate::problem::Problem;
use crate::sweep::Method;

/// Reads the table.
pub(super) fn read(node: Node, problems: &mut Vec<Problem>) -> EarlyStop {
    let default = EarlyStop::default();
    let mut table = Table::new("[early_stop]", node, problems);
    let words = Rule::ALL.map(Rule::word);
    let word = table.word("type", &words);
    let rule = Rule::ALL.into_iter().find(|rule| word.as_deref() == Some(rule.word()));
    let mut positive = |key: &'static str| match table.number(key) {
        Some(number) if number <= 0.0 => {
            table.problem(format!("`{key}` must be more than 0"));
            None
        }
        number => number,
    };
    let first = positive("first").unwrap_or(default.first);
    let keep = positive("keep");
    let eta = table.integer("eta", 2).unwrap_or(default.eta);
    let min_trials = table.integer("min_trials", 1).unwrap_or(default.min_trials);
    let ties = table.boolean("ties").unwrap_or(default.ties);
    let patience = table.integer("patience", 1);
    let rule = rule.unwrap_or(default.rule);
    if keep.is_some_and(|keep| keep > 1.0 && keep.fract() != 0.0) {
        table.problem("`keep` is a whole number of trials, or a share below 1");
    }
    // What a rule does not read would look as if it did something.
    let mut unread = |key: &str, given: bool, rules: &[Rule]| {
        if given && !rules.contains(&rule) && word_is_known(rule, word.as_deref()) {
            let words: Vec<_> = rules.iter().map(|rule| format!("\"{}\"", rule.word())).collect();
            let problem =
                table.problem(format!("`{key}` means nothing with type = \"{}\"", rule.word()));
            problem.hint = Some(format!("it belongs to type = {}", words.join(" or ")));
        }
    };
    let all = [Rule::TopK, Rule::Halving, Rule::Asha, Rule::Median];
    unread("first", first != default.first, &all);
    unread("eta", eta != default.eta, &[Rule::TopK, Rule::Halving, Rule::Asha]);
    unread("keep", keep.is_some(), &[Rule::TopK]);
    unread("min_trials", min_trials != default.min_trials, &[Rule::Median]);
    unread("ties", ties != default.ties, &all);
    table.finish();
    EarlyStop { rule, first, eta, keep, min_trials, ties, patience }
}

/// A word that nobody knows is told already.
fn word_is_known(rule: Rule, word: Option<&str>) -> bool {
    word.is_none_or(|word| word == rule.word())
}

/// Reports what does not go with the rest of the sweep.
pub(super) fn check(
    early_stop: &EarlyStop,
    method: Method,
    replicates: u64,
    objective: &Objective,
    file: &str,
    problems: &mut Vec<Problem>,
) {
    let stops = early_stop.rule != Rule::None;
    if stops && method.is_adaptive() {
        problems.push(
            Problem::new(file, "draws that follow results and [early_stop] do not go together")
                .hint("a rung compares trials that are there together: use method = \"sobol\", or leave `type` out"),
        );
    }
    // The seeds that went on would be the lucky ones, and their mean no mean of the configuration.
    if stops && replicates > 1 {
        problems.push(
            Problem::new(file, "`replicates` and [early_stop] do not go together: of a configuration the lucky seeds would go on")
                .hint("write `racing = true` for `replicates`: configurations that were trained to the end and are tied for best get further seeds, which are not stopped"),
        );
    }
    if early_stop.patience.is_some() && objective.at == At::Last {
        let message = "[early_stop]: `patience` ends a trial with its best weights, and the objective counts the last evaluation";
        problems.push(
            Problem::new(file, message)
                .hint("write `at = \"best\"` in the objective, or leave `patience` out"),
        );
    }
}

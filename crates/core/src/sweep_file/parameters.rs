//! `[parameters]`: W&B's keys, checked against the settings that they stand for.

use std::collections::BTreeMap;

use super::document::{Node, NodeKind, Root};
use super::table::Table;
use crate::key::{KEYS, Key, Kind, nearest};
use crate::materialise::changes_preparation;
use crate::problem::Problem;
use crate::search_space::{Case, Configuration, Domain, Parameter};
use crate::settings::Settings;
use crate::sweep::{Method, fixed};
use crate::value::Value;

pub(super) const DISTRIBUTIONS: &[&str] =
    &["constant", "categorical", "uniform", "q_uniform", "int_uniform", "log_uniform_values"];

/// Trials that a sweep can have: a slip in a file must not fill the machine.
const MOST_TRIALS: u64 = 1_000_000;
/// Values that a list can have; each is compared with all others.
const MOST_VALUES: usize = 10_000;

/// Takes apart what TOML makes of `data.train_limit = …` without quotes: a table of the name `data`.
pub(super) fn flattened(entries: Root) -> Root {
    let mut flat = Root::new();
    for (name, node) in entries {
        match node.kind {
            NodeKind::Table(inner) if ["train", "model", "data"].contains(&name.as_str()) => {
                flat.extend(
                    inner.into_iter().map(|(field, node)| (format!("{name}.{field}"), node)),
                );
            }
            kind => flat.push((name, Node { place: node.place, kind })),
        }
    }
    flat
}

/// Reads one entry of `[parameters]`.
pub(super) fn read(
    name: &str,
    node: Node,
    method: Method,
    problems: &mut Vec<Problem>,
) -> Option<Parameter> {
    let Some(key) = Key::find(name) else {
        let problem = Problem::new(&node.place, format!("unknown parameter `{name}`"));
        problems.push(match nearest(name, KEYS.iter().map(Key::short_name)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => {
                problem.hint("a parameter is any key of [train], or another by its dotted name")
            }
        });
        return None;
    };
    let name = key.short_name();
    let place = node.place.clone();
    let nodes = match node.kind {
        NodeKind::List(items)
            if items.iter().all(|item| matches!(item.kind, NodeKind::Table(_))) =>
        {
            items
        }
        NodeKind::Table(_) => vec![node],
        _ => {
            let message = format!("parameter `{name}`: expected a table, found {}", node.found());
            let hint = format!(
                "write `{name} = {{ values = [...] }}`, or `{name} = ...` in [{}]",
                key.section().0
            );
            problems.push(Problem::new(&place, message).hint(hint));
            return None;
        }
    };
    if nodes.is_empty() {
        problems.push(Problem::new(place, format!("parameter `{name}`: no cases")));
        return None;
    }
    let several = nodes.len() > 1;
    let mut cases = Vec::new();
    for node in nodes {
        let mut table = Table::new(format!("parameter `{name}`"), node, problems);
        let when = read_when(&mut table);
        if several && when.is_empty() {
            table.problem("each of several cases needs `when`");
        }
        let domain = read_domain(key, &mut table, method);
        table.finish();
        cases.push(Case { when, domain: domain? });
    }
    Some(Parameter { name: name.to_string(), cases })
}

fn read_when(table: &mut Table<'_>) -> BTreeMap<String, Vec<Value>> {
    let Some(node) = table.take("when") else { return BTreeMap::new() };
    let NodeKind::Table(entries) = &node.kind else {
        table.expected::<()>("when", &node, "a table such as { optimizer = \"sgd\" }");
        return BTreeMap::new();
    };
    let mut when = BTreeMap::new();
    for (name, node) in entries {
        let Some(key) = Key::find(name) else {
            table.problem(format!("`when` names the unknown key `{name}`"));
            continue;
        };
        let nodes = match &node.kind {
            NodeKind::List(items) => items.clone(),
            _ => vec![node.clone()],
        };
        let values =
            nodes.iter().filter_map(|node| match node.value().map(|value| key.check(&value)) {
                Some(Ok(value)) => Some(value),
                Some(Err(message)) => {
                    table.problem(format!("`when` `{name}`: {message}"));
                    None
                }
                None => table.expected("when", node, "a value or a list of values"),
            });
        let values: Vec<Value> = values.collect();
        when.insert(key.short_name().to_string(), values);
    }
    when
}

fn read_domain(key: &Key, table: &mut Table<'_>, method: Method) -> Option<Domain> {
    let distribution = match table.take("distribution") {
        Some(node) if matches!(&node.kind, NodeKind::Scalar(Value::Text(word)) if word == "log_uniform") =>
        {
            table.problem("`log_uniform` takes exponents in W&B and is not supported").hint = Some(
                "write distribution = \"log_uniform_values\" with min and max themselves, such as min = 1e-5"
                    .into(),
            );
            None
        }
        Some(node) => match &node.kind {
            NodeKind::Scalar(Value::Text(word)) if DISTRIBUTIONS.contains(&word.as_str()) => {
                Some(word.clone())
            }
            _ => {
                let words: Vec<_> =
                    DISTRIBUTIONS.iter().map(|word| format!("\"{word}\"")).collect();
                table.expected("distribution", &node, &format!("one of {}", words.join(", ")))
            }
        },
        None => None,
    };
    let (value, values) = (table.take("value"), table.take("values"));
    let (min, max) = (read_bound(key, table, "min"), read_bound(key, table, "max"));
    let step = table.number("step");
    let count = table.integer("count", 2);
    match (value, values, min, max) {
        (Some(node), None, None, None) => read_values(key, table, &[node]),
        (None, Some(node), None, None) => match &node.kind {
            NodeKind::List(items) if items.len() > MOST_VALUES => {
                table.problem(format!("`values` holds more than {MOST_VALUES} values")).hint =
                    Some("give a range, with `min` and `max`".into());
                None
            }
            NodeKind::List(items) if !items.is_empty() => read_values(key, table, items),
            NodeKind::List(_) => {
                table.problem("`values` is empty").hint = Some("give at least one value".into());
                None
            }
            _ => table.expected("values", &node, "a list"),
        },
        (None, None, Some(min), Some(max)) => {
            read_range(key, table, method, (min, max), step, count, distribution.as_deref())
        }
        (None, None, None, None) => {
            table.problem("needs `values`, or `min` and `max`");
            None
        }
        (None, None, _, _) => {
            table.problem("`min` and `max` go together");
            None
        }
        _ => {
            table.problem("takes either `values` or `min` and `max`");
            None
        }
    }
}

fn read_values(key: &Key, table: &mut Table<'_>, nodes: &[Node]) -> Option<Domain> {
    let mut values: Vec<Value> = Vec::new();
    let mut sound = true;
    for node in nodes {
        match node.value().map(|value| key.check(&value)) {
            Some(Ok(value)) if values.iter().any(|earlier| earlier.means(&value)) => {
                table.problem(format!("`values` holds {value} twice"));
                sound = false;
            }
            Some(Ok(value)) => values.push(value),
            Some(Err(message)) => {
                table.problem(message);
                sound = false;
            }
            None => {
                table.expected::<()>("values", node, &key.kind.expected());
                sound = false;
            }
        }
    }
    sound.then_some(Domain::Values(values))
}

fn read_bound(key: &Key, table: &mut Table<'_>, name: &'static str) -> Option<Value> {
    let node = table.take(name)?;
    match node.value().map(|value| key.check(&value)) {
        Some(Ok(value)) if value.number().is_some() => Some(value),
        Some(Err(message)) => {
            table.problem(format!("`{name}`: {message}"));
            // Something, so that the other bound is not reported as missing.
            node.value()
        }
        _ => table.expected(name, &node, "a number"),
    }
}

fn read_range(
    key: &Key,
    table: &mut Table<'_>,
    method: Method,
    (min, max): (Value, Value),
    step: Option<f64>,
    count: Option<u64>,
    distribution: Option<&str>,
) -> Option<Domain> {
    let (low, high) = (min.number()?, max.number()?);
    if low > high {
        table.problem(format!("`min` ({min}) must be less than `max` ({max})")).hint =
            Some("swap the two, or write `values = [...]`".into());
        return None;
    }
    if step.is_some_and(|step| step <= 0.0) {
        table.problem("`step` must be greater than 0");
        return None;
    }
    let whole = matches!(key.kind, Kind::Integer(_) | Kind::ChoiceOrInteger(..));
    let domain = match (distribution, &min, &max) {
        (Some("log_uniform_values"), _, _) if low <= 0.0 => {
            table.problem("`log_uniform_values` needs `min` greater than 0");
            return None;
        }
        (Some("log_uniform_values"), _, _) if whole || step.is_some() => {
            table.problem("`log_uniform_values` takes neither whole numbers nor `step`").hint =
                Some("write `values = [...]`".into());
            return None;
        }
        (Some("log_uniform_values"), _, _) => Domain::LogUniform { min: low, max: high, count },
        (
            None | Some("int_uniform" | "q_uniform" | "uniform"),
            Value::Integer(min),
            Value::Integer(max),
        ) if whole => {
            match step.map_or(Some(1), |step| (step.fract() == 0.0).then_some(step as i64)) {
                Some(step) => Domain::Integers { min: *min, max: *max, step },
                None => {
                    table.problem("`step` of a whole number must be whole");
                    return None;
                }
            }
        }
        (None | Some("uniform" | "q_uniform"), _, _) => match step {
            Some(step) => Domain::Steps { min: low, max: high, step },
            None => Domain::Uniform { min: low, max: high, count },
        },
        (Some(word), _, _) => {
            table.problem(format!("`{word}` does not fit this range"));
            return None;
        }
    };
    if domain.points() > MOST_TRIALS {
        table.problem("has more than a million points");
        return None;
    }
    if method == Method::Grid && domain.points() == 0 {
        table.problem("a grid needs its points").hint =
            Some("add `count = 3` or `step = ...`, or write `values = [...]`".into());
        return None;
    }
    Some(domain)
}

/// Reports a sweep that no machine could hold; conditions may make it smaller than this counts.
pub(super) fn check_size(
    parameters: &[Parameter],
    method: Method,
    draws: u64,
    replicates: u64,
    file: &str,
    problems: &mut Vec<Problem>,
) {
    let longest = |parameter: &Parameter| {
        parameter.cases.iter().map(|case| case.domain.points()).max().unwrap_or(1).max(1)
    };
    let configurations = match method {
        Method::Grid => parameters.iter().map(longest).fold(1, u64::saturating_mul),
        Method::Random | Method::Sobol | Method::LatinHypercube | Method::Tpe => draws,
    };
    if configurations.saturating_mul(replicates) > MOST_TRIALS {
        let message = "the sweep has more than a million trials";
        problems.push(
            Problem::new(file, message)
                .hint("give fewer values or replicates, or draw some: method = \"random\""),
        );
    }
}

/// Combinations of values that change what has to be prepared: each is tokenised, and may be another model.
const MOST_PREPARED: u64 = 64;

/// Checks that what has to be prepared for draws that are not made yet is known, and is not too much.
pub(super) fn check_preparation(parameters: &[Parameter], problems: &mut Vec<Problem>) {
    let mut combinations = 1u64;
    let preparing = parameters.iter().filter(|one| changes_preparation(&one.name));
    for parameter in preparing {
        let mut values = 0;
        for case in &parameter.cases {
            match &case.domain {
                Domain::Values(list) => values += list.len() as u64,
                _ => {
                    let place = format!("parameter `{}`", parameter.name);
                    problems.push(
                        Problem::new(place, "method = \"tpe\" needs its `values` one by one, since model and data are prepared for each before the sweep")
                            .hint("write `values = [...]`, or search it with method = \"sobol\""),
                    );
                }
            }
        }
        combinations = combinations.saturating_mul(values.max(1));
    }
    if combinations > MOST_PREPARED {
        problems.push(
            Problem::new(
                "[parameters]",
                format!("method = \"tpe\" would have to prepare {combinations} combinations of model and data before the sweep; {MOST_PREPARED} are the most"),
            )
            .hint("search fewer of them at once, or with method = \"sobol\", which prepares what it draws"),
        );
    }
}

/// Checks that conditions name parameters or settings, without circles, and that several cases of a
/// parameter are disjoint and cover everything.
pub(super) fn check_cases(
    parameters: &[Parameter],
    settings: &Settings,
    problems: &mut Vec<Problem>,
) {
    for parameter in parameters {
        let place = format!("parameter `{}`", parameter.name);
        if depends_on_itself(parameter, parameters) {
            problems.push(Problem::new(&place, "its `when` depends on itself"));
            return;
        }
        for name in parameter.depends_on() {
            let is_parameter = parameters.iter().any(|other| other.name == name);
            if !is_parameter && fixed(settings, name).is_none() {
                problems.push(Problem::new(
                    &place,
                    format!("`when` names `{name}`, which has no value here"),
                ));
            }
        }
        if parameter.cases.len() > 1 {
            check_cover(parameter, parameters, settings, &place, problems);
        }
    }
}

fn depends_on_itself(parameter: &Parameter, parameters: &[Parameter]) -> bool {
    let mut reached: Vec<&str> = parameter.depends_on().collect();
    let mut next = 0;
    while next < reached.len() {
        let name = reached[next];
        if name == parameter.name {
            return true;
        }
        for further in
            parameters.iter().filter(|other| other.name == name).flat_map(Parameter::depends_on)
        {
            if !reached.contains(&further) {
                reached.push(further);
            }
        }
        next += 1;
    }
    false
}

fn check_cover(
    parameter: &Parameter,
    parameters: &[Parameter],
    settings: &Settings,
    place: &str,
    problems: &mut Vec<Problem>,
) {
    let mut assignments: Vec<Configuration> = vec![Configuration::new()];
    let mut names: Vec<&str> = parameter.depends_on().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let values = match parameters.iter().find(|other| other.name == name) {
            Some(other) => {
                other.cases.iter().flat_map(|case| case.domain.grid().unwrap_or_default()).collect()
            }
            None => fixed(settings, name).into_iter().collect::<Vec<_>>(),
        };
        assignments = assignments
            .iter()
            .flat_map(|assignment| {
                values.iter().map(move |value| {
                    let mut assignment = assignment.clone();
                    assignment.insert(name.to_string(), value.clone());
                    assignment
                })
            })
            .take(10_000)
            .collect();
    }
    for assignment in assignments {
        let value_of = |name: &str| assignment.get(name).cloned();
        let fitting = parameter.cases.iter().filter(|case| case.fits(&value_of)).count();
        if fitting == 1 {
            continue;
        }
        let shown: Vec<_> =
            assignment.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let message = match fitting {
            0 => format!("no case covers {}", shown.join(", ")),
            _ => format!("{fitting} cases cover {}", shown.join(", ")),
        };
        problems
            .push(Problem::new(place, message).hint("cases must be disjoint and cover all values"));
        return;
    }
}

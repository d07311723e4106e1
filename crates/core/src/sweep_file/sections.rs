//! All tables of a sweep file but `[parameters]`'s entries.

use std::collections::BTreeMap;

use super::document::{Node, NodeKind};
use super::layers::EXTENDS;
use super::table::Table;
use super::{constraints, early_stop, enqueue, parameters};
use crate::budget::Budget;
use crate::failure::FailureClass;
use crate::fit::BOTH_HEAD_RATES;
use crate::key::{KEYS, Key, nearest};
use crate::metric;
use crate::objective::{At, Goal, Objective};
use crate::problem::Problem;
use crate::script::Script;
use crate::seed::Seed;
use crate::settings::{ModelSettings, Settings};
use crate::sweep::{
    AHEAD, FailurePolicy, MAX_REPLICATES, Method, RunSettings, ScriptRule, Sweep, Workers,
};
use crate::task::Task;
use crate::trial::Retries;
use crate::value::Value;

/// Everything that can stand at the top of a file.
const TOP: [&str; 11] = [
    "sweep",
    "parameters",
    "enqueue",
    "constraints",
    "train",
    "model",
    "data",
    "early_stop",
    "run",
    "budget",
    "failure",
];

/// Reads the whole document; `None` where a part without a default is missing or unreadable.
pub(super) fn read_sweep(
    root: Vec<(String, Node)>,
    file: &str,
    problems: &mut Vec<Problem>,
) -> Option<Sweep> {
    let mut sections: BTreeMap<&str, Node> = BTreeMap::new();
    for (name, node) in root {
        match TOP.into_iter().find(|section| *section == name) {
            Some(section) => {
                sections.insert(section, node);
            }
            None => problems.push(unknown_section(&name, &node)),
        }
    }
    let mut take = |name: &str| {
        let empty = || Node { place: file.to_string(), kind: NodeKind::Table(Vec::new()) };
        sections.remove(name).unwrap_or_else(empty)
    };
    let head = read_head(take("sweep"), problems);
    let budget = read_budget(take("budget"), problems);
    let parameters = read_parameters(take("parameters"), head.method, problems);
    let (enqueue, places): (Vec<_>, Vec<_>) =
        enqueue::read(take("enqueue"), problems).into_iter().unzip();
    let constraints = constraints::read(take("constraints"), problems);
    let named = parameters.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>();
    let sections = ["train", "model", "data"].map(|name| (name, take(name)));
    let settings = read_settings(sections, &named, file, problems);
    let run = read_run(take("run"), problems);
    let failure = read_failure(take("failure"), problems);
    let early_stop = early_stop::read(take("early_stop"), problems);
    if head.method.draws() && budget.max_trials.is_none() {
        let method = head.method.word();
        problems.push(
            Problem::new(file, format!("method = \"{method}\" needs `max_trials` in [budget]"))
                .hint("write `[budget]` and `max_trials = 20`"),
        );
    }
    if head.method.is_adaptive() {
        parameters::check_preparation(&parameters, problems);
    }
    let draws = budget.max_trials.unwrap_or(0);
    parameters::check_size(&parameters, head.method, draws, head.replicates, file, problems);
    let settings = settings?;
    parameters::check_cases(&parameters, &settings, problems);
    let task = settings.data.task.task().filter(|_| !named.contains(&"data.task"));
    let (objective, objective_follows_task) =
        read_objective(head.objective, &settings, task, problems);
    early_stop::check(&early_stop, head.method, head.replicates, &objective, file, problems);
    let sweep = Sweep {
        objective_follows_task,
        name: head.name?,
        method: head.method,
        ahead: head.ahead,
        seed: head.seed,
        replicates: head.replicates,
        racing: head.racing,
        max_replicates: head.max_replicates,
        baseline: head.baseline,
        objective,
        parameters,
        enqueue,
        constraints,
        settings,
        run: run?,
        budget,
        failure,
        early_stop,
    };
    // What is sampled has to be sound.
    if problems.is_empty() {
        enqueue::check(&sweep, &places, problems);
        constraints::check(&sweep, file, problems);
    }
    Some(sweep)
}

/// Returns the tables of a list of tables, `[[name]]`; none, and a problem, where it is something else.
pub(super) fn tables(name: &str, node: Node, problems: &mut Vec<Problem>) -> Option<Vec<Node>> {
    let (place, found) = (node.place.clone(), node.found());
    match node.kind {
        // What is not in the file.
        NodeKind::Table(entries) if entries.is_empty() => Some(Vec::new()),
        NodeKind::List(items)
            if items.iter().all(|item| matches!(item.kind, NodeKind::Table(_))) =>
        {
            Some(items)
        }
        _ => {
            let message = format!("[[{name}]]: expected a list of tables, found {found}");
            problems.push(
                Problem::new(place, message)
                    .hint(format!("each one begins with its own line, [[{name}]]")),
            );
            None
        }
    }
}

fn unknown_section(name: &str, node: &Node) -> Problem {
    let problem = Problem::new(&node.place, format!("unknown section or key `{name}`"));
    if let Some(key) = Key::find(name) {
        return problem.hint(format!("it belongs in [{}] or [parameters]", key.section().0));
    }
    match nearest(name, TOP.into_iter().chain([EXTENDS])) {
        Some(EXTENDS) => problem.hint("did you mean `extends`?"),
        Some(near @ ("enqueue" | "constraints")) => {
            problem.hint(format!("did you mean [[{near}]]?"))
        }
        Some(near) => problem.hint(format!("did you mean [{near}]?")),
        None => problem.hint(format!("sections: {}", TOP.join(", "))),
    }
}

/// `[sweep]`, the objective still unread: whether it fits depends on `[data]`.
struct Head {
    name: Option<String>,
    method: Method,
    ahead: u64,
    seed: Seed,
    replicates: u64,
    racing: bool,
    max_replicates: u64,
    baseline: bool,
    objective: Option<Node>,
}

fn read_head(node: Node, problems: &mut Vec<Problem>) -> Head {
    let mut table = Table::new("[sweep]", node, problems);
    let name = match table.take("name") {
        Some(node) => match &node.kind {
            NodeKind::Scalar(Value::Text(name)) if is_name(name) => Some(name.clone()),
            _ => table.expected("name", &node, "letters, digits, `-`, `_` and `.`"),
        },
        None => {
            table.problem("needs a `name`").hint = Some("write name = \"my-sweep\"".into());
            None
        }
    };
    let word = table.word("method", &Method::WORDS);
    let method = Method::ALL.into_iter().find(|method| word.as_deref() == Some(method.word()));
    let method = method.unwrap_or(Method::Grid);
    let ahead = table.integer("ahead", 1);
    if ahead.is_some_and(|ahead| ahead != AHEAD) && !method.is_adaptive() {
        table.problem(format!("`ahead` has no place with method = \"{}\"", method.word())).hint =
            Some("only method = \"tpe\" draws from results".into());
    }
    let ahead = ahead.unwrap_or(AHEAD);
    let seed = Seed(table.integer("seed", 0).unwrap_or(42));
    let replicates = table.integer("replicates", 1).unwrap_or(1);
    let racing = table.boolean("racing").unwrap_or(false);
    let most = table.integer("max_replicates", 1);
    let least = if racing { replicates } else { 1 };
    let max_replicates = most.unwrap_or(MAX_REPLICATES.max(least));
    if max_replicates < least {
        table.problem("`max_replicates` is less than `replicates`");
    }
    if !racing && most.is_some_and(|most| most != MAX_REPLICATES) {
        table.problem("`max_replicates` does nothing without `racing = true`").hint = Some(
            "all configurations have `replicates` seeds; racing gives some of them more".into(),
        );
    }
    let baseline = table.boolean("baseline").unwrap_or(false);
    let objective = table.take("objective");
    table.finish();
    Head { name, method, ahead, seed, replicates, racing, max_replicates, baseline, objective }
}

/// Names stand in file names and on command lines.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

/// Reads the objective, and says whether its metric depends on what the task will be found to be.
fn read_objective(
    node: Option<Node>,
    settings: &Settings,
    task: Option<Task>,
    problems: &mut Vec<Problem>,
) -> (Objective, bool) {
    let has_validation = settings.data.validation.as_deref() != Some("none");
    let default = match has_validation {
        true => (metric::default_of(task.unwrap_or_default()), At::Best),
        false => (metric::TRAIN_LOSS, At::Last),
    };
    let follows_task = has_validation && task.is_none();
    let Some(node) = node else {
        let goal = if has_validation { Goal::Maximize } else { Goal::Minimize };
        return (Objective { metric: default.0.into(), goal, at: default.1 }, follows_task);
    };
    let mut table = Table::new("[sweep] objective", node, problems);
    let named = table.text("metric");
    let follows_task = follows_task && named.is_none();
    let metric = named.unwrap_or_else(|| default.0.into());
    let natural = if metric::larger_is_better(&metric) { Goal::Maximize } else { Goal::Minimize };
    let goal = match table.word("goal", &["maximize", "minimize"]).as_deref() {
        Some("maximize") => Goal::Maximize,
        Some("minimize") => Goal::Minimize,
        _ => natural,
    };
    let at = match table.word("at", &["best", "last"]).as_deref() {
        Some("best") => At::Best,
        Some("last") => At::Last,
        _ => default.1,
    };
    if let Some(list) = metric::not_an_objective(&metric, has_validation, task) {
        let problem = table.problem(format!("`{metric}` cannot be an objective here"));
        problem.hint = Some(list);
    }
    table.finish();
    (Objective { metric, goal, at }, follows_task)
}

fn read_parameters(
    node: Node,
    method: Method,
    problems: &mut Vec<Problem>,
) -> Vec<crate::search_space::Parameter> {
    let entries = parameters::flattened(Table::new("[parameters]", node, problems).take_all());
    let mut parameters: Vec<crate::search_space::Parameter> = Vec::new();
    for (name, node) in entries {
        let place = node.place.clone();
        if let Some(parameter) = parameters::read(&name, node, method, problems) {
            if parameters.iter().any(|earlier| earlier.name == parameter.name) {
                problems.push(Problem::new(
                    place,
                    format!("parameter `{}` stands twice", parameter.name),
                ));
            } else {
                parameters.push(parameter);
            }
        }
    }
    parameters
}

/// Fills the settings from the default document; what a parameter sets may be missing.
fn read_settings(
    sections: [(&'static str, Node); 3],
    parameters: &[&str],
    file: &str,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let nothing = ModelSettings { path: None, preset: None, layers: None };
    let mut written: Vec<String> = Vec::new();
    let mut document = serde_json::to_value(Settings::defaults(nothing, "")).ok()?;
    document["data"]["train"] = serde_json::Value::Null;
    for (section, node) in sections {
        let entries = Table::new(format!("[{section}]"), node, problems).take_all();
        for (field, node) in entries {
            let full = format!("{section}.{field}");
            let Some(key) = KEYS.iter().find(|key| key.name == full) else {
                let problem =
                    Problem::new(&node.place, format!("[{section}]: unknown key `{field}`"));
                let names =
                    KEYS.iter().filter(|key| key.section().0 == section).map(|key| key.section().1);
                problems.push(match nearest(&field, names) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                });
                continue;
            };
            if parameters.contains(&key.short_name()) {
                let message = format!("`{field}` stands in [{section}] and in [parameters]");
                problems.push(Problem::new(&node.place, message).hint("remove one of the two"));
                continue;
            }
            written.push(key.short_name().into());
            let checked = match node.value() {
                Some(value) => key.check(&value),
                None => Err(format!("expected {}, found {}", key.kind.expected(), node.found())),
            };
            match checked {
                Ok(value) => document[section][&field] = serde_json::to_value(value).ok()?,
                Err(message) => {
                    problems.push(Problem::new(
                        &node.place,
                        format!("[{section}] `{field}`: {message}"),
                    ));
                }
            }
        }
    }
    let given = |name: &str, document: &serde_json::Value| {
        let (section, field) = name.split_once('.').unwrap_or(("train", name));
        parameters.contains(&name) || !document[section][field].is_null()
    };
    match (given("model.path", &document), given("model.preset", &document)) {
        (false, false) => problems
            .push(Problem::new(file, "[model] needs a `path` or a `preset`").hint(
                "write path = \"models/minilm\" after `scripts/fetch`, or preset = \"tiny\"",
            )),
        (true, true) => {
            problems.push(Problem::new(file, "[model] takes either `path` or `preset`"))
        }
        _ => {}
    }
    if !given("data.train", &document) {
        problems
            .push(Problem::new(file, "[data] needs `train`").hint("write train = \"data/my.csv\""));
    }
    // A parameter gives it for each trial; the fixed settings still need some text there.
    if document["data"]["train"].is_null() {
        document["data"]["train"] = "".into();
    }
    check_fractions(&document, file, problems);
    let is_set = |name: &str| parameters.contains(&name) || written.iter().any(|one| one == name);
    if ["head_learning_rate", "head_learning_rate_multiplier"].into_iter().all(is_set) {
        let message = format!("[train]: `head_learning_rate` {BOTH_HEAD_RATES}");
        problems.push(Problem::new(file, message).hint("remove one of the two"));
    }
    serde_json::from_value(document).ok()
}

fn check_fractions(document: &serde_json::Value, file: &str, problems: &mut Vec<Problem>) {
    let fraction = |name: &str| document["data"][name].as_f64().unwrap_or(0.0);
    let (validation, test) = (fraction("validation_fraction"), fraction("test_fraction"));
    if validation + test >= 1.0 {
        let message = format!(
            "[data]: `validation_fraction` {validation} and `test_fraction` {test} leave nothing to train on"
        );
        problems.push(Problem::new(file, message));
    }
    if document["data"]["validation"].is_null() && validation == 0.0 {
        problems.push(
            Problem::new(
                file,
                "[data]: `validation_fraction` is 0 and there is no `validation` file",
            )
            .hint("write validation = \"none\" to train without validation"),
        );
    }
}

fn read_budget(node: Node, problems: &mut Vec<Problem>) -> Budget {
    let mut table = Table::new("[budget]", node, problems);
    let max_trials = table.integer("max_trials", 1);
    let max_wall = table.take("max_wall").and_then(|node| {
        let time = match &node.kind {
            NodeKind::Scalar(Value::Text(text)) => text.parse().ok(),
            _ => None,
        };
        time.or_else(|| {
            table.expected("max_wall", &node, "a length of time such as \"8h\" or \"90m\"")
        })
    });
    let max_steps = table.integer("max_steps", 1);
    table.finish();
    Budget { max_trials, max_wall, max_steps }
}

fn read_run(node: Node, problems: &mut Vec<Problem>) -> Option<RunSettings> {
    let mut table = Table::new("[run]", node, problems);
    let workers = match table.take("workers") {
        None => Workers::Auto,
        Some(node) => match &node.kind {
            NodeKind::Scalar(Value::Text(word)) if word == "auto" => Workers::Auto,
            NodeKind::Scalar(Value::Integer(count)) if *count >= 1 => Workers::Count(*count as u64),
            _ => {
                table.expected::<()>("workers", &node, "\"auto\" or a whole number of 1 or more");
                Workers::Auto
            }
        },
    };
    let device = table.text("device").unwrap_or_else(|| "auto".into());
    let workers_per_gpu = table.integer("workers_per_gpu", 1).unwrap_or(1);
    let keep_best = table.integer("keep_best", 0).unwrap_or(3);
    let checkpoint_seconds = match table.number("checkpoint_seconds") {
        Some(seconds) if seconds < 0.0 => {
            table.problem("`checkpoint_seconds` must not be negative");
            60.0
        }
        seconds => seconds.unwrap_or(60.0),
    };
    let gradient_checkpointing = table.boolean("gradient_checkpointing").unwrap_or(false);
    let worker = table.text("worker");
    let script = table.take("script");
    table.finish();
    let script = script.map_or(Some(Vec::new()), |node| read_script(node, problems))?;
    Some(RunSettings {
        workers,
        device,
        workers_per_gpu,
        keep_best,
        checkpoint_seconds,
        gradient_checkpointing,
        worker,
        script,
    })
}

/// `[[run.script]]`: conditions in `when`, all other keys are the script's.
fn read_script(node: Node, problems: &mut Vec<Problem>) -> Option<Vec<ScriptRule>> {
    let nodes = match node.kind {
        NodeKind::List(items) => items,
        _ => vec![node],
    };
    let mut rules = Vec::new();
    for node in nodes {
        let mut rule = node.json();
        let when = rule.as_object_mut().and_then(|entries| entries.remove("when"));
        let when = when.map_or(Ok(BTreeMap::new()), serde_json::from_value);
        match (when, serde_json::from_value::<Script>(rule)) {
            (Ok(when), Ok(script)) => rules.push(ScriptRule { when, script }),
            (Err(error), _) | (_, Err(error)) => {
                problems.push(Problem::new(&node.place, format!("[[run.script]]: {error}")));
            }
        }
    }
    Some(rules)
}

fn read_failure(node: Node, problems: &mut Vec<Problem>) -> FailurePolicy {
    let mut table = Table::new("[failure]", node, problems);
    let default = FailurePolicy::default();
    let given = table.take("retries");
    let mut policy = FailurePolicy {
        retries: Retries::default(),
        timeout_seconds: table.seconds("timeout").unwrap_or(default.timeout_seconds),
        max_failed: table.limit("max_failed", default.max_failed),
        max_consecutive: table.limit("max_consecutive", default.max_consecutive),
    };
    table.finish();
    let Some(node) = given else { return policy };
    for (word, node) in Table::new("[failure] retries", node, problems).take_all() {
        let count = match &node.kind {
            NodeKind::Scalar(Value::Integer(count)) => u64::try_from(*count).ok(),
            _ => None,
        };
        match (FailureClass::from_word(&word), count) {
            (Some(class), Some(count)) => {
                policy.retries.0.insert(class, count);
            }
            (None, _) => {
                let words: Vec<_> = FailureClass::ALL.iter().map(|class| class.word()).collect();
                let message = format!("[failure] retries: unknown class `{word}`");
                problems.push(
                    Problem::new(&node.place, message)
                        .hint(format!("classes: {}", words.join(", "))),
                );
            }
            (Some(_), None) => {
                let message = format!(
                    "[failure] retries `{word}`: expected a whole number, found {}",
                    node.found()
                );
                problems.push(Problem::new(&node.place, message));
            }
        }
    }
    policy
}

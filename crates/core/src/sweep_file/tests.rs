use super::read;
use crate::problem::Problem;
use crate::sampler::sample;

/// Shows problems as `place: message (hint)`.
fn shown(problems: &[Problem]) -> String {
    let line = |problem: &Problem| match &problem.hint {
        Some(hint) => format!("{problem} ({hint})"),
        None => problem.to_string(),
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn problems(text: &str) -> String {
    shown(&read(text, "s.toml", &[]).expect_err("the file is wrong"))
}

/// A sound file around the given `[parameters]`.
fn with_parameters(parameters: &str) -> String {
    format!(
        "[sweep]\nname = \"x\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n[parameters]\n{parameters}\n"
    )
}

#[test]
fn all_problems_are_told_at_once_each_with_its_place() {
    let text = "\
[sweep]
name = \"x y\"
method = \"gird\"
[parameters]
learning_rat = { values = [1e-5] }
batch_size = { values = [16, 1.5] }
dropout = { min = 0.3, max = 0.1 }
weight_decay = { values = [] }
momentum = { min = 0.0 }
epochs = 3
[train]
learning_rte = 1e-5
optimizer = 3
[data]
text = \"t\"
[run]
worker = 2
[extra]
x = 1
";
    assert_eq!(
        problems(text),
        "\
s.toml:18: unknown section or key `extra` (sections: sweep, parameters, enqueue, constraints, train, model, data, early_stop, run, budget, failure)
s.toml:2: [sweep] `name`: expected letters, digits, `-`, `_` and `.`, found \"x y\"
s.toml:3: [sweep] `method`: expected one of \"grid\", \"random\", \"sobol\", \"latin_hypercube\", \"tpe\", found \"gird\"
s.toml:5: unknown parameter `learning_rat` (did you mean `learning_rate`?)
s.toml:6: parameter `batch_size`: expected a whole number of 1 or more, found 1.5
s.toml:7: parameter `dropout`: `min` (0.3) must be less than `max` (0.1) (swap the two, or write `values = [...]`)
s.toml:8: parameter `weight_decay`: `values` is empty (give at least one value)
s.toml:9: parameter `momentum`: `min` and `max` go together
s.toml:10: parameter `epochs`: expected a table, found 3 (write `epochs = { values = [...] }`, or `epochs = ...` in [train])
s.toml:12: [train]: unknown key `learning_rte` (did you mean `learning_rate`?)
s.toml:13: [train] `optimizer`: expected one of \"adamw\", \"adam\", \"sgd\", \"rmsprop\", \"adagrad\", found 3
s.toml: [model] needs a `path` or a `preset` (write path = \"models/minilm\" after `scripts/fetch`, or preset = \"tiny\")
s.toml: [data] needs `train` (write train = \"data/my.csv\")
s.toml:17: [run] `worker`: expected a text, found 2"
    );
}

#[test]
fn a_syntax_error_has_its_line() {
    assert!(
        problems("[sweep]\nname = \n").starts_with("s.toml:2: "),
        "{}",
        problems("[sweep]\nname = \n")
    );
}

#[test]
fn parameters_are_checked_against_what_they_stand_for() {
    for (parameters, expected) in [
        ("learning_rate = { min = 1e-5, max = 1e-3 }", "a grid needs its points"),
        (
            "learning_rate = { distribution = \"log_uniform\", min = -5, max = -3 }",
            "takes exponents in W&B",
        ),
        (
            "learning_rate = { distribution = \"log_uniform_values\", min = 0, max = 1, count = 3 }",
            "greater than 0",
        ),
        ("dropout = { values = [0.1, 0.10] }", "holds 0.1 twice"),
        (
            "dropout = { values = [0.1], min = 0.1, max = 0.2 }",
            "either `values` or `min` and `max`",
        ),
        ("dropout = { min = 0.0, max = 0.3, step = 0 }", "`step` must be greater than 0"),
        ("dropout = { values = [0.1], colour = 1 }", "unknown key `colour`"),
        ("batch_size = { min = 8, max = 32, step = 0.5 }", "must be whole"),
        ("momentum = { values = [0.9], when = { optimizer = \"sdg\" } }", "found \"sdg\""),
        ("momentum = { values = [0.9], when = { momentum = 0.9 } }", "depends on itself"),
        (
            "optimizer = { values = [\"adamw\", \"sgd\"] }\nlearning_rate = [ { values = [1e-5], when = { optimizer = \"adamw\" } }, { values = [1e-2], when = { optimizer = \"adam\" } } ]",
            "no case covers optimizer = sgd",
        ),
        (
            "optimizer = { values = [\"adamw\", \"sgd\"] }\nlearning_rate = [ { values = [1e-5], when = { optimizer = [\"adamw\", \"sgd\"] } }, { values = [1e-2], when = { optimizer = \"sgd\" } } ]",
            "2 cases cover optimizer = sgd",
        ),
        ("learning_rate = [ { values = [1e-5] }, { values = [1e-2] } ]", "needs `when`"),
        (
            "learning_rate = { values = [1e-5] }\n\"train.learning_rate\" = { values = [1e-4] }",
            "stands twice",
        ),
    ] {
        let told = problems(&with_parameters(parameters));
        assert!(told.contains(expected), "{parameters}\n  told: {told}\n  expected: {expected}");
    }
}

#[test]
fn a_random_sweep_needs_its_number_of_trials() {
    let text = with_parameters("dropout = { min = 0.0, max = 0.3 }")
        .replace("[model]", "method = \"random\"\n[model]");
    assert!(problems(&text).contains("needs `max_trials`"));
    assert!(read(&format!("{text}[budget]\nmax_trials = 2\n"), "s.toml", &[]).is_ok());
}

#[test]
fn overrides_fix_a_setting_or_make_it_a_parameter() {
    let text = with_parameters(
        "learning_rate = { values = [1e-5, 2e-5] }\nbatch_size = { values = [8, 16] }",
    );
    let overrides =
        ["learning_rate=1e-4", "dropout=0.1,0.2", "epochs=5", "run.workers=2", "data.train=b.tsv"];
    let mut overrides = overrides.map(String::from).to_vec();
    overrides.extend(["failure.timeout=10m", "failure.max_consecutive=none"].map(String::from));
    let sweep = read(&text, "s.toml", &overrides).unwrap();
    assert_eq!((sweep.failure.timeout_seconds, sweep.failure.max_consecutive), (600, None));
    let names: Vec<_> = sweep.parameters.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["batch_size", "dropout"]);
    assert_eq!(sweep.settings.train.learning_rate, 1e-4);
    assert_eq!(sweep.settings.train.epochs, 5);
    assert_eq!(sweep.settings.data.train, "b.tsv");
    assert_eq!(sample(&sweep).configurations.len(), 4);
    let told =
        shown(&read(&text, "s.toml", &["learning_rat=1".into(), "epochs=x".into()]).unwrap_err());
    assert_eq!(
        told,
        "override `learning_rat=1`: unknown key `learning_rat` (did you mean `learning_rate`?)\n\
         override `epochs=x`: [train] `epochs`: expected a whole number of 1 or more, found \"x\""
    );
}

#[test]
fn an_objective_must_exist() {
    let with = |objective: &str, data: &str| {
        let text = with_parameters("dropout = { values = [0.1] }");
        let text = text.replace("[model]", &format!("objective = {{ {objective} }}\n[model]"));
        read(
            &text.replace("train = \"a.csv\"", &format!("train = \"a.csv\"\n{data}")),
            "s.toml",
            &[],
        )
    };
    let sweep = with("metric = \"validation/loss\"", "").unwrap();
    assert_eq!(sweep.objective.goal, crate::objective::Goal::Minimize);
    assert!(with("metric = \"validation/acuracy\"", "").is_err());
    assert!(with("metric = \"validation/accuracy\"", "validation = \"none\"").is_err());
    assert!(with("metric = \"train/loss\"", "validation = \"none\"").is_ok());
}

#[test]
fn an_objective_that_is_not_named_is_that_of_the_task() {
    let with = |objective: &str, data: &str| {
        let text = with_parameters("dropout = { values = [0.1] }");
        let text = text.replace("[model]", &format!("{objective}\n[model]"));
        let text = text.replace("train = \"a.csv\"", &format!("train = \"a.csv\"\n{data}"));
        let sweep = read(&text, "s.toml", &[]).unwrap();
        (sweep.objective.metric, sweep.objective_follows_task)
    };
    let is = |metric: &str, follows| (metric.to_string(), follows);
    assert_eq!(with("", ""), is("validation/accuracy", true));
    assert_eq!(with("objective = { at = \"last\" }", ""), is("validation/accuracy", true));
    assert_eq!(with("", "task = \"regression\""), is("validation/pearson", false));
    assert_eq!(with("", "task = \"multi_label\""), is("validation/macro_f1", false));
    assert_eq!(with("", "validation = \"none\""), is("train/loss", false));
    let named = "objective = { metric = \"validation/rmse\" }";
    assert_eq!(with(named, ""), is("validation/rmse", false));
}

#[test]
fn an_objective_that_is_none_is_told_with_all_that_are() {
    let text = with_parameters("dropout = { values = [0.1] }")
        .replace("[model]", "objective = { metric = \"validation/f2\" }\n[model]")
        .replace("train = \"a.csv\"", "train = \"a.csv\"\ntask = \"regression\"");
    let problems = read(&text, "s.toml", &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(
        problems[0].hint.as_deref(),
        Some(
            "train/loss, or validation/ or train_subset/ followed by one of loss, rmse, mae, pearson, spearman"
        )
    );
}

#[test]
fn a_head_has_one_learning_rate() {
    let with = |parameters: &str, train: &str| {
        let text = format!("{}[train]\n{train}\n", with_parameters(parameters));
        read(&text, "s.toml", &[]).map_err(|problems| problems.len())
    };
    let (own, times) = ("head_learning_rate = 1e-3", "head_learning_rate_multiplier = 10");
    assert!(with("", own).is_ok() && with("", times).is_ok());
    assert_eq!(with("", &format!("{own}\n{times}")), Err(1));
    assert_eq!(with("head_learning_rate = { values = [1e-3, 1e-2] }", times), Err(1));
    let sweep = with("", own).unwrap();
    assert_eq!(sweep.settings.train.head_multiplier(), 1e-3 / 2e-5);
}

#[test]
fn what_is_done_about_failures_has_defaults_and_units() {
    let with = |failure: &str| {
        let text = format!("{}[failure]\n{failure}\n", with_parameters(""));
        read(&text, "s.toml", &[]).map(|sweep| sweep.failure)
    };
    let default = with("").unwrap();
    assert_eq!(
        (default.timeout_seconds, default.max_failed, default.max_consecutive),
        (600, None, Some(5))
    );
    for (written, seconds) in
        [("90", 90), ("\"90s\"", 90), ("\"10m\"", 600), ("\"2 h\"", 7200), ("\"1d\"", 86_400)]
    {
        assert_eq!(with(&format!("timeout = {written}")).unwrap().timeout_seconds, seconds);
    }
    let policy = with("max_failed = 10\nmax_consecutive = \"none\"").unwrap();
    assert_eq!((policy.max_failed, policy.max_consecutive), (Some(10), None));
    let told = shown(
        &with("timeout = \"soon\"\nmax_failed = 0\nmax_consecutive = -1\nmax_fail = 1")
            .unwrap_err(),
    );
    assert_eq!(
        told,
        "s.toml:10: [failure] `timeout`: expected seconds, or a number with `s`, `m`, `h` or `d` such as \"10m\", more than 0, found \"soon\"\n\
         s.toml:11: [failure] `max_failed`: expected a whole number of 1 or more, or \"none\", found 0\n\
         s.toml:12: [failure] `max_consecutive`: expected a whole number of 1 or more, or \"none\", found -1\n\
         s.toml:13: [failure]: unknown key `max_fail` (did you mean `max_failed`?)"
    );
}

#[test]
fn a_sweep_stored_before_a_key_of_failure_was_there_gets_its_default() {
    let sweep = read(&with_parameters(""), "s.toml", &[]).unwrap();
    let mut stored = serde_json::to_value(&sweep).unwrap();
    stored["failure"] = serde_json::json!({ "retries": { "killed": 2 } });
    let old: crate::sweep::Sweep = serde_json::from_value(stored).unwrap();
    assert_eq!(old.failure.timeout_seconds, 600);
    assert_eq!(old.failure.max_consecutive, Some(5));
}

#[test]
fn a_stored_sweep_reads_back_equal() {
    let text = with_parameters(
        "optimizer = { values = [\"adamw\", \"sgd\"] }\nlearning_rate = [ { distribution = \"log_uniform_values\", min = 1e-5, max = 1e-3, count = 3, when = { optimizer = \"adamw\" } }, { values = [0.1], when = { optimizer = \"sgd\" } } ]\nclass_weights = { values = [\"none\", [1.0, 2.0]] }",
    );
    let mut sweep = read(&text, "s.toml", &[]).unwrap();
    // Decided before anything is stored.
    sweep.objective_follows_task = false;
    let stored = serde_json::to_string(&sweep).unwrap();
    assert_eq!(serde_json::from_str::<crate::sweep::Sweep>(&stored).unwrap(), sweep);
}

mod beside;
mod layered;
mod overridden;

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", sound in proptest::bool::ANY) {
        let text = if sound { with_parameters(&text) } else { text };
        let _ = read(&text, "s.toml", std::slice::from_ref(&text));
    }
}

//! The views for people: `best_configuration`, `trials_wide`, `curves`.

use std::collections::BTreeMap;

use converge_core::ids::TrialId;
use converge_core::objective::{At, Goal};
use converge_core::value::Value;

use crate::home::{Home, METRIC, query, raw, sweep, trial};

const BEST: &str = "SELECT fingerprint, mean, min, max, replicates, diverged_replicates, trials,
    best_trial, best_step, best_weights_directory FROM best_configuration";

/// Two replicates of each of three configurations: trials 1-2, 3-4 and 5-6.
fn replicated(goal: Goal) -> Home {
    let trials = ["a", "b", "c"].into_iter().flat_map(|name| [trial(name, 0), trial(name, 1)]);
    Home::of(&sweep("first", goal, trials.collect()))
}

#[test]
fn the_best_configuration_has_the_best_mean_not_the_luckiest_seed() {
    let mut home = replicated(Goal::Maximize);
    assert_eq!(query(&home.path(), BEST), Vec::<String>::new());
    home.complete(1, &[0.5, 0.96875]);
    home.complete(2, &[0.25]);
    home.complete(3, &[0.75]);
    home.complete(4, &[0.5, 0.875, 0.625]);
    assert_eq!(query(&home.path(), BEST), ["b|0.8125|0.75|0.875|2|0|[3,4]|4|2|NULL"]);
    let summary = home.store.read().sweep_named("first").unwrap().unwrap();
    assert_eq!(summary.best, Some(0.8125));
    let row =
        query(&home.path(), "SELECT sweep, objective, goal, configuration FROM best_configuration");
    let configuration = r#"{"learning_rate":0.00002,"name":"b"}"#;
    assert_eq!(row, [format!("first|{METRIC}|maximize|{configuration}")]);
}

#[test]
fn a_goal_of_minimize_turns_everything_round() {
    let mut home = replicated(Goal::Minimize);
    home.complete(1, &[0.5, 0.125]);
    home.complete(2, &[0.75]);
    home.complete(3, &[0.5, 0.375, 0.625]);
    home.complete(4, &[0.25]);
    assert_eq!(query(&home.path(), BEST), ["b|0.3125|0.25|0.375|2|0|[3,4]|4|1|NULL"]);
}

#[test]
fn ties_go_to_the_lower_trial_number() {
    let mut home = replicated(Goal::Maximize);
    for number in [5, 3, 4, 6] {
        home.complete(number, &[0.5]);
    }
    assert_eq!(query(&home.path(), BEST), ["b|0.5|0.5|0.5|2|0|[3,4]|3|1|NULL"]);
}

#[test]
fn a_configuration_that_also_diverged_comes_last_and_one_that_only_did_is_left_out() {
    let mut home = replicated(Goal::Maximize);
    home.diverge(1, &[0.9]);
    assert_eq!(query(&home.path(), BEST), Vec::<String>::new());
    home.complete(2, &[0.9]);
    assert_eq!(query(&home.path(), BEST), ["a|0.9|0.9|0.9|1|1|[2]|2|1|NULL"]);
    home.complete(3, &[0.5]);
    assert_eq!(query(&home.path(), BEST), ["b|0.5|0.5|0.5|1|0|[3]|3|1|NULL"]);
    // A replicate that has no objective would flatter the mean of the others.
    home.complete(5, &[0.9]);
    home.complete(6, &[f64::NAN]);
    assert_eq!(query(&home.path(), BEST).len(), 1);
    assert!(query(&home.path(), BEST)[0].starts_with("b|"));
}

#[test]
fn the_last_evaluation_counts_where_the_objective_says_so() {
    let mut new = sweep("first", Goal::Maximize, vec![trial("a", 0), trial("b", 0)]);
    new.objective.at = At::Last;
    let mut home = Home::of(&new);
    home.complete(1, &[0.9, 0.5]);
    home.complete(2, &[0.6]);
    assert_eq!(query(&home.path(), BEST), ["b|0.6|0.6|0.6|1|0|[2]|2|1|NULL"]);
}

#[test]
fn each_sweep_has_its_own_best() {
    let mut home = Home::new(1);
    let other = sweep("second", Goal::Minimize, vec![trial("a", 0), trial("b", 0)]);
    home.store.create_sweep(&other, 2).unwrap();
    home.complete(1, &[0.5]);
    home.complete(2, &[0.75]);
    home.complete(3, &[0.25]);
    let rows = query(&home.path(), "SELECT sweep, mean FROM best_configuration ORDER BY sweep");
    assert_eq!(rows, ["first|0.5", "second|0.25"]);
    let summaries = home.store.read().sweeps().unwrap();
    let best: Vec<_> = summaries.iter().map(|sweep| (sweep.name.as_str(), sweep.best)).collect();
    assert_eq!(best, [("first", Some(0.5)), ("second", Some(0.25))]);
}

#[test]
fn every_parameter_has_its_column_whatever_its_name() {
    let odd = [
        "data.train_limit",
        "it's",
        "say \"when\"",
        "back\\slash",
        "a[0]",
        "$.x",
        "größe",
        "two words",
        "line\nbreak",
        "nul\0",
        "semi;colon--",
        "#",
        "",
    ];
    let mut new = trial("a", 0);
    new.configuration = odd
        .iter()
        .zip(1..)
        .map(|(name, number)| ((*name).to_owned(), Value::Integer(number)))
        .collect();
    let home = Home::of(&sweep("first", Goal::Maximize, vec![new]));
    let connection = raw(&home.path());
    let mut statement = connection.prepare("SELECT * FROM trials_wide").unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<BTreeMap<String, i64>> {
        let columns = names.iter().enumerate().skip(15);
        columns.map(|(index, name)| Ok((name.clone(), row.get(index)?))).collect()
    };
    let columns = statement.query_row([], read).unwrap();
    let expected: BTreeMap<String, i64> = odd
        .iter()
        .zip(1..)
        .map(|(name, number)| (name.replace('\0', "\u{fffd}"), number))
        .collect();
    assert_eq!(columns, expected);
}

#[test]
fn columns_of_parameters_never_hide_those_of_the_trial_or_each_other() {
    let mut new = trial("a", 0);
    let names = ["state", "STATE", "lr", "LR", "parameter.state"];
    new.configuration = names
        .iter()
        .zip(1..)
        .map(|(name, number)| ((*name).to_owned(), Value::Integer(number)))
        .collect();
    let home = Home::of(&sweep("first", Goal::Maximize, vec![new]));
    let sql = r#"SELECT state, "parameter.STATE", "parameter.parameter.state",
        "parameter.parameter.parameter.state", LR, "parameter.lr" FROM trials_wide"#;
    assert_eq!(query(&home.path(), sql), ["queued|2|5|1|4|3"]);
}

#[test]
fn the_wide_view_grows_with_each_sweep_and_keeps_the_kinds_of_values() {
    let mut home = Home::new(1);
    let mut new = trial("a", 0);
    new.configuration = BTreeMap::from([
        ("batch_size".to_owned(), Value::Integer(16)),
        ("learning_rate".to_owned(), Value::Float(1.0)),
        ("name".to_owned(), Value::Text("it's \"me\"".into())),
        ("shuffle".to_owned(), Value::Boolean(true)),
        ("class_weights".to_owned(), Value::List(vec![1.0, 2.5])),
    ]);
    home.store.create_sweep(&sweep("second", Goal::Maximize, vec![new]), 2).unwrap();
    let sql = "SELECT sweep, trial, batch_size, learning_rate, name, shuffle, class_weights
        FROM trials_wide ORDER BY sweep";
    let rows = ["first|1|NULL|2e-5|f1|NULL|NULL", "second|1|16|1.0|it's \"me\"|1|[1.0,2.5]"];
    assert_eq!(query(&home.path(), sql), rows);
}

#[test]
fn curves_keep_what_is_not_finite() {
    let mut home = Home::new(1);
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 0.1 + 0.2];
    home.complete(1, &values);
    let rows = query(&home.path(), "SELECT sweep, trial, metric, value FROM curves ORDER BY step");
    let expected = ["NULL", "inf", "-inf", "2.2250738585072014e-308", "0.30000000000000004"];
    assert_eq!(rows, expected.map(|value| format!("first|1|{METRIC}|{value}")));
    let points = home.store.read().curve(TrialId(1), METRIC).unwrap();
    let bits: Vec<_> = points.iter().skip(1).map(|point| point.value.to_bits()).collect();
    assert!(points[0].value.is_nan());
    assert_eq!(bits, values[1..].iter().map(|value| value.to_bits()).collect::<Vec<_>>());
    let extremes = &home.store.read().trial_metrics(TrialId(1)).unwrap()[0];
    assert_eq!(extremes.min, Some((f64::NEG_INFINITY, 3)));
    assert_eq!(extremes.max, Some((f64::INFINITY, 2)));
}

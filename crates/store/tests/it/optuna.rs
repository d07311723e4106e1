//! The database as Optuna's own queries find it. That Optuna opens it is tested by `scripts/test-interop`.

use std::collections::BTreeMap;

use converge_core::ids::{AttemptId, TrialId};
use converge_core::objective::Goal;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_core::value::Value;
use converge_store::{Change, Extension, NewTrial};

use crate::home::{Home, METRIC, OTHER, checkpointed, ended, observed, query, sweep, trial};

/// Makes a trial with this configuration.
fn with(name: &str, configuration: &[(&str, Value)]) -> NewTrial {
    let configuration =
        configuration.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    NewTrial { configuration, ..trial(name, 0) }
}

#[test]
fn a_trial_has_the_state_that_optuna_would_have_given_it() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut trials: Vec<NewTrial> = names.iter().map(|name| trial(name, 0)).collect();
    trials[8].kind = TrialKind::Refit;
    let mut home = Home::of(&sweep("first", Goal::Minimize, trials));
    home.complete(1, &[0.5, 0.25]);
    home.complete(2, &[f64::NAN]);
    home.complete(3, &[f64::NEG_INFINITY]);
    home.diverge(4, &[0.5]);
    home.fail(5);
    home.apply(&[Change::TrialState { trial: TrialId(6), state: TrialState::Cancelled }]);
    let lease = home.lease(TrialId(7), 1, 0);
    home.apply(&[lease]);
    home.complete(9, &[0.125]);
    assert_eq!(
        query(
            &home.path(),
            "SELECT trial_id, number, trials.study_id, trials.state, value, value_type,
                datetime_start IS NULL, datetime_complete IS NULL,
                (SELECT group_concat(value_json, ' ') FROM trial_user_attributes AS attribute
                WHERE attribute.trial_id = trials.trial_id AND \"key\" IN ('trial', 'state', 'failure_class'))
            FROM trials LEFT JOIN trial_values USING (trial_id) ORDER BY number"
        ),
        [
            r#"1|0|1|COMPLETE|0.25|FINITE|0|0|1 "completed""#,
            r#"2|1|1|FAIL|NULL|NULL|0|0|2 "completed""#,
            r#"3|2|1|COMPLETE|NULL|INF_NEG|0|0|3 "completed""#,
            r#"4|3|1|FAIL|NULL|NULL|0|0|4 "diverged""#,
            r#"5|4|1|FAIL|NULL|NULL|0|0|5 "failed" "data""#,
            r#"6|5|1|FAIL|NULL|NULL|0|0|6 "cancelled""#,
            r#"7|6|1|RUNNING|NULL|NULL|0|1|7 "running""#,
            r#"8|7|1|WAITING|NULL|NULL|1|1|8 "queued""#,
        ]
    );
    assert_eq!(
        query(
            &home.path(),
            "SELECT study_name, direction, objective, value_json FROM studies
            JOIN study_directions USING (study_id) JOIN study_system_attributes USING (study_id)"
        ),
        [format!(r#"first|MINIMIZE|0|["{METRIC}"]"#)]
    );
}

#[test]
fn its_values_on_the_way_are_the_evaluations_that_count() {
    let mut home = Home::new(1);
    let first = home.lease(TrialId(1), 1, 0);
    home.apply(&[
        first,
        observed(1, 1, &[(METRIC, 0.5), (OTHER, 2.0)]),
        observed(1, 2, &[(OTHER, 1.0)]),
        checkpointed(1, 2),
        observed(1, 3, &[(METRIC, 0.875)]),
        ended(1, AttemptEnding::Abandoned),
        crate::home::queued(TrialId(1)),
    ]);
    let second = home.lease(TrialId(1), 2, 2);
    home.apply(&[
        second,
        observed(2, 3, &[(METRIC, f64::NAN)]),
        observed(2, 4, &[(METRIC, f64::INFINITY)]),
    ]);
    let points = "SELECT trial_id, step, intermediate_value, intermediate_value_type
        FROM trial_intermediate_values ORDER BY step";
    assert_eq!(query(&home.path(), points), ["1|1|0.5|FINITE", "1|3|NULL|NAN", "1|4|NULL|INF_POS"]);
    assert_eq!(AttemptId(2), home.store.read().running_trials(home.sweep).unwrap()[0].attempt);

    let mut per_step = sweep("second", Goal::Minimize, vec![trial("a", 0)]);
    per_step.objective.metric = OTHER.into();
    let mut home = Home::of(&per_step);
    let lease = home.lease(TrialId(1), 1, 0);
    home.apply(&[lease, observed(1, 1, &[(OTHER, 2.0)])]);
    assert_eq!(query(&home.path(), points), Vec::<String>::new());
}

#[test]
fn a_value_is_a_number_or_the_place_of_a_choice() {
    let cases = r#"{"parameters": [
        {"name": "optimizer", "cases": [{"domain": {"values": ["sgd", "adamw"]}}]},
        {"name": "momentum", "cases": [
            {"when": {"optimizer": ["sgd"]}, "domain": {"values": [0, 0.9, true]}}]},
        {"name": "dropout", "cases": [{"domain": {"uniform": {"min": 0.0, "max": 0.5, "count": null}}}]},
        {"name": "unused", "cases": [{"domain": {"values": [1]}}]}
    ]}"#;
    let text = |word: &str| Value::Text(word.into());
    let configurations: [&[(&str, Value)]; 4] = [
        &[("optimizer", text("adamw")), ("dropout", Value::Float(0.25))],
        &[
            ("optimizer", text("sgd")),
            ("momentum", Value::Boolean(true)),
            ("dropout", Value::Float(0.5)),
        ],
        &[
            ("optimizer", text("sgd")),
            ("momentum", Value::Float(0.9)),
            ("dropout", Value::Float(0.125)),
        ],
        &[
            ("optimizer", text("sgd")),
            ("momentum", Value::Integer(0)),
            ("dropout", Value::Float(0.375)),
        ],
    ];
    let trials = ["a", "b", "c", "d"].iter().zip(configurations);
    let trials = trials.map(|(name, configuration)| with(name, configuration)).collect();
    let new = converge_store::NewSweep {
        definition: cases.into(),
        ..sweep("first", Goal::Maximize, trials)
    };
    let mut home = Home::of(&new);
    let values = "SELECT group_concat(param_name || '=' || param_value, ' ') FROM
        (SELECT * FROM trial_params ORDER BY param_id) GROUP BY trial_id ORDER BY trial_id";
    assert_eq!(
        query(&home.path(), values),
        [
            "optimizer=1 dropout=0.25",
            "optimizer=0 momentum=2 dropout=0.5",
            "optimizer=0 momentum=1 dropout=0.125",
            "optimizer=0 momentum=0 dropout=0.375",
        ]
    );
    let choices = "SELECT DISTINCT json_extract(distribution_json, '$.attributes.choices')
        FROM trial_params WHERE param_name = 'momentum'";
    assert_eq!(query(&home.path(), choices), ["[0,0.9,true]"]);
    let names = "SELECT count(*), count(DISTINCT param_id) FROM trial_params";
    assert_eq!(query(&home.path(), names), ["11|11"]);

    // What a user names may lie outside, and lists have no likeness in Optuna.
    let list = Value::List(vec![1.0, 2.0]);
    let named = with("e", &[("dropout", Value::Float(0.75)), ("class_weights", list)]);
    let more = Extension { trials: vec![named], ..Extension::default() };
    home.store.extend_sweep(home.sweep, &more, 5_000).unwrap();
    assert_eq!(query(&home.path(), values)[4], "dropout=0.75 class_weights=0");
    let high = "SELECT DISTINCT json_extract(distribution, '$.attributes.high') FROM parameters
        WHERE name = 'dropout'";
    assert_eq!(query(&home.path(), high), ["0.75"]);
    assert!(home.store.read().contradictions(false).unwrap().is_empty());
}

#[test]
fn nothing_can_be_written_through_them() {
    let home = Home::new(2);
    let connection = crate::home::raw(&home.path());
    let views: BTreeMap<&str, &str> = BTreeMap::from([
        ("studies", "DELETE FROM studies"),
        ("trials", "UPDATE trials SET state = 'RUNNING'"),
        ("trial_user_attributes", "INSERT INTO trial_user_attributes VALUES (1, 1, 'note', '1')"),
    ]);
    for (view, statement) in views {
        let error = connection.execute(statement, []).unwrap_err();
        assert!(error.to_string().contains(&format!("cannot modify {view} because it is a view")));
    }
}

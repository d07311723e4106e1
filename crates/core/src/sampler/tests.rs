use super::sample;
use crate::sweep::Sweep;
use crate::sweep_file::read;

fn sweep(head: &str, parameters: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\n{head}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n[budget]\nmax_trials = 24\n[parameters]\n{parameters}\n"
    );
    read(&text, "s.toml", &[]).unwrap()
}

fn shown(sweep: &Sweep) -> Vec<String> {
    let line = |configuration: &crate::search_space::Configuration| {
        let values: Vec<_> =
            configuration.iter().map(|(name, value)| format!("{name}={value}")).collect();
        values.join(" ")
    };
    sample(sweep).configurations.iter().map(line).collect()
}

const CASES: &str = "\
learning_rate = [ { values = [1e-5, 5e-5], when = { optimizer = \"adamw\" } }, { values = [1e-2], when = { optimizer = \"sgd\" } } ]
optimizer = { values = [\"adamw\", \"sgd\"] }
momentum = { values = [0.0, 0.9], when = { optimizer = \"sgd\" } }
dropout = { values = [0.1, 0.3] }
";

#[test]
fn the_last_parameter_of_a_grid_runs_fastest() {
    assert_eq!(
        shown(&sweep(
            "",
            "batch_size = { values = [16, 32] }\ndropout = { min = 0.0, max = 0.3, step = 0.15 }"
        )),
        [
            "batch_size=16 dropout=0",
            "batch_size=16 dropout=0.15",
            "batch_size=16 dropout=0.3",
            "batch_size=32 dropout=0",
            "batch_size=32 dropout=0.15",
            "batch_size=32 dropout=0.3",
        ]
    );
}

#[test]
fn cases_hold_only_where_they_fit_even_before_what_they_depend_on() {
    assert_eq!(
        shown(&sweep("", CASES)),
        [
            "dropout=0.1 learning_rate=1e-5 optimizer=adamw",
            "dropout=0.3 learning_rate=1e-5 optimizer=adamw",
            "dropout=0.1 learning_rate=5e-5 optimizer=adamw",
            "dropout=0.3 learning_rate=5e-5 optimizer=adamw",
            "dropout=0.1 learning_rate=0.01 momentum=0 optimizer=sgd",
            "dropout=0.3 learning_rate=0.01 momentum=0 optimizer=sgd",
            "dropout=0.1 learning_rate=0.01 momentum=0.9 optimizer=sgd",
            "dropout=0.3 learning_rate=0.01 momentum=0.9 optimizer=sgd",
        ]
    );
}

#[test]
fn a_fixed_setting_decides_cases_too() {
    let text = CASES.replace("optimizer = { values = [\"adamw\", \"sgd\"] }\n", "");
    let fixed = sweep("", &format!("{text}[train]\noptimizer = \"sgd\"\n"));
    assert_eq!(shown(&fixed).len(), 4);
    assert!(shown(&fixed).iter().all(|line| line.contains("learning_rate=0.01")));
}

#[test]
fn random_draws_depend_on_nothing_but_seed_index_and_name() {
    let parameters = "learning_rate = { distribution = \"log_uniform_values\", min = 1e-5, max = 1e-3 }\ndropout = { min = 0.0, max = 0.5 }";
    let random = |parameters| sample(&sweep("method = \"random\"", parameters)).configurations;
    let all = random(parameters);
    assert_eq!(all.len(), 24);
    let alone =
        random("learning_rate = { distribution = \"log_uniform_values\", min = 1e-5, max = 1e-3 }");
    for (configuration, alone) in all.iter().zip(&alone) {
        assert_eq!(configuration["learning_rate"], alone["learning_rate"]);
    }
    let logs: Vec<f64> = all.iter().map(|c| c["learning_rate"].number().unwrap().log10()).collect();
    let below = logs.iter().filter(|log| **log < -4.0).count();
    assert!(
        (6..=18).contains(&below),
        "half of a log-uniform draw lies below the geometric mean: {below}"
    );
}

#[test]
fn equal_random_draws_are_skipped_and_a_small_space_ends() {
    let random = sample(&sweep(
        "method = \"random\"",
        "batch_size = { values = [8, 16] }\ndropout = { values = [0.1, 0.2] }",
    ));
    assert_eq!(random.configurations.len(), 4);
}

#[test]
fn settings_follow_the_configuration() {
    let sweep = sweep("", CASES);
    let settings: Vec<_> =
        sample(&sweep).configurations.iter().map(|c| sweep.settings_of(c)).collect();
    assert_eq!(settings[2].train.learning_rate, 5e-5);
    assert_eq!(settings[7].train.momentum, 0.9);
    assert_eq!(settings[7].train.dropouts(), [Some(0.3); 3]);
}

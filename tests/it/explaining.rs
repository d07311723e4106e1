//! `explain`: what mattered in a sweep, in words, tables and JSON.

use converge_tests::Sandbox;

/// Two optimizers with rates of their own: AdamW does best at 1e-4, SGD at 1e-2.
const NESTED: &str = r#"
[sweep]
name = "nested"
REPLICATES
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = [
  { values = [1e-5, 1e-4, 1e-3], when = { optimizer = "adamw" } },
  { values = [1e-3, 1e-2, 1e-1], when = { optimizer = "sgd" } },
]
batch_size = { values = [16, 32] }
optimizer = { values = ["adamw", "sgd"] }
dropout = { values = [0.1, 0.3] }
[run]
device = "scripted"
workers = 2
"#;

const RANDOM: &str = r#"
[sweep]
name = "random"
method = "random"
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = { distribution = "log_uniform_values", min = 1e-6, max = 1e-2 }
batch_size = { values = [16, 32] }
dropout = { min = 0.0, max = 0.3 }
[budget]
max_trials = 40
[run]
device = "scripted"
workers = 2
"#;

fn sandbox(text: &str, code: i32) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", text);
    sandbox.converge(&["run", "s.toml"]).expect_code(code);
    sandbox
}

#[test]
fn a_grid_is_explained_by_shares_of_the_variance() {
    let sandbox = sandbox(&NESTED.replace("REPLICATES", ""), 0);
    let text = sandbox.converge(&["explain"]).expect_code(0).stdout;
    insta::assert_snapshot!(text, @"");
    assert!(!text.contains('\x1b'), "no colours where stdout is no terminal");

    let json = sandbox.converge(&["explain", "nested", "--json"]).expect_code(0).json();
    assert_eq!(json["sweep"], "nested");
    assert_eq!(json["parameters"][0], "learning_rate");
    assert_eq!(json["standing"]["trials"], 24);
    let parts = json["variance"]["parts"].as_array().unwrap();
    let sum: f64 = parts.iter().map(|part| part["share"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    assert_eq!(parts[0]["parameters"][0], "learning_rate");
    assert_eq!(json["isolation"][0]["levels"].as_array().unwrap().len(), 6);
    assert_eq!(json["sensitivity"].as_array().unwrap().len(), 2);
    assert_eq!(json["expected_best"].as_array().unwrap().len(), 0, "a grid is no draw");
    assert!(json["summary"][0].as_str().unwrap().starts_with("24 trials: 24 completed"));

    // The same twice, and by another metric.
    assert_eq!(sandbox.converge(&["explain"]).stdout, text);
    let loss = sandbox.converge(&["explain", "--metric", "validation/loss", "--json"]).json();
    assert_eq!(loss["objective"]["goal"], "minimize");
    let unknown = sandbox.converge(&["explain", "--metric", "validation/los"]).expect_code(2);
    assert!(unknown.stderr.contains("did you mean `validation/loss`?"), "{}", unknown.stderr);
}

#[test]
fn a_random_sweep_is_explained_by_importances_and_its_outlook() {
    let sandbox = sandbox(RANDOM, 0);
    let text = sandbox.converge(&["explain"]).expect_code(0).stdout;
    insta::assert_snapshot!(text, @"");
}

#[test]
fn a_map_fits_its_terminal_and_has_its_colours() {
    let sandbox = sandbox(&NESTED.replace("REPLICATES", "replicates = 2"), 0);
    for columns in ["40", "60", "200"] {
        let mut command = sandbox.command(&["explain"]);
        let text =
            converge_tests::Output::of(command.env("COLUMNS", columns)).expect_code(0).stdout;
        let width: usize = columns.parse().unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        // The legend may be longer than a very narrow terminal.
        assert!(widest <= width.max(80), "{widest} > {columns}:\n{text}");
    }
}

#[test]
fn what_cannot_be_explained_is_said_in_words() {
    let one = NESTED
        .replace("REPLICATES", "")
        .replace("values = [1e-5, 1e-4, 1e-3], when = { optimizer = \"adamw\" }", "values = [1e-5]")
        .replace("{ values = [1e-3, 1e-2, 1e-1], when = { optimizer = \"sgd\" } },", "")
        .replace("batch_size = { values = [16, 32] }\n", "")
        .replace("optimizer = { values = [\"adamw\", \"sgd\"] }\n", "")
        .replace("dropout = { values = [0.1, 0.3] }\n", "");
    let first = sandbox(&one, 0);
    let text = first.converge(&["explain"]).expect_code(0).stdout;
    assert!(text.contains("One configuration: there is nothing to compare it with."), "{text}");

    let failing = NESTED.replace("REPLICATES", "")
        + "[[run.script]]\nend = \"data\"\n[failure]\nmax_consecutive = 100\n";
    let failed = sandbox(&failing, 3);
    let text = failed.converge(&["explain"]).expect_code(0).stdout;
    assert!(text.contains("24 failed"), "{text}");
    assert!(text.contains("there is no value to explain"), "{text}");
    failed.converge(&["explain", "--json"]).expect_code(0).json();

    let partly = NESTED.replace("REPLICATES", "")
        + "[[run.script]]\nend = \"diverge\"\nwhen = { learning_rate = 0.1 }\n";
    let partly = sandbox(&partly, 0);
    let text = partly.converge(&["explain"]).expect_code(0).stdout;
    assert!(text.contains("4 diverged"), "{text}");
    assert!(text.contains("learning_rate=0.1"), "{text}");
    let nothing = Sandbox::new();
    nothing.converge(&["explain"]).expect_code(2);
}

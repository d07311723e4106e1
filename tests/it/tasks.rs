//! Every task from its file to the ranking: classes, sentence pairs, several labels, numbers.

use converge_tests::Sandbox;
use serde_json::Value;

/// A sweep of two configurations over a file of the test's own.
const SWEEP: &str = r#"
[sweep]
name = "task"
[model]
preset = "tiny"
[data]
train = "data.FORMAT"
[parameters]
learning_rate = { values = [1e-3, 1e-2] }
[train]
epochs = 6
batch_size = 16
evaluations_per_epoch = 1
"#;

/// A number below `bound` that depends on row and draw.
fn below(row: usize, draw: u64, bound: u64) -> u64 {
    converge_core::seed::Seed(9).stream("tasks", row as u64 * 1000 + draw).0 % bound
}

/// Some words around those that count.
fn text(row: usize, words: &[&str]) -> String {
    let fillers = ["the", "sea", "was", "on", "a", "day", "of", "that", "year", "and"];
    let mut all: Vec<&str> =
        (0..3 + below(row, 0, 4)).map(|at| fillers[below(row, 10 + at, 10) as usize]).collect();
    for (at, word) in (0..).zip(words) {
        all.insert(below(row, 50 + at, all.len() as u64 + 1) as usize, word);
    }
    all.join(" ")
}

fn sandbox(format: &str, data: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let train = format!("train = \"data.{format}\"\n{more}");
    sandbox.write("s.toml", SWEEP.replace("train = \"data.FORMAT\"\n", &train));
    sandbox.write(&format!("data.{format}"), data);
    sandbox
}

/// Runs the sweep and returns the value of the best configuration and what was said.
fn run(sandbox: &Sandbox) -> (f64, String, String) {
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let best = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    (best["configurations"][0]["mean"].as_f64().unwrap(), run.stdout, run.stderr)
}

/// Saves the best model, and checks that the folder answers for its task: returns its predictions of the sweep's file.
fn used(sandbox: &Sandbox, file: &str, metric: &str, problem_type: &str) -> Vec<Value> {
    sandbox.converge(&["save", "best", "model"]).expect_code(0);
    let config = std::fs::read(sandbox.path().join("model/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["problem_type"], problem_type);
    let scores = sandbox.converge(&["evaluate", "model", file, "--json"]).expect_code(0).json();
    assert!(scores["metrics"][metric].as_f64().unwrap() > 0.8, "{scores}");
    let lines = sandbox.converge(&["predict", "model", file, "--format", "jsonl"]).expect_code(0);
    lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the facts that were stored.
fn facts(sandbox: &Sandbox) -> Value {
    let plan = sandbox.converge(&["plan", "s.toml", "--json"]).expect_code(0).json();
    plan["facts"][0].clone()
}

#[test]
fn lists_of_labels_are_several_at_once() {
    let mut data = String::new();
    for row in 0..300 {
        let has = [0, 1, 2].map(|label| below(row, 200 + label, 5) < 2);
        let of = |words: [&'static str; 3]| -> Vec<&'static str> {
            words.into_iter().zip(has).filter(|(_, has)| *has).map(|(word, _)| word).collect()
        };
        let line = serde_json::json!({
            "text": text(row, &of(["gale", "fog", "ice"])), "label": of(["wind", "mist", "cold"]),
        });
        data += &format!("{line}\n");
    }
    let sandbox = sandbox("jsonl", &data, "");
    let (value, shown, said) = run(&sandbox);
    assert!(shown.starts_with("sweep `task`, largest validation/macro_f1"), "{shown}");
    assert!(said.contains("task multi_label (`label` holds lists)"), "{said}");
    assert!(value > 0.85, "macro F1 {value}");
    let facts = facts(&sandbox);
    assert_eq!(facts["task"], "multi_label");
    assert_eq!(facts["labels"], serde_json::json!(["cold", "mist", "wind"]));
    let answers = used(&sandbox, "data.jsonl", "macro_f1", "multi_label_classification");
    assert_eq!(answers.len(), 300);
    for answer in answers {
        let labels: Vec<&str> =
            answer["labels"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for (label, probability) in answer["probabilities"].as_object().unwrap() {
            let has = probability.as_f64().unwrap() > 0.5;
            assert_eq!(labels.contains(&label.as_str()), has, "{answer}");
        }
    }
    let curve = sandbox.converge(&["curve", "1", "validation/f1/mist"]).expect_code(0);
    assert!(!curve.stdout.is_empty());
    // The same file again is the same sweep, though it names no objective.
    let again = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(again.stderr.contains("nothing left to do"), "{}", again.stderr);
    let extended = sandbox.converge(&["extend", "s.toml", "--dry-run"]).expect_code(0);
    assert!(extended.stdout.contains("say the same"), "{}", extended.stdout);
}

#[test]
fn numbers_with_fractions_are_a_regression() {
    let mut data = String::from("text\tlabel\n");
    for row in 0..300 {
        let words: Vec<&str> = [("gale", 0), ("fog", 1), ("ice", 2)]
            .into_iter()
            .filter(|(_, label)| below(row, 200 + label, 5) < 2)
            .map(|(word, _)| word)
            .collect();
        let number: f64 = words
            .iter()
            .map(|word| match *word {
                "gale" => 2.5,
                "fog" => -1.0,
                _ => -0.75,
            })
            .sum();
        data += &format!("{}\t{number}\n", text(row, &words));
    }
    let sandbox = sandbox("tsv", &data, "");
    let plan = sandbox.converge(&["plan", "s.toml"]).expect_code(0).stdout;
    for words in [
        "task        regression (`label` holds numbers with fractions, such as ",
        "train       240 examples (label from -1.75 to 2.5, mean ",
        "ranked by the largest validation/pearson",
    ] {
        assert!(plan.contains(words), "`{words}` is not told:\n{plan}");
    }
    let (value, shown, _) = run(&sandbox);
    assert!(shown.starts_with("sweep `task`, largest validation/pearson"), "{shown}");
    assert!(value > 0.85, "Pearson's correlation {value}");
    let by_error = sandbox.converge(&["best", "--metric", "validation/rmse"]).expect_code(0).stdout;
    assert!(by_error.starts_with("sweep `task`, smallest validation/rmse"), "{by_error}");
    let constant = "always answering the mean of the training split: ";
    let line = by_error.lines().find_map(|line| line.strip_prefix(constant)).unwrap();
    // Learning has to beat that; the deviation of the labels is about 1.4.
    let always: f64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!((0.8..2.0).contains(&always), "{line}");
    let best = sandbox.converge(&["best", "--metric", "validation/rmse", "--json"]).json();
    assert!(best["configurations"][0]["mean"].as_f64().unwrap() < 0.7 * always, "{best}");
    let answers = used(&sandbox, "data.tsv", "pearson", "regression");
    assert_eq!(answers.len(), 300);
    for answer in answers {
        // The labels go from -1.75 to 2.5.
        assert!((-4.0..5.0).contains(&answer["value"].as_f64().unwrap()), "{answer}");
    }
}

#[test]
fn two_sentences_are_one_question() {
    // The second of the two gives the answer away, and the first says nothing.
    let mut data = String::from("first,second,label\n");
    for row in 0..300 {
        let [one, two] = [0, 1].map(|side| below(row, 200 + side, 2) as usize);
        let words = ["calm", "storm"];
        data += &format!("{},{},{}\n", words[one], words[two], ["fine", "rough"][two]);
    }
    let sandbox = sandbox("csv", &data, "text = \"first\"\ntext_pair = \"second\"\n");
    let (value, shown, said) = run(&sandbox);
    assert!(shown.starts_with("sweep `task`, largest validation/accuracy"), "{shown}");
    assert!(said.contains("task classes (`label` holds names)"), "{said}");
    assert!(shown.contains("always answering the largest class"), "{shown}");
    assert!(value > 0.9, "accuracy {value}");
    assert_eq!(facts(&sandbox)["task"], "classes");
}

#[test]
fn an_objective_fits_the_task_and_the_data_or_nothing_starts() {
    let data = "text\tlabel\na\tx\nb\ty\nc\tx\nd\ty\ne\tx\nf\ty\ng\tx\nh\ty\ni\tx\nj\ty\n";
    let sandbox = sandbox("tsv", data, "");
    for (metric, words) in [
        ("validation/accurcy", "validation/accurcy` cannot be an objective here"),
        ("validation/pearson", "`validation/pearson` does not fit the task, classes"),
        ("validation/f1/z", "`validation/f1/z`: the data have no class `z`"),
        ("validation/f1/z", "hint: they have `x`, `y`"),
    ] {
        let run = sandbox
            .converge(&["run", "s.toml", &format!("sweep.objective={{ metric = \"{metric}\" }}")])
            .expect_code(2);
        assert!(run.stderr.contains(words), "`{words}` is not told:\n{}", run.stderr);
        assert!(matches!(sandbox.number("select count(*) from sweeps"), None | Some(0)));
    }
    // Of any configuration, and all at once.
    let run = sandbox
        .converge(&[
            "plan",
            "s.toml",
            "reinit_layers=0,5",
            "data.task=classes",
            "class_weights=none,[1.0]",
        ])
        .expect_code(2);
    for words in [
        "train.reinit_layers: is 5: the model has 2 layers",
        "train.class_weights: has 1 weights, the data has 2 classes",
    ] {
        assert!(run.stderr.contains(words), "`{words}` is not told:\n{}", run.stderr);
    }
    let both = ["plan", "s.toml", "head_learning_rate=1e-3", "head_learning_rate_multiplier=1.0"];
    let both = sandbox.converge(&both).expect_code(2);
    assert!(both.stderr.contains("both say how fast the head learns"), "{}", both.stderr);
}

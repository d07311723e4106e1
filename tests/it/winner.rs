//! What a sweep was run for: its best model, saved, asked, judged, and trained once more on all data.

use std::path::Path;
use std::process::Stdio;

use converge_tests::{Output, Sandbox, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::smoke;

/// Two trials of the smoke sweep.
const TWO: &[&str] =
    &["run", "sweeps/smoke.toml", "optimizer=adamw", "learning_rate=5e-3,1e-2", "batch_size=8"];

/// Runs a sweep of two trials.
fn swept(sandbox: &Sandbox, more: &[&str]) {
    smoke(sandbox);
    let arguments: Vec<&str> = TWO.iter().chain(more).copied().collect();
    sandbox.converge(&arguments).expect_code(0);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Rows of the sweep's file, texts only, as tsv.
fn texts(sandbox: &Sandbox) -> String {
    let all = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.tsv")).unwrap();
    all.lines().map(|line| format!("{}\n", line.split('\t').next().unwrap())).collect()
}

#[test]
fn a_saved_model_is_a_folder_of_its_own_that_answers_as_its_trial_does() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    let saved = sandbox.converge(&["save", "best", "out/model"]).expect_code(0);
    assert!(saved.stdout.contains("of sweep `smoke` saved in"), "{}", saved.stdout);
    let folder = sandbox.path().join("out/model");
    assert_eq!(
        names(&folder),
        [
            "README.md",
            "config.json",
            "converge.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
    );
    assert_eq!(names(&sandbox.path().join("out")), ["model"], "nothing is left beside it");
    let config = json(&folder.join("config.json"));
    assert_eq!(config["id2label"], serde_json::json!({ "0": "bread", "1": "sea" }));
    assert_eq!(config["label2id"], serde_json::json!({ "bread": 0, "sea": 1 }));
    assert_eq!(config["num_labels"], 2);
    assert_eq!(config["problem_type"], "single_label_classification");
    assert_eq!(config["architectures"], serde_json::json!(["BertForSequenceClassification"]));
    assert_eq!(config["classifier_dropout"], 0.1);
    let described = json(&folder.join("converge.json"));
    let best = sandbox.converge(&["best", "--json"]).expect_code(0).json();
    let first = &best["configurations"][0];
    assert_eq!(described["scores"]["validation/accuracy"], first["mean"]);
    assert_eq!(described["trial"], first["trials"][0]);
    assert_eq!(described["configuration"], first["configuration"]);
    assert_eq!(
        described["settings"]["train"]["learning_rate"],
        first["configuration"]["learning_rate"]
    );
    for role in ["train", "model", "tokenizer", "weights"] {
        assert_eq!(described["hashes"][role].as_str().unwrap().len(), 64, "{role}");
    }
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("AutoModelForSequenceClassification.from_pretrained"), "{card}");
    assert!(card.contains("| validation/accuracy |"), "{card}");

    sandbox.write("new.tsv", texts(&sandbox));
    let of_trial = sandbox.converge(&["predict", "best", "new.tsv"]).expect_code(0).stdout;
    std::fs::remove_dir_all(sandbox.home()).unwrap();
    let of_folder = sandbox.converge(&["predict", "out/model", "new.tsv"]).expect_code(0).stdout;
    assert_eq!(of_folder, of_trial, "also where there is no home");
}

#[test]
fn nothing_of_value_is_overwritten_by_a_save() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    sandbox.write("thesis/chapter.tex", "irreplaceable");
    sandbox.converge(&["save", "1", "model"]).expect_code(0);
    let before = std::fs::read(sandbox.path().join("model/model.safetensors")).unwrap();
    let refused = sandbox.converge(&["save", "2", "model"]).expect_code(2);
    assert!(refused.stderr.contains("holds a model already"), "{}", refused.stderr);
    assert_eq!(std::fs::read(sandbox.path().join("model/model.safetensors")).unwrap(), before);
    sandbox.converge(&["save", "2", "model", "--force"]).expect_code(0);
    assert_ne!(std::fs::read(sandbox.path().join("model/model.safetensors")).unwrap(), before);
    for force in [&["save", "1", "thesis"][..], &["save", "1", "thesis", "--force"]] {
        sandbox.converge(force).expect_code(2);
    }
    assert_eq!(names(&sandbox.path().join("thesis")), ["chapter.tex"]);

    // A bit that flips is noticed before it answers.
    let weights = sandbox.path().join("model/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    sandbox.write("new.tsv", texts(&sandbox));
    let refused = sandbox.converge(&["predict", "model", "new.tsv"]).expect_code(2);
    assert!(refused.stderr.contains("not the weights that were saved"), "{}", refused.stderr);
}

#[test]
fn every_row_is_answered_in_order_from_a_file_or_from_stdin() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    sandbox.write("new.tsv", texts(&sandbox));
    let tsv = sandbox.converge(&["predict", "best", "new.tsv"]).expect_code(0).stdout;
    let lines: Vec<&str> = tsv.lines().collect();
    assert_eq!(lines[0], "label\tprobability/bread\tprobability/sea");
    assert_eq!(lines.len(), 61);
    // The sentences are easy: most answers are those of the file.
    let labelled = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.tsv")).unwrap();
    let right = labelled.lines().zip(&lines).skip(1);
    let right = right.filter(|(row, answer)| row.split('\t').nth(1) == answer.split('\t').next());
    assert!(right.count() > 45);
    for line in &lines[1..] {
        let sum: f64 = line.split('\t').skip(1).map(|share| share.parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{line}");
    }

    let jsonl = sandbox.converge(&["predict", "best", "new.tsv", "--format", "jsonl"]);
    for (line, object) in lines[1..].iter().zip(jsonl.expect_code(0).stdout.lines()) {
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        assert_eq!(object["label"].as_str(), line.split('\t').next());
        let probability = object["probabilities"]["bread"].as_f64().unwrap();
        assert_eq!(probability.to_string(), line.split('\t').nth(1).unwrap());
        assert!(object["logits"]["sea"].is_number());
    }

    let stdin = sandbox.path().join("lines.txt");
    let plain: String = texts(&sandbox).split_once('\n').unwrap().1.into();
    std::fs::write(&stdin, plain).unwrap();
    let mut command = sandbox.command(&["predict", "best", "-", "--batch-size", "7"]);
    command.stdin(std::fs::File::open(&stdin).unwrap());
    let from_stdin = Output::of(&mut command).expect_code(0).stdout;
    let labels = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    };
    assert_eq!(labels(&from_stdin), labels(&tsv));
}

#[test]
fn bad_rows_are_all_told_before_anything_is_printed() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    sandbox.write(
        "bad.jsonl",
        "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n[1]\n{\"text\": \"c\"}\n{\"text\": null}\n",
    );
    let refused = sandbox.converge(&["predict", "best", "bad.jsonl"]).expect_code(2);
    assert_eq!(refused.stdout, "");
    for place in ["bad.jsonl:2", "bad.jsonl:3", "bad.jsonl:5"] {
        assert!(refused.stderr.contains(place), "{place} in {}", refused.stderr);
    }
    sandbox.write("other.csv", "sentence,label\nx,sea\n");
    let refused = sandbox.converge(&["predict", "best", "other.csv"]).expect_code(2);
    assert!(refused.stderr.contains("has no column `text`"), "{}", refused.stderr);
    let told = sandbox.converge(&["predict", "best", "other.csv", "--text", "sentence"]);
    assert_eq!(told.expect_code(0).stdout.lines().count(), 2);
    sandbox.converge(&["predict", "best", "nowhere.tsv"]).expect_code(2);
    for wrong in ["nowhere", "7", "refit"] {
        let refused = sandbox.converge(&["predict", wrong, "other.csv"]).expect_code(2);
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    let rows = "text\n".to_string() + &"the tide and the oven\n".repeat(20_000);
    sandbox.write("long.tsv", rows);
    let mut child = sandbox
        .command(&["predict", "best", "long.tsv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.starts_with("label\t"), "{line}");
    drop(reader);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "");
}

#[test]
fn a_file_is_judged_by_all_metrics_and_known_texts_are_told() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    sandbox.write(
        "new.tsv",
        "text\tlabel\nThe sailor saw the harbour.\tsea\nThe dough rose in the oven.\tbread\n",
    );
    let found = sandbox.converge(&["evaluate", "best", "new.tsv", "--json"]).expect_code(0);
    assert_eq!(found.stderr, "", "these are new");
    let found = found.json();
    assert_eq!(found["examples"], 2);
    for metric in ["loss", "accuracy", "macro_f1", "recall/sea", "predicted/bread"] {
        assert!(found["metrics"][metric].is_number(), "{metric} in {found}");
    }
    assert_eq!(found["overlap"]["in_training"], 0);

    // By hand: what `predict` answers.
    let answers = sandbox.converge(&["predict", "best", "sweeps/smoke.tsv"]).expect_code(0).stdout;
    let labelled = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.tsv")).unwrap();
    let pairs = labelled.lines().zip(answers.lines()).skip(1);
    let right = pairs.filter(|(row, line)| row.split('\t').nth(1) == line.split('\t').next());
    let expected = right.count() as f64 / 60.0;
    let own = sandbox.converge(&["evaluate", "best", "sweeps/smoke.tsv", "--json"]).expect_code(0);
    assert_eq!(own.json()["metrics"]["accuracy"].as_f64().unwrap(), expected);
    assert!(own.stderr.contains("the sweep's training file itself"), "{}", own.stderr);
    assert!(
        own.stderr.contains("45 of 60 texts stand in the data that the model was trained on"),
        "{}",
        own.stderr
    );
    assert!(own.stderr.contains("15 of 60 texts stand in the validation data"), "{}", own.stderr);

    sandbox.write("wrong.tsv", "text\tlabel\na\tsea\nb\tmountain\nc\tdesert\n");
    let refused = sandbox.converge(&["evaluate", "best", "wrong.tsv"]).expect_code(2);
    for place in ["wrong.tsv:3: label `mountain`", "wrong.tsv:4: label `desert`"] {
        assert!(refused.stderr.contains(place), "{place} in {}", refused.stderr);
    }
    let table = sandbox.converge(&["evaluate", "1", "new.tsv"]).expect_code(0).stdout;
    assert!(table.contains("accuracy") && table.ends_with("2 examples\n"), "{table}");
}

#[test]
fn a_model_of_means_says_that_transformers_has_no_class_for_it_and_still_answers() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &["pooling=mean"]);
    let saved = sandbox.converge(&["save", "best", "model"]).expect_code(0);
    assert!(saved.stderr.contains("does not compute"), "{}", saved.stderr);
    let folder = sandbox.path().join("model");
    assert_eq!(
        json(&folder.join("converge.json"))["transformers"]["class"],
        serde_json::Value::Null
    );
    assert_eq!(
        json(&folder.join("config.json"))["architectures"],
        serde_json::json!(["BertModel"])
    );
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(
        card.contains("does not compute") && card.contains("add_pooling_layer=False"),
        "{card}"
    );
    let of_trial =
        sandbox.converge(&["evaluate", "best", "sweeps/smoke.tsv", "--json"]).expect_code(0);
    let of_folder =
        sandbox.converge(&["evaluate", "model", "sweeps/smoke.tsv", "--json"]).expect_code(0);
    assert_eq!(of_folder.json(), of_trial.json());
}

#[test]
fn weights_that_are_gone_are_told_with_those_that_are_there() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &["run.keep_best=1"]);
    let there = sandbox.rows("select number from sweep_trials where best_weights_step is not null");
    assert_eq!(there.len(), 1);
    let gone = if there[0] == "1" { "2" } else { "1" };
    let refused = sandbox.converge(&["save", gone, "model"]).expect_code(2);
    for words in [
        format!("the weights of trial {gone} are gone"),
        format!("weights are there of trial {}", there[0]),
        format!("converge refit {gone}"),
        "keep_best".to_string(),
    ] {
        assert!(refused.stderr.contains(&words), "{words} in {}", refused.stderr);
    }
    sandbox.converge(&["save", "best", "model"]).expect_code(0);
}

/// What is observed of a trial; wall times differ between any two runs.
fn curves(sandbox: &Sandbox, trial: &str) -> Vec<String> {
    sandbox.rows(&format!(
        "select metric, step, value from curves where trial = {trial} and metric <> 'train/seconds' \
         order by metric, step"
    ))
}

fn weights(sandbox: &Sandbox, trial: &str) -> Vec<u8> {
    let query = format!("select best_weights_directory from sweep_trials where number = {trial}");
    let directory = sandbox.rows(&query).remove(0);
    std::fs::read(sandbox.home().join(directory).join("model.safetensors")).unwrap()
}

#[test]
fn a_refit_stands_beside_the_search_and_is_kept() {
    let sandbox = Sandbox::new();
    // With a test split; the budget is used up by the search.
    swept(&sandbox, &["data.test_fraction=0.1", "run.keep_best=1", "budget.max_steps=144"]);
    let used = sandbox.converge(&["status", "--json"]).expect_code(0).json()["sweeps"][0].clone();
    let best = sandbox.converge(&["best"]).expect_code(0).stdout;
    let refit = sandbox.converge(&["refit", "best"]).expect_code(0);
    assert!(refit.stderr.contains("trial 3: refit of trial"), "{}", refit.stderr);
    assert!(refit.stderr.contains("no validation data are left"), "{}", refit.stderr);
    assert!(refit.stdout.contains("test/accuracy"), "{}", refit.stdout);

    let row = sandbox.rows(
        "select kind, state, json_extract(settings, '$.data.train_on_validation'), best_weights_step = total_steps \
         from sweep_trials where number = 3",
    );
    assert_eq!(row, ["refit|completed|1|1"]);
    let seen =
        sandbox.rows("select count(*) from curves where trial = 3 and metric like 'validation/%'");
    assert_eq!(seen, ["0"]);
    assert_eq!(sandbox.converge(&["best"]).expect_code(0).stdout, best, "it is not ranked");
    let after = sandbox.converge(&["status", "--json"]).expect_code(0).json()["sweeps"][0].clone();
    assert_eq!(after["trials"], used["trials"], "it is not counted");
    assert_eq!(after["budget"]["used_steps"], used["budget"]["used_steps"]);
    assert_eq!(after["state"], "finished");
    assert_eq!(after["beside"]["completed"], 1);
    let status = sandbox.converge(&["status"]).expect_code(0).stdout;
    assert!(status.contains("smoke beside the search: 1 completed"), "{status}");
    let trials = sandbox.converge(&["trials"]).expect_code(0).stdout;
    assert!(trials.lines().next().unwrap().contains("kind"), "{trials}");
    let chosen = sandbox.converge(&["trials", "--where", "kind=refit", "--json"]).expect_code(0);
    assert_eq!(chosen.json()[0]["trial"], 3);
    let shown = sandbox.converge(&["show", "refit"]).expect_code(0).stdout;
    assert!(shown.starts_with("trial 3 (refit) of sweep `smoke`: completed"), "{shown}");
    let ahead = sandbox.converge(&["resume", "--dry-run"]).expect_code(0).stdout;
    assert!(ahead.contains("2 trials and 1 beside the search, 0 to do"), "{ahead}");

    let again = sandbox.converge(&["refit", "best"]).expect_code(0);
    assert!(again.stderr.contains("nothing left to do"), "{}", again.stderr);
    assert_eq!(sandbox.number("select count(*) from attempts"), Some(3));
    sandbox
        .converge(&["run", TWO[1], TWO[2], TWO[3], TWO[4], "data.test_fraction=0.1"])
        .expect_code(0);
    assert_eq!(sandbox.number("select count(*) from attempts"), Some(3));

    let kept = weights(&sandbox, "3");
    sandbox.converge(&["gc", "--yes", "--max-bytes", "1"]).expect_code(0);
    assert_eq!(weights(&sandbox, "3"), kept, "whatever else goes");
    let healthy = sandbox.converge(&["repair"]).expect_code(0).stdout;
    assert!(!healthy.contains("trial 3"), "{healthy}");
    let before = curves(&sandbox, "3");
    sandbox.converge(&["rebuild", "--yes"]).expect_code(0);
    assert_eq!(curves(&sandbox, "3"), before);
    assert_eq!(
        sandbox.rows("select kind, state from sweep_trials where number = 3"),
        ["refit|completed"]
    );
    assert_eq!(sandbox.number("select sum(trials) from trial_counts"), Some(2));

    sandbox.converge(&["save", "refit", "model"]).expect_code(0);
    let described = json(&sandbox.path().join("model/converge.json"));
    assert_eq!((described["kind"].as_str(), described["trial"].as_u64()), (Some("refit"), Some(3)));
    assert!(described["scores"]["train_subset/accuracy"].is_number());
    let card = std::fs::read_to_string(sandbox.path().join("model/README.md")).unwrap();
    assert!(card.contains("were trained on as well"), "{card}");
    let judged =
        sandbox.converge(&["evaluate", "refit", "sweeps/smoke.tsv", "--json"]).expect_code(0);
    let overlap = &judged.json()["overlap"];
    assert_eq!(overlap["in_training"], 54);
    assert_eq!(overlap["in_validation"], serde_json::Value::Null);

    sandbox.converge(&["gc", "--refits", "--yes"]).expect_code(0);
    let gone = sandbox.rows("select best_weights_step from sweep_trials where number = 3");
    assert_eq!(gone, ["null"]);
    let refused = sandbox.converge(&["refit", "refit"]).expect_code(2);
    assert!(refused.stderr.contains("is a refit itself"), "{}", refused.stderr);
}

#[test]
fn a_refit_takes_in_a_validation_file_of_its_own() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let all = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.tsv")).unwrap();
    let lines: Vec<&str> = all.lines().collect();
    let (train, held_out) = lines[1..].split_at(44);
    sandbox.write("train.tsv", format!("{}\n{}\n", lines[0], train.join("\n")));
    sandbox.write("held_out.tsv", format!("{}\n{}\n", lines[0], held_out.join("\n")));
    let text = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.toml")).unwrap();
    let text = text
        .replace("sweeps/smoke.tsv", "train.tsv")
        .replace("validation_fraction = 0.25", "validation = \"held_out.tsv\"")
        .replace("goal = \"maximize\"", "goal = \"maximize\", at = \"last\"");
    sandbox.write("s.toml", text);
    let more = ["optimizer=adamw", "learning_rate=5e-3", "batch_size=4", "epochs=2"];
    sandbox.converge(&[&["run", "s.toml"], &more[..]].concat()).expect_code(0);
    sandbox.converge(&["refit", "best"]).expect_code(0);
    // 44 examples are 11 steps an epoch, 60 are 15.
    assert_eq!(sandbox.rows("select total_steps from sweep_trials order by number"), ["22", "30"]);
    let judged = sandbox.converge(&["evaluate", "refit", "held_out.tsv", "--json"]).expect_code(0);
    assert_eq!(judged.json()["overlap"]["in_training"], 16);
    assert_eq!(judged.json()["overlap"]["same_file"], serde_json::json!(["validation"]));
    let judged = sandbox.converge(&["evaluate", "1", "held_out.tsv", "--json"]).expect_code(0);
    assert_eq!(judged.json()["overlap"]["in_validation"], 16);
}

/// One trial of 60 steps, whose last evaluation counts: its refit has 80.
fn one_trial(sandbox: &Sandbox) {
    smoke(sandbox);
    let text = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.toml")).unwrap();
    sandbox
        .write("s.toml", text.replace("goal = \"maximize\"", "goal = \"maximize\", at = \"last\""));
    let more = [
        "optimizer=adamw",
        "learning_rate=5e-3",
        "batch_size=8",
        "epochs=10",
        "run.checkpoint_seconds=0",
    ];
    sandbox.converge(&[&["run", "s.toml"], &more[..]].concat()).expect_code(0);
}

#[test]
fn a_killed_refit_ends_with_the_same_bits() {
    let undisturbed = Sandbox::new();
    one_trial(&undisturbed);
    undisturbed.converge(&["refit", "1"]).expect_code(0);
    assert_eq!(
        undisturbed.rows("select number, total_steps from sweep_trials where kind = 'refit'"),
        ["2|80"]
    );

    let sandbox = Sandbox::new();
    one_trial(&sandbox);
    let mut child = sandbox.start(&["refit", "1"]);
    let seen = "select coalesce(max(last_step), 0) from attempts join sweep_trials on sweep_trials.id = attempts.trial \
                where kind = 'refit'";
    sandbox.wait_for(seen, 5);
    signal(child.id().cast_signed(), Signal::SIGKILL);
    let workers = sandbox.worker_pids();
    workers.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    child.wait().unwrap();
    wait("workers are gone", || workers.iter().all(|pid| !runs(*pid)));
    let ahead = sandbox.converge(&["resume", "--dry-run", "--json"]).expect_code(0).json();
    let refit =
        ahead["trials"].as_array().unwrap().iter().find(|one| one["kind"] == "refit").unwrap();
    assert_eq!(refit["action"], "continue", "{ahead}");
    assert!(refit["from_step"].as_i64().unwrap() > 0, "{ahead}");
    let status = sandbox.converge(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["sweeps"][0]["state"], "killed");
    sandbox.converge(&["resume"]).expect_code(0);
    assert_eq!(sandbox.rows("select state from sweep_trials where kind = 'refit'"), ["completed"]);
    assert_eq!(sandbox.number("select count(*) from attempts where trial = 2"), Some(2));
    assert_eq!(curves(&sandbox, "2"), curves(&undisturbed, "2"));
    assert_eq!(weights(&sandbox, "2"), weights(&undisturbed, "2"));
}

#[test]
fn a_trial_that_has_no_validation_split_has_nothing_to_add() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let text = std::fs::read_to_string(sandbox.path().join("sweeps/smoke.toml")).unwrap();
    let text = text
        .replace(
            "{ metric = \"validation/accuracy\", goal = \"maximize\" }",
            "{ metric = \"train/loss\", goal = \"minimize\" }",
        )
        .replace("validation_fraction = 0.25", "validation = \"none\"");
    sandbox.write("s.toml", text);
    sandbox
        .converge(&[
            "run",
            "s.toml",
            "optimizer=adamw",
            "learning_rate=5e-3",
            "batch_size=8",
            "epochs=1",
        ])
        .expect_code(0);
    let refused = sandbox.converge(&["refit", "1"]).expect_code(2);
    assert!(refused.stderr.contains("there is no validation split to add"), "{}", refused.stderr);
}

#[test]
fn a_trial_is_shown_as_a_script_for_the_trainer() {
    let sandbox = Sandbox::new();
    swept(&sandbox, &[]);
    let refused = sandbox.converge(&["show", "best", "--as", "trainer"]).expect_code(2);
    assert!(refused.stderr.contains("a preset"), "{}", refused.stderr);
    // A saved model is a model to start from.
    sandbox.converge(&["save", "best", "model"]).expect_code(0);
    sandbox.write(
        "further.toml",
        r#"
[sweep]
name = "further"
[train]
learning_rate = 1e-3
batch_size = 8
gradient_accumulation = 2
epochs = 2
freeze = 1
class_weights = "balanced"
[model]
path = "model"
[data]
train = "sweeps/smoke.tsv"
validation_fraction = 0.25
"#,
    );
    sandbox.converge(&["run", "further.toml"]).expect_code(0);
    let script = sandbox.converge(&["show", "best", "--as", "trainer"]).expect_code(0).stdout;
    for line in [
        "learning_rate=0.001,",
        "per_device_train_batch_size=4,",
        "gradient_accumulation_steps=2,",
        "warmup_steps=2,",
        "max_steps=12,",
        "# - class_weights = balanced",
        "for layer in range(1):",
        "LABELS = [\"bread\", \"sea\"]",
    ] {
        assert!(script.contains(line), "{line} in {script}");
    }
}

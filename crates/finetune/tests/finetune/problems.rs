//! What `prepare` says about model and data: facts, or all problems at once.

use std::path::Path;

use converge_core::problem::Problem;
use converge_core::settings::{ClassWeights, Freeze, MaxLength, Settings};
use converge_finetune::prepare;

use crate::support::{request, settings, write_toy};

fn write(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

/// Returns the messages for one case, with the directory taken out.
fn problems(directory: &Path, settings: &Settings) -> Vec<String> {
    let found = prepare(&request(std::slice::from_ref(settings), directory)).unwrap_err();
    messages(directory, &found)
}

fn messages(directory: &Path, problems: &[Problem]) -> Vec<String> {
    let prefix = format!("{}/", directory.display());
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

#[test]
fn facts_describe_the_splits_as_they_are_used() {
    let directory = tempfile::tempdir().unwrap();
    let mut rows = String::from("label,text,more\n");
    for row in 0..100 {
        // Every tenth text is long; the last ten repeat the first ten.
        let text = "word ".repeat(if row % 10 == 0 { 40 } else { 5 }) + &(row % 90).to_string();
        rows += &format!("{},\"{text}, he said\",x\n", if row % 4 == 0 { "b" } else { "a" });
    }
    let train = write(directory.path(), "train.csv", &rows);
    let mut limited = settings(&train);
    limited.data.test_fraction = 0.1;
    limited.data.train_limit = Some(40);
    limited.data.validation_limit = Some(8);
    limited.train.max_length = MaxLength::Tokens(20);
    let mut whole = limited.clone();
    whole.data.train_limit = None;
    let facts = prepare(&request(&[limited, whole], directory.path())).unwrap();

    let [limited, whole] = facts.as_slice() else { panic!("two cases") };
    assert_eq!(limited.labels, ["a", "b"]);
    assert_eq!(limited.train.class_counts, [30, 10]);
    assert_eq!(whole.train.examples, 70);
    assert_eq!(limited.validation.as_ref().unwrap().class_counts, [6, 2]);
    assert_eq!(limited.validation, whole.validation);
    assert_eq!(limited.test, whole.test);
    assert_eq!(limited.test.as_ref().unwrap().examples, 10);
    assert_eq!(whole.train.token_lengths[3], 46);
    assert_eq!(whole.max_length, 20);
    assert!(whole.train.truncated_share > 0.0 && whole.train.truncated_share < 0.3);
    assert_eq!(whole.train.unknown_token_share, 0.0);
    assert!(whole.duplicates_between_splits > 0);
    assert_eq!(whole.train.majority_share(), 52.0 / 70.0);
    let roles: Vec<&str> = whole.content_hashes.keys().map(String::as_str).collect();
    assert_eq!(roles, ["config", "model", "tokenizer", "train"]);
    assert_eq!((whole.model.hidden_size, whole.model.layers), (32, 2));
}

#[test]
fn own_files_serve_as_validation_and_test() {
    let directory = tempfile::tempdir().unwrap();
    let [train, validation, test] = ["train.tsv", "valid.tsv", "test.tsv"]
        .map(|name| write_toy(directory.path(), name, name.len() * 2));
    let mut settings = settings(&train);
    settings.data.validation = Some(validation);
    settings.data.test = Some(test);
    let facts = prepare(&request(&[settings], directory.path())).unwrap();
    let counts = (&facts[0].train, &facts[0].validation, &facts[0].test);
    assert_eq!(counts.0.examples, 18);
    assert_eq!(counts.1.as_ref().map(|split| split.examples), Some(18));
    assert_eq!(counts.2.as_ref().map(|split| split.examples), Some(16));
    let roles: Vec<&str> = facts[0].content_hashes.keys().map(String::as_str).collect();
    assert_eq!(roles, ["config", "model", "test", "tokenizer", "train", "validation"]);
}

#[test]
fn problems_of_all_cases_and_files_come_at_once_and_once_each() {
    let directory = tempfile::tempdir().unwrap();
    let bad = write(directory.path(), "bad.tsv", "text\tlabel\nragged\nfine\t1\nempty\t\n");
    let mut first = settings(&bad);
    first.data.validation = Some(format!("{}/missing.csv", directory.path().display()));
    let mut second = first.clone();
    second.model.preset = None;
    second.model.path = Some(format!("{}/nothing", directory.path().display()));
    let found = prepare(&request(&[first, second], directory.path())).unwrap_err();
    assert_eq!(
        messages(directory.path(), &found),
        [
            "bad.tsv:2: has 1 columns, the header has 2",
            "bad.tsv:4: has an empty label",
            "missing.csv: does not exist",
            "nothing: is not a directory",
        ]
    );
}

#[test]
fn labels_and_shares_that_cannot_work_are_problems() {
    let directory = tempfile::tempdir().unwrap();
    let one = write(directory.path(), "one.tsv", "text\tlabel\na\tx\nb\tx\n");
    assert_eq!(problems(directory.path(), &settings(&one)), ["one.tsv: has a single class, `x`"]);

    let train = write_toy(directory.path(), "train.tsv", 20);
    let mut case = settings(&train);
    case.data.validation =
        Some(write(directory.path(), "v.tsv", "text\tlabel\na\tneg\nb\tnice\nc\tpositive\n"));
    assert_eq!(
        problems(directory.path(), &case),
        [
            "v.tsv:3: label `nice` does not occur in `train.tsv`",
            "v.tsv:4: label `positive` does not occur in `train.tsv`",
        ]
    );

    let mut case = settings(&train);
    case.data.validation_fraction = 0.7;
    case.data.test_fraction = 0.3;
    assert_eq!(
        problems(directory.path(), &case),
        ["data.validation_fraction: and test_fraction add up to 1: nothing is left for training"]
    );
    case.data.validation_fraction = -1.0;
    case.data.test_fraction = f64::NAN;
    assert_eq!(
        problems(directory.path(), &case),
        [
            "data.validation_fraction: is -1: expected at least 0, below 1",
            "data.test_fraction: is NaN: expected at least 0, below 1",
        ]
    );
    case.data.validation_fraction = 0.01;
    case.data.test_fraction = 0.0;
    assert_eq!(
        problems(directory.path(), &case),
        ["data.validation_fraction: leaves no example of 20 for the validation split"]
    );
    case.data.validation_fraction = 0.2;
    case.data.train_limit = Some(1);
    let found = problems(directory.path(), &case);
    assert!(found[0].contains("has no example among the 1 of the training split"), "{found:?}");
}

#[test]
fn settings_that_model_or_data_do_not_allow_are_problems() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 20);
    let mut case = settings(&train);
    case.train.class_weights = ClassWeights::Given(vec![1.0, 2.0, -3.0]);
    case.train.freeze = Freeze::Layers(3);
    case.model.layers = Some(7);
    case.train.dropout = Some(1.5);
    let found = problems(directory.path(), &case);
    assert!(found.contains(&"train.class_weights: has 3 weights, the data has 2 classes".into()));
    assert!(found.contains(&"train.class_weights: must be positive numbers".into()));
    assert!(found.iter().any(|problem| problem.contains("cannot keep 7 layers")), "{found:?}");
    assert!(found.iter().any(|problem| problem.contains("hidden dropout")), "{found:?}");

    for (tokens, expected) in [
        (65, "train.max_length: is 65: the model has positions for 64 tokens"),
        (2, "train.max_length: is 2: special tokens alone take 2"),
    ] {
        let mut case = settings(&train);
        case.train.max_length = MaxLength::Tokens(tokens);
        assert_eq!(problems(directory.path(), &case), [expected]);
    }
    let mut unknown = request(&[settings(&train)], directory.path());
    unknown.device = "abacus".to_owned();
    let found = prepare(&unknown).unwrap_err();
    assert!(found[0].to_string().starts_with("run.device: device `abacus`"), "{found:?}");
}

#[test]
fn damaged_model_files_are_problems() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 20);
    let model = directory.path().join("model");
    std::fs::create_dir(&model).unwrap();
    let mut case = settings(&train);
    case.model.preset = None;
    case.model.path = Some(model.to_string_lossy().into_owned());
    assert_eq!(
        problems(directory.path(), &case),
        [
            "model/config.json: does not exist",
            "model/tokenizer.json: does not exist",
            "model/model.safetensors: does not exist",
        ]
    );
    write(&model, "config.json", "{\"vocab_size\": 5}");
    write(&model, "tokenizer.json", "not json");
    write(&model, "model.safetensors", "short");
    let found = problems(directory.path(), &case);
    assert!(found.contains(&"model/config.json: `hidden_size` is missing".into()), "{found:?}");
}

#[test]
fn a_damaged_cache_is_built_again() {
    let directory = tempfile::tempdir().unwrap();
    let train = write_toy(directory.path(), "train.tsv", 30);
    let request = request(&[settings(&train)], directory.path());
    let facts = prepare(&request).unwrap();
    let cached: Vec<_> = std::fs::read_dir(directory.path().join("cache")).unwrap().collect();
    let path = cached[0].as_ref().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 40, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(prepare(&request).unwrap(), facts);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    assert_eq!(cached.len(), 1);
}

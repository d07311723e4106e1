//! `converge why`, and the page that says how causes are told apart.

use converge_diagnose::cause::CAUSES;
use converge_tests::Sandbox;
use serde_json::Value;

/// Scripted trials learn best at 1e-4, and next to nothing far from it.
const RATES: &str = r#"
[sweep]
name = "rates"
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = { values = [1e-6, 1e-4, 1e-2] }
batch_size = { values = [16, 32] }
[run]
device = "scripted"
workers = 2
[[run.script]]
steps = 200
"#;

#[test]
fn every_cause_has_its_section_on_the_page() {
    let page = converge_tests::repository().join("docs/diagnosis.md");
    let page = std::fs::read_to_string(page).unwrap();
    for entry in CAUSES {
        let section = format!("\n## {}\n", entry.id.replace('_', "-"));
        let from = page.find(&section).unwrap_or_else(|| panic!("{section} is missing"));
        let rest = &page[from + section.len()..];
        let section = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
        for text in [entry.meaning, entry.source] {
            assert!(section.contains(text), "the section of {} should say: {text}", entry.id);
        }
        for parameter in entry.parameters {
            assert!(section.contains(&format!("`{parameter}`")), "{}: {parameter}", entry.id);
        }
    }
}

#[test]
fn a_sweep_is_told_by_cause_and_region_and_a_trial_by_what_proves_it() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", RATES);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let why = sandbox.converge(&["why"]).expect_code(0).stdout;
    for expected in [
        "sweep `rates`: 2 of 6 trials converged\nwhat works: learning_rate 1e-4\n",
        "the learning rate is too low (likely 2); all with learning_rate 1e-6, where nothing works: trials 1, 2",
        "the learning rate is too high (likely 2); all with learning_rate 0.01, where nothing works: trials",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&why).contains(&words(expected)), "{expected}\n{why}");
    }
    let of_trial = sandbox.converge(&["why", "1"]).expect_code(0).stdout;
    assert!(of_trial.starts_with("trial 1 of sweep `rates`: did not converge\n"), "{of_trial}");
    assert!(of_trial.contains("\nlikely: the learning rate is too low\n"), "{of_trial}");
    assert!(of_trial.contains("1. learning_rate = 1e-4, as trial 3 has it\n"), "{of_trial}");
    assert!(!of_trial.contains("2. "), "{of_trial}");
    let best = sandbox.converge(&["why", "best"]).expect_code(0).stdout;
    assert!(best.starts_with("trial 3 of sweep `rates`: converged\n"), "{best}");

    let json: Value = sandbox.converge(&["why", "5", "--json"]).expect_code(0).json();
    let verdict = &json["trials"][0]["verdict"];
    assert_eq!(
        (&verdict["cause"], &verdict["confidence"]),
        (&"learning_rate_too_high".into(), &"likely".into())
    );
    assert_eq!(verdict["fixes"][0]["change"]["learning_rate"], 1e-4);
    assert_eq!(verdict["fixes"][0]["shown_by"], 3);
    let json: Value = sandbox.converge(&["why", "rates", "--json"]).expect_code(0).json();
    assert_eq!(
        (&json["converged"], &json["causes"][0]["trials"]),
        (&serde_json::json!([3, 4]), &serde_json::json!([5, 6]))
    );
}

#[test]
fn what_cannot_be_diagnosed_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", RATES);
    let none = sandbox.converge(&["why"]).expect_code(2).stderr;
    assert!(none.contains("converge run"), "{none}");
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let wrong = sandbox.converge(&["why", "7"]).expect_code(2).stderr;
    assert!(wrong.contains("names no trial of this sweep"), "{wrong}");
}

#[test]
fn plan_says_what_is_likely_to_go_wrong() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", RATES);
    let plan = sandbox.converge(&["plan", "s.toml"]).expect_code(0).stdout;
    assert!(
        plan.contains("(1e-6; 2 of 6 trials)") && plan.contains("(0.01; 2 of 6 trials)"),
        "{plan}"
    );
    let json: Value = sandbox.converge(&["plan", "s.toml", "--json"]).expect_code(0).json();
    let ids: Vec<&str> =
        json["lint"].as_array().unwrap().iter().filter_map(|lint| lint["id"].as_str()).collect();
    assert!(ids.contains(&"learning_rate_far_above_usual"), "{ids:?}");
    assert_eq!(json["lint"][0]["trials"], serde_json::json!([1, 2]));
}

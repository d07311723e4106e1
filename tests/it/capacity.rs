//! What `plan` says of memory, and what `doctor --measure` finds and `run` then uses.

use converge_tests::Sandbox;

use crate::smoke::smoke;

#[test]
fn memory_is_bounded_by_the_data() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let rows: String = (0..60_000).map(|row| format!("a film\t{}\n", row % 2)).collect();
    std::fs::write(sandbox.path().join("many.tsv"), format!("text\tlabel\n{rows}")).unwrap();
    let overrides = ["batch_size=16,1000000000", "data.train=many.tsv"];
    let arguments = ["plan", "sweeps/smoke.toml", "--json"];
    let output = sandbox.converge(&[&arguments[..], &overrides[..]].concat()).expect_code(0);
    let plan: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    for trial in plan["trials"].as_array().unwrap() {
        // As many examples as there are, as long as the longest: a small model needs little even so.
        assert_eq!(trial["fits"], true, "{trial}");
        let memory = trial["peak_memory_bytes"].as_u64().unwrap();
        let large = trial["configuration"]["batch_size"] == 1_000_000_000;
        assert_eq!(memory > 300 << 20, large, "{trial}");
    }
}

#[test]
fn what_doctor_measured_is_used() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let output =
        sandbox.converge(&["doctor", "--measure", "sweeps/smoke.toml", "--json"]).expect_code(0);
    let found: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let rates = found["rates"].as_array().unwrap();
    assert!(rates.iter().all(|rate| rate["steps_per_second"].as_f64().unwrap() > 0.0), "{found}");
    assert!(rates.iter().any(|rate| rate["workers"] == found["workers"]), "{found}");
    // What one worker took is what `plan` now says of the configuration that was tried.
    let measured = found["memory"]["measured"].as_u64().unwrap();
    assert_ne!(found["memory"]["estimated"].as_u64().unwrap(), measured, "{found}");
    let plan = sandbox.converge(&["plan", "sweeps/smoke.toml", "--json"]).expect_code(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["trials"][0]["peak_memory_bytes"].as_u64(), Some(measured), "{plan}");

    let plan = sandbox.converge(&["plan", "sweeps/smoke.toml"]).expect_code(0).stdout;
    assert!(plan.contains("fastest when it was measured by `converge doctor`"), "{plan}");
    let fixed =
        sandbox.converge(&["plan", "sweeps/smoke.toml", "run.workers=3"]).expect_code(0).stdout;
    assert!(fixed.contains("workers     3 on cpu (as asked for)"), "{fixed}");
}

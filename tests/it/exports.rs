//! Exports: whole or not there, and never over what is somebody else's. That others read them is tested by
//! `scripts/test-interop`.

use converge_tests::{Sandbox, repository};

/// Runs the smoke sweep, played by script.
fn finished() -> Sandbox {
    let sandbox = Sandbox::new();
    let sweep = repository().join("sweeps/smoke.toml");
    let run = ["run", sweep.to_str().unwrap(), "run.device=scripted"];
    sandbox.converge(&run).expect_code(0);
    sandbox
}

/// Returns the names in a folder, sorted.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_export_is_put_in_its_place_when_it_is_whole_and_replaces_only_one_of_its_kind() {
    let sandbox = finished();
    let export = |format: &str, to: &str, more: &[&str]| {
        let arguments = [&["export", "--format", format, "--to", to], more].concat();
        sandbox.converge(&arguments)
    };
    for (format, to) in [
        ("tensorboard", "out/runs"),
        ("trackio", "out/smoke.db"),
        ("csv", "out/all.csv"),
        ("jsonl", "out/all.jsonl"),
    ] {
        export(format, to, &[]).expect_code(0);
        let again = export(format, to, &[]).expect_code(2);
        assert!(again.stderr.contains("is there already") && again.stderr.contains("--force"));
        export(format, to, &["--force"]).expect_code(0);
    }
    assert_eq!(names(&sandbox.path().join("out")), ["all.csv", "all.jsonl", "runs", "smoke.db"]);
    let runs = names(&sandbox.path().join("out/runs"));
    assert_eq!(runs[0], ".converge-export");
    assert!(runs[1].starts_with("events.out.tfevents."), "{runs:?}");
    assert_eq!(runs[2..], ["trial-1", "trial-2", "trial-3", "trial-4", "trial-5", "trial-6"]);
    let csv = sandbox.converge(&["export"]).expect_code(0).stdout;
    assert_eq!(std::fs::read_to_string(sandbox.path().join("out/all.csv")).unwrap(), csv);

    // What no export made stays.
    sandbox.write("mine/thesis.txt", "years of work");
    for (format, to) in [("tensorboard", "mine"), ("csv", "mine"), ("tensorboard", "out/all.csv")] {
        let refused = export(format, to, &["--force"]).expect_code(2);
        assert!(refused.stderr.contains("it is not replaced"), "{}", refused.stderr);
    }
    assert_eq!(names(&sandbox.path().join("mine")), ["thesis.txt"]);
    assert_eq!(std::fs::read_to_string(sandbox.path().join("out/all.csv")).unwrap(), csv);
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let sandbox = finished();
    sandbox.write("file", "");
    let export = sandbox.converge(&["export", "--format", "tensorboard", "--to", "file/runs"]);
    let export = export.expect_code(1);
    assert!(export.stderr.contains("cannot write `file/runs`"), "{}", export.stderr);
    sandbox.converge(&["export", "--format", "trackio"]).expect_code(2);
    sandbox.converge(&["export", "--force"]).expect_code(2);
    assert!(!names(sandbox.path()).iter().any(|name| name.contains(".part-")));
}

//! The table of allowed dependencies, read against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("faults", &[]),
    ("kernels", &[]),
    ("bert", &["kernels"]),
    ("protocol", &["core"]),
    ("diagnose", &["core"]),
    ("store", &["core", "faults"]),
    ("scheduler", &["core", "faults", "protocol", "store"]),
    ("finetune", &["core", "faults", "kernels", "bert"]),
    ("worker", &["core", "faults", "protocol", "finetune"]),
    ("dashboard", &["core", "diagnose", "store"]),
    ("cli", &["core", "protocol", "diagnose", "store", "scheduler", "worker", "dashboard"]),
];

pub(crate) fn metadata() -> Value {
    // For this platform alone: those of others need not be here to read.
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(converge_tests::repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Direct dependencies of normal and build kinds, by package of the workspace.
fn direct(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let kept = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
            let names = kept.map(|dependency| dependency["name"].as_str().unwrap().to_string());
            (package["name"].as_str().unwrap().to_string(), names.collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    let direct = direct(&metadata());
    for (name, dependencies) in &direct {
        let Some(name) = name.strip_prefix("converge-").filter(|name| *name != "tests") else {
            continue;
        };
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(from, _)| *from == name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        for dependency in dependencies {
            if let Some(other) = dependency.strip_prefix("converge-") {
                assert!(allowed.contains(&other), "{name} may not depend on {other}");
            }
            let only_in = |homes: &[&str]| {
                assert!(homes.contains(&name), "{dependency} may not be used in {name}")
            };
            match dependency.as_str() {
                "rusqlite" => only_in(&["store"]),
                "tokio" => only_in(&["scheduler", "cli", "dashboard"]),
                burn if burn.starts_with("burn") => only_in(&["bert", "finetune"]),
                _ => {}
            }
        }
    }
    assert_eq!(direct.len(), ALLOWED.len() + 1, "every crate and the tests package is known");
}

#[test]
fn the_scheduler_s_half_reaches_no_burn() {
    let metadata = metadata();
    let name_of: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let kept = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev")
            });
            (
                node["id"].as_str().unwrap(),
                kept.map(|dependency| dependency["pkg"].as_str().unwrap()).collect(),
            )
        })
        .collect();
    for start in [
        "converge-core",
        "converge-protocol",
        "converge-store",
        "converge-scheduler",
        "converge-dashboard",
    ] {
        let id = name_of.iter().find(|(_, name)| **name == start).map(|(id, _)| *id).unwrap();
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![id]);
        while let Some(id) = waiting.pop() {
            if reached.insert(id) {
                waiting.extend(&nodes[id]);
            }
        }
        let burn: Vec<_> =
            reached.iter().map(|id| name_of[id]).filter(|name| name.starts_with("burn")).collect();
        assert!(burn.is_empty(), "{start} reaches {burn:?}");
        assert!(reached.len() > 1, "{start} was found");
    }
}

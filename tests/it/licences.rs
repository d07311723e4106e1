//! Licences and sources of all that is linked, by the lists of `deny.toml`: what `cargo deny check licenses sources`
//! says, without cargo-deny and without a network. Advisories need RustSec's database: `scripts/test` says so.

use std::collections::BTreeSet;

use converge_tests::repository;
use serde_json::Value;

use crate::architecture::metadata;

/// Returns the strings of the list `name = [...]` in `deny.toml`.
fn list(name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository().join("deny.toml")).unwrap();
    let start = format!("\n{name} = [");
    let rest = text.split_once(&start).unwrap_or_else(|| panic!("no `{name}`")).1;
    let inner = rest.split_once(']').unwrap().0;
    inner.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns the crates whose licence `deny.toml` clarifies.
fn clarified() -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository().join("deny.toml")).unwrap();
    let crates = text.lines().filter_map(|line| line.strip_prefix("crate = \""));
    crates.map(|name| name.trim_end_matches('"').to_owned()).collect()
}

/// Returns whether a licence expression can be met with what is allowed: `AND` binds tighter than `OR`.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // A slash is the old way to write `OR`; parentheses are read from the inside out.
    let expression = expression.replace('/', " OR ");
    if let Some(close) = expression.find(')') {
        let Some(open) = expression[..close].rfind('(') else { return false };
        let inner = is_met(&expression[open + 1..close], allowed);
        let word = if inner { "met" } else { "unmet" };
        let rest = format!("{}{word}{}", &expression[..open], &expression[close + 1..]);
        return is_met(&rest, allowed);
    }
    expression.split(" OR ").any(|choice| {
        choice.split(" AND ").all(|one| {
            let one = one.trim();
            one == "met" || allowed.contains(one)
        })
    })
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let allowed: BTreeSet<String> =
        ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for met in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(GPL-3.0 AND MIT) OR AGPL-3.0",
        "",
        "Apache-2.0",
        ")",
        "unmet",
    ] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn everything_that_is_linked_has_an_allowed_licence_and_source() {
    let (allowed, clarified) = (list("allow"), clarified());
    let registries = list("allow-registry");
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_met(licence, &allowed) && !clarified.contains(name) {
            wrong.push(format!("{name}: licence `{licence}`"));
        }
        let known = match &package["source"] {
            Value::Null => name.starts_with("converge-"),
            source => source
                .as_str()
                .and_then(|source| source.strip_prefix("registry+"))
                .is_some_and(|registry| registries.contains(registry)),
        };
        if !known {
            wrong.push(format!("{name}: source {}", package["source"]));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "see deny.toml");
    assert!(packages.len() > 200, "{} packages", packages.len());
}

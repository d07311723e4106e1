//! Says which commit a binary is built from, where there is a repository: `CONVERGE_COMMIT` is ` (1a2b3c4)` or nothing.
//!
//! Reads git's files instead of starting git.

use std::fs;
use std::path::{Path, PathBuf};

/// Digits of a commit that are shown.
const DIGITS: usize = 10;

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let commit = commit(&root.join(".git")).unwrap_or_default();
    let shown: String = commit.chars().take(DIGITS).collect();
    let shown = if shown.is_empty() { shown } else { format!(" ({shown})") };
    println!("cargo::rustc-env=CONVERGE_COMMIT={shown}");
    println!("cargo::rerun-if-changed=build.rs");
}

/// Returns the commit of a repository's HEAD.
fn commit(git: &Path) -> Option<String> {
    let read = |name: &str| {
        let path = git.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        fs::read_to_string(path).ok()
    };
    let head = read("HEAD")?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().into()) };
    if git.join(name).is_file() {
        return read(name).map(|commit| commit.trim().into());
    }
    let packed = read("packed-refs")?;
    packed.lines().find_map(|line| Some(line.strip_suffix(name)?.trim().to_string()))
}

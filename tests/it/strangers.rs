//! A stranger's files, names and words: refused or shown, never obeyed; a home is its owner's alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use converge_tests::{Output, Sandbox};

use crate::smoke::{SCRIPTED, smoke};

/// Runs a shell script in a sandbox with an ordinary umask.
fn with_umask(sandbox: &Sandbox, umask: &str, arguments: &[&str]) -> Output {
    let binary = converge_tests::binary();
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(binary).args(arguments);
    command.current_dir(sandbox.path()).env("CONVERGE_HOME", sandbox.home());
    Output::of(command.env_remove("CONVERGE_LOG").env("COLUMNS", "100"))
}

fn walk(folder: &Path, seen: &mut Vec<(String, u32, bool)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        seen.push((path.display().to_string(), mode, metadata.is_dir()));
        if metadata.is_dir() {
            walk(&path, seen);
        }
    }
}

#[test]
fn everything_in_a_home_is_its_owner_s_alone() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    with_umask(&sandbox, "022", &["run", "sweeps/smoke.toml", "run.checkpoint_seconds=0.05"])
        .expect_code(0);
    let mut seen = vec![];
    walk(&sandbox.home(), &mut seen);
    let home = std::fs::metadata(sandbox.home()).unwrap().permissions().mode() & 0o777;
    assert_eq!(home, 0o700);
    for (path, mode, is_folder) in &seen {
        assert_eq!(*mode, if *is_folder { 0o700 } else { 0o600 }, "{path} is {mode:o}");
    }
    for kind in
        ["up.log", "down.log", "stderr.log", "log.txt", "model.safetensors", "sweeps.db", "tokens-"]
    {
        assert!(seen.iter().any(|(path, ..)| path.contains(kind)), "no {kind} in {seen:?}");
    }
    assert!(seen.len() > 30, "{} files and folders", seen.len());
}

#[test]
fn a_sweep_file_cannot_name_a_program_to_run() {
    let sandbox = Sandbox::new();
    let marker = sandbox.path().join("was-run");
    let program = sandbox.write("worker.sh", format!("#!/bin/sh\ntouch {}\n", marker.display()));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write("s.toml", format!("{SCRIPTED}worker = \"worker.sh\"\n"));
    for command in ["run", "plan"] {
        let refused = sandbox.converge(&[command, "s.toml"]).expect_code(2);
        for words in ["names a program to run", "run.worker=worker.sh"] {
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        }
        assert!(!marker.exists(), "it was run");
    }
    assert_eq!(sandbox.number("select count(*) from sweeps"), None);
    // Named by the user it is run, and fails here: it is no worker.
    sandbox.converge(&["plan", "s.toml", "run.worker=worker.sh"]).expect_code(1);
    assert!(marker.exists());
}

#[test]
fn no_control_character_of_a_stranger_reaches_the_terminal() {
    const NASTY: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}";
    let sandbox = Sandbox::new();
    // In a file that is refused: in keys, values and column names.
    let escaped = "\\u001b[2J\\u001b]0;x\\u0007\\u009b31m\\u202e";
    let mut outputs = Vec::new();
    for (old, new) in [
        ("name = \"scripted\"", format!("name = \"{escaped}\"")),
        ("[run]", format!("[run]\n\"{escaped}\" = 1")),
        ("preset = \"tiny\"", format!("preset = \"{escaped}\"")),
        ("device = \"scripted\"", format!("device = \"{escaped}\"")),
    ] {
        sandbox.write("s.toml", SCRIPTED.replace(old, &new));
        outputs.push(sandbox.converge(&["run", "s.toml"]).expect_code(2));
    }
    let data = format!("te{NASTY}xt\tlabel\na\tb\n");
    sandbox.write("data.tsv", &data);
    let training = SCRIPTED.replace("\"scripted\"\nworkers", "\"cpu\"\nworkers");
    sandbox.write("s.toml", training.replace("none.tsv", "data.tsv"));
    outputs.push(sandbox.converge(&["run", "s.toml"]).expect_code(2));
    // In one that is run: as the value of a setting, which every reading command shows.
    sandbox.write("s.toml", SCRIPTED.replace("none.tsv", &format!("no{escaped}ne.tsv")));
    for command in [
        &["plan", "s.toml"][..],
        &["run", "s.toml"],
        &["show", "1"],
        &["trials"],
        &["best"],
        &["status"],
    ] {
        outputs.push(sandbox.converge(command).expect_code(0));
    }
    let mut shown = 0;
    for output in &outputs {
        for text in [&output.stdout, &output.stderr] {
            let active = |c: char| (c.is_control() && !"\n\t".contains(c)) || c == '\u{202e}';
            assert!(!text.contains(active), "{text:?}");
            shown += usize::from(text.contains("\\u{1b}"));
        }
    }
    assert!(shown >= 6, "control characters are shown escaped, {shown} times: {outputs:?}");
    // JSON has escapes of its own, and loses nothing.
    let json = sandbox.converge(&["show", "1", "--json"]).expect_code(0).json();
    let train = json["settings"]["data"]["train"].as_str().unwrap();
    assert!(train.ends_with(&format!("no{NASTY}ne.tsv")), "{train:?}");
}

#[test]
fn files_without_end_are_refused() {
    let sandbox = Sandbox::new();
    let sweep = SCRIPTED.replace("\"scripted\"\nworkers", "\"cpu\"\nworkers");
    for (old, new) in [
        ("train = \"none.tsv\"", "train = \"/dev/zero\"".to_string()),
        ("preset = \"tiny\"", format!("path = \"{}\"", sandbox.path().join("model").display())),
    ] {
        sandbox.write("s.toml", sweep.replace(old, &new));
        std::fs::create_dir_all(sandbox.path().join("model")).unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            let _ =
                std::os::unix::fs::symlink("/dev/zero", sandbox.path().join("model").join(file));
        }
        let refused = sandbox.converge(&["run", "s.toml"]).expect_code(2);
        assert!(refused.stderr.contains("not a regular file"), "{}", refused.stderr);
    }
}

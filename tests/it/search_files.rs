//! Sweep files beyond values: bases, enqueued configurations, constraints, overrides; and what editors and shells get.

use std::process::Command;

use converge_core::sampler::sample;
use converge_core::sweep_file::read;
use converge_tests::{Output, Sandbox, binary, repository};

const BASE: &str = "\
[sweep]
name = \"over\"
[parameters]
learning_rate = { values = [1e-3, 5e-3] }
batch_size = { values = [4, 8] }
[model]
preset = \"tiny\"
[data]
train = \"none.tsv\"
[run]
device = \"scripted\"
workers = 1
";

const TOP: &str = "\
extends = \"bases/base.toml\"
[train]
epochs = 1
[[constraints]]
unless = \"batch_size == 8 && learning_rate > 1e-3\"
[[enqueue]]
learning_rate = 2e-3
batch_size = 4
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("bases/base.toml", BASE);
    sandbox.write("s.toml", TOP);
    sandbox
}

#[test]
fn a_sweep_over_a_base_runs_what_is_enqueued_first_and_what_is_left_out_never() {
    let sandbox = sandbox();
    let plan = sandbox.converge(&["plan", "s.toml"]).expect_code(0);
    for part in [
        "4 trials",
        "left out    1 point, unless: batch_size == 8 && learning_rate > 0.001",
        "batch_size=8 learning_rate=0.005",
        "enqueued",
    ] {
        assert!(plan.stdout.contains(part), "`{part}` is not shown:\n{}", plan.stdout);
    }
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    assert!(run.stderr.contains("1 point left out by constraints"), "{}", run.stderr);
    let kinds = sandbox.rows("select kind, state from sweep_trials order by number");
    assert_eq!(kinds, ["enqueued|completed", "grid|completed", "grid|completed", "grid|completed"]);
    // The database has both texts, so that no file is needed any more.
    let text = sandbox.rows("select source_text from sweeps").remove(0);
    assert!(
        text.contains("# ---- s.toml\n")
            && text.contains("# ---- bases/base.toml\n")
            && text.contains(BASE),
        "{text}"
    );
    let status = sandbox.converge(&["best", "--json"]).expect_code(0);
    assert!(
        status.stdout.contains("0.002"),
        "the enqueued configuration is ranked: {}",
        status.stdout
    );

    // Another entry is another sweep to `run`, and growth to `extend`.
    sandbox.write("s.toml", format!("{TOP}[[enqueue]]\nlearning_rate = 3e-3\nbatch_size = 16\n"));
    let refused = sandbox.converge(&["run", "s.toml"]).expect_code(2);
    assert!(
        refused.stderr.contains("enqueue") && refused.stderr.contains("converge extend"),
        "{}",
        refused.stderr
    );
    let grown = sandbox.converge(&["extend", "s.toml", "--yes"]).expect_code(0);
    assert!(grown.stdout.contains("adds trial 5"), "{}", grown.stdout);
    std::fs::remove_dir_all(sandbox.path().join("bases")).unwrap();
    std::fs::remove_file(sandbox.path().join("s.toml")).unwrap();
    sandbox.converge(&["resume"]).expect_code(0);
    assert_eq!(
        sandbox.number("select count(*) from sweep_trials where state = 'completed'"),
        Some(5)
    );
}

#[test]
fn a_base_that_is_missing_circular_or_wrong_is_told_with_its_place() {
    let sandbox = sandbox();
    sandbox.write("m.toml", "# x\nextends = \"absent.toml\"\n");
    sandbox.write("a.toml", "extends = \"bases/b.toml\"\n");
    sandbox.write("bases/b.toml", "extends = \"../a.toml\"\n");
    sandbox.write("d.toml", "extends = \"/dev/zero\"\n");
    sandbox.write("w.toml", "extends = \"bases/wrong.toml\"\n");
    sandbox.write("bases/wrong.toml", BASE.replace("\"tiny\"", "\"huge\""));
    for (file, words) in [
        ("m.toml", "m.toml:2: `extends`: cannot read `absent.toml`"),
        ("a.toml", "bases/b.toml:1: `extends`: `bases/../a.toml` extends itself"),
        ("d.toml", "d.toml:1: `extends`: cannot read `/dev/zero`: it is not a regular file"),
        (
            "w.toml",
            "bases/wrong.toml:7: [model] `preset`: expected one of \"tiny\", found \"huge\"",
        ),
    ] {
        let refused = sandbox.converge(&["run", file]).expect_code(2);
        assert!(
            refused.stderr.contains(words),
            "{file}: `{words}` is not told:\n{}",
            refused.stderr
        );
    }
    assert!(!sandbox.home().exists());
}

#[test]
fn conditions_and_constraints_over_paths_hold_for_the_absolute_ones() {
    let sandbox = Sandbox::new();
    let text = BASE
        .replace("train = \"none.tsv\"\n", "")
        .replace("batch_size = { values = [4, 8] }", "\"data.train\" = { values = [\"a.tsv\", \"b.tsv\"] }\nepochs = [{ value = 1, when = { \"data.train\" = \"a.tsv\" } }, { values = [2, 3], when = { \"data.train\" = \"b.tsv\" } }]");
    sandbox.write(
        "s.toml",
        text + "[[constraints]]\nunless = \"data.train == 'b.tsv' && epochs == 3\"\n",
    );
    let plan = sandbox.converge(&["plan", "s.toml", "--json"]).expect_code(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["trials"].as_array().unwrap().len(), 4);
    assert_eq!(plan["left_out"][0]["count"], 2);
}

#[test]
fn overrides_take_out_and_put_in() {
    let sandbox = sandbox();
    let plan = |overrides: &[&str]| {
        let plan =
            sandbox.converge(&[&["plan", "s.toml", "--json"], overrides].concat()).expect_code(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        plan["trials"].as_array().unwrap().len()
    };
    assert_eq!(plan(&["~constraints", "~enqueue"]), 4);
    assert_eq!(plan(&["~enqueue", "learning_rate=1e-4"]), 2);
    assert_eq!(
        plan(&["~enqueue", "~batch_size", "learning_rate={ min = 1e-4, max = 1e-3, count = 5 }"]),
        5
    );
}

#[test]
fn the_files_of_the_page_for_newcomers_read() {
    let page = std::fs::read_to_string(repository().join("docs/coming-from.md")).unwrap();
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let found: Vec<usize> = blocks
        .map(|text| {
            let sweep = read(text, "coming-from.md", &[])
                .unwrap_or_else(|problems| panic!("{problems:#?}"));
            sample(&sweep).configurations.len()
        })
        .collect();
    assert_eq!(found, [20, 24]);
}

#[test]
fn the_schema_is_printed_for_editors() {
    let sandbox = Sandbox::new();
    let schema = sandbox.converge(&["schema"]).expect_code(0);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["train"]["properties"]["epochs"]["type"], "integer");
}

#[test]
fn shells_complete_commands_and_every_command_has_a_man_page() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.converge(&["completions", shell]).expect_code(0);
        assert!(script.stdout.contains("resume"), "{shell}");
        assert!(!script.stdout.contains("manual DIR"), "{shell}");
        sandbox.write(&format!("converge.{shell}"), &script.stdout);
    }
    let question = "source converge.bash; COMP_WORDS=(converge resu); COMP_CWORD=1; _converge converge resu converge; \
                    echo \"${COMPREPLY[@]}\"";
    let answer = Output::of(
        Command::new("bash").args(["--norc", "-c", question]).current_dir(sandbox.path()),
    )
    .expect_code(0);
    assert_eq!(answer.stdout.trim(), "resume");
    let pages = sandbox.converge(&["manual", "man"]).expect_code(0);
    let names: Vec<&str> = pages.stdout.lines().collect();
    assert!(
        names.contains(&"converge.1")
            && names.contains(&"converge-run.1")
            && !names.contains(&"converge-worker.1"),
        "{names:?}"
    );
    let page = std::fs::read_to_string(sandbox.path().join("man/converge-run.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("KEY=VALUE"), "{page}");
}

#[test]
fn the_version_names_its_commit() {
    let version = Output::of(Command::new(binary()).arg("--version")).expect_code(0);
    let expected = concat!("converge ", env!("CARGO_PKG_VERSION"));
    assert!(version.stdout.starts_with(expected), "{}", version.stdout);
    if repository().join(".git/HEAD").is_file() {
        assert!(version.stdout.trim().ends_with(')'), "{}", version.stdout);
    }
}

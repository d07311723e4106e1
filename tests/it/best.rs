//! `best` says how sure it is, `compare` whether two differ, and the test split is looked at once.

use converge_tests::{Sandbox, signal};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::smoke::smoke;

/// Four learning rates, of which two do about as well; what was said of each of 400 examples is told.
const TOLD: &str = r#"
[sweep]
name = "told"
[model]
preset = "tiny"
[data]
train = "none.tsv"
validation_limit = 400
[parameters]
learning_rate = { values = [1e-5, 7e-5, 1e-4, 1e-3] }
[run]
device = "scripted"
workers = 2
[[run.script]]
steps = 40
items = true
"#;

fn best(sandbox: &Sandbox) -> Value {
    sandbox.converge(&["best", "--json"]).expect_code(0).json()
}

/// Returns the line of `best` with this word before it, its continuation lines joined.
fn line(text: &str, word: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("{word} ")));
    let first = lines.next().unwrap_or_else(|| panic!("no line `{word}` in\n{text}"));
    let more = lines.take_while(|line| line.starts_with("            "));
    let mut joined = first[word.len()..].trim().to_owned();
    more.for_each(|line| joined += &format!(" {}", line.trim()));
    joined
}

#[test]
fn the_best_has_an_interval_and_names_what_cannot_be_told_apart_from_it() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", TOLD);
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let found = best(&sandbox);
    let standing = &found["standing"];
    assert_eq!(standing["winner"]["trials"], serde_json::json!([3]));
    assert_eq!(standing["noise"], "items");
    assert_eq!(standing["examples"], 400);
    assert_eq!(standing["compared"], 4);
    let number = |value: &Value| value.as_f64().unwrap();
    let (low, high) = (number(&standing["interval"]["low"]), number(&standing["interval"]["high"]));
    let (value, corrected) = (number(&standing["value"]), number(&standing["corrected"]));
    assert_eq!(value, number(&found["configurations"][0]["mean"]));
    assert!(low < value && value < high && corrected < value, "{standing}");
    assert!((0.02..0.12).contains(&(high - low)), "{standing}");
    let tied: Vec<&Value> = standing["indistinguishable"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["trials"][0])
        .collect();
    assert_eq!(tied, [3, 2], "a decade away is not tied");
    assert_eq!(standing["gain"], Value::Null);
    assert_eq!(found["test"], serde_json::json!([]));

    let text = sandbox.converge(&["best"]).expect_code(0).stdout;
    assert!(run.stdout.ends_with(&text), "the end of a run tells the same:\n{}", run.stdout);
    assert!(line(&text, "best").starts_with("trial 3: 92.5 % (95 % interval "), "{text}");
    assert!(line(&text, "best").contains("once the luck of being chosen is taken out"), "{text}");
    assert_eq!(
        line(&text, "tied"),
        "trial 2 cannot be told apart from it; none of them is cheaper"
    );
    assert!(line(&text, "based on").starts_with("400 validation examples; with one seed each"));
    let quick = sandbox.converge(&["best", "--quick"]).expect_code(0).stdout;
    assert!(!quick.contains("based on") && text.starts_with(&quick[..200]), "{quick}");
    let by_loss = sandbox.converge(&["best", "--metric", "validation/loss"]).expect_code(0).stdout;
    assert!(line(&by_loss, "best").starts_with("trial 3: 0."), "{by_loss}");
}

#[test]
fn without_item_results_or_seeds_it_says_what_is_missing_and_with_seeds_it_uses_them() {
    let sandbox = Sandbox::new();
    let plain = TOLD.replace("items = true", "").replace("told", "plain");
    sandbox.write("s.toml", &plain);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let found = best(&sandbox);
    assert_eq!(found["standing"]["noise"], "unknown");
    assert_eq!(found["standing"]["interval"], Value::Null);
    let text = sandbox.converge(&["best"]).expect_code(0).stdout;
    assert_eq!(line(&text, "best"), "trial 3: 92.5 %");
    assert_eq!(
        line(&text, "how sure"),
        "not known: one seed each, and trained by a converge that did not keep what was said of each example; \
         more seeds would tell (`replicates`, `converge extend`)"
    );

    sandbox.write("s.toml", plain.replace("plain", "seeded"));
    sandbox.converge(&["run", "s.toml", "sweep.replicates=3"]).expect_code(0);
    let text = sandbox.converge(&["best"]).expect_code(0).stdout;
    assert!(
        line(&text, "based on").starts_with("3 seeds each, on this one validation split"),
        "{text}"
    );
    assert_eq!(best(&sandbox)["standing"]["noise"], "seeds");
}

/// What counts of the item results, by trial and step.
const COUNT: &str = "select t.number, i.step, hex(i.data) from item_results i \
    join attempts a on a.id = i.attempt and i.step > a.from_step and i.step <= coalesce(a.until_step, i.step) \
    join sweep_trials t on t.id = a.trial order by t.number, i.step";

#[test]
fn item_results_of_killed_trials_and_of_a_rebuilt_database_are_the_same_bits() {
    let (whole, killed) = (Sandbox::new(), Sandbox::new());
    whole.write("s.toml", TOLD);
    whole.converge(&["run", "s.toml"]).expect_code(0);
    let rows = whole.rows(COUNT);
    assert_eq!(rows.len(), 16);
    killed.write(
        "s.toml",
        TOLD.replace(
            "items = true",
            "items = true\ncheckpoint_every = 7\nend = \"kill\"\nat_step = 33\nattempts = 2",
        ),
    );
    killed.converge(&["run", "s.toml"]).expect_code(0);
    assert_eq!(killed.rows("select count(*) from attempts"), ["12"]);
    assert!(killed.rows(COUNT) == rows, "the bits differ");
    let before = killed.converge(&["best"]).expect_code(0).stdout;
    std::fs::write(killed.home().join("sweeps.db"), "nothing").unwrap();
    killed.converge(&["rebuild", "--yes"]).expect_code(0);
    assert!(killed.rows(COUNT) == rows, "the bits differ");
    assert_eq!(killed.converge(&["best"]).expect_code(0).stdout, before);
}

#[test]
fn trials_without_a_value_are_told_apart_from_the_mean_of_the_others() {
    let sandbox = Sandbox::new();
    let script = r#"
[[run.script]]
when = { learning_rate = 1e-5 }
end = "data"
[[run.script]]
when = { learning_rate = 1e-3 }
end = "diverge"
[[run.script]]"#;
    sandbox.write("s.toml", TOLD.replace("[[run.script]]", script));
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(3);
    assert_eq!(
        line(&run.stdout, "lost"),
        "2 of 4 trials (50 %): 1 failed, 1 diverged; the values above are of those that worked"
    );
    let lost = &best(&sandbox)["lost"];
    assert_eq!(
        (&lost["failed"], &lost["diverged"], &lost["of"]),
        (&1.into(), &1.into(), &4.into())
    );
    assert!(lost["interval"]["low"].as_f64().unwrap() > 0.05, "{lost}");
}

#[test]
fn two_trials_are_compared_example_by_example_and_configurations_seed_by_seed() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", TOLD);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let text = sandbox.converge(&["compare", "3", "1"]).expect_code(0).stdout;
    let columns = |name: &str| {
        let row = text.lines().find(|row| row.starts_with(name)).unwrap_or_default();
        row.split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(columns("learning_rate"), ["learning_rate", "1e-4", "1e-5"]);
    assert_eq!(columns("validation/accuracy"), ["validation/accuracy", "92.5 %", "75.8 %"]);
    assert!(
        line(&text, "difference").starts_with("+16.8 points of validation/accuracy for trial 3"),
        "{text}"
    );
    assert!(line(&text, "so").starts_with("trial 3 is better; this is about these two"), "{text}");
    let json = sandbox.converge(&["compare", "3", "2", "--json"]).expect_code(0).json();
    let paired = &json["paired"];
    assert_eq!((&paired["by"], &paired["examples"]), (&"examples".into(), &400.into()));
    let discordant = |side: &str| paired["discordant"][side].as_f64().unwrap();
    let difference = paired["difference"]["value"].as_f64().unwrap();
    assert!((difference * 400.0 - (discordant("first") - discordant("second"))).abs() < 1e-9);
    assert!(paired["mcnemar_p"].as_f64().unwrap() > 0.05, "{paired}");
    assert_eq!(
        json["settings"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["train.learning_rate"]
    );

    sandbox.write("s.toml", TOLD.replace("told", "seeded"));
    sandbox.converge(&["run", "s.toml", "sweep.replicates=2"]).expect_code(0);
    let of = |learning_rate: f64| {
        let sql = format!(
            "select group_concat(number) from sweep_trials join sweeps on sweeps.id = sweep \
             where name = 'seeded' and json_extract(configuration, '$.learning_rate') = {learning_rate}"
        );
        sandbox.rows(&sql).remove(0)
    };
    // The script says the same to every seed.
    let text = sandbox.converge(&["compare", "best", &of(1e-5)]).expect_code(0).stdout;
    assert!(
        line(&text, "how sure").starts_with("not known: all seeds differ by the same"),
        "{text}"
    );
    let mixed = sandbox.converge(&["compare", "1-3", "best"]).expect_code(2).stderr;
    assert!(mixed.contains("`1-3` mixes configurations: trials 1 and "), "{mixed}");
    assert!(mixed.contains("converge compare 1 "), "{mixed}");
    sandbox.converge(&["compare", "1", "99"]).expect_code(2);
    sandbox.converge(&["compare", "1", "2", "--metric", "validation/nothing"]).expect_code(2);
}

#[test]
fn the_test_split_is_looked_at_once_and_a_further_look_is_called_one() {
    let sandbox = Sandbox::new();
    smoke(&sandbox);
    let sweep = [
        "run",
        "sweeps/smoke.toml",
        "optimizer=adamw",
        "learning_rate=5e-3,1e-2",
        "batch_size=8",
        "data.test_fraction=0.2",
    ];
    let run = sandbox.converge(&sweep).expect_code(0);
    assert_eq!(
        line(&run.stdout, "test"),
        "not looked at: `converge best --test` computes it, once"
    );
    let first = sandbox.converge(&["best", "--test"]).expect_code(0);
    assert!(first.stdout.contains("test/accuracy") && first.stdout.contains("on 12 test examples"));
    let again = sandbox.converge(&["best", "--test"]).expect_code(0);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(sandbox.rows("select distinct look from test_values"), ["1"]);
    let told = &sandbox.converge(&["best", "--test", "--json"]).expect_code(0).json()["test"];
    let stored = sandbox.rows("select value from test_values where metric = 'test/accuracy'");
    assert_eq!(told["metrics"]["test/accuracy"].to_string(), stored[0]);
    assert_eq!(best(&sandbox)["test"][0], *told);

    // Had the other trial been the best at that time, the winner would have changed since.
    let winner = told["trial"].as_i64().unwrap();
    let connection = rusqlite::Connection::open(sandbox.home().join("sweeps.db")).unwrap();
    connection.execute("update test_values set trial = ?1", [3 - winner]).unwrap();
    drop(connection);
    let refused = sandbox.converge(&["best", "--test"]).expect_code(2).stderr;
    assert!(refused.contains(&format!("trial {winner} is the best now")), "{refused}");
    assert!(refused.contains("--again"), "{refused}");
    let text = sandbox.converge(&["best"]).expect_code(0).stdout;
    assert!(line(&text, "test").ends_with("which is not the best any more"), "{text}");
    let second = sandbox.converge(&["best", "--test", "--again"]).expect_code(0);
    assert!(second.stderr.contains("look 2 at the test split"), "{}", second.stderr);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(sandbox.rows("select distinct look from test_values order by look"), ["1", "2"]);

    // Who has seen it cannot forget it by losing the database.
    let seen = "select look, step, metric, value, examples, at_ms from test_values order by id";
    let before = sandbox.rows(seen);
    std::fs::write(sandbox.home().join("sweeps.db"), "nothing").unwrap();
    sandbox.converge(&["rebuild", "--yes"]).expect_code(0);
    assert_eq!(sandbox.rows(seen), before);
}

#[test]
fn who_cannot_write_down_what_the_test_split_says_does_not_look() {
    let sandbox = Sandbox::new();
    sandbox.write("s.toml", TOLD);
    sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let none = sandbox.converge(&["best", "--test"]).expect_code(2).stderr;
    assert!(none.contains("sweep `told` has no test split"), "{none}");
    smoke(&sandbox);
    let sweep =
        ["run", "sweeps/smoke.toml", "optimizer=adamw", "learning_rate=1e-2", "batch_size=8"];
    sandbox.converge(&[&sweep[..], &["data.test_fraction=0.2"]].concat()).expect_code(0);
    let slow =
        TOLD.replace("told", "slow").replace("steps = 40", "steps = 40\nstep_milliseconds = 2000");
    sandbox.write("slow.toml", slow);
    let mut child = sandbox.start(&["run", "slow.toml"]);
    sandbox.wait_for("select count(*) from attempts where ending is null", 1);
    let held = sandbox.command(&["best", "smoke", "--test"]);
    let held = converge_tests::Output::of(&mut { held }).expect_code(2).stderr;
    assert!(held.contains("another converge is running sweeps"), "{held}");
    assert_eq!(sandbox.rows("select count(*) from test_values"), ["0"]);
    signal(child.id().cast_signed(), Signal::SIGINT);
    child.wait().unwrap();
    let unfinished = sandbox.converge(&["best", "slow", "--test"]).expect_code(2).stderr;
    assert!(unfinished.contains("no trial has completed yet"), "{unfinished}");
}

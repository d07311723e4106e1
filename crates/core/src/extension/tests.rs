use super::*;
use crate::materialise::{cases, trials};
use crate::sampler::sample;
use crate::sweep_file::read;

fn sweep(head: &str, rest: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\n{head}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n{rest}\n"
    );
    read(&text, "s.toml", &[]).unwrap()
}

const LEARNING_RATES: &str = "[parameters]\nlearning_rate = { values = [1e-5, 1e-4] }\n";

fn facts(content: &str) -> Facts {
    let split = json!({
        "examples": 100, "class_counts": [50, 50], "token_lengths": [1, 2, 3, 4],
        "truncated_share": 0.0, "unknown_token_share": 0.0,
    });
    serde_json::from_value(json!({
        "content_hashes": { "train": content }, "labels": ["a", "b"], "train": split,
        "validation": split, "test": null, "max_length": 4, "duplicates_between_splits": 0,
        "model": {
            "parameters": 1, "hidden_size": 1, "layers": 1, "heads": 1, "intermediate_size": 1,
            "vocabulary_size": 1, "max_positions": 1,
        },
    }))
    .unwrap()
}

fn planned(sweep: &Sweep) -> Vec<PlannedTrial> {
    let sample = sample(sweep);
    let cases = cases(sweep, &sample);
    let facts = vec![facts("content"); cases.settings.len()];
    trials(sweep, &sample, &cases, &facts).0
}

/// A sweep's trials as they are stored.
fn present(planned: &[PlannedTrial]) -> Vec<Present<'_>> {
    (1..)
        .zip(planned)
        .map(|(number, trial)| Present {
            number,
            fingerprint: &trial.fingerprint,
            replicate: trial.replicate,
            is_baseline: trial.kind == TrialKind::Baseline,
        })
        .collect()
}

/// Grows a sweep and returns the numbers that are left over, and what is added, as `learning_rate/replicate`.
fn grown(old: &Sweep, new: &Sweep) -> (Vec<u64>, Vec<String>) {
    let there = planned(old);
    let present = present(&there);
    let growth = growth(new, &present, planned(new));
    let shown = |trial: &PlannedTrial| {
        let values: Vec<_> = trial.configuration.values().map(ToString::to_string).collect();
        format!("{}/{}", values.join(","), trial.replicate)
    };
    (growth.left_over, growth.added.iter().map(shown).collect())
}

fn keys(old: &Sweep, new: &Sweep) -> Vec<String> {
    let there = sample(old).configurations;
    let configurations: Vec<_> = there.iter().collect();
    objections(old, new, &configurations).into_iter().map(|problem| problem.place).collect()
}

#[test]
fn new_values_add_trials_and_removed_ones_leave_theirs() {
    let old = sweep("", LEARNING_RATES);
    let new = sweep("", "[parameters]\nlearning_rate = { values = [1e-4, 1e-3] }\n");
    assert_eq!(keys(&old, &new), Vec::<String>::new());
    assert_eq!(grown(&old, &new), (vec![1], vec!["0.001/0".to_string()]));
    assert_eq!(grown(&old, &old), (vec![], vec![]));
}

#[test]
fn more_replicates_add_seeds_of_what_is_there() {
    let old = sweep("", LEARNING_RATES);
    let new = sweep("replicates = 2", LEARNING_RATES);
    assert_eq!(keys(&old, &new), Vec::<String>::new());
    let added = ["1e-5/1", "1e-4/1"].map(String::from).to_vec();
    assert_eq!(grown(&old, &new), (vec![], added));
}

#[test]
fn a_fixed_setting_can_become_an_axis_whose_old_value_is_there() {
    let old = sweep("", &format!("{LEARNING_RATES}[train]\nbatch_size = 16\n"));
    let new = sweep("", &format!("{LEARNING_RATES}batch_size = {{ values = [16, 32] }}\n"));
    assert_eq!(keys(&old, &new), Vec::<String>::new());
    let added = ["32,1e-5/0", "32,1e-4/0"].map(String::from).to_vec();
    assert_eq!(grown(&old, &new), (vec![], added));
}

#[test]
fn fifty_random_draws_are_twenty_five_and_twenty_five_more() {
    let random = |draws: u64| {
        let rest = format!(
            "[budget]\nmax_trials = {draws}\n[parameters]\nlearning_rate = {{ distribution = \"log_uniform_values\", min = 1e-5, max = 1e-3 }}\nbatch_size = {{ values = [8, 16] }}\n"
        );
        sweep("method = \"random\"", &rest)
    };
    let (half, whole) = (random(25), random(50));
    assert_eq!(keys(&half, &whole), Vec::<String>::new());
    let first = planned(&half);
    let present = present(&first);
    let growth = growth(&whole, &present, planned(&whole));
    assert_eq!((growth.left_over, growth.added.len()), (vec![], 25));
    let together: Vec<_> = first.iter().chain(&growth.added).cloned().collect();
    assert_eq!(together, planned(&whole));
}

#[test]
fn the_baseline_stays_beside_a_search_that_comes_to_hold_it() {
    let old = sweep("baseline = true", LEARNING_RATES);
    let first = planned(&old);
    assert_eq!(first[0].kind, TrialKind::Baseline);
    let present = present(&first);
    // 2e-5 is the default.
    let rates = "[parameters]\nlearning_rate = { values = [1e-5, 1e-4, 2e-5] }\n";
    let new = sweep("baseline = true\nreplicates = 2", rates);
    let growth = growth(&new, &present, planned(&new));
    assert!(growth.is_baseline_searched);
    assert_eq!(growth.left_over, Vec::<u64>::new());
    let added: Vec<_> = growth.added.iter().map(|one| (one.kind, one.replicate)).collect();
    assert_eq!(added, [(TrialKind::Grid, 1); 2], "the second seeds of the other two");
}

#[test]
fn what_decides_results_of_old_trials_cannot_change() {
    let old = sweep("", LEARNING_RATES);
    for (head, rest, expected) in [
        ("seed = 43", LEARNING_RATES.to_string(), vec!["sweep.seed"]),
        (
            "objective = { metric = \"validation/loss\" }",
            LEARNING_RATES.to_string(),
            vec!["sweep.objective"],
        ),
        ("", format!("{LEARNING_RATES}[train]\nepochs = 4\n"), vec!["train.epochs"]),
        (
            "seed = 1",
            format!("{LEARNING_RATES}[train]\nepochs = 4\nweight_decay = 0.2\n"),
            vec!["sweep.seed", "train.epochs", "train.weight_decay"],
        ),
        // What AdamW does not read decides nothing.
        ("", format!("{LEARNING_RATES}[train]\nmomentum = 0.5\n"), vec![]),
        ("", format!("{LEARNING_RATES}[run]\nworkers = 7\n[budget]\nmax_steps = 9\n"), vec![]),
        (
            "method = \"random\"",
            format!("{LEARNING_RATES}[budget]\nmax_trials = 2\n"),
            vec!["sweep.method"],
        ),
    ] {
        assert_eq!(keys(&old, &sweep(head, &rest)), expected, "{head} {rest}");
    }
    let new = sweep("", &format!("{LEARNING_RATES}[train]\nepochs = 4\n"));
    let configuration = Configuration::new();
    let hint = objections(&old, &new, &[&configuration])[0].hint.clone().unwrap();
    assert!(hint.ends_with("epochs = { values = [3, 4] }"), "{hint}");
}

#[test]
fn a_random_sweep_keeps_its_parameters() {
    let random = |parameters: &str| {
        sweep("method = \"random\"", &format!("[budget]\nmax_trials = 4\n{parameters}"))
    };
    let old = random("[parameters]\nlearning_rate = { min = 1e-5, max = 1e-4 }\n");
    let wider = random("[parameters]\nlearning_rate = { min = 1e-5, max = 1e-3 }\n");
    let more = random(
        "[parameters]\nlearning_rate = { min = 1e-5, max = 1e-4 }\ndropout = { values = [0.1, 0.2] }\n",
    );
    assert_eq!(keys(&old, &wider), ["parameters.learning_rate"]);
    assert_eq!(keys(&old, &more), ["parameters.dropout"]);
}

#[test]
fn sequences_and_adaptive_draws_grow_and_a_hypercube_does_not() {
    let drawn = |method: &str, trials: u64, rest: &str| {
        let space =
            "learning_rate = { min = 1e-5, max = 1e-4 }\nweight_decay = { min = 0.0, max = 0.1 }\n";
        sweep(
            &format!("method = \"{method}\""),
            &format!("[budget]\nmax_trials = {trials}\n[parameters]\n{space}{rest}"),
        )
    };
    let enqueued = "[[enqueue]]\nlearning_rate = 7e-5\n";
    for method in ["random", "sobol", "tpe"] {
        let (few, many) = (drawn(method, 8, ""), drawn(method, 12, ""));
        assert_eq!(keys(&few, &many), Vec::<String>::new(), "{method}");
        assert_eq!(grown(&few, &many).0, Vec::<u64>::new(), "{method}");
        assert_eq!(grown(&few, &many).1.len(), 4, "{method}");
    }
    let few = drawn("latin_hypercube", 8, "");
    assert_eq!(keys(&few, &drawn("latin_hypercube", 12, "")), ["budget.max_trials"]);
    assert_eq!(keys(&few, &drawn("latin_hypercube", 8, enqueued)), ["budget.max_trials"]);
    let with = drawn("latin_hypercube", 9, enqueued);
    assert_eq!(keys(&few, &with), Vec::<String>::new());
    let (left_over, added) = grown(&few, &with);
    assert_eq!((left_over, added.len()), (vec![], 1));
    assert_eq!(keys(&few, &drawn("sobol", 8, "")), ["sweep.method"]);
}

#[test]
fn how_far_draws_are_ahead_of_results_is_part_of_an_adaptive_sweep() {
    let drawn = |ahead: u64| {
        let rest = format!(
            "[budget]\nmax_trials = 20\n{LEARNING_RATES}batch_size = {{ min = 1, max = 64 }}\n"
        );
        sweep(&format!("method = \"tpe\"\nahead = {ahead}"), &rest)
    };
    assert_eq!(keys(&drawn(4), &drawn(2)), ["sweep.ahead"]);
    let identity = crate::fingerprint::identity;
    assert_ne!(identity(&drawn(4)), identity(&drawn(2)));
    // What has its default is left out, so that sweeps from before it could be written stay what they are.
    assert!(json!(drawn(4)).get("ahead").is_none());
    assert_eq!(json!(drawn(2))["ahead"], 2);
    let grid = sweep("", LEARNING_RATES);
    assert!(identity(&grid)["sweep"].get("ahead").is_none() && json!(grid).get("ahead").is_none());
}

#[test]
fn contents_are_compared_where_a_path_stayed_and_where_it_moved() {
    let old = sweep("", LEARNING_RATES);
    let known = [KnownCase { settings: old.settings.clone(), facts: facts("1") }];
    let placed = |new: &Sweep, content: &str| {
        let cases = cases(new, &sample(new));
        let facts = vec![facts(content); cases.settings.len()];
        match_cases(&old, new, &known, &cases.settings, &facts)
            .map_err(|problems| problems[0].place.clone())
    };
    assert_eq!(placed(&old, "1"), Ok(vec![Some(0)]));
    assert_eq!(placed(&old, "2"), Err("train".to_string()));
    let moved =
        read("[sweep]\nname = \"x\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"b.csv\"\n[parameters]\nlearning_rate = { values = [1e-5] }\n", "s.toml", &[])
            .unwrap();
    assert_eq!(keys(&old, &moved), Vec::<String>::new());
    assert_eq!(placed(&moved, "1"), Ok(vec![Some(0)]));
    assert_eq!(placed(&moved, "2"), Err("train".to_string()));
    // A limit that the search varies makes cases of its own, whatever stands in the files.
    let limits = sweep("", "[parameters]\n\"data.train_limit\" = { values = [50, 100] }\n");
    assert_eq!(placed(&limits, "2"), Ok(vec![None, None]));
}

#[test]
fn differences_are_shown_as_people_write_them() {
    let old = sweep("", LEARNING_RATES);
    let new = sweep(
        "replicates = 2",
        "[parameters]\nlearning_rate = { values = [1e-4] }\ndropout = { min = 0.0, max = 0.3, step = 0.1 }\nbatch_size = [ { values = [8], when = { optimizer = \"sgd\" } }, { values = [16], when = { optimizer = \"adamw\" } } ]\n[budget]\nmax_wall = \"90m\"\n",
    );
    let lines: Vec<String> = changes(&old, &new)
        .into_iter()
        .map(|one| format!("{}: {} -> {}", one.key, one.old, one.new))
        .collect();
    assert_eq!(
        lines,
        [
            "parameters.batch_size: (none) -> 8 when optimizer=sgd | 16 when optimizer=adamw",
            "parameters.dropout: (none) -> 0 to 0.3 in steps of 0.1",
            "parameters.learning_rate: 1e-5, 1e-4 -> 1e-4",
            "sweep.replicates: 1 -> 2",
            "train.batch_size: 16 -> (none)",
            "budget.max_wall: (none) -> 1h30m",
        ]
    );
}

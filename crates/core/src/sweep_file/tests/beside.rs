//! `[[enqueue]]` and `[[constraints]]`: what runs first, and what does not run.

use super::{shown, with_parameters};
use crate::sampler::{Dry, Sample, sample};
use crate::sweep::Sweep;
use crate::sweep_file::read;
use crate::trial::TrialKind::{Enqueued, Grid, Random};

const SPACE: &str = "\
batch_size = { values = [8, 16] }
learning_rate = { values = [1e-5, 1e-4] }
optimizer = { values = [\"adamw\", \"sgd\"] }
momentum = { values = [0.0, 0.9], when = { optimizer = \"sgd\" } }
";

fn sweep(rest: &str) -> Result<Sweep, String> {
    read(&with_parameters(&format!("{SPACE}{rest}")), "s.toml", &[])
        .map_err(|problems| shown(&problems))
}

fn random(rest: &str) -> Result<Sweep, String> {
    let text = with_parameters(&format!("{SPACE}{rest}"));
    let text = text.replace("[model]", "method = \"random\"\n[budget]\nmax_trials = 8\n[model]");
    read(&text, "s.toml", &[]).map_err(|problems| shown(&problems))
}

fn lines(sample: &Sample) -> Vec<String> {
    let line = |configuration: &crate::search_space::Configuration| {
        let values: Vec<_> =
            configuration.iter().map(|(name, value)| format!("{name}={value}")).collect();
        values.join(" ")
    };
    sample.configurations.iter().map(line).collect()
}

#[test]
fn enqueued_configurations_come_first_and_run_once() {
    let sweep = sweep(
        "[[enqueue]]\nlearning_rate = 1e-4\nbatch_size = 16\noptimizer = \"adamw\"\n\
         [[enqueue]]\nlearning_rate = 7e-5\nbatch_size = 64\noptimizer = \"sgd\"\nmomentum = 0.5\nepochs = 5\n\
         [[enqueue]]\nlearning_rate = 1e-4\nbatch_size = 16\noptimizer = \"adamw\"\nepochs = 3\n",
    )
    .unwrap();
    let found = sample(&sweep);
    assert_eq!(
        lines(&found)[..3],
        [
            "batch_size=16 learning_rate=1e-4 optimizer=adamw",
            "batch_size=64 epochs=5 learning_rate=7e-5 momentum=0.5 optimizer=sgd",
            "batch_size=8 learning_rate=1e-5 optimizer=adamw",
        ]
    );
    // 12 points, one of which is enqueued; the third entry is the first again, with what holds anyway.
    assert_eq!((found.configurations.len(), found.skipped), (13, 2));
    assert_eq!(found.kinds[..3], [Enqueued, Enqueued, Grid]);
}

#[test]
fn a_random_sweep_draws_what_an_entry_leaves_open_and_counts_it() {
    let plain = sample(&random("").unwrap());
    let with = random("[[enqueue]]\nlearning_rate = 3e-5\n").unwrap();
    let found = sample(&with);
    assert_eq!((found.configurations.len(), found.kinds[0], found.kinds[1]), (8, Enqueued, Random));
    assert!(
        lines(&found)[0].contains("learning_rate=3e-5") && lines(&found)[0].contains("batch_size=")
    );
    // The draws are the same as without it, one fewer.
    assert_eq!(found.configurations[1..], plain.configurations[..7]);
    // An entry that is added later changes no earlier one.
    let more =
        random("[[enqueue]]\nlearning_rate = 3e-5\n[[enqueue]]\nlearning_rate = 4e-5\n").unwrap();
    assert_eq!(sample(&more).configurations[0], found.configurations[0]);
}

#[test]
fn entries_are_checked_with_their_lines() {
    assert_eq!(
        sweep("[[enqueue]]\nlearning_rat = 1e-4\nbatch_size = \"x\"\n[[enqueue]]\n").unwrap_err(),
        "s.toml:13: [[enqueue]]: unknown key `learning_rat` (did you mean `learning_rate`?)\n\
         s.toml:14: [[enqueue]] `batch_size`: expected a whole number of 1 or more, found \"x\"\n\
         s.toml:15: [[enqueue]]: names no value (write, for example, learning_rate = 2e-5)"
    );
    let told = sweep("[[enqueue]]\nlearning_rate = 1e-4\nmomentum = 0.9\noptimizer = \"adamw\"\n")
        .unwrap_err();
    assert!(told.starts_with("s.toml:12: [[enqueue]]: `momentum` has no place here: it is searched when optimizer=sgd only"), "{told}");
    assert!(told.contains("`batch_size` is missing, and a grid draws nothing"), "{told}");
    assert!(
        sweep("[enqueue]\nlearning_rate = 1e-4\n")
            .unwrap_err()
            .contains("each one begins with its own line, [[enqueue]]")
    );
    let told = sweep("[[enqueue]]\nlearning_rate = 1e-4\nbatch_size = 8\noptimizer = \"adamw\"\n[[constraints]]\nunless = \"batch_size < 16\"\n").unwrap_err();
    assert!(
        told.starts_with("s.toml:12: [[enqueue]]: the constraint `batch_size < 16` leaves it out"),
        "{told}"
    );
    let many = "[[enqueue]]\nlearning_rate = 3e-5\n".repeat(9);
    assert!(random(&many).unwrap_err().contains("9 entries, and `max_trials` is 8"));
}

#[test]
fn what_a_constraint_leaves_out_is_counted_and_named() {
    let sweep = sweep(
        "[[constraints]]\nunless = \"optimizer == 'sgd' && learning_rate < 2e-5\"\n\
         [[constraints]]\nunless = \"optimizer == 'sgd' && momentum == 0.9\"\n",
    )
    .unwrap();
    let found = sample(&sweep);
    assert_eq!(found.configurations.len(), 6);
    assert_eq!(found.left_out.iter().map(|one| one.count).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(found.left_out[0].first.len(), 3);
    assert_eq!((found.skipped, found.dry), (0, None));
}

#[test]
fn random_draws_go_on_behind_those_that_are_left_out() {
    let wide = |rest: &str| {
        let text = with_parameters(
            "learning_rate = { distribution = \"log_uniform_values\", min = 1e-6, max = 1e-2 }\n",
        );
        let text = text
            .replace("[model]", "method = \"random\"\n[budget]\nmax_trials = 40\n[model]")
            + rest;
        read(&text, "s.toml", &[]).map_err(|problems| shown(&problems))
    };
    let all = sample(&wide("").unwrap()).configurations;
    let some = sample(&wide("[[constraints]]\nunless = \"learning_rate > 1e-3\"\n").unwrap());
    assert_eq!(some.configurations.len(), 40);
    let kept: Vec<_> =
        all.iter().filter(|one| one["learning_rate"].number().unwrap() <= 1e-3).collect();
    assert!(
        kept.len() < 40
            && some.configurations.iter().zip(&kept).all(|(left, right)| left == *right)
    );
    assert!(some.left_out[0].count as usize >= all.len() - kept.len());
    let told = wide("[[constraints]]\nunless = \"learning_rate > 0\"\n").unwrap_err();
    assert!(
        told.contains("10,000 draws in a row are left out, after 0 of 40 configurations"),
        "{told}"
    );
    let small = random("[[constraints]]\nunless = \"optimizer == 'sgd'\"\n").unwrap();
    let small = sample(&small);
    assert_eq!((small.configurations.len(), small.dry), (4, Some(Dry::Exhausted)));
}

#[test]
fn a_constraint_is_refused_with_its_line_and_column() {
    assert_eq!(
        sweep("[[constraints]]\nunless = \"lr < 2e-5\"\n[[constraints]]\nunless = true\n[[constraints]]\nif = \"x\"\n").unwrap_err(),
        "s.toml:13: [[constraints]] `unless`, column 1: unknown key `lr` (a word stands in quotes: 'lr')\n\
         s.toml:15: [[constraints]] `unless`: expected a text, found true (write the condition in quotes: unless = \"batch_size > 32\")\n\
         s.toml:16: [[constraints]]: needs `unless` (write unless = \"optimizer == 'sgd' && learning_rate < 2e-5\")\n\
         s.toml:17: [[constraints]]: unknown key `if` (known keys: unless)"
    );
    let all = sweep("[[constraints]]\nunless = \"batch_size > 0\"\n").unwrap_err();
    assert!(
        all.starts_with("s.toml: [[constraints]]: every point of the search space is left out"),
        "{all}"
    );
}

#[test]
fn sweeps_without_either_are_what_they_were() {
    let plain = sweep("").unwrap();
    let identity = crate::fingerprint::identity(&plain);
    assert!(identity.get("enqueue").is_none() && identity.get("constraints").is_none());
    let stored = serde_json::to_value(&plain).unwrap();
    assert!(stored.get("enqueue").is_none() && stored.get("constraints").is_none());
    let with = sweep("[[enqueue]]\nlearning_rate = 1e-4\nbatch_size = 16\noptimizer = \"adamw\"\n[[constraints]]\nunless = \"batch_size > 16\"\n").unwrap();
    // Decided before it is stored.
    let with = Sweep { objective_follows_task: false, ..with };
    let stored = serde_json::to_string(&with).unwrap();
    assert_eq!(serde_json::from_str::<Sweep>(&stored).unwrap(), with);
    assert_ne!(crate::fingerprint::identity(&with), identity);
}

#[test]
fn dotted_names_need_no_quotes() {
    let text = with_parameters(
        "data.train_limit = { values = [10, 20] }\n[[enqueue]]\ndata.train_limit = 30\n",
    );
    let sweep =
        read(&text, "s.toml", &[]).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert_eq!(
        lines(&sample(&sweep)),
        ["data.train_limit=30", "data.train_limit=10", "data.train_limit=20"]
    );
}

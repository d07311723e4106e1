//! The keys of a sweep file that are no settings of a training: `[sweep]`, `[early_stop]`, `[run]`, `[budget]`,
//! `[failure]`.
//!
//! [`crate::key::KEYS`] has the others. This table serves documents and the schema; the readers are in `sections`, and a
//! test holds the two together.

use crate::sweep::Method;

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct SectionKey {
    /// Full dotted name, `sweep.seed`.
    pub name: &'static str,
    /// Values it takes.
    pub shape: Shape,
    /// Its default, as a file would write it, or a word for it.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What stands for it in the Trainer, in Optuna or in W&B; empty where nothing does.
    pub equivalent: &'static str,
}

/// Values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Letters, digits, `-`, `_` and `.`.
    Name,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number of at least so much.
    Integer(u64),
    /// One of these words, or a whole number of 1 or more.
    WordOrInteger(&'static [&'static str]),
    /// A number of 0 or more.
    Number,
    /// A number of more than 0.
    Positive,
    /// `true` or `false`.
    Boolean,
    /// `{ metric, goal, at }`.
    Objective,
    /// `"8h"`, `"1h30m"`.
    WallTime,
    /// Seconds, or `"10m"`.
    Seconds,
    /// A number for each class of failure.
    Retries,
    /// What the device `scripted` plays.
    Script,
    /// A path that only the command line may give.
    CommandLine,
}

const fn row(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    meaning: &'static str,
    equivalent: &'static str,
) -> SectionKey {
    SectionKey { name, shape, default, meaning, equivalent }
}

/// All of them, in the order in which documents show them.
#[rustfmt::skip]
pub const SECTION_KEYS: &[SectionKey] = &[
    row("sweep.name", Shape::Name, "(needed)", "its name, unique in a home", "Optuna `study_name`, W&B `name`"),
    row("sweep.method", Shape::Choice(&Method::WORDS), "\"grid\"", "every combination, or `max_trials` draws (docs/samplers.md)", "Optuna `sampler`, W&B `method` (`bayes` for `tpe`)"),
    row("sweep.ahead", Shape::Integer(1), "4", "with `tpe`: trial n is drawn from the results of trials 1 to n - `ahead`", "Optuna `n_jobs`, but drawn alike whoever is first"),
    row("sweep.seed", Shape::Integer(0), "42", "every split, draw and mask follows from it", "`seed`, Optuna `RandomSampler(seed=…)`"),
    row("sweep.replicates", Shape::Integer(1), "1", "seeds per configuration; they are ranked by their mean", ""),
    row("sweep.racing", Shape::Boolean, "false", "further seeds for configurations that are tied for best", "irace's race"),
    row("sweep.max_replicates", Shape::Integer(1), "6", "seeds of a configuration at most, where `racing` gives it more", ""),
    row("sweep.baseline", Shape::Boolean, "false", "also tries the defaults, beside the search: what it gains is told against them", ""),
    row("sweep.objective", Shape::Objective, "by the task", "what configurations are ranked by", "`metric_for_best_model` and `greater_is_better`, Optuna `direction`, W&B `metric`"),
    row("early_stop.type", Shape::Choice(&["none", "top_k", "halving", "asha", "median"]), "\"none\"", "which trials go on after a part of their training: [early stopping](early-stopping.md)", "Optuna `pruner`, W&B `early_terminate`, Ray Tune `scheduler`"),
    row("early_stop.first", Shape::Positive, "1", "epochs until trials are first compared; rounded up to an evaluation", "Hyperband `min_resource`, Ray Tune `grace_period`"),
    row("early_stop.eta", Shape::Integer(2), "3", "one of so many goes on, so many times further (`halving`, `asha`)", "`reduction_factor`"),
    row("early_stop.keep", Shape::Positive, "(1/eta)", "what goes on with `top_k`: a number of trials, or a share below 1", ""),
    row("early_stop.min_trials", Shape::Integer(1), "5", "trials that `median` takes the median over at least", "Optuna `MedianPruner(n_startup_trials=…)`"),
    row("early_stop.ties", Shape::Boolean, "true", "what is within one standard error of the last that goes on goes on as well", ""),
    row("early_stop.patience", Shape::Integer(1), "(none)", "evaluations without a better objective after which a trial ends by itself; needs `at = \"best\"`", "`EarlyStoppingCallback(early_stopping_patience=…)`"),
    row("run.workers", Shape::WordOrInteger(&["auto"]), "\"auto\"", "trainings at once; `auto`: by cores and memory", "Optuna `n_jobs`"),
    row("run.device", Shape::Text, "\"auto\"", "`cpu`, `cuda`, `cuda:1`, `wgpu`, `libtorch`, or the first that is here", "`use_cpu`"),
    row("run.workers_per_gpu", Shape::Integer(1), "1", "workers that share a GPU", ""),
    row("run.keep_best", Shape::Integer(0), "3", "finished trials whose best weights stay", "`save_total_limit` with `load_best_model_at_end`"),
    row("run.checkpoint_seconds", Shape::Number, "60", "least time between two checkpoints; 0 writes one after every step", "`save_steps`"),
    row("run.gradient_checkpointing", Shape::Boolean, "false", "computes each layer twice and keeps less", "`gradient_checkpointing`"),
    row("run.worker", Shape::CommandLine, "(none)", "another worker program; on the command line only", ""),
    row("run.script", Shape::Script, "(none)", "what the device `scripted` plays, in tests", ""),
    row("budget.max_trials", Shape::Integer(1), "(none)", "configurations in all, enqueued ones included; every method but `grid` needs it", "Optuna `n_trials`, W&B `run_cap`"),
    row("budget.max_wall", Shape::WallTime, "(none)", "time with a scheduler, over all sessions", "Optuna `timeout`, but a total"),
    row("budget.max_steps", Shape::Integer(1), "(none)", "optimizer steps of all trials, repeated ones included", ""),
    row("failure.retries", Shape::Retries, "{ killed = 5, oom = 1, panic = 1, timeout = 1 }", "by class: `oom`, `panic`, `killed`, `timeout`, `data`, `config`, `disk_full`", "Optuna `RetryHeartbeatStaleTrialCallback(max_retry=…)`"),
    row("failure.timeout", Shape::Seconds, "\"10m\"", "an attempt without progress for so long is hung, and is killed", ""),
    row("failure.max_failed", Shape::WordOrInteger(&["none"]), "\"none\"", "failed trials in all at which the sweep stops", ""),
    row("failure.max_consecutive", Shape::WordOrInteger(&["none"]), "5", "trials that fail in a row at which it stops", ""),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sweep_file::read;

    /// What a reader names as its known keys, when it is given one that nobody knows.
    fn known(section: &str) -> BTreeSet<String> {
        let text = format!("[{section}]\nzzzzzzzzzzzz = 1\n");
        let problems = read(&text, "s.toml", &[]).unwrap_err();
        let hint = problems
            .iter()
            .filter(|problem| problem.message.contains("zzzzzzzzzzzz"))
            .find_map(|problem| problem.hint.clone())
            .unwrap();
        let keys = hint.strip_prefix("known keys: ").unwrap().split(", ");
        keys.map(|key| format!("{section}.{key}")).collect()
    }

    #[test]
    fn the_table_has_the_keys_that_are_read() {
        let listed: BTreeSet<String> = SECTION_KEYS.iter().map(|key| key.name.into()).collect();
        let read: BTreeSet<String> = ["sweep", "early_stop", "run", "budget", "failure"]
            .into_iter()
            .flat_map(known)
            .collect();
        assert_eq!(listed, read);
    }

    #[test]
    fn a_default_that_is_written_changes_nothing() {
        let head = "[sweep]\nname = \"x\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n";
        let plain = read(head, "s.toml", &[]).unwrap();
        let written: Vec<String> = SECTION_KEYS
            .iter()
            .filter(|key| !key.default.starts_with('(') && key.shape != Shape::Objective)
            .map(|key| format!("{}={}", key.name, key.default))
            .collect();
        assert!(written.len() > 10);
        let read =
            read(head, "s.toml", &written).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(read, plain);
    }
}

//! The sweeps that are simulated, each made once and copied for every history, and what their curves must be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::fingerprint::identity_hash;
use converge_core::ids::{SweepId, TrialId};
use converge_core::items::{Answers, ItemResults};
use converge_core::materialise::{cases, trials};
use converge_core::metric::TRAIN_LOSS;
use converge_core::sampler::sample;
use converge_core::script::{Script, ScriptEnd};
use converge_core::sweep::Sweep as Definition;
use converge_store::{NewSweep, NewTrial, Store};
use rusqlite::Connection;

/// A folder that is not there: nothing on the real disk belongs to a simulation.
pub(crate) const HOME: &str = "/home-of-the-simulation";
/// The objective.
pub(crate) const ACCURACY: &str = "validation/accuracy";

/// All trials complete, however often they are killed.
const PATIENT: &str = r#"
[parameters]
learning_rate = { values = [1e-5, 2e-5, 3e-5] }
[run]
device = "scripted"
workers = 2
keep_best = 1
[[run.script]]
steps = 5
checkpoint_every = 2
[failure]
retries = { killed = 1000, timeout = 1000 }
"#;

/// Trials that diverge, fail and hang, in their first attempt or in all.
const ACCIDENTS: &str = r#"
[parameters]
learning_rate = { values = [1e-5, 2e-5, 3e-5, 4e-5, 5e-5] }
[run]
device = "scripted"
workers = 3
keep_best = 2
[[run.script]]
when = { learning_rate = 2e-5 }
steps = 4
at_step = 3
end = "diverge"
[[run.script]]
when = { learning_rate = 3e-5 }
steps = 4
checkpoint_every = 1
at_step = 3
end = "panic"
attempts = 1
[[run.script]]
when = { learning_rate = 4e-5 }
steps = 4
at_step = 2
end = "data"
[[run.script]]
when = { learning_rate = 5e-5 }
steps = 3
checkpoint_every = 1
at_step = 2
end = "hang"
attempts = 1
[[run.script]]
steps = 4
checkpoint_every = 1
[failure]
retries = { killed = 1000, timeout = 1000, panic = 1 }
"#;

/// Few retries and one worker; two seeds for each configuration.
const STRICT: &str = r#"
[parameters]
learning_rate = { values = [1e-5, 2e-5] }
[run]
device = "scripted"
workers = 1
keep_best = 1
[[run.script]]
when = { learning_rate = 2e-5 }
steps = 3
at_step = 2
end = "oom"
[[run.script]]
steps = 4
checkpoint_every = 3
[failure]
retries = { killed = 1, oom = 1 }
"#;

/// Trials that pause at rungs, and go on or are stopped there; `ACCIDENTS` befall the last of these sweeps.
const EARLY_STOPPING: [(&str, &str); 6] = [
    ("type = \"top_k\"", ""),
    ("type = \"halving\"\neta = 2", ""),
    ("type = \"asha\"\neta = 2\nties = false", ""),
    ("type = \"median\"\nmin_trials = 2", ""),
    ("type = \"asha\"", MISHAPS),
    ("type = \"halving\"\nties = false", MISHAPS),
];
const MISHAPS: &str = r#"
[[run.script]]
when = { learning_rate = 2e-5 }
steps = 8
at_step = 3
end = "diverge"
[[run.script]]
when = { learning_rate = 3e-5 }
steps = 8
at_step = 5
end = "panic"
attempts = 1
[[run.script]]
when = { learning_rate = 5e-5 }
steps = 8
at_step = 1
end = "data"
"#;
const RUNGS: &str = r#"
[train]
epochs = 4
[parameters]
learning_rate = { values = [1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5, 7e-5] }
[failure]
retries = { killed = 1000, timeout = 1000, panic = 1000 }
max_consecutive = "none"
[run]
device = "scripted"
workers = 2
keep_best = 1
"#;

/// Draws that follow results, more of them than can be drawn ahead; one diverges, one fails.
const DRAWN: &str = r#"
[parameters]
learning_rate = { min = 1e-6, max = 1e-3, distribution = "log_uniform_values" }
[budget]
max_trials = 14
[run]
device = "scripted"
keep_best = 1
[[run.script]]
steps = 2
checkpoint_every = 1
[failure]
retries = { killed = 1000, timeout = 1000 }
"#;

/// Some configurations are tied for best and get further seeds, one drops out with its second.
const RACED: &str = r#"
[parameters]
learning_rate = { values = [1e-5, 3e-5, 4e-5, 5e-5] }
[run]
device = "scripted"
keep_best = 1
[[run.script]]
when = { learning_rate = 3e-5 }
steps = 3
at_step = 2
end = "diverge"
[[run.script]]
steps = 3
checkpoint_every = 2
[failure]
retries = { killed = 1000, timeout = 1000 }
"#;

/// A sweep in a database of its own, which histories copy.
pub(crate) struct Sweep {
    template: Store,
    pub(crate) id: SweepId,
    pub(crate) definition: Definition,
    pub(crate) workers: u64,
    /// As they were stored.
    pub(crate) new_trials: Vec<NewTrial>,
    /// All that it will ever have; of one that grows those of the beginning, until somebody has played it to the end.
    pub(crate) trials: BTreeMap<TrialId, Planned>,
    /// How many of them are there from the beginning.
    pub(crate) first: usize,
    /// Whether nobody has played it yet, and it grows.
    pub(crate) unplayed: bool,
}

/// A trial and what becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// Fingerprint and seed.
    pub(crate) point: String,
    pub(crate) configuration: u64,
    pub(crate) script: Script,
}

impl Sweep {
    /// Makes all of them.
    pub(crate) fn all() -> Vec<Self> {
        let replicates = |text| if text == STRICT { "replicates = 2" } else { "" };
        let all = [PATIENT, ACCIDENTS, STRICT].into_iter();
        all.map(|text| Self::new(replicates(text), text)).collect()
    }

    /// Makes those with rungs.
    pub(crate) fn early_stopping() -> Vec<Self> {
        let text = |(rule, mishaps): &(&str, &str)| {
            let usual = "[[run.script]]\nsteps = 8\ncheckpoint_every = 3\n";
            format!("[early_stop]\n{rule}\n{RUNGS}{mishaps}{usual}")
        };
        EARLY_STOPPING.iter().map(|one| Self::new("replicates = 1", &text(one))).collect()
    }

    /// Makes those that grow while they run, each for several numbers of workers: as many as there can be work for, fewer
    /// and more.
    pub(crate) fn growing() -> Vec<Vec<Self>> {
        let sweeps = [
            ("method = \"tpe\"\nahead = 2", DRAWN),
            ("method = \"tpe\"\nahead = 1\nracing = true\nmax_replicates = 2", DRAWN),
            ("racing = true\nmax_replicates = 3\nbaseline = true", RACED),
        ];
        let of = |(head, text): (&str, &str)| {
            let with = |workers| Self { workers, ..Self::new(head, text) };
            [1, 2, 5].map(with).into()
        };
        sweeps.into_iter().map(of).collect()
    }

    fn new(head: &str, text: &str) -> Self {
        let text = format!(
            "[sweep]\nname = \"simulated\"\n{head}\n[model]\npreset = \"tiny\"\n\
             [data]\ntrain = \"none.tsv\"\n{text}"
        );
        let definition =
            converge_core::sweep_file::read(&text, "simulated.toml", &[]).expect("a sound sweep");
        let sample = sample(&definition);
        let (planned, _) = trials(&definition, &sample, &cases(&definition, &sample), &[facts()]);
        let new_trials: Vec<NewTrial> = planned
            .into_iter()
            .map(|trial| NewTrial {
                kind: trial.kind,
                total_steps: definition.script_of(&trial.configuration).steps,
                configuration: trial.configuration,
                settings: trial.settings,
                fingerprint: trial.fingerprint,
                replicate: trial.replicate,
                facts_index: 0,
            })
            .collect();
        let mut template = Store::in_memory(&database_name()).expect("a database in memory");
        let new = NewSweep {
            name: definition.name.clone(),
            identity: identity_hash(&definition, &[facts()]),
            definition: serde_json::to_string(&definition).expect("plain data"),
            source_path: None,
            source_text: text,
            overrides: Vec::new(),
            facts: vec![facts()],
            objective: definition.objective.clone(),
            version: "simulated".into(),
            trials: new_trials.clone(),
        };
        let id = template.create_sweep(&new, 0).expect("a new sweep");
        let stored = template.read().trials(id).expect("trials");
        let planned = stored.iter().zip(&new_trials).map(|(stored, new)| {
            let configuration = configuration_of(new.settings.train.learning_rate);
            let script = definition.script_of(&new.configuration);
            let point = format!("{}{}", new.fingerprint, new.replicate);
            (stored.id, Planned { point, configuration, script })
        });
        let trials: BTreeMap<_, _> = planned.collect();
        let workers = match definition.run.workers {
            converge_core::sweep::Workers::Count(count) => count,
            converge_core::sweep::Workers::Auto => 1,
        };
        let (first, unplayed) = (trials.len(), definition.grows());
        Self { template, id, definition, workers, new_trials, trials, first, unplayed }
    }

    /// Returns what a trial is planned to be; where nobody knows yet what will be added, what it is stored as.
    pub(crate) fn planned(&self, other: &Connection, trial: TrialId) -> Option<Planned> {
        if !self.unplayed || self.trials.contains_key(&trial) {
            return self.trials.get(&trial).cloned();
        }
        let sql = "SELECT fingerprint || replicate, json_extract(settings, '$.train.learning_rate'), configuration
            FROM sweep_trials WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (point, learning_rate, configuration): (String, f64, String) =
            other.query_row(sql, [trial.0], read).ok()?;
        let script = self.definition.script_of(&serde_json::from_str(&configuration).ok()?);
        Some(Planned { point, configuration: configuration_of(learning_rate), script })
    }

    /// Copies it for a history; returns the copy and its name, under which others in this process can open it.
    pub(crate) fn copy(&self) -> (Store, String) {
        let name = database_name();
        (self.template.copy_in_memory(&name).expect("a database in memory"), name)
    }
}

impl Planned {
    /// Returns what every sound observation of a step is, whoever makes it, and however often.
    pub(crate) fn metrics(&self, step: u64) -> Vec<(String, f64)> {
        metrics(self.configuration, &self.script, step)
    }

    /// Returns the last step of a trial that was not given up.
    pub(crate) fn last_step(&self) -> u64 {
        match (self.script.end, self.script.at_step) {
            (ScriptEnd::Diverge, Some(step)) => step,
            _ => self.script.steps,
        }
    }
}

/// Returns what a step of a script shows for a configuration.
pub(crate) fn metrics(configuration: u64, script: &Script, step: u64) -> Vec<(String, f64)> {
    if script.end == ScriptEnd::Diverge && script.at_step == Some(step) {
        return vec![(TRAIN_LOSS.into(), f64::NAN)];
    }
    let mut metrics = vec![(TRAIN_LOSS.into(), configuration as f64 + 1.0 / step as f64)];
    if step.is_multiple_of(2) || step == script.steps {
        metrics.push((ACCURACY.into(), ((step * 7 + configuration * 3) % 5) as f64 / 10.0));
    }
    metrics
}

/// Returns what a model of a configuration answers after a step.
pub(crate) fn items(configuration: u64, step: u64) -> ItemResults {
    let answer = |item: u64| (item * configuration + step).is_multiple_of(3).into();
    let classes: Vec<u32> = (0..10).map(answer).collect();
    ItemResults { losses: vec![0.5; classes.len()], answers: Answers::Classes { classes } }
}

/// Returns which of the sweep's configurations has a learning rate: from 1.
pub(crate) fn configuration_of(learning_rate: f64) -> u64 {
    (learning_rate / 1e-5).round() as u64
}

/// No two databases of this process have the same.
fn database_name() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    format!("simulated-{}", MADE.fetch_add(1, Ordering::Relaxed))
}

fn facts() -> Facts {
    let split = |examples| SplitFacts {
        examples,
        class_counts: vec![examples / 2, examples / 2],
        targets: None,
        token_lengths: [3, 5, 9, 9],
        truncated_share: 0.0,
        unknown_token_share: 0.0,
    };
    Facts {
        content_hashes: BTreeMap::from([("train".to_string(), "0".repeat(64))]),
        task: converge_core::task::Task::Classes,
        task_reason: String::new(),
        labels: vec!["negative".into(), "positive".into()],
        train: split(40),
        validation: Some(split(10)),
        test: None,
        validation_answers: None,
        max_length: 9,
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
        model: ModelFacts {
            parameters: 1000,
            hidden_size: 32,
            layers: 2,
            heads: 2,
            intermediate_size: 64,
            vocabulary_size: 100,
            max_positions: 64,
        },
    }
}

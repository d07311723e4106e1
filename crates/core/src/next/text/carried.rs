//! What is carried over from the last sweep as it was.

use std::fmt::Write as _;

use super::Writer;
use crate::draft::quoted;
use crate::key::KEYS;
use crate::next::Fate;
use crate::settings::{ModelSettings, Settings};
use crate::sweep::{FailurePolicy, RunSettings, ScriptRule, Workers};
use crate::value::Value;

impl Writer<'_> {
    /// Returns the settings of before, with the best one's values.
    pub(super) fn settings_now(&self) -> Settings {
        self.past.sweep.settings_of(&self.best.configuration)
    }

    /// `[train]`, `[model]` and `[data]`: what is not as it would be anyway.
    pub(super) fn settings(&self) -> String {
        let settings = self.settings_now();
        let nothing = ModelSettings { path: None, preset: None, layers: None };
        let defaults = Settings::defaults(nothing, "");
        let mut text = String::new();
        for section in ["train", "model", "data"] {
            let mut lines = String::new();
            for key in KEYS.iter().filter(|key| key.section().0 == section) {
                let name = key.short_name();
                let decision = self.decisions.iter().find(|one| one.name == name);
                if decision.is_some_and(|one| matches!(one.fate, Fate::Searched(_))) {
                    continue;
                }
                let Some(value) = crate::sweep::fixed(&settings, name) else { continue };
                let usual = crate::sweep::fixed(&defaults, name);
                let why = match decision.map(|one| &one.fate) {
                    Some(Fate::Fixed(_)) => "      # the best one's",
                    _ if usual.is_some_and(|usual| usual.means(&value)) => continue,
                    _ => "",
                };
                let _ = writeln!(lines, "{} = {}{why}", key.section().1, self.value(name, &value));
            }
            if !lines.is_empty() {
                let _ = write!(text, "\n[{section}]\n{lines}");
            }
        }
        text
    }

    /// `[run]` and `[failure]`, as far as they are not as usual.
    pub(super) fn rest(&self) -> String {
        let RunSettings {
            workers,
            device,
            workers_per_gpu,
            keep_best,
            checkpoint_seconds,
            gradient_checkpointing,
            worker,
            script,
        } = &self.past.sweep.run;
        let mut lines: Vec<String> = Vec::new();
        if let Workers::Count(count) = workers {
            lines.push(format!("workers = {count}"));
        }
        if device != "auto" {
            lines.push(format!("device = {}", quoted(device)));
        }
        if *workers_per_gpu != 1 {
            lines.push(format!("workers_per_gpu = {workers_per_gpu}"));
        }
        if *keep_best != 3 {
            lines.push(format!("keep_best = {keep_best}"));
        }
        if *checkpoint_seconds != 60.0 {
            lines.push(format!("checkpoint_seconds = {}", Value::Float(*checkpoint_seconds)));
        }
        if *gradient_checkpointing {
            lines.push("gradient_checkpointing = true".into());
        }
        if worker.is_some() {
            lines.push(
                "# a worker program is named on the command line only: run.worker=PATH".into(),
            );
        }
        let mut text = String::new();
        if !lines.is_empty() {
            text += &format!("\n[run]\n{}\n", lines.join("\n"));
        }
        for ScriptRule { when, script } in script {
            text += &format!("\n[[run.script]]\n{}", entries(script));
            if !when.is_empty() {
                let when = when.iter().map(|(name, value)| (name.clone(), vec![value.clone()]));
                text += &format!("when = {}\n", self.table(&when.collect()));
            }
        }
        let FailurePolicy { retries, timeout_seconds, max_failed, max_consecutive } =
            &self.past.sweep.failure;
        let usual = FailurePolicy::default();
        let limit = |limit: &Option<u64>| limit.map_or("\"none\"".into(), |most| most.to_string());
        let mut lines: Vec<String> = Vec::new();
        if *retries != usual.retries {
            let counts: Vec<String> = retries
                .0
                .iter()
                .map(|(class, count)| format!("{} = {count}", class.word()))
                .collect();
            lines.push(format!("retries = {{ {} }}", counts.join(", ")));
        }
        if *timeout_seconds != usual.timeout_seconds {
            lines.push(format!("timeout = \"{timeout_seconds}s\""));
        }
        if *max_failed != usual.max_failed {
            lines.push(format!("max_failed = {}", limit(max_failed)));
        }
        if *max_consecutive != usual.max_consecutive {
            lines.push(format!("max_consecutive = {}", limit(max_consecutive)));
        }
        if !lines.is_empty() {
            text += &format!("\n[failure]\n{}\n", lines.join("\n"));
        }
        text
    }
}

/// The keys that are not as usual, a line each.
pub(super) fn entries<T: serde::Serialize + Default>(section: &T) -> String {
    let (own, usual) = (serde_json::json!(section), serde_json::json!(T::default()));
    let mut text = String::new();
    for (name, value) in own.as_object().into_iter().flatten() {
        if !value.is_null() && *value != usual[name] {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

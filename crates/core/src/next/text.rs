//! The text of the next sweep's file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Decision, Fate, Past, Place, REPLICATES, Tried, told};
use crate::draft::{one_line, quoted};
use crate::key::{KEYS, Key, Kind};
use crate::metric::Metric;
use crate::objective::{At, Goal};
use crate::script::Script;
use crate::search_space::Domain;
use crate::settings::{ModelSettings, Settings};
use crate::sweep::{FailurePolicy, Method, RunSettings, ScriptRule, Workers};
use crate::value::Value;

/// Configurations of a sweep that draws: a small one.
const DRAWS: u64 = 12;

/// Writes the file.
pub(super) fn write(
    past: &Past<'_>,
    best: &Tried,
    kept: &[&Tried],
    decisions: &[Decision],
    noise: Option<f64>,
) -> String {
    let writer = Writer { past, best, decisions };
    let mut text = writer.opening(kept, noise);
    text += &writer.sweep();
    text += &writer.parameters();
    text += &writer.enqueue(kept);
    text += &writer.settings();
    text += &writer.rest();
    text
}

struct Writer<'a> {
    past: &'a Past<'a>,
    best: &'a Tried,
    decisions: &'a [Decision],
}

impl Writer<'_> {
    fn is_grid(&self) -> bool {
        self.past.sweep.method == Method::Grid
    }

    fn opening(&self, kept: &[&Tried], noise: Option<f64>) -> String {
        let sweep = self.past.sweep;
        let metric = &sweep.objective.metric;
        let mut text = format!(
            "# The sweep after `{}`, written by `converge next` from its {}. Change what you know better.\n#\n",
            one_line(&sweep.name),
            match self.past.tried.len() {
                1 => "one configuration".into(),
                more => format!("{more} configurations"),
            }
        );
        let mut say = |what: &str, words: String| {
            let _ = writeln!(text, "# {what:<8} {}", one_line(&words));
        };
        let mean = self.best.mean().unwrap_or(f64::NAN);
        say(
            "best",
            format!(
                "trial {}: {metric} {} with {}",
                self.best.trial,
                value_of(metric, mean),
                configuration(self.best)
            ),
        );
        match noise {
            Some(noise) => say(
                "noise",
                format!(
                    "{} between two configurations by luck alone: {} within twice that of the best",
                    told(metric, noise),
                    match kept.len() {
                        1 => "no other is".into(),
                        2 => "another one is".into(),
                        more => format!("{} others are at least", more - 1),
                    }
                ),
            ),
            None => say("noise", "not known: one seed each, and no count of examples".into()),
        }
        let lost: u64 = self.past.tried.iter().map(|one| one.lost).sum();
        if lost > 0 {
            say(
                "lost",
                format!(
                    "{lost} trials diverged or failed; where nothing else happened is left out"
                ),
            );
        }
        if self.past.stopped > 0 {
            say(
                "stopped",
                format!("{} trials were stopped early and are left out", self.past.stopped),
            );
        }
        say("cost", self.cost());
        for decision in self.decisions {
            match &decision.fate {
                Fate::Fixed(value) => {
                    say("fixed", format!("{} = {value}: {}", decision.name, decision.why))
                }
                Fate::Gone => say("gone", format!("{}: {}", decision.name, decision.why)),
                Fate::Searched(_) => {}
            }
        }
        text + "\n"
    }

    /// How many configurations, at most: cases and constraints may leave some out.
    fn cost(&self) -> String {
        let points = self.decisions.iter().filter_map(|decision| match &decision.fate {
            Fate::Searched(places) => places.iter().map(|place| place.domain.points()).max(),
            _ => None,
        });
        let configurations = if self.is_grid() { points.product() } else { DRAWS };
        let replicates = self.replicates();
        format!(
            "{configurations} configurations at most × {replicates} seeds = {} trials",
            configurations * replicates
        )
    }

    fn replicates(&self) -> u64 {
        self.past.sweep.replicates.max(REPLICATES)
    }

    fn sweep(&self) -> String {
        let sweep = self.past.sweep;
        let method = serde_json::json!(sweep.method);
        let goal = match sweep.objective.goal {
            Goal::Maximize => "maximize",
            Goal::Minimize => "minimize",
        };
        let at = match sweep.objective.at {
            At::Best => "best",
            At::Last => "last",
        };
        let mut text = format!(
            "[sweep]\nname = {}\nmethod = {method}\n\
             seed = {}      # the same splits as before, so that results compare\n\
             replicates = {}      # seeds of each configuration: a difference shows above luck\n\
             objective = {{ metric = {}, goal = \"{goal}\", at = \"{at}\" }}\n",
            quoted(self.past.name),
            sweep.seed.0,
            self.replicates(),
            quoted(&sweep.objective.metric),
        );
        let budget = sweep.budget;
        let mut lines: Vec<String> = Vec::new();
        if !self.is_grid() {
            lines.push(format!(
                "max_trials = {DRAWS}      # configurations; the best of before among them"
            ));
        }
        if let Some(wall) = budget.max_wall {
            lines.push(format!("max_wall = {}", serde_json::json!(wall)));
        }
        if let Some(steps) = budget.max_steps {
            lines.push(format!("max_steps = {steps}"));
        }
        if !lines.is_empty() {
            text += &format!("\n[budget]\n{}\n", lines.join("\n"));
        }
        text
    }

    fn parameters(&self) -> String {
        let mut text = String::new();
        for decision in self.decisions {
            let Fate::Searched(places) = &decision.fate else { continue };
            let name = key_name(&decision.name);
            for place in places {
                let _ = writeln!(text, "# {}: {}", decision.name, one_line(&self.because(place)));
            }
            let inner: Vec<String> =
                places.iter().map(|place| self.domain(&decision.name, place)).collect();
            let _ = match inner.as_slice() {
                [one] => writeln!(text, "{name} = {one}"),
                several => writeln!(text, "{name} = [\n  {},\n]", several.join(",\n  ")),
            };
        }
        match text.is_empty() {
            true => "\n# Nothing is left to search: the best again, with more seeds.\n".into(),
            false => format!("\n[parameters]\n{text}"),
        }
    }

    fn because(&self, place: &Place) -> String {
        let conditions: Vec<String> = place
            .when
            .iter()
            .map(|(name, values)| {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                format!("{name}={}", values.join("|"))
            })
            .collect();
        match conditions.is_empty() {
            true => place.why.clone(),
            false => format!("{} (where {})", place.why, conditions.join(", ")),
        }
    }

    fn domain(&self, name: &str, place: &Place) -> String {
        let number = |number: f64| Value::Float(number).to_string();
        let inner = match &place.domain {
            Domain::Values(values) => {
                let values: Vec<String> =
                    values.iter().map(|value| self.value(name, value)).collect();
                format!("values = [{}]", values.join(", "))
            }
            Domain::Integers { min, max, .. } => format!("min = {min}, max = {max}"),
            Domain::Uniform { min, max, .. } | Domain::Steps { min, max, .. } => {
                format!("min = {}, max = {}", number(*min), number(*max))
            }
            Domain::LogUniform { min, max, .. } => format!(
                "distribution = \"log_uniform_values\", min = {}, max = {}",
                number(*min),
                number(*max)
            ),
        };
        match place.when.is_empty() {
            true => format!("{{ {inner} }}"),
            false => format!("{{ {inner}, when = {} }}", self.table(&place.when)),
        }
    }

    fn table(&self, entries: &BTreeMap<String, Vec<Value>>) -> String {
        let entries: Vec<String> = entries
            .iter()
            .map(|(name, values)| {
                let written: Vec<String> =
                    values.iter().map(|value| self.value(name, value)).collect();
                let values = match written.as_slice() {
                    [one] => one.clone(),
                    several => format!("[{}]", several.join(", ")),
                };
                format!("{} = {values}", key_name(name))
            })
            .collect();
        format!("{{ {} }}", entries.join(", "))
    }

    /// The best ones again: what they are worth is not known from one seed.
    fn enqueue(&self, kept: &[&Tried]) -> String {
        let fixed = self.settings_now();
        let mut text = String::new();
        let searched = |name: &str| {
            self.decisions
                .iter()
                .any(|one| one.name == name && matches!(one.fate, Fate::Searched(_)))
        };
        for (place, one) in kept.iter().enumerate() {
            let mut lines = String::new();
            for (name, value) in &one.configuration {
                let holds =
                    crate::sweep::fixed(&fixed, name).is_some_and(|other| other.means(value));
                if searched(name) || !holds {
                    let _ = writeln!(lines, "{} = {}", key_name(name), self.value(name, value));
                }
            }
            // Nothing is searched: the sweep is this configuration.
            if lines.is_empty() {
                continue;
            }
            let why = match place {
                0 => "the best so far".into(),
                _ => format!("as good, as far as one can tell: trial {}", one.trial),
            };
            let _ = write!(text, "\n# {why}\n[[enqueue]]\n{lines}");
        }
        for constraint in &self.past.sweep.constraints {
            let _ = write!(
                text,
                "\n[[constraints]]\nunless = {}\n",
                quoted(&self.constraint(constraint))
            );
        }
        text
    }

    fn constraint(&self, constraint: &crate::constraint::Constraint) -> String {
        let mut constraint = constraint.clone();
        constraint.map_paths(self.past.path);
        constraint.to_string()
    }

    /// Returns the settings of before, with the best one's values.
    fn settings_now(&self) -> Settings {
        self.past.sweep.settings_of(&self.best.configuration)
    }

    /// `[train]`, `[model]` and `[data]`: what is not as it would be anyway.
    fn settings(&self) -> String {
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
    fn rest(&self) -> String {
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
            text += &format!("\n[[run.script]]\n{}", script_lines(script));
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

    /// Writes a value of a key as TOML does.
    fn value(&self, name: &str, value: &Value) -> String {
        let is_path = Key::find(name).is_some_and(|key| matches!(key.kind, Kind::Path));
        match value {
            Value::Text(text) if is_path => quoted(&(self.past.path)(text)),
            Value::Text(text) => quoted(text),
            other => other.to_string(),
        }
    }
}

/// Keys of a script that are not as usual.
fn script_lines(script: &Script) -> String {
    let (own, usual) = (serde_json::json!(script), serde_json::json!(Script::default()));
    let mut text = String::new();
    for (name, value) in own.as_object().into_iter().flatten() {
        if !value.is_null() && *value != usual[name] {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

fn configuration(one: &Tried) -> String {
    let values: Vec<String> =
        one.configuration.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if values.is_empty() { "(defaults)".into() } else { values.join(" ") }
}

fn value_of(metric: &str, value: f64) -> String {
    let name = metric.split_once('/').map_or(metric, |(_, name)| name);
    match Metric::find(name).is_some_and(|metric| metric.is_share) {
        true => format!("{:.1} %", value * 100.0),
        false => format!("{value:.4}"),
    }
}

/// A dotted name stands in quotes.
fn key_name(name: &str) -> String {
    if name.contains('.') { quoted(name) } else { name.to_string() }
}

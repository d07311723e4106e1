//! The text of the next sweep's file.

mod carried;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Decision, Fate, Past, Place, REPLICATES, Tried, told};
use crate::draft::{one_line, quoted};
use crate::key::{Key, Kind};
use crate::metric::is_share;
use crate::objective::{At, Goal};
use crate::sampler::tpe::STARTUP;
use crate::search_space::Domain;
use crate::sweep::Method;
use crate::value::Value;

/// Configurations of a sweep that draws: a small one. A grid may have as many in any case.
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
    /// Returns how configurations are chosen, and of a drawing method how many. A grid that grows beyond what was tried
    /// is not the next step of anyone: as many points as before are drawn evenly from it.
    fn method(&self) -> (Method, Option<u64>) {
        let most = DRAWS.max(self.past.tried.len() as u64);
        match self.past.sweep.method {
            Method::Grid if self.points() <= most => (Method::Grid, None),
            Method::Grid => (Method::Sobol, Some(most)),
            // The model begins where the first draws have ended.
            Method::Tpe => (Method::Tpe, Some(STARTUP + self.past.sweep.ahead + DRAWS)),
            other => (other, Some(DRAWS)),
        }
    }

    /// Returns how many points the grid has, at most: cases and constraints may leave some out.
    fn points(&self) -> u64 {
        let points = self.decisions.iter().filter_map(|decision| match &decision.fate {
            Fate::Searched(places) => places.iter().map(|place| place.domain.points()).max(),
            _ => None,
        });
        points.product()
    }

    /// Returns whether further seeds go to the best only: there has to be more than one to choose from.
    fn is_race(&self) -> bool {
        self.points() > 1 && self.past.sweep.replicates < self.past.sweep.max_replicates
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

    fn cost(&self) -> String {
        let (_, draws) = self.method();
        let configurations = draws.unwrap_or_else(|| self.points());
        let replicates = self.replicates();
        let trials = configurations * replicates;
        let seeds = match replicates {
            1 => String::new(),
            more => format!(" × {more} seeds"),
        };
        let further = match self.is_race() {
            true => format!(
                ", and up to {} seeds for those that are tied for best",
                self.past.sweep.max_replicates
            ),
            false => String::new(),
        };
        format!("{configurations} configurations at most{seeds}: {trials} trials{further}")
    }

    fn replicates(&self) -> u64 {
        match self.is_race() {
            true => self.past.sweep.replicates,
            false => self.past.sweep.replicates.max(REPLICATES),
        }
    }

    fn sweep(&self) -> String {
        let sweep = self.past.sweep;
        let (method, draws) = self.method();
        let why = match (sweep.method, method) {
            (Method::Grid, Method::Sobol) => {
                format!("      # the grid would have {} points", self.points())
            }
            _ => String::new(),
        };
        let method = serde_json::json!(method);
        let mut seeds = String::new();
        if self.replicates() > 1 {
            seeds += &format!(
                "replicates = {}      # seeds of each configuration: a difference shows above luck\n",
                self.replicates()
            );
        }
        if self.is_race() {
            seeds += "racing = true      # further seeds for those that are tied for best, and for no others\n";
            if sweep.max_replicates != crate::sweep::MAX_REPLICATES {
                seeds += &format!("max_replicates = {}\n", sweep.max_replicates);
            }
        }
        if sweep.baseline {
            seeds += "baseline = true\n";
        }
        if sweep.method == Method::Tpe && sweep.ahead != crate::sweep::AHEAD {
            seeds += &format!("ahead = {}\n", sweep.ahead);
        }
        let goal = match sweep.objective.goal {
            Goal::Maximize => "maximize",
            Goal::Minimize => "minimize",
        };
        let at = match sweep.objective.at {
            At::Best => "best",
            At::Last => "last",
        };
        let mut text = format!(
            "[sweep]\nname = {}\nmethod = {method}{why}\n\
             seed = {}      # the same splits as before, so that results compare\n\
             {seeds}\
             objective = {{ metric = {}, goal = \"{goal}\", at = \"{at}\" }}\n",
            quoted(self.past.name),
            sweep.seed.0,
            quoted(&sweep.objective.metric),
        );
        let budget = sweep.budget;
        let mut lines: Vec<String> = Vec::new();
        if let Some(draws) = draws {
            lines.push(format!(
                "max_trials = {draws}      # configurations; the best of before among them"
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
        // Of one configuration several seeds are trained to the end.
        let rule = match self.replicates() {
            1 => carried::entries(&sweep.early_stop),
            _ => String::new(),
        };
        if !rule.is_empty() {
            text += &format!("\n[early_stop]\n{rule}");
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

fn configuration(one: &Tried) -> String {
    let values: Vec<String> =
        one.configuration.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if values.is_empty() { "(defaults)".into() } else { values.join(" ") }
}

fn value_of(metric: &str, value: f64) -> String {
    match is_share(metric) {
        true => format!("{:.1} %", value * 100.0),
        false => format!("{value:.4}"),
    }
}

/// A dotted name stands in quotes.
fn key_name(name: &str) -> String {
    if name.contains('.') { quoted(name) } else { name.to_string() }
}

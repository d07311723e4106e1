//! The sweep after a sweep: around what was best, further out where that lies on an edge, without the parameters that
//! made no difference, and with more seeds.
//!
//! It is a text, for people to read and change: each line says why it is as it is.

mod axis;
mod effect;
mod text;

use std::collections::BTreeMap;

use crate::key::Key;
use crate::metric::is_share;
use crate::objective::Goal;
use crate::ranking;
use crate::sampler::dependency_order;
use crate::search_space::{Case, Configuration, Domain, Parameter};
use crate::statistics::distributions::share_error;
use crate::sweep::Sweep;
use crate::value::Value;
use axis::Axis;
use effect::{Effect, effect};

/// Seeds of each configuration: with fewer, luck is not told from a difference.
const REPLICATES: u64 = 3;
/// The few best configurations that get further seeds, at most.
const KEPT: usize = 3;
/// Values closer to the best than so many times the noise may be as good.
const TIED: f64 = 2.0;

/// A configuration that was tried, with all its replicates.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Number of its first trial.
    pub trial: u64,
    /// Its values.
    pub configuration: Configuration,
    /// The objective of each replicate that completed, in the order of their trials.
    pub values: Vec<f64>,
    /// Replicates that diverged or failed.
    pub lost: u64,
}

impl Tried {
    /// Returns the mean over its replicates; none where one was lost.
    pub fn mean(&self) -> Option<f64> {
        if self.lost > 0 || self.values.is_empty() { None } else { ranking::mean(&self.values) }
    }
}

/// A sweep that has run.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// What it was.
    pub sweep: &'a Sweep,
    /// What came of it.
    pub tried: &'a [Tried],
    /// Trials that were stopped early: what they would have come to is not known.
    pub stopped: u64,
    /// Examples that the objective was measured on, where it is a share of them.
    pub examples: Option<u64>,
    /// The name of the next one.
    pub name: &'a str,
    /// Writes a path as it is to stand in the file.
    pub path: &'a dyn Fn(&str) -> String,
}

/// The next sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// The sweep file.
    pub text: String,
    /// What becomes of each parameter of the last sweep, and why, in its order.
    pub decisions: Vec<Decision>,
}

/// What becomes of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Its name.
    pub name: String,
    /// What is done.
    pub fate: Fate,
    /// Why, in one line.
    pub why: String,
}

/// What is done with a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is searched again, in these cases.
    Searched(Vec<Place>),
    /// It stays at this value.
    Fixed(Value),
    /// It has no meaning any more.
    Gone,
}

/// Where a parameter is searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Conditions that still tell cases apart.
    pub when: BTreeMap<String, Vec<Value>>,
    /// The values.
    pub domain: Domain,
    /// Why these.
    pub why: String,
}

impl std::fmt::Display for Place {
    /// On one line: `1e-5, 1e-4 when optimizer=adamw`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { when, domain, .. } = self;
        domain.fmt(formatter)?;
        Case { when: when.clone(), domain: domain.clone() }.fmt(formatter)
    }
}

/// Why there is no next sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoNext {
    /// There is nothing to go by.
    #[error("none of its {tried} configurations has a value of the objective")]
    NothingWorked {
        /// How many were tried.
        tried: usize,
    },
}

/// Returns the sweep after a sweep.
///
/// # Errors
/// [`NoNext`].
pub fn next(past: &Past<'_>) -> Result<Next, NoNext> {
    let ranked = ranked(past);
    let Some(best) = ranked.first().copied() else {
        return Err(NoNext::NothingWorked { tried: past.tried.len() });
    };
    let noise = noise(past);
    let view = View { past, best, noise };
    let mut decided: BTreeMap<&str, Decision> = BTreeMap::new();
    for parameter in dependency_order(past.sweep).into_iter().map(|at| &past.sweep.parameters[at]) {
        let decision = view.decide(parameter, &decided);
        decided.insert(&parameter.name, decision);
    }
    let names = past.sweep.parameters.iter().map(|parameter| parameter.name.as_str());
    let decisions: Vec<Decision> = names.filter_map(|name| decided.remove(name)).collect();
    let kept = ranked.into_iter().take(KEPT).filter(|one| view.is_tied(one)).collect::<Vec<_>>();
    let text = text::write(past, best, &kept, &decisions, noise);
    Ok(Next { text, decisions })
}

/// Returns what has a value, the best first.
fn ranked<'a>(past: &Past<'a>) -> Vec<&'a Tried> {
    let mut ranked: Vec<(&Tried, f64)> =
        past.tried.iter().filter_map(|one| Some((one, one.mean()?))).collect();
    ranked.sort_by(|left, right| {
        let by_value = match past.sweep.objective.goal {
            Goal::Maximize => right.1.total_cmp(&left.1),
            Goal::Minimize => left.1.total_cmp(&right.1),
        };
        by_value.then(left.0.trial.cmp(&right.0.trial))
    });
    ranked.into_iter().map(|(one, _)| one).collect()
}

/// Returns the standard error of the difference of two configurations, as far as it can be told: by their replicates,
/// or by how many examples a share was measured on.
fn noise(past: &Past<'_>) -> Option<f64> {
    let (mut squares, mut freedom, mut replicates) = (0.0, 0usize, 0usize);
    for one in past.tried.iter().filter(|one| one.values.len() > 1) {
        let mean = one.values.iter().sum::<f64>() / one.values.len() as f64;
        squares += one.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        freedom += one.values.len() - 1;
        replicates = replicates.max(one.values.len());
    }
    if freedom >= 3 {
        return Some((squares / freedom as f64 * 2.0 / replicates as f64).sqrt());
    }
    let examples = past.examples.filter(|_| is_share(&past.sweep.objective.metric))?;
    let best = ranked(past).first()?.mean()?.clamp(0.0, 1.0);
    Some(std::f64::consts::SQRT_2 * share_error(best, examples))
}

/// What decisions are made from.
struct View<'a> {
    past: &'a Past<'a>,
    best: &'a Tried,
    noise: Option<f64>,
}

impl View<'_> {
    /// How much worse than the best, in the objective's own direction.
    fn behind(&self, one: &Tried) -> Option<f64> {
        let (best, other) = (self.best.mean()?, one.mean()?);
        Some(match self.past.sweep.objective.goal {
            Goal::Maximize => best - other,
            Goal::Minimize => other - best,
        })
    }

    fn is_tied(&self, one: &Tried) -> bool {
        let room = TIED * self.noise.unwrap_or(0.0);
        self.behind(one).is_some_and(|behind| behind <= room)
    }

    fn decide(&self, parameter: &Parameter, decided: &BTreeMap<&str, Decision>) -> Decision {
        let name = parameter.name.clone();
        let decision = |fate, why: String| Decision { name: name.clone(), fate, why };
        let cases: Vec<(&Case, BTreeMap<String, Vec<Value>>)> = parameter
            .cases
            .iter()
            .filter_map(|case| {
                Some((case, left_of(&case.when, decided, &|name| self.fixed(name))?))
            })
            .collect();
        let best = self.best.configuration.get(&name);
        if cases.is_empty() {
            return decision(Fate::Gone, "what it depended on is fixed".into());
        }
        let with: Vec<&Tried> =
            self.past.tried.iter().filter(|one| one.configuration.contains_key(&name)).collect();
        // What everything else is scaled by is searched as long as there is a search.
        let is_rate = name.ends_with("learning_rate");
        if let (Some(value), false) = (best, is_rate) {
            let seed = self.past.sweep.seed;
            match effect(&name, &with, self.noise, seed) {
                Effect::None { apart, by_luck } => {
                    let (apart, by_luck) = (self.told(apart), self.told(by_luck));
                    let why = format!(
                        "made no difference: its values are {apart} apart, and luck alone makes {by_luck}"
                    );
                    return decision(Fate::Fixed(value.clone()), why);
                }
                Effect::Unknown if distinct(&name, &with) < 2 => {
                    let why = match self.past.stopped {
                        0 => "had this value only",
                        _ => "had this value in all that were trained to the end",
                    };
                    return decision(Fate::Fixed(value.clone()), why.into());
                }
                Effect::Unknown | Effect::Some => {}
            }
        }
        let places: Vec<Place> =
            cases.iter().filter_map(|(case, when)| self.place(&name, case, when.clone())).collect();
        match places.as_slice() {
            [] => match best {
                Some(value) => decision(Fate::Fixed(value.clone()), "nothing else worked".into()),
                None => decision(Fate::Gone, "no trial that had it worked".into()),
            },
            [Place { when, domain: Domain::Values(values), why }]
                if values.len() == 1 && when.is_empty() =>
            {
                decision(Fate::Fixed(values[0].clone()), why.clone())
            }
            _ => decision(Fate::Searched(places), String::new()),
        }
    }

    /// Where to look in a case; none where nothing of it worked.
    fn place(&self, name: &str, case: &Case, when: BTreeMap<String, Vec<Value>>) -> Option<Place> {
        let key = Key::find(name)?;
        let here: Vec<&Tried> = self
            .past
            .tried
            .iter()
            .filter(|one| {
                let value_of =
                    |name: &str| one.configuration.get(name).cloned().or_else(|| self.fixed(name));
                one.configuration.contains_key(name) && case.fits(&value_of)
            })
            .collect();
        let best = ranked(self.past)
            .into_iter()
            .find(|one| here.iter().any(|other| other.trial == one.trial))?;
        let value = best.configuration.get(name)?;
        let grid = self.past.sweep.method == crate::sweep::Method::Grid;
        if let Some(axis) = axis::around(key, &case.domain, value, &here) {
            let Axis { values, min, max, logarithmic, why } = axis;
            let ranged = !matches!(case.domain, Domain::Values(_)) && values.len() > 1 && !grid;
            let domain = match (&min, &max, logarithmic) {
                (Value::Integer(min), Value::Integer(max), _) if ranged => {
                    Domain::Integers { min: *min, max: *max, step: 1 }
                }
                (min, max, true) if ranged => {
                    Domain::LogUniform { min: min.number()?, max: max.number()?, count: None }
                }
                (min, max, false) if ranged => {
                    Domain::Uniform { min: min.number()?, max: max.number()?, count: None }
                }
                _ => Domain::Values(values),
            };
            return Some(Place { when, domain, why });
        }
        // Words: those that may be as good as the best.
        let mut values: Vec<Value> = Vec::new();
        let mut out: Vec<String> = Vec::new();
        for candidate in case.domain.grid().unwrap_or_default() {
            let of_value =
                |one: &&&Tried| one.configuration.get(name).is_some_and(|it| it.means(&candidate));
            let best_of = ranked(self.past)
                .into_iter()
                .find(|one| here.iter().filter(of_value).any(|other| other.trial == one.trial));
            match best_of {
                Some(one)
                    if self.behind(one).zip(self.behind(best)).is_some_and(|(one, best)| {
                        one - best <= TIED * self.noise.unwrap_or(0.0)
                    }) =>
                {
                    values.push(candidate)
                }
                Some(one) => {
                    let behind = self.behind(one).unwrap_or(0.0) - self.behind(best).unwrap_or(0.0);
                    out.push(format!("{candidate} is {} behind at its best", self.told(behind)));
                }
                None if here.iter().any(|one| of_value(&one)) => {
                    out.push(format!("nothing worked with {candidate}"))
                }
                // Never tried: a draw has not met it, or a budget ended first.
                None => values.push(candidate),
            }
        }
        if !values.iter().any(|one| one.means(value)) {
            values.insert(0, value.clone());
        }
        let why = match out.is_empty() {
            true => "all of them may be as good".into(),
            false => out.join(", "),
        };
        Some(Place { when, domain: Domain::Values(values), why })
    }

    /// What holds where no parameter says otherwise.
    fn fixed(&self, name: &str) -> Option<Value> {
        self.past.sweep.fixed(name)
    }

    /// Writes a difference of the objective.
    fn told(&self, difference: f64) -> String {
        told(&self.past.sweep.objective.metric, difference)
    }
}

/// Writes a difference of a metric.
fn told(metric: &str, difference: f64) -> String {
    match is_share(metric) {
        true => format!("{:.1} points", difference * 100.0),
        false => format!("{difference:.3}"),
    }
}

fn distinct(name: &str, tried: &[&Tried]) -> usize {
    let mut values: Vec<String> = tried
        .iter()
        .filter_map(|one| one.configuration.get(name).map(ToString::to_string))
        .collect();
    values.sort();
    values.dedup();
    values.len()
}

/// Returns the conditions of a case that are still open; none where the case cannot hold any more.
fn left_of(
    when: &BTreeMap<String, Vec<Value>>,
    decided: &BTreeMap<&str, Decision>,
    fixed: &dyn Fn(&str) -> Option<Value>,
) -> Option<BTreeMap<String, Vec<Value>>> {
    let mut left = BTreeMap::new();
    for (name, allowed) in when {
        let fits = |value: &Value| allowed.iter().any(|one| one.means(value));
        match decided.get(name.as_str()).map(|decision| &decision.fate) {
            None => {
                if !fixed(name).is_some_and(|value| fits(&value)) {
                    return None;
                }
            }
            Some(Fate::Fixed(value)) => {
                if !fits(value) {
                    return None;
                }
            }
            Some(Fate::Gone) => return None,
            Some(Fate::Searched(places)) => {
                let values: Option<Vec<Value>> = places
                    .iter()
                    .map(|place| match &place.domain {
                        Domain::Values(values) => Some(values.clone()),
                        _ => None,
                    })
                    .collect::<Option<Vec<_>>>()
                    .map(|all| all.into_iter().flatten().collect());
                match values {
                    Some(values) => {
                        let open: Vec<Value> =
                            values.iter().filter(|value| fits(value)).cloned().collect();
                        if open.is_empty() {
                            return None;
                        }
                        if open.len() < values.len() {
                            left.insert(name.clone(), open);
                        }
                    }
                    None => {
                        left.insert(name.clone(), allowed.clone());
                    }
                }
            }
        }
    }
    Some(left)
}

#[cfg(test)]
mod tests;

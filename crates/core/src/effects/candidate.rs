//! A configuration with what its trials came to.

use std::collections::BTreeMap;

use super::constant::Constant;
use crate::objective::Goal;
use crate::ranking;
use crate::search_space::{Case, Configuration, Domain, Parameter};
use crate::sweep::Sweep;
use crate::trial::TrialKind;
use crate::value::Value;

/// A trial of the search, as far as it went.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Equal for the replicates of one configuration.
    pub fingerprint: String,
    /// Its values.
    pub configuration: Configuration,
    /// Which seed: from 0.
    pub replicate: u64,
    /// What it was for.
    pub kind: TrialKind,
    /// What it came to.
    pub outcome: Outcome,
}

/// What a trial came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// Completed, with this value of the objective.
    Value(f64),
    /// Diverged, or completed without a finite value.
    Diverged,
    /// Its retries are used up.
    Failed,
    /// Ended early by rule: neither good nor bad.
    Stopped,
    /// Waits, runs, or was cancelled.
    Open,
}

/// A configuration with what its trials came to. Trials without an outcome yet are not counted.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) configuration: &'a Configuration,
    /// For each parameter of the space the case in force; none where it does not apply.
    pub(crate) cases: Vec<Option<usize>>,
    pub(crate) kind: TrialKind,
    /// Values by replicate.
    pub(crate) values: BTreeMap<u64, f64>,
    /// Mean of the values, smaller being better; none where there is none, or a replicate did not complete.
    pub(crate) cost: Option<f64>,
    pub(crate) counts: Counts,
}

/// How many trials came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Ended, those that were stopped early not included.
    pub trials: u64,
    /// Of these, completed but no better than a constant answer.
    pub at_chance: u64,
    /// Of these, diverged.
    pub diverged: u64,
    /// Of these, failed.
    pub failed: u64,
}

impl Counts {
    /// Returns how many came to nothing.
    pub fn lost(&self) -> u64 {
        self.at_chance + self.diverged + self.failed
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.trials += other.trials;
        self.at_chance += other.at_chance;
        self.diverged += other.diverged;
        self.failed += other.failed;
    }
}

impl Candidate<'_> {
    /// Returns whether all its trials completed, and at least half of them learnt something.
    pub(crate) fn works(&self) -> bool {
        self.cost.is_some() && 2 * self.counts.at_chance <= self.counts.trials
    }
}

/// The axes of a sweep, and the settings that its conditions depend on.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) parameters: Vec<Parameter>,
    fixed: BTreeMap<String, Value>,
}

impl Space {
    /// Returns the axes of a sweep. A parameter that only trials know (their sweep has changed since) is a list of
    /// what they have.
    pub(crate) fn new(sweep: &Sweep, trials: &[Seen]) -> Self {
        let mut parameters = sweep.parameters.clone();
        let mut unknown: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (name, value) in trials.iter().flat_map(|trial| &trial.configuration) {
            if !sweep.parameters.iter().any(|parameter| parameter.name == *name) {
                let values = unknown.entry(name).or_default();
                if !values.iter().any(|known| known.means(value)) {
                    values.push(value.clone());
                }
            }
        }
        parameters.extend(unknown.into_iter().map(|(name, values)| Parameter {
            name: name.to_owned(),
            cases: vec![Case { when: BTreeMap::new(), domain: Domain::Values(values) }],
        }));
        // Looked up once: the settings are long.
        let fixed = parameters
            .iter()
            .flat_map(Parameter::depends_on)
            .filter_map(|name| Some((name.to_owned(), sweep.fixed(name)?)))
            .collect();
        Self { parameters, fixed }
    }

    fn cases(&self, configuration: &Configuration) -> Vec<Option<usize>> {
        let value_of =
            |name: &str| configuration.get(name).cloned().or_else(|| self.fixed.get(name).cloned());
        let case = |parameter: &Parameter| {
            configuration
                .contains_key(&parameter.name)
                .then(|| parameter.active_case(&value_of).unwrap_or(0))
        };
        self.parameters.iter().map(case).collect()
    }

    /// Returns the configurations of trials that have ended, in the order of their first trial.
    pub(crate) fn candidates<'a>(
        &self,
        trials: &'a [Seen],
        goal: Goal,
        constant: Option<&Constant>,
    ) -> Vec<Candidate<'a>> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for trial in trials {
            if matches!(trial.outcome, Outcome::Open | Outcome::Stopped) {
                continue;
            }
            let place = *places.entry(&trial.fingerprint).or_insert_with(|| {
                candidates.push(Candidate {
                    configuration: &trial.configuration,
                    cases: self.cases(&trial.configuration),
                    kind: trial.kind,
                    values: BTreeMap::new(),
                    cost: None,
                    counts: Counts::default(),
                });
                candidates.len() - 1
            });
            let candidate = &mut candidates[place];
            candidate.counts.trials += 1;
            match trial.outcome {
                Outcome::Value(value) => {
                    let is_constant = constant.is_some_and(|constant| constant.holds(value, goal));
                    candidate.counts.at_chance += u64::from(is_constant);
                    candidate.values.insert(trial.replicate, value);
                }
                Outcome::Diverged => candidate.counts.diverged += 1,
                Outcome::Failed => candidate.counts.failed += 1,
                Outcome::Stopped | Outcome::Open => {}
            }
        }
        for candidate in &mut candidates {
            if candidate.counts.diverged + candidate.counts.failed == 0 {
                let values: Vec<f64> = candidate.values.values().copied().collect();
                candidate.cost = ranking::mean(&values).map(|mean| cost(mean, goal));
            }
        }
        candidates
    }
}

/// Returns a value so that smaller is better, and the other way round.
pub(crate) fn cost(value: f64, goal: Goal) -> f64 {
    match goal {
        Goal::Maximize => -value,
        Goal::Minimize => value,
    }
}

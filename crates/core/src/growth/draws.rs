//! Draws that follow the results of earlier trials: the model-based methods.
//!
//! Configuration `n` is drawn from the results of configurations 1 to `n - ahead`, in the order of their first trials, and
//! waits until these have all ended. Those in between are known to it as pending, also where they have ended by then.

use super::{Group, Growth, Outcome, Stage};
use crate::fingerprint::fingerprint;
use crate::materialise::{PlannedTrial, preparation};
use crate::ranking::mean;
use crate::sampler::tpe::{self, Known};
use crate::search_space::Configuration;
use crate::steps::total_steps;
use crate::trial::TrialKind;

impl Growth {
    /// Returns what can be drawn now: the seeds of one configuration, or those that configurations lack.
    pub(super) fn draw(&mut self) -> Vec<PlannedTrial> {
        // A sweep that was given more seeds, or was killed before it had all of them.
        for group in &self.configurations {
            let missing = self.missing(group);
            if !missing.is_empty() {
                return missing;
            }
        }
        let drawn = self.configurations.len();
        if self.dry || drawn as u64 >= self.sweep.budget.max_trials.unwrap_or(0) {
            self.stage = if self.sweep.racing { Stage::Racing } else { Stage::Over };
            return Vec::new();
        }
        let known = (drawn + 1).saturating_sub(usize::try_from(self.sweep.ahead).unwrap_or(drawn));
        self.settle();
        if self.settled < known {
            return Vec::new();
        }
        let history: Vec<Known<'_>> = self
            .configurations
            .iter()
            .enumerate()
            .map(|(place, group)| Known {
                configuration: &self.trials[&group.trials[0]].configuration,
                outcome: if place < known { self.outcome(group) } else { tpe::Outcome::Pending },
            })
            .collect();
        // The defaults stand beside the search, and once only.
        let mut of_baseline = self.trials.values().filter(|one| one.kind == TrialKind::Baseline);
        let baseline = of_baseline.next().map(|one| &one.fingerprint);
        let is_taken = |configuration: &Configuration| {
            let is_there =
                |print: &String| self.places.contains_key(print) || baseline == Some(print);
            self.planned(configuration).is_none_or(|one| is_there(&one.fingerprint))
        };
        let drawn = tpe::draw(&self.sweep, drawn as u64, &history, &is_taken);
        match drawn.ok().and_then(|configuration| self.planned(&configuration)) {
            Some(first) => (0..self.sweep.replicates)
                .map(|replicate| PlannedTrial { replicate, ..first.clone() })
                .collect(),
            None => {
                self.dry = true;
                self.draw()
            }
        }
    }

    /// Moves past the configurations that have ended.
    fn settle(&mut self) {
        let ended = |group: &Group| self.of(group).all(|trial| trial.outcome.is_some());
        let more = self.configurations[self.settled..].iter().take_while(|group| ended(group));
        self.settled += more.count();
    }

    /// Returns the trials that a configuration lacks among the seeds that all have.
    fn missing(&self, group: &Group) -> Vec<PlannedTrial> {
        if group.trials.len() as u64 >= self.sweep.replicates {
            return Vec::new();
        }
        let has = |replicate: &u64| self.of(group).any(|trial| trial.replicate == *replicate);
        (0..self.sweep.replicates)
            .filter(|replicate| !has(replicate))
            .map(|replicate| self.again(group.trials[0], replicate))
            .collect()
    }

    /// Returns what a draw may know of a configuration that has ended.
    fn outcome(&self, group: &Group) -> tpe::Outcome {
        let mut values = Vec::new();
        for trial in self.of(group) {
            match trial.outcome {
                Some(Outcome::Completed(Some(value))) => values.push(value),
                Some(Outcome::Cancelled) => {}
                Some(
                    Outcome::Completed(None)
                    | Outcome::Diverged
                    | Outcome::Failed
                    | Outcome::Stopped,
                )
                | None => return tpe::Outcome::Worst,
            }
        }
        match (values.is_empty(), mean(&values)) {
            (true, _) => tpe::Outcome::Without,
            (false, Some(mean)) => tpe::Outcome::Value(mean),
            (false, None) => tpe::Outcome::Worst,
        }
    }

    /// Makes the first trial of a configuration; none where its case was never prepared.
    fn planned(&self, configuration: &Configuration) -> Option<PlannedTrial> {
        let settings = self.sweep.settings_of(configuration);
        let case = *self.cases.get(&preparation(&settings))?;
        let facts = self.facts.get(case)?;
        let Self { sweep, .. } = self;
        Some(PlannedTrial {
            fingerprint: fingerprint(
                &settings,
                &facts.content_hashes,
                sweep.seed,
                &sweep.objective,
            ),
            total_steps: total_steps(facts.train.examples, &settings.train),
            configuration: configuration.clone(),
            settings,
            replicate: 0,
            case,
            kind: TrialKind::Random,
        })
    }
}

//! Who goes on: told what trials reach and how they end, in any order, it says who is promoted and who is stopped.
//!
//! It is a pure function of what it was told, whatever the order: decisions are made in the order of trial numbers, and
//! a place in it that nobody has reached yet is waited for.

use std::collections::BTreeMap;

use super::median::Median;
use super::race::Race;
use super::{EarlyStop, Rule, Standing};
use crate::objective::Objective;

/// A decision about a trial at a rung that it has reached. It may have ended there since: then nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Number of the trial.
    pub trial: u64,
    /// Which rung: from 0.
    pub rung: u64,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Its place among those that it was compared with, itself included: from 1.
    pub rank: u64,
    /// How many those are.
    pub among: u64,
    /// Its place among those that were promoted at this rung, from 0: the order in which they are the next one's.
    pub order: u64,
}

/// What becomes of a trial at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Promoted,
    /// It does not.
    Stopped,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// With all its steps, or by its own patience: at the rungs that it had no need to reach it stands with this.
    Completed(Standing),
    /// Otherwise: it stands behind all others.
    Otherwise,
}

/// A trial as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its number.
    pub trial: u64,
    /// Equal for trials that were added at the same time: those are halved among themselves.
    pub batch: i64,
    /// The rungs that it has reached, in their order.
    pub rungs: Vec<KnownRung>,
    /// How it ended; none: it has not, or it was stopped.
    pub ended: Option<Ended>,
}

/// A rung that a trial has reached.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRung {
    /// With what.
    pub standing: Standing,
    /// What was decided, and the trial's place among the promoted; none: nothing yet.
    pub verdict: Option<(Verdict, u64)>,
}

/// All trials of a sweep's search, and what was decided about them.
#[derive(Debug, Clone)]
pub struct Ladder {
    terms: Terms,
    contest: Contest,
    trials: BTreeMap<u64, Track>,
}

/// Of one kind by the rule.
#[derive(Debug, Clone)]
enum Contest {
    /// One race over all trials, or one for each batch.
    Race {
        races: BTreeMap<i64, Race>,
        by_batch: bool,
    },
    Median(Median),
}

/// What is fixed.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) settings: EarlyStop,
    pub(super) objective: Objective,
}

/// What is known of a trial.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    pub(super) batch: i64,
    /// By rung.
    pub(super) standings: Vec<Standing>,
    /// By rung; shorter by one where the trial waits.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) ended: Option<Ended>,
}

impl Ladder {
    /// Makes one of what is stored, decisions included; those that are still to be made come with [`Ladder::decide`].
    pub fn new(settings: EarlyStop, objective: Objective, known: Vec<Known>) -> Self {
        let terms = Terms { settings, objective };
        let contest = match settings.rule {
            Rule::Median => Contest::Median(Median::default()),
            Rule::None | Rule::TopK | Rule::Halving | Rule::Asha => {
                Contest::Race { races: BTreeMap::new(), by_batch: settings.rule != Rule::Asha }
            }
        };
        let mut ladder = Self { terms, contest, trials: BTreeMap::new() };
        let mut known = known;
        known.sort_by_key(|known| known.trial);
        for one in &known {
            ladder.add(one.trial, one.batch);
        }
        let mut imposed: Vec<(usize, u64, u64, Verdict)> = Vec::new();
        for one in known {
            let track = ladder.trials.entry(one.trial).or_default();
            for (rung, reached) in one.rungs.into_iter().enumerate() {
                track.standings.push(reached.standing);
                if let Some((verdict, order)) = reached.verdict {
                    track.verdicts.push(verdict);
                    imposed.push((rung, order, one.trial, verdict));
                }
            }
            track.ended = one.ended;
        }
        let numbers: Vec<u64> = ladder.trials.keys().copied().collect();
        for trial in &numbers {
            ladder.forget_undecided(*trial);
        }
        for (rung, order, trial, verdict) in imposed {
            let batch = ladder.trials[&trial].batch;
            if let Some(race) = ladder.race(batch) {
                race.impose(trial, rung, verdict, order);
            }
        }
        for trial in numbers {
            let (batch, rungs) =
                (ladder.trials[&trial].batch, ladder.trials[&trial].standings.len());
            for rung in 0..rungs {
                if let Some(race) = ladder.race(batch) {
                    race.came(trial, rung);
                }
            }
        }
        ladder
    }

    /// Takes a trial that was added: its number is greater than those before.
    pub fn add(&mut self, trial: u64, batch: i64) {
        if self.trials.contains_key(&trial) {
            return;
        }
        self.trials.insert(trial, Track { batch, ..Track::default() });
        match self.race(batch) {
            Some(race) => race.add(trial),
            None => {
                if let Contest::Median(median) = &mut self.contest {
                    median.add(trial);
                }
            }
        }
    }

    /// Returns the race that trials of a batch are in.
    fn race(&mut self, batch: i64) -> Option<&mut Race> {
        match &mut self.contest {
            Contest::Race { races, by_batch } => {
                let batch = if *by_batch { batch } else { 0 };
                Some(races.entry(batch).or_default())
            }
            Contest::Median(_) => None,
        }
    }

    /// Takes that a trial waits at the next of its rungs.
    pub fn reach(&mut self, trial: u64, standing: Standing) {
        let Some(track) = self.trials.get_mut(&trial) else { return };
        if track.standings.len() != track.verdicts.len() {
            return;
        }
        track.standings.push(standing);
        let (batch, rung) = (track.batch, track.standings.len() - 1);
        if let Some(race) = self.race(batch) {
            race.came(trial, rung);
        }
    }

    /// Takes that a trial has ended.
    pub fn end(&mut self, trial: u64, ended: Ended) {
        if let Some(track) = self.trials.get_mut(&trial) {
            track.ended = Some(ended);
        }
        self.forget_undecided(trial);
    }

    /// Where all of a rung are waited for, who is cancelled while it waits takes nobody's place. Elsewhere others were
    /// compared with it already, and it keeps its rank.
    fn forget_undecided(&mut self, trial: u64) {
        if !self.terms.waits_for_all() {
            return;
        }
        let Some(track) = self.trials.get_mut(&trial) else { return };
        let waited = track.standings.len() > track.verdicts.len();
        if !waited || !matches!(track.ended, Some(Ended::Otherwise)) {
            return;
        }
        track.standings.truncate(track.verdicts.len());
        let (batch, rung) = (track.batch, track.verdicts.len());
        if let Some(race) = self.race(batch) {
            race.gone(trial, rung);
        }
    }

    /// Returns the rung that a trial has to reach next, from 0: the number of those that it was promoted at.
    pub fn next_rung(&self, trial: u64) -> u64 {
        self.trials.get(&trial).map_or(0, |track| track.verdicts.len() as u64)
    }

    /// Returns everything that follows from what is known and was not decided before.
    pub fn decide(&mut self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        match &mut self.contest {
            Contest::Race { races, .. } => {
                for race in races.values_mut() {
                    race.decide(&self.terms, &mut self.trials, &mut decisions);
                }
            }
            Contest::Median(median) => {
                median.decide(&self.terms, &mut self.trials, &mut decisions);
            }
        }
        decisions
    }
}

impl Terms {
    /// Returns whether a rung is decided once all have come.
    pub(super) fn waits_for_all(&self) -> bool {
        matches!(self.settings.rule, Rule::TopK | Rule::Halving)
    }

    /// Compares two trials by what they stand with: the better first, of equals the lower number.
    pub(super) fn order(
        &self,
        left: (Option<f64>, u64),
        right: (Option<f64>, u64),
    ) -> std::cmp::Ordering {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let number = |value: Option<f64>| value.filter(|value| !value.is_nan());
        let by_value = match (number(left.0), number(right.0)) {
            (Some(left), Some(right)) if left == right => Equal,
            (Some(left), Some(right)) if self.objective.improves(left, right) => Less,
            (Some(_), Some(_)) => Greater,
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (None, None) => Equal,
        };
        by_value.then(left.1.cmp(&right.1))
    }

    /// Returns whether `behind` cannot be told from `ahead`, which is at least as good.
    pub(super) fn is_tied(&self, ahead: &Standing, behind: &Standing) -> bool {
        if !self.settings.ties {
            return false;
        }
        let (Some(better), Some(worse)) = (ahead.value, behind.value) else { return false };
        (better - worse).abs() <= ahead.standard_error(behind, &self.objective.metric)
    }
}

impl Track {
    /// Returns what the trial stands with at a rung; none: it has not come there yet, and nothing stands in its place.
    pub(super) fn at(&self, rung: usize) -> Option<Place<'_>> {
        match (self.standings.get(rung), &self.ended) {
            (Some(standing), _) => Some(Place::Reached(standing)),
            (None, Some(Ended::Completed(standing))) => Some(Place::Complete(standing)),
            (None, Some(Ended::Otherwise)) => Some(Place::Gone),
            (None, None) => None,
        }
    }

    /// Returns whether it waits for a decision at a rung.
    pub(super) fn waits_at(&self, rung: usize) -> bool {
        self.verdicts.len() == rung && self.standings.len() > rung && self.ended.is_none()
    }
}

/// What stands for a trial at a rung.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// It came there.
    Reached(&'a Standing),
    /// It was complete before.
    Complete(&'a Standing),
    /// It failed, diverged or was cancelled before.
    Gone,
}

impl<'a> Place<'a> {
    pub(super) fn standing(self) -> Option<&'a Standing> {
        match self {
            Self::Reached(standing) | Self::Complete(standing) => Some(standing),
            Self::Gone => None,
        }
    }
}

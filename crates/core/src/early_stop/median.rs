//! The median rule: a trial is held against those of lower numbers at the same rung.

use std::collections::BTreeMap;

use super::ladder::{Decision, Ended, Terms, Track, Verdict};

/// The rungs, each with how far it was decided.
#[derive(Debug, Clone, Default)]
pub(super) struct Median {
    /// All trials, by number.
    sequence: Vec<u64>,
    rungs: Vec<Rung>,
}

#[derive(Debug, Clone, Default)]
struct Rung {
    /// How many of the sequence, from the first on, are dealt with.
    dealt: usize,
    /// Those of them that came, best first.
    ranked: Vec<u64>,
}

impl Median {
    pub(super) fn add(&mut self, trial: u64) {
        self.sequence.push(trial);
    }

    pub(super) fn decide(
        &mut self,
        terms: &Terms,
        trials: &mut BTreeMap<u64, Track>,
        decisions: &mut Vec<Decision>,
    ) {
        // A decision at one rung can be what the next one waits for: a trial that is stopped will not come there.
        let mut rung = 0;
        loop {
            if self.rungs.len() <= rung {
                self.rungs.push(Rung::default());
            }
            self.decide_at(rung, terms, trials, decisions);
            if self.rungs[rung].ranked.is_empty() {
                return;
            }
            rung += 1;
        }
    }

    fn decide_at(
        &mut self,
        rung: usize,
        terms: &Terms,
        trials: &mut BTreeMap<u64, Track>,
        decisions: &mut Vec<Decision>,
    ) {
        let at = &mut self.rungs[rung];
        while let Some(trial) = self.sequence.get(at.dealt) {
            let Some(track) = trials.get(trial) else { break };
            let Some(standing) = track.standings.get(rung) else {
                let stopped = track.verdicts.last() == Some(&Verdict::Stopped);
                let never_comes =
                    stopped || matches!(track.ended, Some(Ended::Completed(_) | Ended::Otherwise));
                if never_comes {
                    at.dealt += 1;
                    continue;
                }
                break;
            };
            let key = (standing.value, *trial);
            let value_of =
                |other: &u64| trials.get(other).and_then(|track| track.standings.get(rung)?.value);
            let place = at
                .ranked
                .partition_point(|other| terms.order((value_of(other), *other), key).is_lt());
            let enough = at.ranked.len() as u64 >= terms.settings.min_trials.max(1);
            // The one in the middle; of two the worse one.
            let middle = at.ranked.get(at.ranked.len() / 2);
            let median = middle.and_then(|middle| trials.get(middle)?.standings.get(rung));
            let worse = median.is_some_and(|median| {
                let behind = match (median.value, standing.value) {
                    (Some(median), Some(value)) => terms.objective.improves(median, value),
                    (median, value) => median.is_some() && value.is_none(),
                };
                behind && !terms.is_tied(median, standing)
            });
            let verdict = if enough && worse { Verdict::Stopped } else { Verdict::Promoted };
            at.ranked.insert(place, *trial);
            at.dealt += 1;
            let Some(track) = trials.get_mut(trial) else { break };
            if track.verdicts.len() == rung {
                track.verdicts.push(verdict);
                decisions.push(Decision {
                    trial: *trial,
                    rung: rung as u64,
                    verdict,
                    rank: place as u64 + 1,
                    among: at.ranked.len() as u64,
                    order: 0,
                });
            }
        }
    }
}

//! Successive halving, and `top_k`, which is a race with one rung.
//!
//! The trials of a rung are a sequence: at the first one that of their numbers, at others the order of promotion. Once
//! the first n of it have come, the best of them go on (`asha`), or once all have come (`halving`, `top_k`). Who was
//! not promoted when no other can come is stopped.

use std::collections::{BTreeMap, BTreeSet};

use super::Standing;
use super::ladder::{Decision, Place, Terms, Track, Verdict};

/// A race.
#[derive(Debug, Clone, Default)]
pub(super) struct Race {
    rungs: Vec<Rung>,
}

/// One rung of it.
#[derive(Debug, Clone, Default)]
struct Rung {
    /// Its sequence; a place is empty where who stands in it is still to be found out from what is stored.
    members: Vec<Option<u64>>,
    /// How many of them, from the first on, have come.
    entered: usize,
    /// Those that have come, best first.
    ranked: Vec<u64>,
    /// The same, to look up.
    inside: BTreeSet<u64>,
    /// Whether anybody came by training: a rung beyond everybody's training decides nothing.
    used: bool,
    /// Of a race that waits for all: they were all there. Who comes later (a trial that is tried again) is held
    /// against them.
    closed: bool,
    /// Whether all that can come were dealt with, and nobody has come since.
    settled: bool,
    /// Who came since the last decision.
    fresh: Vec<u64>,
}

impl Race {
    pub(super) fn add(&mut self, trial: u64) {
        self.rung(0).members.push(Some(trial));
    }

    /// Takes a decision that is stored.
    pub(super) fn impose(&mut self, trial: u64, rung: usize, verdict: Verdict, order: u64) {
        self.rung(rung).closed = true;
        if verdict == Verdict::Promoted {
            let next = self.rung(rung + 1);
            let place = usize::try_from(order).unwrap_or(usize::MAX).min(next.members.len() + MOST);
            if next.members.len() <= place {
                next.members.resize(place + 1, None);
            }
            next.members[place] = Some(trial);
        }
    }

    /// Takes that a trial has come to a rung.
    pub(super) fn came(&mut self, trial: u64, rung: usize) {
        let rung = self.rung(rung);
        rung.used = true;
        rung.fresh.push(trial);
    }

    /// Takes that a trial is gone that waited at a rung: who came there comes before it.
    pub(super) fn gone(&mut self, trial: u64, rung: usize) {
        let ranked = &mut self.rung(rung).ranked;
        if let Some(place) = ranked.iter().position(|one| *one == trial) {
            ranked.remove(place);
            ranked.push(trial);
        }
    }

    fn rung(&mut self, rung: usize) -> &mut Rung {
        if self.rungs.len() <= rung {
            self.rungs.resize_with(rung + 1, Rung::default);
        }
        &mut self.rungs[rung]
    }

    pub(super) fn decide(
        &mut self,
        terms: &Terms,
        trials: &mut BTreeMap<u64, Track>,
        decisions: &mut Vec<Decision>,
    ) {
        let waits_for_all = terms.waits_for_all();
        // Whether nobody else will come to a rung than who is in its sequence.
        let mut all_known = true;
        for rung in 0..self.rungs.len() {
            if !self.rungs[rung].used {
                break;
            }
            let late = std::mem::take(&mut self.rungs[rung].fresh);
            if waits_for_all && self.rungs[rung].closed {
                self.take_late(rung, &late, terms, trials, decisions);
                continue;
            }
            while let Some(member) = self.rungs[rung].next() {
                let Some(place) = trials.get(&member).and_then(|track| track.at(rung)) else {
                    break;
                };
                self.insert(rung, member, place.standing(), terms, trials);
                self.rungs[rung].entered += 1;
                self.rungs[rung].settled = false;
                if !waits_for_all {
                    let most = terms.settings.promoted(self.rungs[rung].entered as u64);
                    self.promote(rung, most, Who::All, terms, trials, decisions);
                }
            }
            let now = &self.rungs[rung];
            let all_came = all_known && now.entered == now.members.len() && now.entered > 0;
            if all_came && !now.settled {
                let most = terms.settings.promoted(now.entered as u64).max(1);
                self.promote(rung, most, Who::All, terms, trials, decisions);
                self.stop(rung, trials, decisions);
                self.rungs[rung].closed = waits_for_all;
                self.rungs[rung].settled = true;
            }
            all_known = all_came;
        }
    }

    /// Puts a trial where it belongs among those that have come.
    fn insert(
        &mut self,
        rung: usize,
        trial: u64,
        standing: Option<&Standing>,
        terms: &Terms,
        trials: &BTreeMap<u64, Track>,
    ) -> bool {
        let at = &mut self.rungs[rung];
        if !at.inside.insert(trial) {
            return false;
        }
        // Who is gone stands behind who has no value.
        let key =
            |standing: Option<&Standing>| (standing.is_none(), standing.and_then(|it| it.value));
        let (gone, value) = key(standing);
        let before = |other: &u64| {
            let of_other = trials.get(other).and_then(|track| track.at(rung));
            let (other_gone, other_value) = key(of_other.and_then(Place::standing));
            let by_value = terms.order((other_value, *other), (value, trial));
            other_gone.cmp(&gone).then(by_value).is_lt()
        };
        let place = at.ranked.partition_point(before);
        at.ranked.insert(place, trial);
        true
    }

    /// Promotes the first few, and who is tied with the last of them.
    fn promote(
        &mut self,
        rung: usize,
        most: u64,
        who: Who,
        terms: &Terms,
        trials: &mut BTreeMap<u64, Track>,
        decisions: &mut Vec<Decision>,
    ) {
        let ranked = &self.rungs[rung].ranked;
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(ranked.len());
        let mut chosen: Vec<usize> = Vec::new();
        let is_asked = |track: &Track| who == Who::All || track.standings.len() <= rung;
        let open = |trial: &u64| {
            trials.get(trial).is_some_and(|track| track.verdicts.len() == rung && is_asked(track))
        };
        chosen.extend((0..most).filter(|place| open(&ranked[*place])));
        let last = most.checked_sub(1).map(|place| ranked[place]);
        if let Some(last) = last.and_then(|last| standing_at(trials, last, rung)) {
            for (place, trial) in ranked.iter().enumerate().skip(most) {
                if !open(trial) {
                    continue;
                }
                match standing_at(trials, *trial, rung) {
                    Some(standing) if terms.is_tied(last, standing) => chosen.push(place),
                    _ => break,
                }
            }
        }
        let among = ranked.len() as u64;
        let chosen: Vec<(usize, u64)> =
            chosen.into_iter().map(|place| (place, ranked[place])).collect();
        for (place, trial) in chosen {
            let Some(track) = trials.get_mut(&trial) else { continue };
            if track.at(rung).and_then(Place::standing).is_none() {
                continue;
            }
            let came = track.standings.len() > rung;
            track.verdicts.push(Verdict::Promoted);
            let order = self.rung(rung + 1).append(trial);
            if came {
                let (rung, rank) = (rung as u64, place as u64 + 1);
                let verdict = Verdict::Promoted;
                decisions.push(Decision { trial, rung, verdict, rank, among, order });
            }
        }
    }

    /// Stops who still waits.
    fn stop(
        &mut self,
        rung: usize,
        trials: &mut BTreeMap<u64, Track>,
        decisions: &mut Vec<Decision>,
    ) {
        let ranked = &self.rungs[rung].ranked;
        let among = ranked.len() as u64;
        for (place, trial) in ranked.iter().enumerate() {
            let Some(track) = trials.get_mut(trial).filter(|track| track.waits_at(rung)) else {
                continue;
            };
            track.verdicts.push(Verdict::Stopped);
            decisions.push(Decision {
                trial: *trial,
                rung: rung as u64,
                verdict: Verdict::Stopped,
                rank: place as u64 + 1,
                among,
                order: 0,
            });
        }
    }

    /// Holds who comes after the decision against those that it was about.
    fn take_late(
        &mut self,
        rung: usize,
        late: &[u64],
        terms: &Terms,
        trials: &mut BTreeMap<u64, Track>,
        decisions: &mut Vec<Decision>,
    ) {
        let most = terms.settings.promoted(self.rungs[rung].members.len() as u64).max(1);
        if self.rungs[rung].inside.is_empty() {
            // Made of what is stored: all but those that come only now.
            let members: Vec<u64> = self.rungs[rung].members.iter().flatten().copied().collect();
            for member in members {
                let place = trials.get(&member).filter(|track| !track.waits_at(rung));
                if let Some(place) = place.and_then(|track| track.at(rung)) {
                    self.insert(rung, member, place.standing(), terms, trials);
                }
            }
            // What is stored says nothing of those that were complete before they came here: they take their places at
            // the next rung as they did when it was decided.
            self.promote(rung, most, Who::Complete, terms, trials, decisions);
        }
        for trial in late {
            if !trials.get(trial).is_some_and(|track| track.waits_at(rung)) {
                continue;
            }
            let place = trials.get(trial).and_then(|track| track.at(rung));
            // It may have been there as one that was gone.
            self.rungs[rung].inside.remove(trial);
            self.rungs[rung].ranked.retain(|one| one != trial);
            self.insert(rung, *trial, place.and_then(Place::standing), terms, trials);
            self.promote(rung, most, Who::All, terms, trials, decisions);
            self.stop(rung, trials, decisions);
        }
    }
}

/// Who is asked whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    All,
    /// Those that were complete before they came to the rung: nothing is stored of their going on.
    Complete,
}

/// Stored places are believed up to so many beyond what is known: a damaged one must not take all memory.
const MOST: usize = 1 << 20;

impl Rung {
    /// Returns who has to come next.
    fn next(&self) -> Option<u64> {
        self.members.get(self.entered).copied().flatten()
    }

    /// Adds who was promoted; returns the place.
    fn append(&mut self, trial: u64) -> u64 {
        let place = match self.members.iter().position(Option::is_none) {
            Some(place) => place,
            None => {
                self.members.push(None);
                self.members.len() - 1
            }
        };
        self.members[place] = Some(trial);
        place as u64
    }
}

fn standing_at(trials: &BTreeMap<u64, Track>, trial: u64, rung: usize) -> Option<&Standing> {
    trials.get(&trial)?.at(rung)?.standing()
}

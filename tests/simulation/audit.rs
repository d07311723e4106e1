//! The whole database held against the logs.

use std::collections::{BTreeMap, BTreeSet};

use converge_core::failure::FailureClass;
use converge_core::ids::TrialId;
use converge_core::metric::TRAIN_LOSS;
use converge_protocol::message::Up;
use rusqlite::Connection;

use crate::checker::{Checker, rows, wrong};
use crate::disk::Disk;
use crate::ledger::attempt_of;
use crate::scheduler::Stop;
use crate::sweep::{ACCURACY, Planned, Sweep};

/// A row of `attempts`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    trial: i64,
    number: u64,
    worker: i64,
    from: u64,
    until: Option<u64>,
    last: u64,
    opened: u64,
    closed: Option<u64>,
    ending: Option<String>,
    class: Option<String>,
    ended_at: Option<i64>,
}

/// A row of `observations`: attempt, step, metric, bits of the value (none: NaN), sequence number.
type Row = (i64, u64, bool, Option<u64>, u64);

/// A point of a curve: is it accuracy, step, bits of the value.
pub(crate) type Point = (bool, u64, Option<u64>);

/// What became of a trial: its state and what counts of its curves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) state: String,
    pub(crate) points: Vec<Point>,
    pub(crate) objective: Option<(u64, u64)>,
}

/// What the logs say.
#[derive(Default)]
struct Written {
    rows: Vec<Row>,
    /// Attempt and step, with the number of the newest frame.
    checkpoints: BTreeMap<(i64, u64), u64>,
}

impl Checker {
    /// Checks everything; returns what became of each trial so far.
    pub(crate) fn check_all(
        &mut self,
        other: &Connection,
        disk: &Disk,
        sweep: &Sweep,
    ) -> Result<BTreeMap<TrialId, Outcome>, Stop> {
        let attempts = attempts(other);
        let mut written = self.written(other, disk, &attempts)?;
        written.rows.sort_unstable();
        let sql = "SELECT attempt, step, name = ?1, value, seq
            FROM observations JOIN metrics ON metrics.id = metric";
        let mut stored: Vec<Row> = rows(other, sql, [ACCURACY], |row| {
            let value: Option<f64> = row.get(3)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, value.map(f64::to_bits), row.get(4)?))
        });
        stored.sort_unstable();
        if stored != written.rows {
            let (stored, written): (BTreeSet<_>, BTreeSet<_>) =
                (stored.iter().collect(), written.rows.iter().collect());
            let lost: Vec<_> = written.difference(&stored).collect();
            let extra: Vec<_> = stored.difference(&written).collect();
            return wrong(format!("rows: lost {lost:?}, not in a log {extra:?}"));
        }
        let sql = "SELECT attempt, step, seq FROM checkpoints";
        let checkpoints: BTreeMap<(i64, u64), u64> =
            rows(other, sql, [], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))
                .into_iter()
                .collect();
        if checkpoints != written.checkpoints {
            let written = &written.checkpoints;
            return wrong(format!("checkpoints {checkpoints:?}, written {written:?}"));
        }
        self.check_closed(&attempts)?;
        self.check_trials(other, sweep, &attempts, &written)
    }

    /// Returns what the logs, read as far as the database says, have of each attempt within its fence.
    fn written(
        &mut self,
        other: &Connection,
        disk: &Disk,
        attempts: &BTreeMap<i64, Attempt>,
    ) -> Result<Written, Stop> {
        let mut written = Written::default();
        let mut steps: BTreeMap<i64, u64> =
            attempts.iter().map(|(id, it)| (*id, it.from)).collect();
        let sql = "SELECT id, up_offset, up_next_seq, torn_lines, stale_frames FROM workers";
        let workers: Vec<(i64, u64, u64, u64, u64)> = rows(other, sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        });
        for (worker, offset, next_seq, torn_lines, stale_frames) in workers {
            let ledger = self.read_log(disk, worker, offset, next_seq)?;
            let mut stale = 0;
            for (seq, message) in &ledger.frames {
                let Some(of) = attempt_of(message) else { continue };
                let fenced = |it: &&Attempt| {
                    it.worker == worker
                        && it.opened <= *seq
                        && it.closed.is_none_or(|closed| *seq <= closed)
                };
                let Some(attempt) = attempts.get(&of.0).filter(fenced) else {
                    stale += 1;
                    continue;
                };
                match message {
                    Up::Step { step, metrics, .. } => {
                        if steps.insert(of.0, *step) != Some(*step - 1) {
                            return wrong(format!(
                                "step {step} of attempt {of} comes after a hole"
                            ));
                        }
                        written.rows.extend(metrics.iter().map(|(name, value)| {
                            let bits = (!value.is_nan()).then_some(value.to_bits());
                            (of.0, *step, name == ACCURACY, bits, *seq)
                        }));
                    }
                    Up::Checkpoint { step, .. } => {
                        written.checkpoints.insert((of.0, *step), *seq);
                    }
                    Up::Ended { ending, .. } => {
                        let stored = (attempt.closed, attempt.ending.as_deref());
                        if stored != (Some(*seq), Some(ending.word())) {
                            return wrong(format!(
                                "attempt {of} ended in {seq}, stored {stored:?}"
                            ));
                        }
                    }
                    _ => {}
                }
            }
            if (ledger.torn_lines, stale) != (torn_lines, stale_frames) {
                let found = (ledger.torn_lines, stale);
                return wrong(format!(
                    "worker {worker}: {found:?} torn lines and stale frames, stored {:?}",
                    (torn_lines, stale_frames)
                ));
            }
        }
        for (id, attempt) in attempts {
            if steps.get(id) != Some(&attempt.last) {
                return wrong(format!("attempt {id}: last step {}, log {steps:?}", attempt.last));
            }
        }
        Ok(written)
    }

    /// What is over does not change.
    fn check_closed(&mut self, attempts: &BTreeMap<i64, Attempt>) -> Result<(), Stop> {
        for (id, attempt) in attempts.iter().filter(|(_, attempt)| attempt.ending.is_some()) {
            // Where the next attempt began is no change of this one.
            let now = Attempt { until: None, ..attempt.clone() };
            let then = self.closed.entry(*id).or_insert_with(|| now.clone());
            if *then != now {
                return wrong(format!("attempt {id} changed after its end: {then:?} to {now:?}"));
            }
        }
        match self.closed.keys().find(|id| !attempts.contains_key(id)) {
            Some(id) => wrong(format!("attempt {id} is gone, or open again")),
            None => Ok(()),
        }
    }

    fn check_trials(
        &mut self,
        other: &Connection,
        sweep: &Sweep,
        attempts: &BTreeMap<i64, Attempt>,
        written: &Written,
    ) -> Result<BTreeMap<TrialId, Outcome>, Stop> {
        let sql = "SELECT id, state, failure_class, objective_value, objective_step, ended_at_ms,
            fingerprint || replicate FROM sweep_trials ORDER BY id";
        type Trial = (i64, String, Option<String>, Option<f64>, Option<u64>, Option<i64>, String);
        let trials: Vec<Trial> = rows(other, sql, [], |row| {
            let head = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((head.0, head.1, head.2, head.3, row.get(4)?, row.get(5)?, row.get(6)?))
        });
        let mut outcomes = BTreeMap::new();
        let mut points = BTreeSet::new();
        for (id, state, class, value, step, ended_at, point) in trials {
            if !points.insert(point.clone()) {
                return wrong(format!("trial {id} is a point of the grid that is there twice"));
            }
            let Some(planned) = sweep.planned(other, TrialId(id)) else {
                return wrong(format!("nobody planned trial {id}"));
            };
            if point != planned.point {
                return wrong(format!("trial {id} is {point}, planned was {}", planned.point));
            }
            let own: Vec<(i64, &Attempt)> = attempts
                .iter()
                .filter(|(_, it)| it.trial == id)
                .map(|(id, it)| (*id, it))
                .collect();
            check_attempts(sweep, id, &state, class.as_deref(), &own, written)?;
            let curve = curve(id, &planned, &own, written)?;
            check_extremes(other, id, &curve)?;
            let objective = value.map(f64::to_bits).zip(step);
            if state == "completed" {
                let best = extremes(&curve, true).and_then(|extremes| extremes.max);
                if objective != best || objective.is_none() {
                    return wrong(format!("trial {id}: objective {objective:?}, curve {best:?}"));
                }
            }
            if matches!(state.as_str(), "completed" | "stopped" | "diverged" | "failed") {
                let now = format!("{state} {class:?} {objective:?} {ended_at:?} {curve:?}");
                let then = self.finished.entry(id).or_insert_with(|| now.clone());
                if *then != now {
                    return wrong(format!("trial {id} changed after its end: {then} to {now}"));
                }
            } else if self.finished.contains_key(&id) {
                return wrong(format!("trial {id} was final and is {state}"));
            }
            outcomes.insert(TrialId(id), Outcome { state, points: curve, objective });
        }
        if outcomes.len() >= sweep.first { Ok(outcomes) } else { wrong("trials are gone") }
    }
}

fn attempts(other: &Connection) -> BTreeMap<i64, Attempt> {
    let sql = "SELECT id, trial, number, worker, from_step, until_step, last_step, opened_seq,
        closed_seq, ending, failure_class, ended_at_ms FROM attempts";
    rows(other, sql, [], |row| {
        let attempt = Attempt {
            trial: row.get(1)?,
            number: row.get(2)?,
            worker: row.get(3)?,
            from: row.get(4)?,
            until: row.get(5)?,
            last: row.get(6)?,
            opened: row.get(7)?,
            closed: row.get(8)?,
            ending: row.get(9)?,
            class: row.get(10)?,
            ended_at: row.get(11)?,
        };
        Ok((row.get(0)?, attempt))
    })
    .into_iter()
    .collect()
}

/// A trial's state follows from its attempts, each of which began where it may.
fn check_attempts(
    sweep: &Sweep,
    trial: i64,
    state: &str,
    class: Option<&str>,
    own: &[(i64, &Attempt)],
    written: &Written,
) -> Result<(), Stop> {
    let open = own.iter().filter(|(_, attempt)| attempt.ending.is_none()).count();
    let completed =
        own.iter().filter(|(_, attempt)| attempt.ending.as_deref() == Some("completed")).count();
    if open != usize::from(state == "running") || completed != usize::from(state == "completed") {
        return wrong(format!("trial {trial} is {state} with {own:?}"));
    }
    for (place, (id, attempt)) in own.iter().enumerate() {
        let stored = |(earlier, _): &(i64, &Attempt)| {
            written.checkpoints.contains_key(&(*earlier, attempt.from))
        };
        if attempt.from != 0 && !own[..place].iter().any(stored) {
            return wrong(format!("attempt {id} begins at {} without a checkpoint", attempt.from));
        }
        let until = own[place + 1..].iter().map(|(_, later)| later.from).min();
        if attempt.number != place as u64 + 1 || attempt.until != until {
            return wrong(format!(
                "attempt {id} of trial {trial}: {attempt:?}, cut off at {until:?}"
            ));
        }
    }
    for known in FailureClass::ALL {
        let of = own.iter().filter(|(_, it)| it.class.as_deref() == Some(known.word())).count();
        let allowed = sweep.definition.failure.retries.0.get(&known).copied().unwrap_or(0);
        let given_up = u64::from(class == Some(known.word()));
        if of as u64 > allowed + given_up || (given_up == 1 && of as u64 != allowed + 1) {
            let word = known.word();
            return wrong(format!(
                "trial {trial} is {state} with {of} of {allowed} retries of {word}"
            ));
        }
    }
    Ok(())
}

/// Returns what counts of a trial's rows: each step once and without a hole, with the value that it always has.
fn curve(
    trial: i64,
    planned: &Planned,
    own: &[(i64, &Attempt)],
    written: &Written,
) -> Result<Vec<Point>, Stop> {
    let mut points: Vec<Point> = Vec::new();
    for (id, attempt) in own {
        let begin = written.rows.partition_point(|row| row.0 < *id);
        let rows = written.rows[begin..].iter().take_while(|row| row.0 == *id);
        let counts = |row: &&Row| row.1 <= attempt.until.unwrap_or(u64::MAX);
        points.extend(rows.filter(counts).map(|row| (row.2, row.1, row.3)));
    }
    points.sort_unstable();
    let steps = points.iter().map(|point| point.1).max().unwrap_or(0);
    let mut expected: Vec<Point> = (1..=steps)
        .flat_map(|step| planned.metrics(step).into_iter().map(move |metric| (step, metric)))
        .map(|(step, (name, value))| {
            (name == ACCURACY, step, (!value.is_nan()).then_some(value.to_bits()))
        })
        .collect();
    expected.sort_unstable();
    if points != expected || steps > planned.last_step() {
        return wrong(format!("trial {trial}: curve {points:?}, must be {expected:?}"));
    }
    Ok(points)
}

/// Extremes of one metric; values as bits.
#[derive(Debug, PartialEq)]
struct Extremes {
    min: Option<(u64, u64)>,
    max: Option<(u64, u64)>,
    last: (Option<u64>, u64),
}

fn extremes(curve: &[Point], accuracy: bool) -> Option<Extremes> {
    let of = || curve.iter().filter(|point| point.0 == accuracy);
    let last = of().next_back()?;
    let values = || of().filter_map(|point| Some((f64::from_bits(point.2?), point.1)));
    let best = |better: fn(f64, f64) -> bool| {
        let first = |kept: (f64, u64), next: (f64, u64)| {
            if better(next.0, kept.0) { next } else { kept }
        };
        values().reduce(first).map(|(value, step)| (value.to_bits(), step))
    };
    Some(Extremes {
        min: best(|next, kept| next < kept),
        max: best(|next, kept| next > kept),
        last: (last.2, last.1),
    })
}

fn check_extremes(other: &Connection, trial: i64, curve: &[Point]) -> Result<(), Stop> {
    let sql = "SELECT name, min, min_step, max, max_step, last, last_step
        FROM trial_metrics JOIN metrics ON metrics.id = metric WHERE trial = ?1";
    let stored = rows(other, sql, [trial], |row| {
        let bits = |place| row.get::<_, Option<f64>>(place).map(|value| value.map(f64::to_bits));
        let extremes = Extremes {
            min: bits(1)?.zip(row.get(2)?),
            max: bits(3)?.zip(row.get(4)?),
            last: (bits(5)?, row.get(6)?),
        };
        Ok((row.get::<_, String>(0)?, extremes))
    });
    for (name, accuracy) in [(TRAIN_LOSS, false), (ACCURACY, true)] {
        let stored = stored.iter().find(|(stored, _)| stored == name).map(|(_, found)| found);
        let expected = extremes(curve, accuracy);
        if stored != expected.as_ref() {
            return wrong(format!("trial {trial}: {name} {stored:?}, of the curve {expected:?}"));
        }
    }
    Ok(())
}

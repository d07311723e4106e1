//! One seed, one history: turns of workers, wakes of the scheduler and faults, until every trial is final.

use std::collections::BTreeMap;

use converge_core::ids::TrialId;
use converge_scheduler::reactor::{Ending, Event};

use crate::audit::Outcome;
use crate::checker::rows;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use crate::machine::Machine;
use crate::scheduler::{Ambush, Scheduler, Stop};
use crate::sweep::{Planned, Sweep};
use crate::worker::Worker;

/// Turns after the last fault within which every history ends.
const PATIENCE: u64 = 2_000;
/// Turns between two checks of the whole database.
const AUDIT: u64 = 64;
/// A worker that is silent for so long is killed, and more. Unit: milliseconds.
const SILENCE_MS: i64 = converge_scheduler::reactor::PATIENCE_MS + 1_000;

/// What a history showed.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) outcomes: BTreeMap<TrialId, Outcome>,
    pub(crate) trials: BTreeMap<TrialId, Planned>,
    pub(crate) turns: u64,
    /// What was decided, if it was asked for.
    pub(crate) decisions: String,
    /// What trials reached at rungs, and what became of them there.
    pub(crate) rungs: Vec<String>,
}

/// Something in a history that must not be.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) turn: u64,
    pub(crate) story: Vec<String>,
}

/// How a history is to be played.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// The time of day is left alone. Nothing that is decided may differ for it.
    pub(crate) steady: bool,
    /// Keep what was decided.
    pub(crate) decisions: bool,
    /// Keep what happened.
    pub(crate) story: bool,
}

/// Plays a history without any fault.
pub(crate) fn undisturbed(sweep: &Sweep) -> Result<Played, Violation> {
    play(sweep, Dice::new(0), Faults::none(), Manner::default())
}

/// Plays the history of a seed.
pub(crate) fn disturbed(sweep: &Sweep, seed: u64, manner: Manner) -> Result<Played, Violation> {
    let mut dice = Dice::new(seed);
    let faults = Faults::draw(&mut dice);
    play(sweep, dice, faults, manner)
}

fn play(sweep: &Sweep, dice: Dice, faults: Faults, manner: Manner) -> Result<Played, Violation> {
    let mut machine = Machine::new(dice, Clock::new(manner.steady), faults);
    machine.story = manner.story.then(Vec::new);
    let mut scheduler = Scheduler::new(sweep, machine);
    scheduler.decisions = manner.decisions.then(String::new);
    let mut history = History { scheduler, turn: 0, full: false, planned: BTreeMap::new() };
    match history.run() {
        Ok(outcomes) => Ok(Played {
            outcomes,
            rungs: rungs(&history.scheduler.other),
            trials: history.planned,
            turns: history.turn,
            decisions: history.scheduler.decisions.unwrap_or_default(),
        }),
        Err(what) => Err(Violation {
            what,
            turn: history.turn,
            story: history.scheduler.machine.story.unwrap_or_default(),
        }),
    }
}

/// Returns the rungs as they are stored, but for times.
fn rungs(other: &rusqlite::Connection) -> Vec<String> {
    let sql = "SELECT trial, rung, step, value, hex(marks), decision, rank, among, place
        FROM rungs ORDER BY trial, rung";
    rows(other, sql, [], |row| {
        let cells = (0..9).map(|cell| row.get::<_, rusqlite::types::Value>(cell));
        Ok(format!("{:?}", cells.collect::<rusqlite::Result<Vec<_>>>()?))
    })
}

struct History<'a> {
    scheduler: Scheduler<'a>,
    turn: u64,
    /// The disk of the database is full.
    full: bool,
    /// What trials there are at the end.
    planned: BTreeMap<TrialId, Planned>,
}

impl History<'_> {
    fn run(&mut self) -> Result<BTreeMap<TrialId, Outcome>, String> {
        let until = self.scheduler.machine.faults.until_turn;
        loop {
            self.turn += 1;
            if self.turn == until {
                self.calm()?;
            }
            if self.turn > until + PATIENCE {
                return Err("it has no end".into());
            }
            let ended = match self.take_turn() {
                Ok(ended) => ended,
                Err(Stop::Wrong(what)) => return Err(what),
                Err(Stop::Died) => {
                    self.scheduler.machine.tell(|| "the scheduler dies".into());
                    self.scheduler.end_life();
                    None
                }
                Err(Stop::Failed(error)) => {
                    self.scheduler.machine.tell(|| format!("the scheduler fails: {error}"));
                    self.scheduler.give_up();
                    None
                }
            };
            if let Some(wrong) = self.scheduler.machine.wrong.take() {
                return Err(wrong);
            }
            if ended.is_some_and(|ending| matches!(ending, Ending::Finished { .. })) {
                return self.end();
            }
        }
    }

    /// From now on nothing goes wrong any more.
    fn calm(&mut self) -> Result<(), String> {
        let machine = &mut self.scheduler.machine;
        machine.tell(|| "calm".into());
        machine.faults = machine.faults.calm();
        self.scheduler.ambush = None;
        self.make_room()
    }

    fn make_room(&mut self) -> Result<(), String> {
        self.full = false;
        self.scheduler.store.limit_room(None).map_err(|error| error.to_string())
    }

    fn take_turn(&mut self) -> Result<Option<Ending>, Stop> {
        if self.turn.is_multiple_of(AUDIT) {
            let Scheduler { checker, other, machine, sweep, .. } = &mut self.scheduler;
            checker.check_all(other, &machine.disk, sweep)?;
        }
        let machine = &mut self.scheduler.machine;
        let calm = self.turn >= machine.faults.until_turn;
        let time = machine.dice.between(1, 400);
        machine.pass(time);
        if !calm && let Some(fault) = machine.faults.in_turn(&mut machine.dice) {
            machine.tell(|| format!("{fault:?}"));
            return self.befall(fault);
        }
        if self.scheduler.life.is_none() {
            return self.absence();
        }
        let running = machine.running();
        let (life, now) = (machine.life, machine.clock.now);
        let waits = |worker: &Worker| life != Some(worker.life) || worker.waits(now);
        if running.iter().all(|id| waits(&machine.workers[id])) && machine.dice.one_in(4) {
            // Nothing happens until the silence of one of them has lasted too long.
            machine.pass(60_000);
        }
        if !running.is_empty() && machine.dice.one_in(2) {
            let id = running[machine.dice.place(running.len())];
            for _ in 0..=machine.dice.roll(3) {
                machine.advance(id);
            }
            return Ok(None);
        }
        self.wake()
    }

    /// There is no scheduler: old workers go on for a while, then somebody resumes.
    fn absence(&mut self) -> Result<Option<Ending>, Stop> {
        let machine = &mut self.scheduler.machine;
        for _ in 0..machine.dice.roll(8) {
            let running = machine.running();
            if running.is_empty() {
                break;
            }
            let id = running[machine.dice.place(running.len())];
            machine.advance(id);
            machine.pass(100);
        }
        if self.full && self.scheduler.machine.dice.one_in(3) {
            self.make_room().map_err(Stop::Wrong)?;
        }
        let ended = self.scheduler.begin()?;
        self.ended(ended)
    }

    /// The scheduler looks at logs that rang, or at all of them.
    fn wake(&mut self) -> Result<Option<Ending>, Stop> {
        let (known, mut rung) = self.scheduler.heard();
        let machine = &mut self.scheduler.machine;
        let tick = rung.is_empty() || machine.dice.one_in(4);
        let late = machine.faults.late;
        for id in &known {
            let lags = machine.dice.one_in(late);
            let Some(logs) = machine.disk.logs.get_mut(id) else { continue };
            let runs = machine.workers.get(id).is_some_and(|worker| worker.exit.is_none());
            if lags && runs {
                let length = logs.up.bytes().len();
                logs.up.hide_from(length - machine.dice.place(length.min(200) + 1));
            } else {
                logs.up.show();
            }
            if machine.dice.one_in(4) {
                logs.up.mend();
            }
        }
        if !tick && machine.dice.one_in(2) {
            // One bell rings a little before the others.
            rung = vec![rung[machine.dice.place(rung.len())]];
        }
        let ended = if tick {
            self.scheduler.wake(&known, Some(Event::Tick))?
        } else {
            self.scheduler.wake(&rung, None)?
        };
        self.ended(ended)
    }

    fn ended(&mut self, ended: Option<Ending>) -> Result<Option<Ending>, Stop> {
        if let Some(ending) = &ended {
            self.scheduler.machine.tell(|| format!("the session ends: {ending:?}"));
            match self.scheduler.finish(ending) {
                // The trials are final all the same, and the next `resume` says so.
                Err(Stop::Died | Stop::Failed(_)) => self.scheduler.end_life(),
                other => other?,
            }
        }
        Ok(ended)
    }

    fn befall(&mut self, fault: Fault) -> Result<Option<Ending>, Stop> {
        let scheduler = &mut self.scheduler;
        let machine = &mut scheduler.machine;
        let running = machine.running();
        let one = (!running.is_empty()).then(|| running[machine.dice.place(running.len())]);
        match fault {
            Fault::SchedulerDies => return Err(Stop::Died),
            Fault::SchedulerDiesCommitting => {
                scheduler.ambush = Some(Ambush::Death(machine.dice.magnitude(12)));
            }
            Fault::SchedulerDiesActing => {
                scheduler.ambush = Some(Ambush::DeathAtAction(machine.dice.roll(3)));
            }
            Fault::WorkerDies => one.into_iter().for_each(|id| machine.kill(id)),
            Fault::BothDie => {
                one.into_iter().for_each(|id| machine.kill(id));
                return Err(Stop::Died);
            }
            Fault::Reboot => {
                machine.reboot();
                return Err(Stop::Died);
            }
            Fault::WorkerStops => {
                let until = machine.clock.now + [2_000, 20_000, 700_000][machine.dice.place(3)];
                if let Some(worker) = one.and_then(|id| machine.workers.get_mut(&id)) {
                    worker.stopped_until = until;
                }
            }
            Fault::StoreFails => {
                scheduler.ambush = Some(Ambush::Interrupt(machine.dice.magnitude(12)));
            }
            Fault::StoreBusy => scheduler.ambush = Some(Ambush::Lock),
            Fault::StoreFull => {
                self.full = true;
                let room = machine.dice.roll(4);
                let limited = scheduler.store.limit_room(Some(room));
                limited.map_err(|error| Stop::Wrong(error.to_string()))?;
            }
            Fault::WallJumps => {
                let by = machine.dice.magnitude(40).cast_signed();
                machine.clock.jump(if machine.dice.one_in(2) { by } else { -by });
            }
            Fault::LongSilence => machine.clock.now += SILENCE_MS,
            Fault::Interrupt if scheduler.life.is_some() => {
                let ended = scheduler.wake(&[], Some(Event::Interrupt))?;
                return self.ended(ended);
            }
            Fault::Interrupt => {}
            Fault::LogHole => {
                if let Some(logs) = one.and_then(|id| machine.disk.logs.get_mut(&id)) {
                    let end = logs.up.bytes().len();
                    let begin = end - machine.dice.place(end.min(300) + 1);
                    logs.up.tear(begin..end);
                }
            }
            Fault::Stranger => machine.processes.stir(),
            Fault::GridAgain => return self.add_again(),
        }
        Ok(None)
    }

    /// Adds the sweep's trials to it once more, which must be refused.
    fn add_again(&mut self) -> Result<Option<Ending>, Stop> {
        let trials = self.scheduler.sweep.new_trials.clone();
        let extension = converge_store::Extension { trials, ..Default::default() };
        let (id, now) = (self.scheduler.sweep.id, self.scheduler.machine.clock.unix_ms());
        let added = self.scheduler.store.extend_sweep(id, &extension, now);
        let Scheduler { checker, other, machine, sweep, .. } = &mut self.scheduler;
        checker.check_all(other, &machine.disk, sweep)?;
        if added.is_ok() { Err(Stop::Wrong("a grid was added twice".into())) } else { Ok(None) }
    }

    /// Every trial is final, and nothing is missing.
    fn end(&mut self) -> Result<BTreeMap<TrialId, Outcome>, String> {
        let Scheduler { checker, other, machine, sweep, store, .. } = &mut self.scheduler;
        let outcomes = match checker.check_all(other, &machine.disk, sweep) {
            Ok(outcomes) => outcomes,
            Err(Stop::Wrong(what)) => return Err(what),
            Err(stop) => return Err(format!("{stop:?}")),
        };
        for (id, outcome) in &outcomes {
            let steps = outcome.points.iter().map(|point| point.1).max().unwrap_or(0);
            let Some(planned) = sweep.planned(other, *id) else {
                return Err(format!("nobody planned trial {id}"));
            };
            let whole = steps == planned.last_step();
            self.planned.insert(*id, planned);
            let sound = match outcome.state.as_str() {
                "completed" | "diverged" => whole,
                "failed" | "stopped" => true,
                _ => false,
            };
            if !sound {
                return Err(format!("trial {id} ends {} after {steps} steps", outcome.state));
            }
        }
        if !sweep.unplayed && outcomes.len() != sweep.trials.len() {
            return Err(format!("{} trials, planned were {}", outcomes.len(), sweep.trials.len()));
        }
        let problems = store.read().integrity().map_err(|error| error.to_string())?;
        if problems.is_empty() { Ok(outcomes) } else { Err(format!("{problems:?}")) }
    }
}

//! Lives of the scheduler on the simulated machine.
//!
//! Reactor, store, the order of a round, recovery and housekeeping are the real ones. What `Session` does with
//! processes and files is done here with simulated ones, in the same order: a worker's row, its folder, its process, the
//! process's row; logs first, exits after them; an error of the store ends the session.

use std::collections::BTreeMap;
use std::fmt::Debug;

use converge_core::budget::Allowance;
use converge_core::ids::WorkerId;
use converge_protocol::frame::{Reader, Writer};
use converge_protocol::message::Down;
use converge_scheduler::growing;
use converge_scheduler::home::Home;
use converge_scheduler::housekeeping::Housekeeping;
use converge_scheduler::reactor::{Action, Decisions, Ending, Event, Options, Reactor};
use converge_scheduler::recovery::recover_from;
use converge_scheduler::round::{Carrier, round};
use converge_scheduler::trials::{definition, early_stopping, load};
use converge_store::{Change, NewSession, SessionId, Store, SweepState};
use rusqlite::Connection;

use crate::checker::Checker;
use crate::machine::Machine;
use crate::sweep::{HOME, Sweep};
use crate::worker::Worker;

/// Workers have so long to leave when a session ends with an error. Unit: milliseconds.
const LEAVE_MS: i64 = 10_000;

/// Why the scheduler does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was killed.
    Died,
    /// It gave up with an error.
    Failed(String),
    /// Something must not be.
    Wrong(String),
}

/// What is to befall the next write to the store, or the actions after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ambush {
    /// SQLite is interrupted after so many instructions.
    Interrupt(u64),
    /// The scheduler dies there instead; and after the write, if it needs fewer.
    Death(u64),
    /// Another process holds the database.
    Lock,
    /// The scheduler dies at this action, before it or in the middle of it.
    DeathAtAction(u64),
}

/// One life of the scheduler.
pub(crate) struct Life {
    number: u64,
    session: SessionId,
    reactor: Reactor,
    housekeeping: Housekeeping,
    mailboxes: BTreeMap<WorkerId, (Reader, Writer)>,
}

/// A home on a machine, with a scheduler in it or none.
pub(crate) struct Scheduler<'a> {
    pub(crate) sweep: &'a Sweep,
    home: Home,
    pub(crate) store: Store,
    /// A second connection, as another process has it.
    pub(crate) other: Connection,
    pub(crate) machine: Machine,
    pub(crate) checker: Checker,
    pub(crate) life: Option<Life>,
    lives: u64,
    pub(crate) ambush: Option<Ambush>,
    /// Everything that was decided; none: nobody asks.
    pub(crate) decisions: Option<String>,
}

impl<'a> Scheduler<'a> {
    pub(crate) fn new(sweep: &'a Sweep, machine: Machine) -> Self {
        let (store, name) = sweep.copy();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE
            | rusqlite::OpenFlags::SQLITE_OPEN_URI
            | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let other = Connection::open_with_flags(format!("file:/{name}?vfs=memdb"), flags)
            .expect("the database is there");
        Self {
            sweep,
            home: Home::at(HOME),
            store,
            other,
            machine,
            checker: Checker::default(),
            life: None,
            lives: 0,
            ambush: None,
            decisions: None,
        }
    }

    /// Begins a life: recovers, opens a session and looks around for the first time.
    pub(crate) fn begin(&mut self) -> Result<Option<Ending>, Stop> {
        self.lives += 1;
        let number = self.lives;
        self.machine.tell(|| format!("scheduler {number} begins"));
        self.store.forget().map_err(|error| Stop::Wrong(error.to_string()))?;
        let (home, machine) = (&self.home, &mut self.machine);
        let recovered = ambushed(&mut self.ambush, &mut self.store, &self.other, |store| {
            recover_from(machine, home, store)
        });
        self.checker.check_all(&self.other, &self.machine.disk, self.sweep)?;
        recovered?;
        let session = NewSession {
            sweep: self.sweep.id,
            pid: 1,
            boot_id: "boot".into(),
            host: "host".into(),
            version: "simulated".into(),
            machine: BTreeMap::new(),
        };
        let now = self.machine.clock.unix_ms();
        let session = self.write(|store| store.open_session(&session, now))?;
        let broken = |error: &dyn std::error::Error| Stop::Failed(error.to_string());
        let record = self.store.read().sweep(self.sweep.id).map_err(|error| broken(&error))?;
        let Some(record) = record else { return Err(Stop::Wrong("the sweep is gone".into())) };
        let sweep = definition(&record).map_err(|error| broken(&error))?;
        let options = Options {
            workers: self.sweep.workers,
            sweep: record.id,
            failure: sweep.failure.clone(),
            failed: record.counts.failed,
            next_attempt: record.next_attempt_id,
            home: HOME.into(),
            checkpoint_seconds: 60.0,
            gradient_checkpointing: false,
            allowance: Allowance::default(),
            early_stop: early_stopping(&record, &sweep, self.store.read())
                .map_err(|error| broken(&error))?,
        };
        let trials = load(&record, &sweep, self.store.read()).map_err(|error| broken(&error))?;
        let (objective, keep) = (sweep.objective.clone(), sweep.run.keep_best);
        let housekeeping = Housekeeping::new(&self.store, self.sweep.id, objective, keep)
            .map_err(|error| broken(&error))?;
        let growing = growing::load(&record, &sweep, self.store.read());
        let growing = growing.map_err(|error| broken(&error))?;
        let reactor = Reactor::new(options, trials).growing(growing);
        self.machine.life = Some(number);
        let mailboxes = BTreeMap::new();
        self.life = Some(Life { number, session, reactor, housekeeping, mailboxes });
        self.round(vec![Event::Tick])
    }

    /// Wakes up for some workers, or for a tick and all of them.
    pub(crate) fn wake(
        &mut self,
        woken: &[WorkerId],
        more: Option<Event>,
    ) -> Result<Option<Ending>, Stop> {
        let mut events = Vec::new();
        // Who is gone by now has written all that it ever will, and that is read first.
        let exit = |id: &WorkerId| Some((*id, self.machine.workers.get(id)?.exit.clone()?));
        let gone: Vec<_> = woken.iter().filter_map(exit).collect();
        for id in woken {
            events.extend(self.read(*id)?);
        }
        events.extend(more);
        for (id, exit) in gone {
            let known = self.life.as_mut().and_then(|life| life.mailboxes.remove(&id));
            if known.is_some() {
                events.push(Event::Exited { worker: id, exit });
            }
        }
        self.round(events)
    }

    /// Ends a life: `closed` is how it ended, if it could say so.
    pub(crate) fn finish(&mut self, ending: &Ending) -> Result<(), Stop> {
        let state = match ending {
            Ending::Finished { .. } => SweepState::Finished,
            Ending::Interrupted { .. } => SweepState::Interrupted,
        };
        let change = Change::SweepState { sweep: self.sweep.id, state };
        let session = self.life.as_ref().map(|life| life.session);
        let result = self.commit(&[change]);
        let now = self.machine.clock.unix_ms();
        let closed = match (result, session) {
            (Ok(()), Some(session)) => {
                self.write(|store| store.close_session(session, "ended", now))
            }
            (result, _) => result,
        };
        self.end_life();
        closed
    }

    /// The scheduler is gone, and with it the other end of its workers' stdin.
    pub(crate) fn end_life(&mut self) {
        self.life = None;
        self.machine.life = None;
        let unseen = self.machine.faults.unseen;
        for id in self.machine.running() {
            let lost = self.machine.dice.one_in(unseen);
            if let Some(worker) = self.machine.workers.get_mut(&id) {
                worker.unseen |= lost;
            }
        }
    }

    /// The session ends with an error: its workers are asked to leave, and those that do not are killed.
    pub(crate) fn give_up(&mut self) {
        self.machine.life = None;
        let until = self.machine.clock.now + LEAVE_MS;
        while self.machine.clock.now < until {
            let running = self.machine.running();
            if running.is_empty() {
                break;
            }
            for id in running {
                self.machine.advance(id);
            }
            self.machine.pass(500);
        }
        let known: Vec<WorkerId> =
            self.life.iter().flat_map(|life| life.mailboxes.keys().copied()).collect();
        known.into_iter().for_each(|id| self.machine.kill(id));
        self.end_life();
    }

    /// Returns the workers that this life knows, and those of them that have something new.
    pub(crate) fn heard(&self) -> (Vec<WorkerId>, Vec<WorkerId>) {
        let known: Vec<WorkerId> =
            self.life.iter().flat_map(|life| life.mailboxes.keys().copied()).collect();
        let news = |id: &WorkerId| {
            self.machine.workers.get(id).is_some_and(|worker| worker.rang || worker.exit.is_some())
        };
        let rung = known.iter().copied().filter(news).collect();
        (known, rung)
    }

    fn round(&mut self, events: Vec<Event>) -> Result<Option<Ending>, Stop> {
        let done = round(self, events);
        if let Some(wrong) = self.machine.wrong.take() {
            return Err(Stop::Wrong(wrong));
        }
        for (worker, attempt, seq) in std::mem::take(&mut self.machine.given) {
            self.checker.given(&self.other, worker, attempt, seq)?;
        }
        match (&done, &self.life) {
            (Ok(_), Some(life)) => {
                let works = |worker: &&Worker| worker.works() && worker.life == life.number;
                let working = self.machine.workers.values().filter(works).count() as u64;
                if working > self.sweep.workers {
                    return Err(Stop::Wrong(format!("{working} workers at once")));
                }
                let disk = &self.machine.disk;
                self.checker.check_new(&self.other, disk, self.sweep, &life.reactor)?;
            }
            // What was decided and not stored is nothing; what is stored must be whole all the same.
            _ => {
                self.checker.check_all(&self.other, &self.machine.disk, self.sweep)?;
            }
        }
        done
    }

    fn read(&mut self, id: WorkerId) -> Result<Option<Event>, Stop> {
        let Some(life) = &mut self.life else { return Ok(None) };
        let Some((reader, _)) = life.mailboxes.get_mut(&id) else { return Ok(None) };
        if let Some(worker) = self.machine.workers.get_mut(&id) {
            worker.rang = false;
        }
        let mail =
            self.machine.read_log(id, reader).map_err(|error| Stop::Failed(error.to_string()))?;
        if mail.hold.is_some() {
            self.machine.kill(id);
        }
        if mail.frames.is_empty() && mail.place.torn_lines == 0 {
            return Ok(None);
        }
        Ok(Some(Event::Frames { worker: id, frames: mail.frames, place: mail.place }))
    }

    /// Writes to the store, unless something happens to it.
    fn write<T, E: std::error::Error + Debug>(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<T, E>,
    ) -> Result<T, Stop> {
        ambushed(&mut self.ambush, &mut self.store, &self.other, write)
    }

    /// Starts a worker: its row first, so that no process runs that the database does not know.
    fn launch(&mut self) -> Result<Event, Stop> {
        let Some(life) = &self.life else { return Err(Stop::Died) };
        let (session, number) = (life.session, life.number);
        let now = self.machine.clock.unix_ms();
        let folder = |worker: WorkerId| format!("workers/{worker}");
        let worker = match self.write(|store| store.new_worker(session, "scripted", folder, now)) {
            Ok(worker) => worker,
            Err(Stop::Failed(error)) => return Ok(Event::LaunchFailed(error)),
            Err(stop) => return Err(stop),
        };
        self.machine.disk.create(worker).map_err(Stop::Wrong)?;
        if self.machine.dice.one_in(self.machine.faults.no_launch) {
            self.commit(&[Change::WorkerEnded { worker, exit: "not started".into() }])?;
            return Ok(Event::LaunchFailed("no such program".into()));
        }
        let identity = self.machine.start(worker, number);
        self.machine.tell(|| format!("worker {worker} is started as {identity:?}"));
        if let Some(life) = &mut self.life {
            life.mailboxes.insert(worker, (Reader::default(), Writer::default()));
        }
        self.commit(&[Change::WorkerSpawned {
            worker,
            pid: identity.pid,
            process_start: identity.process_start,
            boot_id: identity.boot_id,
        }])?;
        Ok(Event::Launched(worker))
    }

    /// Appends to a worker's `down.log`: after the commit, never before.
    fn send(&mut self, id: WorkerId, message: &Down, dies: bool) -> Result<(), Stop> {
        if let Down::Assign(assignment) = message {
            self.machine.disk.remove(&assignment.attempt_directory);
        }
        let Some(life) = &mut self.life else { return Ok(()) };
        let name = format!("scheduler {}", life.number);
        let Some((_, writer)) = life.mailboxes.get_mut(&id) else { return Ok(()) };
        let seq = writer.push(message);
        self.checker.sending(&self.other, id, message, seq)?;
        let short = dies || self.machine.dice.one_in(self.machine.faults.no_send);
        let bytes = writer.bytes();
        let length = if short { self.machine.dice.place(bytes.len()) } else { bytes.len() };
        if let Some(logs) = self.machine.disk.logs.get_mut(&id) {
            logs.down.append(&name, &bytes[..length]).map_err(Stop::Wrong)?;
        }
        writer.wrote(length);
        if dies {
            return Err(Stop::Died);
        }
        if short { Err(Stop::Failed("cannot use the worker's logs".into())) } else { Ok(()) }
    }
}

impl Carrier for Scheduler<'_> {
    type Error = Stop;

    fn decide(&mut self, event: Event) -> Result<Decisions, Stop> {
        let Some(life) = &mut self.life else { return Err(Stop::Died) };
        self.machine.tell(|| format!("  event {event:?}"));
        let decided = life.reactor.step(event, self.machine.clock.now);
        let decisions = decided.map_err(|defect| Stop::Wrong(defect.to_string()))?;
        if let Some(all) = &mut self.decisions {
            all.push_str(&format!("{decisions:?}\n"));
        }
        Ok(decisions)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Stop> {
        if changes.is_empty() {
            return Ok(());
        }
        let now = self.machine.clock.unix_ms();
        let done = self.write(|store| store.apply(changes, now));
        self.machine.tell(|| format!("  commit {changes:?}: {done:?}"));
        done
    }

    fn act(&mut self, action: Action) -> Result<Option<Event>, Stop> {
        let mut dies = false;
        if let Some(Ambush::DeathAtAction(left)) = self.ambush {
            self.ambush = left.checked_sub(1).map(Ambush::DeathAtAction);
            dies = left == 0;
        }
        if dies && (!matches!(action, Action::Send(..)) || self.machine.dice.one_in(2)) {
            return Err(Stop::Died);
        }
        match action {
            Action::Launch => return self.launch().map(Some),
            Action::Send(worker, message) => self.send(worker, &message, dies)?,
            Action::Kill(worker) => {
                if self.life.as_ref().is_some_and(|life| life.mailboxes.contains_key(&worker)) {
                    self.machine.kill(worker);
                }
            }
            Action::CleanUp { trial } => {
                let Some(life) = &mut self.life else { return Ok(None) };
                let changes = life.housekeeping.clean_up(&self.home, &mut self.store, trial);
                self.commit(&changes)?;
            }
            Action::Score(trial) => {
                let value = self.store.read().objective_value(trial);
                let value = value.map_err(|error| Stop::Wrong(error.to_string()))?;
                return Ok(Some(Event::Scored { trial, value }));
            }
            Action::Answer(_) | Action::Notice(_) | Action::Finish(_) => {}
        }
        Ok(None)
    }
}

/// Writes to the store while something lies in wait.
fn ambushed<T, E: std::error::Error + Debug>(
    ambush: &mut Option<Ambush>,
    store: &mut Store,
    other: &Connection,
    write: impl FnOnce(&mut Store) -> Result<T, E>,
) -> Result<T, Stop> {
    let sprung = match ambush {
        Some(Ambush::DeathAtAction(_)) | None => None,
        Some(_) => ambush.take(),
    };
    let broken = |error: converge_store::DatabaseError| Stop::Wrong(error.to_string());
    if let Some(Ambush::Interrupt(instructions) | Ambush::Death(instructions)) = sprung {
        store.interrupt_after(Some(instructions)).map_err(broken)?;
    }
    if sprung == Some(Ambush::Lock) {
        other.execute_batch("BEGIN IMMEDIATE").expect("nobody else holds it");
    }
    let done = write(store);
    if sprung == Some(Ambush::Lock) {
        other.execute_batch("ROLLBACK").expect("it was begun");
    }
    if sprung.is_some() {
        store.interrupt_after(None).map_err(broken)?;
    }
    if let Err(error) = &done {
        let text = format!("{error:?}");
        if ["Refused", "Constraint", "Corrupt", "IllegalTransition"]
            .iter()
            .any(|word| text.contains(word))
        {
            return Err(Stop::Wrong(format!("the store refuses: {text}")));
        }
    }
    if matches!(sprung, Some(Ambush::Death(_))) {
        return Err(Stop::Died);
    }
    done.map_err(|error| Stop::Failed(format!("{error:?}")))
}

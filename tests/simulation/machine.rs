//! Everything around the scheduler: clocks, disk, process table, workers; as it sees them live and when it recovers.

use std::collections::BTreeMap;
use std::time::Duration;

use converge_core::ids::{AttemptId, WorkerId};
use converge_protocol::frame::Reader;
use converge_scheduler::launcher::local::Identity;
use converge_scheduler::mailbox::Mail;
use converge_scheduler::reactor::{Exit, LogPlace};
use converge_scheduler::recovery::Outside;
use converge_store::WorkerRecord;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::faults::Faults;
use crate::processes::{Owner, Processes};
use crate::worker::{Around, Birth, Worker};

/// Looks of recovery at old workers, after which waiting has no end: 10 s of 20 ms, and as much again for deaths.
const LOOKS: u64 = 2_000;

/// A machine with one home.
pub(crate) struct Machine {
    pub(crate) dice: Dice,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) disk: Disk,
    pub(crate) processes: Processes,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    /// The life of the scheduler that runs now.
    pub(crate) life: Option<u64>,
    pub(crate) given: Vec<(WorkerId, AttemptId, u64)>,
    /// What must not be, seen where nothing can be returned.
    pub(crate) wrong: Option<String>,
    /// What happened, where somebody wants to read it.
    pub(crate) story: Option<Vec<String>>,
    looks: u64,
}

impl Machine {
    pub(crate) fn new(dice: Dice, clock: Clock, faults: Faults) -> Self {
        Self {
            dice,
            clock,
            faults,
            disk: Disk::default(),
            processes: Processes::new(),
            workers: BTreeMap::new(),
            life: None,
            given: Vec::new(),
            wrong: None,
            story: None,
            looks: 0,
        }
    }

    /// Writes a line of the story.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>9} {}", self.clock.now, line()));
        }
    }

    /// Runs a function on a worker and what it touches.
    fn with<T>(
        &mut self,
        id: WorkerId,
        run: impl FnOnce(&mut Worker, &mut Around<'_>) -> T,
    ) -> Option<T> {
        let worker = self.workers.get_mut(&id)?;
        let logs = self.disk.logs.get_mut(&id)?;
        let mut around = Around {
            id,
            logs,
            checkpoints: &mut self.disk.checkpoints,
            dice: &mut self.dice,
            faults: &self.faults,
            now: self.clock.now,
            life: self.life,
            given: &mut self.given,
            wrong: &mut self.wrong,
        };
        Some(run(worker, &mut around))
    }

    /// Starts a worker process on its folder.
    pub(crate) fn start(&mut self, id: WorkerId, life: u64) -> Identity {
        let birth = match self.dice.one_in(self.faults.stillborn) {
            false => Birth::Good,
            true if self.dice.one_in(2) => Birth::Still,
            true => Birth::Mute,
        };
        let identity = self.processes.start(Owner::Worker(id));
        self.workers.insert(id, Worker::start(identity.clone(), life, birth, self.clock.now));
        identity
    }

    /// Returns the workers whose processes run.
    pub(crate) fn running(&self) -> Vec<WorkerId> {
        let runs = |(_, worker): &(&WorkerId, &Worker)| worker.exit.is_none();
        self.workers.iter().filter(runs).map(|(id, _)| *id).collect()
    }

    /// Lets a worker do its next thing, if it can.
    pub(crate) fn advance(&mut self, id: WorkerId) {
        let now = self.clock.now;
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.exit.is_some() || worker.stopped_until > now {
            return;
        }
        if let Some(at) = worker.dies_at {
            if at <= now {
                self.end(id, Exit::Signal(9));
            }
            return;
        }
        if let Some(Some(exit)) = self.with(id, |worker, around| worker.advance(around)) {
            self.end(id, exit);
        }
    }

    /// A signal 9: the process does nothing more, and is gone now or a little later.
    pub(crate) fn kill(&mut self, id: WorkerId) {
        let now = self.clock.now;
        let late = self.dice.one_in(self.faults.slow_death);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.exit.is_some() || worker.dies_at.is_some() {
            return;
        }
        worker.stopped_until = 0;
        if late {
            worker.dies_at = Some(now + self.dice.between(1, 3_000));
        } else {
            self.with(id, |worker, around| worker.fall(around));
            self.end(id, Exit::Signal(9));
        }
    }

    /// A process is gone.
    fn end(&mut self, id: WorkerId, exit: Exit) {
        self.tell(|| format!("worker {id} is gone: {}", exit.text()));
        let reused = self.dice.one_in(self.faults.pid_reuse);
        let mended = self.dice.one_in(2);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.exit = Some(exit);
        self.processes.end(&worker.identity, reused);
        // What it wrote was in the page cache all the time.
        if let Some(logs) = self.disk.logs.get_mut(&id) {
            logs.up.show();
            if mended {
                logs.up.mend();
            }
        }
    }

    /// Lets time pass: who is killed dies, who works says at times that it is alive.
    pub(crate) fn pass(&mut self, milliseconds: i64) {
        self.clock.now += milliseconds;
        for id in self.running() {
            let worker = &self.workers[&id];
            if worker.dies_at.is_some_and(|at| at <= self.clock.now) {
                self.end(id, Exit::Signal(9));
            } else if worker.stopped_until <= self.clock.now {
                self.with(id, |worker, around| worker.beat(around));
            }
        }
    }

    /// All processes end, and the machine starts anew.
    pub(crate) fn reboot(&mut self) {
        for id in self.running() {
            self.with(id, |worker, around| worker.fall(around));
            self.end(id, Exit::Signal(9));
        }
        self.processes.reboot();
    }

    /// Reads what a reader at a place sees of a worker's log.
    pub(crate) fn read_log(&mut self, id: WorkerId, reader: &mut Reader) -> std::io::Result<Mail> {
        if self.dice.one_in(self.faults.no_read) {
            return Err(std::io::Error::other("the disk fails"));
        }
        let Some(logs) = self.disk.logs.get(&id) else {
            return Err(std::io::Error::other("there is no such log"));
        };
        let read = reader.feed(&logs.up.read_from(reader.offset()));
        let (offset, next_seq) = (reader.offset(), reader.next_seq());
        let place = LogPlace { offset, next_seq, torn_lines: read.torn_lines };
        Ok(Mail { frames: read.frames, place, hold: read.hold })
    }
}

/// The machine as recovery meets it.
impl Outside for Machine {
    fn is_alive(&self, process: &Identity) -> bool {
        match self.processes.owner(process) {
            Some(Owner::Worker(id)) => !self.workers[&id].unseen,
            Some(Owner::Stranger) | None => false,
        }
    }

    fn kill(&mut self, process: &Identity) {
        match self.processes.owner(process) {
            Some(Owner::Worker(id)) => Machine::kill(self, id),
            Some(Owner::Stranger) => self.wrong = Some(format!("{process:?} is no worker's")),
            None => {}
        }
    }

    fn read(&mut self, worker: &WorkerRecord) -> std::io::Result<Mail> {
        if self.workers.get(&worker.id).is_some_and(|it| it.exit.is_none() && !it.unseen)
            && worker.pid.is_some()
        {
            self.wrong = Some(format!("the log of worker {} is read while it runs", worker.id));
        }
        self.looks = 0;
        let mut reader = Reader::resume(worker.up_next_seq, worker.up_offset);
        self.read_log(worker.id, &mut reader)
    }

    fn wait(&mut self, time: Duration) {
        self.looks += 1;
        if self.looks > LOOKS {
            self.wrong = Some("recovery waits for ever".into());
            for id in self.running() {
                self.end(id, Exit::Signal(9));
            }
        }
        // Who waits may be slow to look again.
        let slowness = self.dice.between(1, 100);
        self.pass(i64::try_from(time.as_millis()).expect("a short wait") * slowness);
        for id in self.running() {
            self.advance(id);
        }
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.clock.now.unsigned_abs())
    }

    fn unix_ms(&self) -> i64 {
        self.clock.unix_ms()
    }
}

//! One life of the scheduler: carries events to the reactor, its changes to the store, its actions to workers.
//!
//! Wakes are drained before anything is decided, so that a burst of frames from many workers becomes one
//! transaction. The order is fixed: read logs, decide, commit, act.

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use converge_core::ids::WorkerId;
use converge_core::placement::emptiest;
use converge_core::trial::IllegalTransition;
use converge_faults::point;
use converge_protocol::message::Down;
use converge_store::{ApplyError, Change, QueryError, SessionId, Store};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::cancellation::CancelError;
use crate::home::Home;
use crate::housekeeping::Housekeeping;
use crate::launcher::WorkerCommand;
use crate::launcher::local::{Process, Sign, launch};
use crate::mailbox::Mailbox;
use crate::oom_killer::OomKiller;
use crate::reactor::{Action, Decisions, Ending, Event, Exit, Notice, Reactor, RequestId};
use crate::requests::Requests;
use crate::round::{Carrier, round};
use crate::{clock, evidence, worker_notes};

/// How often logs are looked at without a bell, and silence is checked.
const TICK: Duration = Duration::from_millis(500);
/// The signal that the kernel's killer uses as well.
const SIGKILL: i32 = nix::libc::SIGKILL;
/// The signal by which a process ends itself, for one when it can get no more memory.
const SIGABRT: i32 = nix::libc::SIGABRT;
/// How long workers may take to leave after an error of the scheduler's own.
const LEAVE: Duration = Duration::from_secs(10);

/// What a session tells while it runs.
#[derive(Debug)]
pub enum Update<'a> {
    /// Something a user wants to know.
    Notice(&'a Notice),
    /// The state after a round of events.
    Progress(&'a Reactor),
}

/// A session cannot go on. What workers have written stays in their logs, and `resume` reads it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database refused a batch; nothing of it is stored.
    #[error("cannot store the sweep's progress")]
    Store(#[source] ApplyError),
    /// Trials of another sweep of the home were to be cancelled.
    #[error(transparent)]
    Cancel(#[from] CancelError),
    /// The database cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The state contradicts itself.
    #[error("a defect in converge: {0}")]
    Defect(#[from] IllegalTransition),
    /// A worker's logs cannot be used.
    #[error("cannot use the worker's logs in `{}`", directory.display())]
    Mailbox {
        /// Its folder.
        directory: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system refused to tell about signals.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl SessionError {
    /// Returns whether the session could have gone on with room on the disk.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Store(error) | Self::Cancel(CancelError::Store(error)) => error.is_disk_full(),
            Self::Mailbox { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Cancel(_) | Self::Query(_) | Self::Defect(_) | Self::Signals(_) => false,
        }
    }
}

/// Something that wakes the session.
enum Wake {
    Worker(WorkerId, Sign),
    Interrupt,
    Tick,
}

/// A worker's logs and, while it runs, its process.
struct Member {
    mailbox: Mailbox,
    /// Index among the command's places.
    place: usize,
    process: Process,
    /// Processes that the kernel had taken for want of memory when it was started.
    oom_kills: u64,
}

/// One life of the scheduler.
pub struct Session {
    home: Home,
    store: Store,
    id: SessionId,
    command: WorkerCommand,
    reactor: Reactor,
    members: BTreeMap<WorkerId, Member>,
    housekeeping: Housekeeping,
    requests: Requests,
    /// Requests that the reactor has, and has not answered.
    asked: BTreeSet<RequestId>,
    oom_killer: OomKiller,
    /// Largest resident sets of workers, as seen at ticks.
    peaks: BTreeMap<WorkerId, u64>,
    signs: UnboundedSender<(WorkerId, Sign)>,
    heard: UnboundedReceiver<(WorkerId, Sign)>,
}

impl Session {
    /// Makes a session that has not started any worker.
    pub fn new(
        home: Home,
        store: Store,
        id: SessionId,
        command: WorkerCommand,
        reactor: Reactor,
        housekeeping: Housekeeping,
    ) -> Self {
        let (signs, heard) = unbounded_channel();
        Self {
            requests: Requests::of(&home),
            asked: BTreeSet::new(),
            oom_killer: OomKiller::of_this_process(),
            peaks: BTreeMap::new(),
            home,
            store,
            id,
            command,
            reactor,
            members: BTreeMap::new(),
            housekeeping,
            signs,
            heard,
        }
    }

    /// Runs until every trial is final, or until it is interrupted. Returns the store for what comes after.
    ///
    /// # Errors
    /// [`SessionError`]; workers have then been given time to checkpoint and leave.
    pub async fn run(
        mut self,
        interrupts: &mut Interrupts,
        watch: &mut dyn FnMut(Update<'_>),
    ) -> Result<(Ending, Store), SessionError> {
        let ended = self.rounds(interrupts, watch).await;
        if ended.is_err() {
            self.dismiss().await;
        }
        ended.map(|ending| (ending, self.store))
    }

    async fn rounds(
        &mut self,
        interrupts: &mut Interrupts,
        watch: &mut dyn FnMut(Update<'_>),
    ) -> Result<Ending, SessionError> {
        let mut ticks = tokio::time::interval(TICK);
        let mut events = self.ask()?;
        events.push(Event::Tick);
        loop {
            if let Some(ending) = self.round(events, watch)? {
                return Ok(ending);
            }
            let wake = tokio::select! {
                sign = self.heard.recv() => sign.map_or(Wake::Tick, |(worker, sign)| Wake::Worker(worker, sign)),
                () = interrupts.next() => Wake::Interrupt,
                _ = ticks.tick() => Wake::Tick,
            };
            events = self.events(wake)?;
        }
    }

    fn round(
        &mut self,
        events: Vec<Event>,
        watch: &mut dyn FnMut(Update<'_>),
    ) -> Result<Option<Ending>, SessionError> {
        let ending = round(&mut Watched { session: self, watch }, events)?;
        watch(Update::Progress(&self.reactor));
        Ok(ending)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), SessionError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.store.apply(changes, clock::unix_ms()).map_err(SessionError::Store)?;
        worker_notes::write_ends(&self.home, changes);
        Ok(())
    }

    fn act(
        &mut self,
        action: Action,
        watch: &mut dyn FnMut(Update<'_>),
    ) -> Result<Option<Event>, SessionError> {
        match action {
            Action::Launch => return self.launch().map(Some),
            Action::Send(worker, message) => {
                if let Down::Assign(assignment) = message.as_ref() {
                    // After a power cut an attempt's number can be given again; what lies there is not its own.
                    let _ = std::fs::remove_dir_all(&assignment.attempt_directory);
                    point("attempt_folder.cleared");
                }
                if let Some(member) = self.members.get_mut(&worker) {
                    member
                        .mailbox
                        .send(&message)
                        .map_err(|source| unusable(&member.mailbox, source))?;
                    member.process.ring();
                }
            }
            Action::Kill(worker) => {
                if let Some(member) = self.members.get(&worker) {
                    member.process.kill();
                }
            }
            Action::CleanUp { trial } => {
                let changes = self.housekeeping.clean_up(&self.home, &mut self.store, trial);
                self.commit(&changes)?;
            }
            Action::Score(trial) => {
                point("growth.before");
                let value = self.store.read().objective_value(trial)?;
                return Ok(Some(Event::Scored { trial, value }));
            }
            Action::Answer(request) => {
                self.requests.remove(&request);
                self.asked.remove(&request);
            }
            Action::Notice(notice) => watch(Update::Notice(&notice)),
            Action::Finish(_) => {}
        }
        Ok(None)
    }

    /// Starts a worker: its row first, so that no process runs that the database does not know.
    fn launch(&mut self) -> Result<Event, SessionError> {
        let folder = |worker: WorkerId| format!("workers/{worker}");
        let taken = self.members.values().map(|member| member.place);
        let place = emptiest(self.command.places.len(), taken);
        let at = self.command.places[place].clone();
        let made = self.store.new_worker(self.id, &at.device, folder, clock::unix_ms());
        let worker = match made {
            Ok(worker) => worker,
            Err(error) => return Ok(Event::LaunchFailed(error.to_string())),
        };
        let directory = self.home.root().join(folder(worker));
        let signs = self.signs.clone();
        let oom_kills = self.oom_killer.kills();
        let started = Mailbox::create(&directory).and_then(|mailbox| {
            let of = move |sign| (worker, sign);
            Ok((mailbox, launch(&self.command, &at, &directory, signs, of)?))
        });
        let (mailbox, process) = match started {
            Ok(started) => started,
            Err(error) => {
                self.commit(&[Change::WorkerEnded {
                    worker,
                    exit: format!("not started: {error}"),
                }])?;
                let program = self.command.program.path.display();
                return Ok(Event::LaunchFailed(format!("`{program}`: {error}")));
            }
        };
        let identity = process.identity.clone();
        self.members.insert(worker, Member { mailbox, place, process, oom_kills });
        self.commit(&[Change::WorkerSpawned {
            worker,
            pid: identity.pid,
            process_start: identity.process_start,
            boot_id: identity.boot_id,
        }])?;
        match self.store.read().worker_note(worker) {
            Ok(note) => worker_notes::write_start(&directory, &note),
            Err(error) => tracing::warn!(%worker, %error, "cannot note which worker it is"),
        }
        Ok(Event::Launched(worker))
    }

    /// Turns a wake, and all that have come meanwhile, into events; each worker's log is read once.
    fn events(&mut self, wake: Wake) -> Result<Vec<Event>, SessionError> {
        let (mut rung, mut gone, mut events) = (Vec::new(), Vec::new(), Vec::new());
        // Silence is judged after all logs were read: this process may have been stopped, and not the workers.
        let mut tick = None;
        match wake {
            Wake::Worker(worker, sign) => sort_sign(worker, sign, &mut rung, &mut gone),
            Wake::Interrupt => events.push(Event::Interrupt),
            Wake::Tick => {
                rung.extend(self.members.keys().copied());
                self.look_at_memory();
                events.extend(self.ask()?);
                tick = Some(Event::Tick);
            }
        }
        while let Ok((worker, sign)) = self.heard.try_recv() {
            sort_sign(worker, sign, &mut rung, &mut gone);
        }
        rung.sort_unstable();
        rung.dedup();
        for worker in rung {
            events.extend(self.read(worker)?);
        }
        // A process that is gone has written all that it ever will, and that has just been read.
        for (worker, mut exit) in gone {
            let Some(member) = self.members.remove(&worker) else { continue };
            let out_of_memory = match exit {
                Exit::Signal(SIGKILL) => self.oom_killer.took_one(member.oom_kills),
                Exit::Signal(SIGABRT) => evidence::says_out_of_memory(member.mailbox.directory()),
                _ => false,
            };
            if let (true, Exit::Signal(signal)) = (out_of_memory, &exit) {
                exit = Exit::OutOfMemory(*signal);
            }
            events.push(Event::Exited { worker, exit });
        }
        events.extend(tick);
        Ok(events)
    }

    /// Notes how much memory workers have had: one that is killed cannot say so itself.
    fn look_at_memory(&mut self) {
        self.peaks.retain(|worker, _| self.members.contains_key(worker));
        for (worker, member) in &self.members {
            if let Some(peak) = member.process.identity.peak_memory_bytes() {
                self.peaks.insert(*worker, peak);
            }
        }
    }

    fn read(&mut self, worker: WorkerId) -> Result<Option<Event>, SessionError> {
        let Some(member) = self.members.get_mut(&worker) else { return Ok(None) };
        let mail = member.mailbox.read().map_err(|source| unusable(&member.mailbox, source))?;
        if let Some(hold) = mail.hold {
            // On a local disk nothing is "not visible yet": the log is damaged, and with it the attempt.
            tracing::error!(%worker, %hold, "the worker's log cannot be read further; killing it");
            member.process.kill();
        }
        if mail.frames.is_empty() && mail.place.torn_lines == 0 {
            return Ok(None);
        }
        Ok(Some(Event::Frames { worker, frames: mail.frames, place: mail.place }))
    }

    /// After an error: closing their stdin makes the workers checkpoint and leave.
    async fn dismiss(&mut self) {
        let mut identities: Vec<_> = std::mem::take(&mut self.members)
            .into_values()
            .map(|member| member.process.identity)
            .collect();
        let patience = tokio::time::Instant::now() + LEAVE;
        while !identities.is_empty() && tokio::time::Instant::now() < patience {
            let waited = tokio::time::timeout_at(patience, self.heard.recv()).await;
            if matches!(waited, Ok(Some((_, Sign::Gone(_))))) {
                identities.retain(|identity| identity.is_alive());
            }
        }
        identities.iter().for_each(|identity| identity.kill());
    }
}

/// A session with who hears of its notices.
struct Watched<'a> {
    session: &'a mut Session,
    watch: &'a mut dyn FnMut(Update<'_>),
}

impl Carrier for Watched<'_> {
    type Error = SessionError;

    fn decide(&mut self, event: Event) -> Result<Decisions, SessionError> {
        let session = &mut *self.session;
        let mut decisions = session.reactor.step(event, clock::monotonic_ms())?;
        for attempt in std::mem::take(&mut decisions.unexplained) {
            let peak = session.peaks.get(&attempt.worker).copied();
            decisions.changes.push(evidence::collect(&session.home, attempt, peak));
        }
        Ok(decisions)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), SessionError> {
        self.session.commit(changes)
    }

    fn act(&mut self, action: Action) -> Result<Option<Event>, SessionError> {
        self.session.act(action, self.watch)
    }
}

fn sort_sign(
    worker: WorkerId,
    sign: Sign,
    rung: &mut Vec<WorkerId>,
    gone: &mut Vec<(WorkerId, Exit)>,
) {
    rung.push(worker);
    if let Sign::Gone(exit) = sign {
        gone.push((worker, exit));
    }
}

fn unusable(mailbox: &Mailbox, source: std::io::Error) -> SessionError {
    SessionError::Mailbox { directory: mailbox.directory().to_path_buf(), source }
}

/// Ctrl-C, and the two signals that mean the same.
pub struct Interrupts([Signal; 3]);

impl Interrupts {
    /// Starts listening; from now on these signals no longer end the process.
    ///
    /// # Errors
    /// [`SessionError::Signals`].
    pub fn listen() -> Result<Self, SessionError> {
        let listen = |kind| signal(kind).map_err(SessionError::Signals);
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

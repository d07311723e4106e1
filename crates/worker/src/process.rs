//! The life of a worker process: one loop that hears, decides and never computes.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use converge_core::ids::AttemptId;
use converge_core::trial::AttemptEnding;
use converge_protocol::message::{Assignment, Down, Up};
use nix::sys::stat::{Mode, umask};

use crate::arguments::Arguments;
use crate::ears::{self, Event};
use crate::journal::Journal;
use crate::machine;
use crate::up_log::UpLog;
use crate::work::{Condition, Done, Job, Link, Workplace};

/// The device that trains nothing.
pub(crate) const SCRIPTED: &str = "scripted";
/// A busy worker says at least this often that it gets on, if it does.
const BEAT: Duration = Duration::from_secs(15);
/// It says so at least this many times within the time after which it counts as hung.
const BEATS_IN_TIMEOUT: u32 = 4;
/// A worker without work has nothing to do by itself.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// A training that was asked to stop has so long for its checkpoint.
const GRACE: Duration = Duration::from_secs(30);
/// Exit code after a panic, as Rust's own.
const PANICKED: u8 = 101;

/// Runs a worker until its scheduler sends it away or is gone, a signal ends it, or an attempt fails.
///
/// The process belongs to it: signals are blocked, stdin and stdout are door bells, and the global
/// subscriber, panic hook and thread pool are set. To be called from `main` before any thread starts.
///
/// Exit code: 0 after a goodbye in peace, 1 after a failed attempt or a defect of the surroundings,
/// 101 after a panic.
pub fn run(arguments: Arguments) -> ExitCode {
    // Weights and logs are for this user alone, whichever library writes them.
    umask(Mode::from_bits_truncate(0o077));
    let blocked = ears::block_signals();
    let journal = Journal::install();
    if let Err(error) = blocked {
        tracing::error!("cannot block signals: {error}");
        return ExitCode::FAILURE;
    }
    let threads = usize::try_from(arguments.threads).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if let Err(error) = pool.thread_name(|index| format!("compute-{index}")).build_global() {
        tracing::warn!("the number of threads cannot be set: {error}");
    }
    match Process::start(&arguments, journal) {
        Ok(mut process) => process.live(),
        Err(error) => {
            let directory = arguments.directory.display();
            tracing::error!("cannot start a worker in `{directory}`: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the loop knows.
struct Process {
    events: Receiver<Event>,
    jobs: Sender<Job>,
    up: UpLog,
    link: Arc<Link>,
    doing: Doing,
    /// How often the work at hand is looked at for progress.
    beat: Duration,
    /// Work that was given before the work at hand was over.
    queue: VecDeque<Job>,
    /// No new work is begun.
    leaving: bool,
    /// Since when nobody waits for what is not written: the scheduler is gone, or SIGTERM came.
    hurried: Option<Instant>,
    condition: Condition,
}

/// The work at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    Preparing,
    Attempt(AttemptId),
}

impl Process {
    fn start(arguments: &Arguments, journal: Journal) -> std::io::Result<Self> {
        let up = UpLog::open(&arguments.directory)?;
        up.push(Up::Born {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            device: arguments.device.clone(),
            threads: arguments.threads,
            machine: machine::facts(),
        });
        let (sender, events) = channel();
        let link = Arc::new(Link::new());
        let workplace = Workplace {
            device: arguments.device.clone(),
            up: up.clone(),
            link: Arc::clone(&link),
            journal,
        };
        let jobs = workplace.open(sender.clone())?;
        ears::listen(&arguments.directory, &sender)?;
        Ok(Self {
            events,
            jobs,
            up,
            link,
            doing: Doing::Nothing,
            beat: BEAT,
            queue: VecDeque::new(),
            leaving: false,
            hurried: None,
            condition: Condition::Good,
        })
    }

    fn live(&mut self) -> ExitCode {
        loop {
            match self.events.recv_timeout(self.patience()) {
                Ok(event) => self.hear(event),
                Err(RecvTimeoutError::Timeout) => {
                    if self.is_out_of_time() {
                        tracing::error!(
                            "the work did not stop within {GRACE:?}: leaving without it"
                        );
                        return ExitCode::FAILURE;
                    }
                    self.beat();
                }
                Err(RecvTimeoutError::Disconnected) => self.hear(Event::Broken("alone".into())),
            }
            self.begin_next();
            // A preparation has nothing to save: what it leaves half done is under another name.
            let idle = matches!(self.doing, Doing::Nothing | Doing::Preparing);
            if self.leaving && idle {
                return self.depart();
            }
        }
    }

    /// Returns how long to wait for an event.
    fn patience(&self) -> Duration {
        let until_beat = match self.doing {
            Doing::Nothing => FOR_EVER,
            _ => self.beat.saturating_sub(self.up.silence()).max(Duration::from_millis(100)),
        };
        match self.hurried {
            Some(since) => until_beat.min(GRACE.saturating_sub(since.elapsed())),
            None => until_beat,
        }
    }

    /// Says that there was progress since the last frame. A process that lives while its training hangs says nothing:
    /// its scheduler kills it once the timeout is over.
    fn beat(&mut self) {
        let silence = self.up.silence();
        let gets_on = match self.doing {
            Doing::Nothing => false,
            Doing::Preparing => true,
            Doing::Attempt(_) => self.link.quiet_for() < silence,
        };
        if gets_on && silence >= self.beat && !self.up.is_crowded() {
            self.up.push(Up::Beat);
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Down(Down::Prepare { cases, split_seed, cache_directory }) => {
                self.queue.push_back(Job::Prepare { cases, split_seed, cache_directory });
            }
            Event::Down(Down::Inspect { path }) => self.queue.push_back(Job::Inspect { path }),
            Event::Down(Down::Assign(assignment)) => {
                self.queue.push_back(Job::Attempt(assignment));
            }
            Event::Down(Down::Release) => self.release(),
            Event::Down(Down::Exit) => self.leave("there is no more work"),
            Event::Alone => {
                self.hurry();
                self.leave("the scheduler is gone");
            }
            Event::Terminated => {
                self.hurry();
                self.leave("SIGTERM");
            }
            Event::Broken(reason) => {
                tracing::error!("{reason}");
                self.condition = Condition::Failed;
                self.hurry();
                self.leave("it can no longer hear");
            }
            Event::Done(Done { frame, condition }) => {
                self.up.push(frame);
                self.doing = Doing::Nothing;
                if condition != Condition::Good {
                    self.condition = condition;
                    self.leave("its work failed, and a new process is safer");
                }
            }
        }
    }

    fn begin_next(&mut self) {
        if self.leaving {
            return self.release();
        }
        if self.doing != Doing::Nothing {
            return;
        }
        let Some(job) = self.queue.pop_front() else { return };
        self.link.reset();
        self.doing = match &job {
            Job::Prepare { .. } | Job::Inspect { .. } => Doing::Preparing,
            Job::Attempt(assignment) => {
                let timeout = Duration::from_secs(assignment.timeout_seconds);
                self.beat = BEAT.min(timeout / BEATS_IN_TIMEOUT);
                let (attempt, from_step) = (assignment.attempt, from_step(assignment));
                self.up.push(Up::Started { attempt, from_step });
                Doing::Attempt(attempt)
            }
        };
        if self.jobs.send(job).is_err() {
            self.hear(Event::Broken("the working thread is gone".into()));
        }
    }

    /// Gives back the running attempt, and those that wait.
    fn release(&mut self) {
        if matches!(self.doing, Doing::Attempt(_)) {
            self.link.stop();
        }
        for job in std::mem::take(&mut self.queue) {
            match job {
                Job::Attempt(assignment) => self.up.push(Up::Ended {
                    attempt: assignment.attempt,
                    step: from_step(&assignment),
                    ending: AttemptEnding::Released,
                    best: None,
                    peak_memory_bytes: None,
                }),
                Job::Prepare { .. } | Job::Inspect { .. } => self.queue.push_back(job),
            }
        }
    }

    fn leave(&mut self, reason: &str) {
        if !self.leaving {
            tracing::info!("the worker leaves: {reason}");
        }
        self.leaving = true;
        self.release();
    }

    fn hurry(&mut self) {
        self.hurried.get_or_insert_with(Instant::now);
    }

    fn is_out_of_time(&self) -> bool {
        self.hurried.is_some_and(|since| since.elapsed() >= GRACE)
    }

    /// Says goodbye once everything is written. As long as there is a scheduler that waits for it,
    /// a full disk is waited out.
    fn depart(&mut self) -> ExitCode {
        self.up.push(Up::Bye);
        while !self.up.flush_within(Duration::from_secs(1)) {
            while let Ok(event) = self.events.try_recv() {
                if matches!(event, Event::Alone | Event::Terminated | Event::Broken(_)) {
                    self.hurry();
                }
            }
            if self.is_out_of_time() {
                tracing::error!("the last frames could not be written");
                return ExitCode::FAILURE;
            }
        }
        match self.condition {
            Condition::Good => ExitCode::SUCCESS,
            Condition::Failed => ExitCode::FAILURE,
            Condition::Panicked => ExitCode::from(PANICKED),
        }
    }
}

fn from_step(assignment: &Assignment) -> u64 {
    assignment.resume_from.as_ref().map_or(0, |from| from.step)
}

//! The thread that works: one job after the other, panics and errors turned into endings.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use converge_core::facts::Facts;
use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::AttemptId;
use converge_core::items::ItemResults;
use converge_core::micro_batches::MicroBatches;
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::Settings;
use converge_core::trial::AttemptEnding;
use converge_faults::{disk, point};
use converge_finetune::{Control, Ending, Observer, PrepareRequest};
use converge_protocol::message::{Assignment, Best, Up, Work};
use nix::sys::signal::{Signal, raise};

use crate::ears::Event;
use crate::journal::Journal;
use crate::scripted::{self, Finale, Play};
use crate::up_log::UpLog;
use crate::{machine, process};

/// Enough for a deep autograd graph to be dropped.
const STACK_BYTES: usize = 64 << 20;
/// How often a training that waits for room in `up.log` looks whether it should stop.
const ROOM_POLL: Duration = Duration::from_millis(50);

/// Something to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// [`Down::Prepare`](converge_protocol::message::Down::Prepare).
    Prepare { cases: Vec<Settings>, split_seed: Seed, cache_directory: String },
    /// [`Down::Inspect`](converge_protocol::message::Down::Inspect).
    Inspect { path: String },
    /// [`Down::Assign`](converge_protocol::message::Down::Assign).
    Attempt(Box<Assignment>),
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Done {
    /// The frame that says it.
    pub(crate) frame: Up,
    /// After a failure the process is not to be used again; after a panic even less.
    pub(crate) condition: Condition,
}

/// What a job left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// As it was.
    Good,
    /// An attempt failed.
    Failed,
    /// The code panicked.
    Panicked,
}

/// What the main thread and the working thread share while a job runs.
#[derive(Debug)]
pub(crate) struct Link {
    stop: AtomicBool,
    last_progress: Mutex<Instant>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self { stop: AtomicBool::new(false), last_progress: Mutex::new(Instant::now()) }
    }

    /// For the next job.
    pub(crate) fn reset(&self) {
        self.stop.store(false, Ordering::Relaxed);
        self.note_progress();
    }

    /// Asks the running attempt to checkpoint and return.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn must_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A step, a micro-batch, a batch of an evaluation or a checkpoint is done.
    fn note_progress(&self) {
        *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns the time since the training last got on.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.last_progress.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// What a job needs of its process.
#[derive(Debug, Clone)]
pub(crate) struct Workplace {
    pub(crate) device: String,
    pub(crate) up: UpLog,
    pub(crate) link: Arc<Link>,
    pub(crate) journal: Journal,
}

impl Workplace {
    /// Starts the working thread, which answers each job with an [`Event::Done`].
    ///
    /// One thread for all jobs: what backends keep by thread is warm for the second trial.
    pub(crate) fn open(self, events: Sender<Event>) -> std::io::Result<Sender<Job>> {
        let (jobs, inbox) = channel();
        std::thread::Builder::new()
            .name("work".into())
            .stack_size(STACK_BYTES)
            .spawn(move || self.work(inbox, &events))?;
        Ok(jobs)
    }

    fn work(&self, inbox: Receiver<Job>, events: &Sender<Event>) {
        for job in inbox {
            let done = match job {
                Job::Prepare { cases, split_seed, cache_directory } => {
                    let cache_directory = PathBuf::from(cache_directory);
                    let device = self.device.clone();
                    self.prepare(PrepareRequest { cases, split_seed, cache_directory, device })
                }
                Job::Inspect { path } => self.inspect(Path::new(&path)),
                Job::Attempt(assignment) => self.attempt(&assignment),
            };
            self.journal.close_attempt();
            if events.send(Event::Done(done)).is_err() {
                return;
            }
        }
    }

    fn prepare(&self, request: PrepareRequest) -> Done {
        type Answer = Result<Vec<Facts>, Vec<Problem>>;
        let answer: Option<Answer> = self.caught(|| {
            if self.device == process::SCRIPTED {
                return Ok(request.cases.iter().map(scripted::facts).collect());
            }
            converge_finetune::prepare(&request)
        });
        self.answer("preparation", answer.map(|answer| answer.map(|facts| Up::Prepared { facts })))
    }

    fn inspect(&self, path: &Path) -> Done {
        let answer = self.caught(|| converge_finetune::inspect(path));
        let answer = answer.map(|answer| answer.map(|inspection| Up::Inspected { inspection }));
        self.answer("inspection", answer)
    }

    /// Returns what came of a look at model or data; nothing if it panicked.
    fn answer(&self, what: &str, answer: Option<Result<Up, Vec<Problem>>>) -> Done {
        match answer {
            Some(Ok(frame)) => Done { frame, condition: Condition::Good },
            Some(Err(problems)) => {
                Done { frame: Up::Refused { problems }, condition: Condition::Good }
            }
            None => {
                let message = format!("the {what} panicked: {}", self.panic_message());
                let problems = vec![
                    Problem::new("", message)
                        .hint("this is a defect of converge: please report it"),
                ];
                Done { frame: Up::Refused { problems }, condition: Condition::Panicked }
            }
        }
    }

    fn attempt(&self, assignment: &Assignment) -> Done {
        machine::reset_peak_memory();
        let attempt = assignment.attempt;
        let step = assignment.resume_from.as_ref().map_or(0, |from| from.step);
        let (up, link) = (self.up.clone(), Arc::clone(&self.link));
        let mut reporter = Reporter { attempt, step, up, link };
        let outcome = self.caught(|| self.run(assignment, &mut reporter));
        let condition = match &outcome {
            Some(Ok(_)) => Condition::Good,
            Some(Err(_)) => Condition::Failed,
            None => Condition::Panicked,
        };
        let outcome = outcome.unwrap_or_else(|| {
            let message = self.panic_message();
            Err(Failure { class: converge_finetune::class_of_panic(&message), message })
        });
        let (ending, best) = match outcome {
            Ok(Ending::Completed { steps, best }) => {
                reporter.step = steps;
                (AttemptEnding::Completed, best)
            }
            Ok(Ending::Diverged { step, quantity }) => {
                (AttemptEnding::Diverged { step, quantity }, None)
            }
            Ok(Ending::Paused { step }) => {
                reporter.step = step;
                (AttemptEnding::Paused, None)
            }
            Ok(Ending::Stopped { step }) => {
                reporter.step = step;
                (AttemptEnding::Released, None)
            }
            Err(failure) => {
                tracing::error!(
                    "attempt {attempt} failed ({}): {}",
                    failure.class.word(),
                    failure.message
                );
                (AttemptEnding::Failed(failure), None)
            }
        };
        tracing::info!("attempt {attempt} ended after step {}: {}", reporter.step, ending.word());
        let best = best.map(|best| Best {
            step: best.step,
            value: best.value,
            directory: text(&best.directory),
        });
        let peak_memory_bytes = machine::peak_memory_bytes();
        let frame = Up::Ended { attempt, step: reporter.step, ending, best, peak_memory_bytes };
        Done { frame, condition }
    }

    fn run(&self, assignment: &Assignment, reporter: &mut Reporter) -> Result<Ending, Failure> {
        let directory = PathBuf::from(&assignment.attempt_directory);
        std::fs::create_dir_all(&directory)
            .and_then(|()| self.journal.open_attempt(&directory))
            .map_err(|error| file_failure("make", &directory, &error))?;
        disk::created(&directory);
        point("attempt_folder.made");
        tracing::info!(
            "attempt {} (number {} of its trial) on {} from step {}",
            assignment.attempt,
            assignment.attempt_number,
            self.device,
            reporter.step
        );
        if assignment.accumulation_factor > 1 {
            let settings = match &assignment.work {
                Work::FineTune { settings, .. } | Work::Scripted { settings, .. } => settings,
            };
            let division = MicroBatches::of(&settings.train, assignment.accumulation_factor);
            tracing::info!("after running out of memory, a step is {division}");
        }
        let resume_from =
            assignment.resume_from.as_ref().map(|from| PathBuf::from(&from.directory));
        match &assignment.work {
            Work::FineTune { .. } if self.device == process::SCRIPTED => Err(Failure {
                class: FailureClass::Config,
                message: "device `scripted` trains nothing".into(),
            }),
            Work::FineTune { settings, seeds, objective, expected_hashes } => {
                let job = converge_finetune::Job {
                    settings: settings.clone(),
                    seeds: *seeds,
                    objective: objective.clone(),
                    cache_directory: PathBuf::from(&assignment.cache_directory),
                    attempt_directory: directory,
                    resume_from,
                    checkpoint_seconds: assignment.checkpoint_seconds,
                    until_step: assignment.until_step,
                    patience: assignment.patience,
                    gradient_checkpointing: assignment.gradient_checkpointing,
                    accumulation_factor: assignment.accumulation_factor,
                    device: self.device.clone(),
                    expected_hashes: expected_hashes.clone(),
                };
                converge_finetune::fine_tune(&job, reporter)
                    .map_err(|error| Failure { class: error.class(), message: chain(&error) })
            }
            Work::Scripted { script, settings, objective } => {
                let play = Play {
                    script,
                    settings,
                    objective,
                    attempt_number: assignment.attempt_number,
                    until_step: assignment.until_step,
                    directory: &directory,
                    resume_from: resume_from.as_deref(),
                };
                match scripted::play(&play, reporter)? {
                    Finale::Ending(ending) => Ok(ending),
                    Finale::Kill => {
                        self.up.flush();
                        let _ = raise(Signal::SIGKILL);
                        Err(Failure {
                            class: FailureClass::Killed,
                            message: "survived kill -9".into(),
                        })
                    }
                    Finale::Hang => loop {
                        std::thread::park();
                    },
                }
            }
        }
    }

    /// Returns nothing if `body` panicked.
    fn caught<T>(&self, body: impl FnOnce() -> T) -> Option<T> {
        let _ = self.journal.take_panic();
        // What `body` shares with the rest are channels and atomics, which a panic leaves whole.
        catch_unwind(AssertUnwindSafe(body)).ok()
    }

    fn panic_message(&self) -> String {
        self.journal.take_panic().unwrap_or_else(|| "(no message)".into())
    }
}

/// Turns what a training reports into frames.
#[derive(Debug)]
struct Reporter {
    attempt: AttemptId,
    /// The last step done.
    step: u64,
    up: UpLog,
    link: Arc<Link>,
}

impl Observer for Reporter {
    fn observe(&mut self, step: u64, metrics: &[(String, f64)], items: Option<ItemResults>) {
        self.link.note_progress();
        self.step = step;
        while self.up.is_crowded() && !self.link.must_stop() {
            std::thread::sleep(ROOM_POLL);
        }
        let metrics = metrics.to_vec();
        self.up.push(Up::Step { attempt: self.attempt, step, metrics, items });
    }

    fn checkpointed(&mut self, step: u64, directory: &Path) {
        self.link.note_progress();
        let directory = text(directory);
        self.up.push(Up::Checkpoint { attempt: self.attempt, step, directory });
        // The training deletes the checkpoint before this one next: until the scheduler can know of
        // the new one, also after a power cut, the old one is what it would resume from.
        self.up.sync();
    }

    fn control(&mut self) -> Control {
        self.link.note_progress();
        if self.link.must_stop() { Control::Stop } else { Control::Continue }
    }
}

/// Returns a path as frames carry it.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns an error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

/// Makes a failure of an operation on a file.
pub(crate) fn file_failure(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    let class = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureClass::DiskFull,
        _ => FailureClass::Data,
    };
    Failure { class, message: format!("cannot {doing} `{}`: {error}", path.display()) }
}

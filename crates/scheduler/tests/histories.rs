//! Seeded histories: the reactor and a real store against simulated workers that crash, come late and are
//! cut off, under schedulers that die and start again.
//!
//! One seed is one history. After each commit the curves are complete, and at the end every trial is completed
//! once, with exactly the curve of an undisturbed run. A failing seed is named by the assertion; run it alone
//! with `HISTORY=<seed> cargo nextest run -p converge-scheduler histories`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use converge_core::budget::Allowance;
use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::failure::{Failure, FailureClass};
use converge_core::fingerprint::identity_hash;
use converge_core::ids::{SweepId, TrialId, WorkerId};
use converge_core::materialise::{cases, trials};
use converge_core::sampler::sample;
use converge_core::sweep::Sweep;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_protocol::frame::Frame;
use converge_protocol::message::{Assignment, Best, Down, Up};
use converge_scheduler::reactor::{
    Action, Ending, Event, Exit, Lease, LogPlace, Options, Reactor, Worker, WorkerState,
};
use converge_scheduler::trials::{definition, load};
use converge_store::{NewSession, NewSweep, NewTrial, SessionId, Store};

const STEPS: u64 = 12;
const CHECKPOINT_EVERY: u64 = 4;
const HISTORIES: u64 = 100;
const HOME: &str = "/home-of-the-test";

const SWEEP: &str = r#"
[sweep]
name = "histories"
[model]
preset = "tiny"
[data]
train = "none.tsv"
[parameters]
learning_rate = { values = [1e-5, 2e-5, 3e-5] }
batch_size = { values = [1, 2] }
[run]
device = "scripted"
[[run.script]]
steps = 12
[failure]
retries = { killed = 1000, panic = 1000 }
"#;

/// SplitMix64: a generator that a seed makes whole.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// What a trial's loss is at a step, whoever computes it.
fn loss(trial_number: u64, step: u64) -> f64 {
    trial_number as f64 + 1.0 / step as f64
}

/// A simulated worker: its log, how far the scheduler has read it, and what it is doing.
#[derive(Default)]
struct Simulated {
    log: Vec<Frame<Up>>,
    read: usize,
    work: Option<(Assignment, u64, u64)>,
    leaving: bool,
    gone: bool,
}

impl Simulated {
    fn say(&mut self, message: Up) {
        let seq = self.log.len() as u64 + 1;
        self.log.push(Frame { seq, end: seq * 100, message });
    }

    fn end(&mut self, ending: AttemptEnding) {
        let Some((assignment, _, step)) = self.work.take() else { return };
        let directory = format!("{}/best", assignment.attempt_directory);
        let best =
            (ending == AttemptEnding::Completed).then_some(Best { step, value: 0.5, directory });
        self.say(Up::Ended {
            attempt: assignment.attempt,
            step,
            ending,
            best,
            peak_memory_bytes: None,
        });
    }
}

struct World {
    dice: Dice,
    store: Store,
    sweep: SweepId,
    session: SessionId,
    reactor: Reactor,
    workers: BTreeMap<WorkerId, Simulated>,
    /// Trial numbers, which say what a curve must be.
    numbers: BTreeMap<TrialId, u64>,
    now: i64,
    ending: Option<Ending>,
}

fn facts() -> Facts {
    let split = |examples| SplitFacts {
        examples,
        class_counts: vec![examples / 2, examples / 2],
        token_lengths: [3, 5, 9, 9],
        truncated_share: 0.0,
        unknown_token_share: 0.0,
    };
    Facts {
        content_hashes: BTreeMap::from([("train".to_string(), "0".repeat(64))]),
        labels: vec!["negative".into(), "positive".into()],
        train: split(40),
        validation: Some(split(10)),
        test: None,
        max_length: 9,
        duplicates_between_splits: 0,
        model: ModelFacts {
            parameters: 1000,
            hidden_size: 32,
            layers: 2,
            heads: 2,
            intermediate_size: 64,
            vocabulary_size: 100,
            max_positions: 64,
        },
    }
}

fn create(store: &mut Store) -> SweepId {
    let sweep: Sweep = converge_core::sweep_file::read(SWEEP, "histories.toml", &[]).unwrap();
    let sample = sample(&sweep);
    let cases = cases(&sweep, &sample);
    let (planned, _) = trials(&sweep, &sample, &cases, &[facts()]);
    let trials = planned
        .into_iter()
        .map(|trial| NewTrial {
            kind: trial.kind,
            configuration: trial.configuration,
            settings: trial.settings,
            fingerprint: trial.fingerprint,
            replicate: trial.replicate,
            facts_index: 0,
            total_steps: STEPS,
        })
        .collect();
    let new = NewSweep {
        name: sweep.name.clone(),
        identity: identity_hash(&sweep, &[facts()]),
        definition: serde_json::to_string(&sweep).unwrap(),
        source_path: None,
        source_text: SWEEP.into(),
        overrides: Vec::new(),
        facts: vec![facts()],
        objective: sweep.objective.clone(),
        version: "test".into(),
        trials,
    };
    store.create_sweep(&new, 0).unwrap()
}

fn open_session(store: &mut Store, sweep: SweepId) -> SessionId {
    let session = NewSession {
        sweep,
        pid: 1,
        boot_id: "boot".into(),
        host: "host".into(),
        version: "test".into(),
        machine: BTreeMap::new(),
    };
    store.open_session(&session, 0).unwrap()
}

impl World {
    fn new(seed: u64, directory: &std::path::Path) -> Self {
        let mut store = Store::create_or_open(directory.join("sweeps.db")).unwrap();
        let sweep = create(&mut store);
        let session = open_session(&mut store, sweep);
        let reactor = Self::reactor(&store, sweep);
        let numbers =
            store.read().trials(sweep).unwrap().into_iter().map(|t| (t.id, t.number)).collect();
        let (dice, workers) = (Dice(seed), BTreeMap::new());
        Self { dice, store, sweep, session, reactor, workers, numbers, now: 0, ending: None }
    }

    fn options(
        store: &Store,
        sweep: SweepId,
    ) -> (Options, Vec<(TrialId, converge_scheduler::reactor::Trial)>) {
        let record = store.read().sweep(sweep).unwrap().unwrap();
        let definition = definition(&record).unwrap();
        let options = Options {
            workers: 3,
            sweep,
            failure: definition.failure.clone(),
            failed: record.counts.failed,
            next_attempt: record.next_attempt_id,
            home: HOME.into(),
            checkpoint_seconds: 60.0,
            gradient_checkpointing: false,
            allowance: Allowance::default(),
        };
        (options, load(&record, &definition, store.read()).unwrap())
    }

    fn reactor(store: &Store, sweep: SweepId) -> Reactor {
        let (options, trials) = Self::options(store, sweep);
        Reactor::new(options, trials)
    }

    /// Steps the reactor, commits, and carries out the actions, as a session does.
    fn happen(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.now += 1;
            let decisions = self.reactor.step(event, self.now).unwrap();
            self.store.apply(&decisions.changes, self.now).unwrap();
            for action in decisions.actions {
                match action {
                    Action::Launch => {
                        let place = |worker| format!("workers/{worker}");
                        let worker = self
                            .store
                            .new_worker(self.session, "scripted", place, self.now)
                            .unwrap();
                        let mut simulated = Simulated::default();
                        simulated.say(Up::Born {
                            pid: 1,
                            version: "test".into(),
                            device: "scripted".into(),
                            threads: 1,
                            machine: BTreeMap::new(),
                        });
                        self.workers.insert(worker, simulated);
                        events.push(Event::Launched(worker));
                    }
                    Action::Send(worker, message) => self.deliver(worker, *message),
                    Action::Kill(worker) => self.crash(worker),
                    Action::Finish(ending) => self.ending = Some(ending),
                    Action::CleanUp { .. } | Action::Notice(_) | Action::Answer(_) => {}
                }
            }
        }
        self.check_curves();
    }

    fn deliver(&mut self, worker: WorkerId, message: Down) {
        let Some(simulated) = self.workers.get_mut(&worker) else { return };
        match message {
            Down::Assign(assignment) => {
                let from = assignment.resume_from.as_ref().map_or(0, |from| from.step);
                simulated.say(Up::Started { attempt: assignment.attempt, from_step: from });
                simulated.work = Some((*assignment, from, from));
            }
            Down::Exit => simulated.leaving = true,
            Down::Release | Down::Prepare { .. } => {}
        }
    }

    /// A worker does the next thing that it would do.
    fn advance(&mut self, worker: WorkerId) {
        let dice = self.dice.roll(40);
        let simulated = self.workers.get_mut(&worker).unwrap();
        let Some((assignment, _, step)) = &mut simulated.work else {
            if simulated.leaving && !simulated.gone {
                simulated.say(Up::Bye);
                simulated.gone = true;
            }
            return;
        };
        let attempt = assignment.attempt;
        if simulated.leaving {
            let (at, directory) =
                (*step, format!("{}/checkpoint-{step}", assignment.attempt_directory));
            if at > 0 {
                simulated.say(Up::Checkpoint { attempt, step: at, directory });
            }
            simulated.end(AttemptEnding::Released);
            return;
        }
        if dice == 0 {
            let failure = Failure { class: FailureClass::Panic, message: "by the dice".into() };
            simulated.end(AttemptEnding::Failed(failure));
            simulated.say(Up::Bye);
            simulated.gone = true;
            return;
        }
        if *step == STEPS {
            simulated.end(AttemptEnding::Completed);
            if dice < 4 {
                // A late frame of an attempt that is over: must be refused.
                simulated.say(Up::Step {
                    attempt,
                    step: STEPS + 1,
                    metrics: vec![("train/loss".into(), -1.0)],
                });
            }
            return;
        }
        *step += 1;
        let (at, directory) =
            (*step, format!("{}/checkpoint-{step}", assignment.attempt_directory));
        let trial = match &assignment.work {
            converge_protocol::message::Work::Scripted { settings, .. } => settings.clone(),
            other => panic!("{other:?}"),
        };
        let number = number_of(trial.train.learning_rate, trial.train.batch_size);
        simulated.say(Up::Step {
            attempt,
            step: at,
            metrics: vec![("train/loss".into(), loss(number, at))],
        });
        if at % CHECKPOINT_EVERY == 0 {
            simulated.say(Up::Checkpoint { attempt, step: at, directory });
        }
    }

    /// The scheduler reads up to `count` new frames of a worker.
    fn read(&mut self, worker: WorkerId, count: usize) {
        let simulated = self.workers.get_mut(&worker).unwrap();
        let until = (simulated.read + count).min(simulated.log.len());
        let frames = simulated.log[simulated.read..until].to_vec();
        simulated.read = until;
        let place =
            LogPlace { offset: until as u64 * 100, next_seq: until as u64 + 1, torn_lines: 0 };
        if !frames.is_empty() {
            self.happen(Event::Frames { worker, frames, place });
        }
    }

    fn crash(&mut self, worker: WorkerId) {
        if let Some(simulated) = self.workers.get_mut(&worker) {
            simulated.gone = true;
            simulated.work = None;
        }
    }

    /// The process is gone: its log is read to the end, then its exit is told.
    fn bury(&mut self, worker: WorkerId) {
        self.read(worker, usize::MAX / 2);
        self.workers.remove(&worker);
        self.happen(Event::Exited { worker, exit: Exit::Signal(9) });
    }

    /// The scheduler dies; its workers write a little more and leave; a new one recovers and goes on.
    fn restart(&mut self) {
        let old: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in &old {
            if self.dice.roll(2) == 0 {
                self.workers.get_mut(worker).unwrap().leaving = true;
                self.advance(*worker);
            } else {
                self.crash(*worker);
            }
        }
        let records = self.store.read().open_workers().unwrap();
        let (options, trials) = Self::options(&self.store, self.sweep);
        let left_behind = records.iter().map(|record| {
            let lease = record.open_attempts.first().map(|attempt| Lease {
                attempt: attempt.id,
                trial: attempt.trial,
                step: attempt.last_step,
            });
            (record.id, Worker::left_behind(lease, record.up_next_seq - 1))
        });
        self.reactor = Reactor::recover(options, trials, left_behind);
        for record in &records {
            if let Some(simulated) = self.workers.get_mut(&record.id) {
                // What the database says was read, and not what the dead scheduler may have read beyond it.
                simulated.read = usize::try_from(record.up_offset / 100).unwrap();
            }
            if self.workers.contains_key(&record.id) {
                self.read(record.id, usize::MAX / 2);
            }
            self.happen(Event::Exited { worker: record.id, exit: Exit::Unknown });
        }
        self.workers.clear();
        self.session = open_session(&mut self.store, self.sweep);
        self.reactor = Self::reactor(&self.store, self.sweep);
        self.ending = None;
        self.happen(Event::Tick);
    }

    /// No curve has a hole, a doubled step or a foreign value.
    fn check_curves(&self) {
        for (trial, number) in &self.numbers {
            let curve = self.store.read().curve(*trial, "train/loss").unwrap();
            for (index, point) in curve.iter().enumerate() {
                assert_eq!(point.step, index as u64 + 1, "trial {number}: {curve:?}");
                assert_eq!(point.value, loss(*number, point.step), "trial {number}");
            }
        }
    }

    fn busy_workers(&self) -> Vec<WorkerId> {
        let busy = |worker: &Worker| matches!(worker.state, WorkerState::Busy(_));
        self.reactor.workers().filter(|(_, worker)| busy(worker)).map(|(id, _)| *id).collect()
    }
}

/// The grid's order: learning rate first, batch size fastest.
fn number_of(learning_rate: f64, batch_size: u64) -> u64 {
    ((learning_rate / 1e-5).round() as u64 - 1) * 2 + batch_size
}

fn play(seed: u64) {
    let shared_memory = std::path::Path::new("/dev/shm");
    let directory = if shared_memory.is_dir() {
        tempfile::tempdir_in(shared_memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    };
    let mut world = World::new(seed, directory.path());
    world.happen(Event::Tick);
    for _ in 0..20_000 {
        if matches!(world.ending, Some(Ending::Finished { .. })) {
            break;
        }
        let alive: Vec<WorkerId> = world.workers.keys().copied().collect();
        let Some(worker) = alive.get(world.dice.roll(alive.len().max(1) as u64) as usize).copied()
        else {
            // Interrupted and all gone: the user resumes.
            world.restart();
            continue;
        };
        match world.dice.roll(200) {
            0 => world.restart(),
            1 => world.happen(Event::Interrupt),
            2 => {
                world.crash(worker);
                world.bury(worker);
            }
            3..=90 => world.advance(worker),
            _ => {
                let count = world.dice.roll(5) as usize + 1;
                world.read(worker, count);
                if world.workers.get(&worker).is_some_and(|w| w.gone && w.read == w.log.len()) {
                    world.bury(worker);
                }
            }
        }
        assert!(world.busy_workers().len() <= 3, "seed {seed}");
    }
    assert_eq!(world.ending, Some(Ending::Finished { failed: 0 }), "seed {seed} did not finish");
    for trial in world.store.read().trials(world.sweep).unwrap() {
        assert_eq!(trial.state, TrialState::Completed, "seed {seed}");
        let curve = world.store.read().curve(trial.id, "train/loss").unwrap();
        assert_eq!(curve.len() as u64, STEPS, "seed {seed}, trial {}", trial.number);
        let detail = world.store.read().trial(world.sweep, trial.number).unwrap().unwrap();
        let completed =
            detail.attempts.iter().filter(|a| a.ending == Some(AttemptEnding::Completed));
        assert_eq!(completed.count(), 1, "seed {seed}, trial {}", trial.number);
        let last = detail.metrics.iter().find(|metric| metric.metric == "train/loss").unwrap();
        assert_eq!((last.last, last.last_step), (loss(trial.number, STEPS), STEPS));
        assert_eq!(last.min, Some((loss(trial.number, STEPS), STEPS)), "seed {seed}");
    }
    assert!(world.store.read().integrity().unwrap().is_empty());
}

#[test]
fn a_hundred_histories_end_with_every_trial_completed_once() {
    if let Ok(seed) = std::env::var("HISTORY") {
        return play(seed.parse().unwrap());
    }
    for seed in 0..HISTORIES {
        play(seed);
    }
}

//! A simulated worker: plays its script, writes real frames to `up.log`, reads real frames from `down.log`.
//!
//! It does what `converge-worker` does with its logs, its queue and the end of its stdin, one small thing at a time, so
//! that it can be killed or stopped between any two.

use std::collections::{BTreeMap, VecDeque};

use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::{AttemptId, WorkerId};
use converge_core::script::ScriptEnd;
use converge_core::trial::AttemptEnding;
use converge_protocol::frame::{Reader, Writer};
use converge_protocol::message::{Assignment, Best, Down, Up, Work};
use converge_scheduler::launcher::local::Identity;
use converge_scheduler::reactor::Exit;

use crate::dice::Dice;
use crate::disk::Logs;
use crate::faults::Faults;
use crate::sweep::{ACCURACY, configuration_of, items, metrics};

/// A worker in a hurry that cannot write its last frames leaves without. Unit: milliseconds.
const GRACE_MS: i64 = 30_000;
/// A worker that works says something at least this often. Unit: milliseconds.
const BEAT_MS: i64 = 15_000;

/// How its life begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    Good,
    /// It ends before its first word.
    Still,
    /// It never says a word.
    Mute,
}

/// A worker process, or what is left of it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) identity: Identity,
    /// Which life of the scheduler holds the other end of its stdin.
    pub(crate) life: u64,
    pub(crate) birth: Birth,
    /// How it ended; none: it runs.
    pub(crate) exit: Option<Exit>,
    /// There is something in its log that its scheduler was not told.
    pub(crate) rang: bool,
    /// Stopped until then.
    pub(crate) stopped_until: i64,
    /// Killed, and gone then.
    pub(crate) dies_at: Option<i64>,
    /// Lives where recovery does not see it, and where it does not see that its scheduler is gone.
    pub(crate) unseen: bool,
    writer: Writer,
    reader: Reader,
    queue: VecDeque<Assignment>,
    doing: Option<Doing>,
    said_born: bool,
    said_bye: bool,
    leaving: bool,
    hurried_at: Option<i64>,
    hung: bool,
    exit_code: i32,
    spoke_at: i64,
}

/// An attempt under way.
#[derive(Debug)]
struct Doing {
    assignment: Assignment,
    configuration: u64,
    step: u64,
    saved: u64,
}

/// What a worker touches.
pub(crate) struct Around<'a> {
    pub(crate) id: WorkerId,
    pub(crate) logs: &'a mut Logs,
    pub(crate) checkpoints: &'a mut BTreeMap<String, (u64, u64)>,
    pub(crate) dice: &'a mut Dice,
    pub(crate) faults: &'a Faults,
    pub(crate) now: i64,
    /// The life of the scheduler that runs now; none: there is none.
    pub(crate) life: Option<u64>,
    /// Attempts that it was given, with the numbers of the frames that gave them.
    pub(crate) given: &'a mut Vec<(WorkerId, AttemptId, u64)>,
    /// What must not be.
    pub(crate) wrong: &'a mut Option<String>,
}

impl Worker {
    pub(crate) fn start(identity: Identity, life: u64, birth: Birth, now: i64) -> Self {
        Self {
            identity,
            life,
            birth,
            exit: None,
            rang: false,
            stopped_until: 0,
            dies_at: None,
            unseen: false,
            writer: Writer::default(),
            reader: Reader::default(),
            queue: VecDeque::new(),
            doing: None,
            said_born: false,
            said_bye: false,
            leaving: false,
            hurried_at: None,
            hung: false,
            exit_code: 0,
            spoke_at: now,
        }
    }

    /// Returns whether it may still begin with, or go on with, work.
    pub(crate) fn works(&self) -> bool {
        self.exit.is_none() && self.dies_at.is_none() && !self.leaving
    }

    /// Returns whether it runs and will never say a word again.
    pub(crate) fn is_stuck(&self) -> bool {
        self.exit.is_none() && (self.hung || self.birth == Birth::Mute)
    }

    /// Returns whether nothing comes from it unless somebody does something.
    pub(crate) fn waits(&self, now: i64) -> bool {
        let idle = self.said_born && self.doing.is_none() && self.queue.is_empty() && !self.leaving;
        self.is_stuck() || idle || self.stopped_until > now || self.dies_at.is_some()
    }

    /// Does the next thing; returns how it ended, if it did.
    pub(crate) fn advance(&mut self, around: &mut Around<'_>) -> Option<Exit> {
        if let Some(exit) = self.think(around) {
            return Some(exit);
        }
        self.write(around);
        if self.said_bye && self.writer.is_empty() {
            return Some(Exit::Code(self.exit_code));
        }
        let hurried = self.hurried_at.is_some_and(|since| around.now - since > GRACE_MS);
        hurried.then_some(Exit::Code(1))
    }

    /// Says that it is alive, if it was silent for long.
    pub(crate) fn beat(&mut self, around: &mut Around<'_>) {
        let works = self.said_born && self.doing.is_some() && !self.said_bye;
        if works && !self.is_stuck() && around.now - self.spoke_at >= BEAT_MS {
            self.say(&Up::Beat, around.now);
            self.write(around);
        }
    }

    /// Is killed: perhaps in the middle of a write.
    pub(crate) fn fall(&mut self, around: &mut Around<'_>) {
        if around.dice.one_in(2) && self.birth == Birth::Good && self.think(around).is_none() {
            let bytes = self.writer.bytes();
            let written = around.dice.place(bytes.len() + 1);
            let piece = bytes[..written].to_vec();
            self.append(around, &piece);
        }
        if around.dice.one_in(around.faults.nul_tail) {
            let mut tail = vec![0; around.dice.place(40)];
            if around.dice.one_in(2) {
                tail.push(b'\n');
            }
            self.append(around, &tail);
        }
    }

    fn think(&mut self, around: &mut Around<'_>) -> Option<Exit> {
        match self.birth {
            Birth::Still => return Some(Exit::Code(1)),
            Birth::Mute => return None,
            Birth::Good => {}
        }
        if !self.said_born {
            self.said_born = true;
            self.say(
                &Up::Born {
                    pid: self.identity.pid,
                    version: "simulated".into(),
                    device: "scripted".into(),
                    threads: 1,
                    machine: BTreeMap::new(),
                },
                around.now,
            );
            return None;
        }
        self.hear(around);
        if around.life != Some(self.life) && !self.unseen && self.hurried_at.is_none() {
            // End of stdin: the scheduler is gone.
            self.hurried_at = Some(around.now);
            self.leaving = true;
        }
        if self.hung {
            return None;
        }
        if self.doing.is_some() {
            return self.train(around);
        }
        if let Some(assignment) = self.queue.pop_front() {
            self.begin(assignment, around);
        } else if self.leaving && !self.said_bye {
            self.said_bye = true;
            self.say(&Up::Bye, around.now);
        }
        None
    }

    fn hear(&mut self, around: &mut Around<'_>) {
        let read = self.reader.feed::<Down>(&around.logs.down.read_from(self.reader.offset()));
        for frame in read.frames {
            match frame.message {
                Down::Assign(assignment) => {
                    around.given.push((around.id, assignment.attempt, frame.seq));
                    self.queue.push_back(*assignment);
                }
                Down::Exit => self.leaving = true,
                _ => {}
            }
        }
    }

    fn begin(&mut self, assignment: Assignment, around: &mut Around<'_>) {
        let Work::Scripted { settings, .. } = &assignment.work else { return };
        let configuration = configuration_of(settings.train.learning_rate);
        let step = assignment.resume_from.as_ref().map_or(0, |from| from.step);
        let attempt = assignment.attempt;
        if let Some(from) = &assignment.resume_from
            && !self.leaving
            && around.checkpoints.get(&from.directory) != Some(&(configuration, step))
        {
            let found = around.checkpoints.get(&from.directory);
            *around.wrong = Some(format!(
                "attempt {attempt} is to go on from step {step} in `{}`, where {found:?} lies",
                from.directory
            ));
        }
        self.doing = Some(Doing { assignment, configuration, step, saved: step });
        if self.leaving {
            self.end(AttemptEnding::Released, around);
        } else {
            self.say(&Up::Started { attempt, from_step: step }, around.now);
        }
    }

    /// Does a step, or what comes in its place.
    fn train(&mut self, around: &mut Around<'_>) -> Option<Exit> {
        let doing = self.doing.as_mut()?;
        let Work::Scripted { script, .. } = &doing.assignment.work else { return None };
        let script = script.clone();
        if self.leaving {
            if doing.step > doing.saved {
                self.checkpoint(around);
            }
            self.end(AttemptEnding::Released, around);
            return None;
        }
        if doing.assignment.until_step.is_some_and(|until| doing.step >= until) {
            self.end(AttemptEnding::Paused, around);
            return None;
        }
        let counts =
            script.attempts.is_none_or(|attempts| doing.assignment.attempt_number <= attempts);
        let next = doing.step + 1;
        if counts && script.at_step == Some(next) {
            let failed = |class| {
                AttemptEnding::Failed(Failure { class, message: "the script says so".into() })
            };
            match script.end {
                ScriptEnd::Complete => {}
                ScriptEnd::Diverge => {
                    self.observe(next, &script, around);
                    let quantity = "train/loss".into();
                    self.end(AttemptEnding::Diverged { step: next, quantity }, around);
                    return None;
                }
                ScriptEnd::Hang => {
                    self.hung = true;
                    return None;
                }
                ScriptEnd::Kill => return Some(Exit::Signal(9)),
                ScriptEnd::Panic => self.end(failed(FailureClass::Panic), around),
                ScriptEnd::Oom => self.end(failed(FailureClass::Oom), around),
                ScriptEnd::Data => self.end(failed(FailureClass::Data), around),
            }
            self.doing.as_ref()?;
        }
        if next > script.steps {
            self.end(AttemptEnding::Completed, around);
            return None;
        }
        self.observe(next, &script, around);
        let pauses = self.doing.as_ref()?.assignment.until_step == Some(next);
        if pauses || (script.checkpoint_every > 0 && next.is_multiple_of(script.checkpoint_every)) {
            self.checkpoint(around);
        }
        None
    }

    fn observe(&mut self, step: u64, script: &converge_core::script::Script, around: &Around<'_>) {
        let Some(doing) = self.doing.as_mut() else { return };
        doing.step = step;
        let attempt = doing.assignment.attempt;
        let metrics = metrics(doing.configuration, script, step);
        let evaluated = metrics.iter().any(|(name, _)| name == ACCURACY);
        let items = evaluated.then(|| items(doing.configuration, step));
        self.say(&Up::Step { attempt, step, metrics, items }, around.now);
    }

    fn checkpoint(&mut self, around: &mut Around<'_>) {
        let Some(doing) = self.doing.as_mut() else { return };
        doing.saved = doing.step;
        let (attempt, step) = (doing.assignment.attempt, doing.step);
        let directory = format!("{}/checkpoint-{step}", doing.assignment.attempt_directory);
        around.checkpoints.insert(directory.clone(), (doing.configuration, step));
        let pauses = doing.assignment.until_step == Some(step);
        // It may be killed here: on disk, and nobody knows.
        if !around.dice.one_in(around.faults.short_write) || self.leaving || pauses {
            self.say(&Up::Checkpoint { attempt, step, directory }, around.now);
        }
    }

    fn end(&mut self, ending: AttemptEnding, around: &mut Around<'_>) {
        let Some(doing) = self.doing.take() else { return };
        let Assignment { attempt, attempt_directory, work, .. } = doing.assignment;
        let Work::Scripted { script, .. } = &work else { return };
        let best = (ending == AttemptEnding::Completed).then(|| {
            let accuracy = |step| {
                let metrics = metrics(doing.configuration, script, step);
                metrics
                    .into_iter()
                    .find(|(name, _)| name == ACCURACY)
                    .map(|(_, value)| (value, step))
            };
            let (value, step) = (1..=script.steps)
                .filter_map(accuracy)
                .fold((f64::MIN, 0), |best, next| if next.0 > best.0 { next } else { best });
            Best { step, value, directory: format!("{attempt_directory}/best") }
        });
        if let AttemptEnding::Failed(failure) = &ending {
            // The process is replaced.
            self.leaving = true;
            self.exit_code = if failure.class == FailureClass::Panic { 101 } else { 1 };
        }
        let step = doing.step;
        self.say(
            &Up::Ended { attempt, step, ending, best, peak_memory_bytes: Some(1) },
            around.now,
        );
        if around.dice.one_in(around.faults.chatter) {
            self.chatter(attempt, step, &attempt_directory, around);
        }
    }

    /// A thread that was slow to stop goes on writing about an attempt that is over, or was never its own.
    fn chatter(&mut self, ended: AttemptId, last: u64, directory: &str, around: &mut Around<'_>) {
        let attempt = AttemptId(ended.0 - around.dice.between(0, 1));
        for step in last + 1..=last + 1 + around.dice.roll(2) {
            let metrics = vec![("train/loss".into(), -1.0)];
            self.say(&Up::Step { attempt, step, metrics, items: None }, around.now);
            let directory = format!("{directory}/checkpoint-{step}");
            around.checkpoints.insert(directory.clone(), (0, step));
            self.say(&Up::Checkpoint { attempt, step, directory }, around.now);
        }
        if around.dice.one_in(3) {
            let (ending, best) = (AttemptEnding::Completed, None);
            let ended = Up::Ended { attempt, step: 9, ending, best, peak_memory_bytes: None };
            self.say(&ended, around.now);
        }
    }

    fn say(&mut self, message: &Up, now: i64) {
        self.writer.push(message);
        self.spoke_at = now;
    }

    /// Writes what waits, or a part of it.
    fn write(&mut self, around: &mut Around<'_>) {
        let bytes = self.writer.bytes().to_vec();
        if bytes.is_empty() {
            return;
        }
        let short = around.dice.one_in(around.faults.short_write);
        let written = if short { around.dice.place(bytes.len()) } else { bytes.len() };
        self.append(around, &bytes[..written]);
        self.writer.wrote(written);
        if !short && around.dice.one_in(around.faults.repeat) {
            // The same bytes once more, as a file system that is not sure may do; from any byte on.
            let from = around.dice.place(bytes.len());
            self.append(around, &bytes[from..]);
        }
    }

    fn append(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let identity = &self.identity;
        let name = format!("{} {} {}", identity.pid, identity.process_start, identity.boot_id);
        if let Err(wrong) = around.logs.up.append(&name, bytes) {
            *around.wrong = Some(wrong);
        }
        self.rang = true;
    }
}

//! A trainer that only pretends: smooth curves, checkpoints and accidents as a script says.
//!
//! Every value is a function of settings and step, so that a resumed trial has the same curve, to the
//! bit, as one that was left alone.

mod curve;
mod items;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use converge_core::facts::{Facts, ModelFacts, SplitFacts, TargetFacts};
use converge_core::failure::{Failure, FailureClass};
use converge_core::items::ItemResults;
use converge_core::metric;
use converge_core::objective::{At, Objective};
use converge_core::script::{Script, ScriptEnd};
use converge_core::seed::Seed;
use converge_core::settings::{MaxLength, Settings};
use converge_core::task::Task;
use converge_faults::point;
use converge_finetune::{BestWeights, Control, Ending, Observer};

use crate::work::file_failure;
use curve::Curve;

/// A sleep is cut into pieces of at most this, to hear when to stop.
const NAP: Duration = Duration::from_millis(10);
/// The one file in a scripted checkpoint.
const STEP_FILE: &str = "step";

/// One scripted attempt.
#[derive(Debug)]
pub(crate) struct Play<'a> {
    pub(crate) script: &'a Script,
    pub(crate) settings: &'a Settings,
    pub(crate) objective: &'a Objective,
    pub(crate) attempt_number: u64,
    /// The step after which it pauses.
    pub(crate) until_step: Option<u64>,
    /// The attempt's own folder.
    pub(crate) directory: &'a Path,
    pub(crate) resume_from: Option<&'a Path>,
}

/// How a play ends, when it does not fail or panic.
#[derive(Debug, PartialEq)]
pub(crate) enum Finale {
    Ending(Ending),
    /// The caller has to kill the process.
    Kill,
    /// The caller has to do nothing, for ever.
    Hang,
}

/// Plays a script.
///
/// # Errors
/// A failure that the script asks for, or one of the checkpoint's files.
/// # Panics
/// Where the script asks for it.
pub(crate) fn play(play: &Play<'_>, observer: &mut dyn Observer) -> Result<Finale, Failure> {
    let script = play.script;
    let curve = Curve::new(play.settings, script.steps);
    let first = play.resume_from.map_or(Ok(0), read_checkpoint)? + 1;
    let mut newest: Option<PathBuf> = None;
    if play.until_step.is_some_and(|until| first > until) {
        return Ok(Finale::Ending(Ending::Paused { step: first - 1 }));
    }
    for step in first..=script.steps {
        // A step that is cut short is done again after a resume.
        if !nap(Duration::from_millis(script.step_milliseconds), observer) {
            let done = step - 1;
            if Some(checkpoint_directory(play.directory, done)) != newest {
                checkpoint(play.directory, done, &mut newest, observer)?;
            }
            return Ok(Finale::Ending(Ending::Stopped { step: done }));
        }
        if play.end_at().is_some_and(|end| end <= step)
            && let Some(finale) = play.end(&curve, step, observer)?
        {
            return Ok(finale);
        }
        let (metrics, items) = play.evaluated(&curve, step);
        observer.observe(step, &metrics, items);
        let pauses = play.until_step == Some(step);
        if pauses || (script.checkpoint_every > 0 && step % script.checkpoint_every == 0) {
            checkpoint(play.directory, step, &mut newest, observer)?;
        }
        if pauses {
            point("pause.checkpointed");
            return Ok(Finale::Ending(Ending::Paused { step }));
        }
    }
    if play.end_at().is_some_and(|end| end > script.steps)
        && let Some(finale) = play.end(&curve, script.steps + 1, observer)?
    {
        return Ok(finale);
    }
    let best = play.best(&curve)?;
    Ok(Finale::Ending(Ending::Completed { steps: script.steps, best }))
}

impl Play<'_> {
    /// Returns the metrics of a step, and what was said of each validation example if the script wants that told.
    fn evaluated(&self, curve: &Curve, step: u64) -> (Vec<(String, f64)>, Option<ItemResults>) {
        let mut metrics = curve.metrics(step);
        let value = |name: &str| metrics.iter().find(|(metric, _)| metric == name).map(|(_, v)| *v);
        let (Some(examples), Some(loss), true) =
            (validation_examples(self.settings), value("validation/loss"), self.script.items)
        else {
            return (metrics, None);
        };
        let task = self.settings.data.task.task().unwrap_or_default();
        let right = items::right_answers(task, examples);
        let accuracy = value("validation/accuracy").unwrap_or_default();
        let items = items::results(right, accuracy, loss, self.settings, 0);
        if let Some((_, value)) = metrics.iter_mut().find(|(name, _)| name == "validation/accuracy")
        {
            // The share that so many examples can have.
            *value = (*value * examples as f64).round() / examples.max(1) as f64;
        }
        (metrics, Some(items))
    }

    /// Returns the step in which the script's end happens, if it does in this attempt; one after the
    /// last: when all are done.
    fn end_at(&self) -> Option<u64> {
        if self.script.attempts.is_some_and(|attempts| self.attempt_number > attempts) {
            return None;
        }
        match (self.script.at_step, self.script.end) {
            (_, ScriptEnd::Complete) => None,
            (Some(step), _) => Some(step),
            // The last observation has to show it.
            (None, ScriptEnd::Diverge) => Some(self.script.steps),
            (None, _) => Some(self.script.steps + 1),
        }
    }

    /// Ends in `step`, which is not observed but for a divergence.
    fn end(
        &self,
        curve: &Curve,
        step: u64,
        observer: &mut dyn Observer,
    ) -> Result<Option<Finale>, Failure> {
        let failed = |class, message: String| Err(Failure { class, message });
        match self.script.end {
            ScriptEnd::Complete => Ok(None),
            ScriptEnd::Diverge => {
                let mut metrics = curve.metrics(step);
                metrics.retain(|(name, _)| name == metric::LEARNING_RATE);
                metrics.insert(0, (metric::TRAIN_LOSS.to_owned(), f64::NAN));
                observer.observe(step, &metrics, None);
                let quantity = metric::TRAIN_LOSS.to_owned();
                Ok(Some(Finale::Ending(Ending::Diverged { step, quantity })))
            }
            ScriptEnd::Panic => panic!("the script says panic at step {step}"),
            ScriptEnd::Kill => Ok(Some(Finale::Kill)),
            ScriptEnd::Hang => Ok(Some(Finale::Hang)),
            ScriptEnd::Oom => {
                failed(FailureClass::Oom, format!("the script says out of memory at step {step}"))
            }
            ScriptEnd::Data => {
                failed(FailureClass::Data, format!("the script says bad data at step {step}"))
            }
        }
    }

    /// Writes the best weights of the whole trial; attempts before this one are seen through their
    /// curve.
    fn best(&self, curve: &Curve) -> Result<Option<BestWeights>, Failure> {
        let mut best: Option<(u64, f64)> = None;
        for step in curve.evaluations() {
            let (metrics, _) = self.evaluated(curve, step);
            let named = metrics.iter().find(|(name, _)| *name == self.objective.metric);
            let Some((_, value)) = named else { continue };
            let better = match (self.objective.at, best) {
                (At::Last, _) | (_, None) => true,
                (At::Best, Some((_, incumbent))) => self.objective.improves(*value, incumbent),
            };
            if better {
                best = Some((step, *value));
            }
        }
        let Some((step, value)) = best else { return Ok(None) };
        let directory = self.directory.join("best");
        // Stands for weights and is never read: a null trial should cost what the scheduler costs.
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(directory.join(STEP_FILE), format!("{step}\n")))
            .map_err(|error| file_failure("write", &directory, &error))?;
        Ok(Some(BestWeights { step, value, directory }))
    }
}

/// Sleeps; returns false as soon as it should stop. Asks at least once.
fn nap(duration: Duration, observer: &mut dyn Observer) -> bool {
    let until = Instant::now() + duration;
    loop {
        if observer.control() == Control::Stop {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(NAP));
    }
}

fn checkpoint_directory(directory: &Path, step: u64) -> PathBuf {
    directory.join(format!("checkpoint-{step}"))
}

/// Writes a checkpoint, says so, and only then removes the one before.
fn checkpoint(
    directory: &Path,
    step: u64,
    newest: &mut Option<PathBuf>,
    observer: &mut dyn Observer,
) -> Result<(), Failure> {
    let path = checkpoint_directory(directory, step);
    write_directory(&path, step).map_err(|error| file_failure("write", &path, &error))?;
    observer.checkpointed(step, &path);
    if let Some(before) = newest.replace(path) {
        let _ = fs::remove_dir_all(before);
    }
    Ok(())
}

/// Makes a folder that holds the step: aside, synced, renamed.
fn write_directory(path: &Path, step: u64) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    for old in [&aside, path] {
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::create_dir_all(&aside)?;
    let mut file = File::create(aside.join(STEP_FILE))?;
    writeln!(file, "{step}")?;
    file.sync_all()?;
    File::open(&aside)?.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Returns the step that a checkpoint holds.
fn read_checkpoint(directory: &Path) -> Result<u64, Failure> {
    let path = directory.join(STEP_FILE);
    let text = fs::read_to_string(&path).map_err(|error| file_failure("read", &path, &error))?;
    text.trim().parse().map_err(|_| Failure {
        class: FailureClass::Data,
        message: format!("`{}` is no scripted checkpoint", path.display()),
    })
}

/// Returns how many validation examples there are: 50, or as many as the limit says; none without the split.
fn validation_examples(settings: &Settings) -> Option<u64> {
    let data = &settings.data;
    (data.validation.as_deref() != Some("none"))
        .then(|| data.validation_limit.unwrap_or(50).min(10_000))
}

/// Returns facts as of a small model and 150 balanced examples, whatever the files hold.
pub(crate) fn facts(settings: &Settings) -> Facts {
    let mut content_hashes = BTreeMap::new();
    let model = settings.model.path.as_deref().unwrap_or("preset");
    let files = [("train", Some(&settings.data.train)), ("test", settings.data.test.as_ref())];
    for (role, path) in files {
        if let Some(path) = path {
            content_hashes.insert(role.to_owned(), hash_of_name(path));
        }
    }
    for role in ["model", "config", "tokenizer"] {
        content_hashes.insert(role.to_owned(), hash_of_name(&format!("{model}/{role}")));
    }
    let validation = validation_examples(settings);
    if let Some(path) = settings.data.validation.as_ref().filter(|_| validation.is_some()) {
        content_hashes.insert("validation".to_owned(), hash_of_name(path));
    }
    // Nobody looks at the labels: what they are has to be said.
    let task = settings.data.task.task().unwrap_or_default();
    let targets = TargetFacts { mean: 0.0, deviation: 1.0, min: -2.0, max: 2.0 };
    let is_regression = task == Task::Regression;
    let split = |examples: u64| SplitFacts {
        examples,
        class_counts: match is_regression {
            true => Vec::new(),
            false => vec![examples - examples / 2, examples / 2],
        },
        targets: is_regression.then_some(targets),
        token_lengths: [4, 16, 30, 32],
        truncated_share: 0.0,
        unknown_token_share: 0.01,
    };
    let limited = |examples: u64, limit: Option<u64>| limit.unwrap_or(examples).min(examples);
    Facts {
        content_hashes,
        task,
        task_reason: String::new(),
        labels: match is_regression {
            true => vec![settings.data.label.clone()],
            false => vec!["negative".to_owned(), "positive".to_owned()],
        },
        train: split(limited(100, settings.data.train_limit)),
        validation: validation.map(split),
        test: None,
        validation_answers: validation.map(|examples| items::right_answers(task, examples)),
        max_length: match settings.train.max_length {
            MaxLength::Auto => 32,
            MaxLength::Tokens(tokens) => tokens,
        },
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
        model: ModelFacts {
            parameters: 20_000,
            hidden_size: 32,
            layers: settings.model.layers.unwrap_or(2),
            heads: 2,
            intermediate_size: 64,
            vocabulary_size: 200,
            max_positions: 64,
        },
    }
}

/// Returns 64 hexadecimal digits that depend on nothing but the name.
fn hash_of_name(name: &str) -> String {
    (0..4).map(|part| format!("{:016x}", Seed(0).stream(name, part).0)).collect()
}

#[cfg(test)]
mod tests;

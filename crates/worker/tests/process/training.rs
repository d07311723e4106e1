//! The same process around a real, tiny training.

use std::fmt::Write as _;

use converge_core::failure::FailureClass;
use converge_core::metric;
use converge_core::seed::Seed;
use converge_core::settings::Settings;
use converge_core::trial::AttemptEnding;
use converge_protocol::message::{Down, ResumeFrom, Up};
use nix::sys::signal::Signal;

use crate::support::{Folder, Observed, Worker, assignment, fine_tune, settings, steps};
use crate::{ending, failure};

const EXAMPLES: usize = 60;
const EPOCHS: u64 = 8;
/// 48 training examples in batches of 4.
const STEPS: u64 = 12 * EPOCHS;

/// Writes a data set whose label is a word of its text.
fn tiny(folder: &Folder) -> Settings {
    let mut table = String::from("text\tlabel\n");
    for index in 0..EXAMPLES {
        let label = ["good", "bad"][index % 2];
        writeln!(table, "a {label} film about number {index}\t{label}").unwrap();
    }
    let path = folder.path("data.tsv");
    std::fs::write(&path, table).unwrap();
    let mut settings = settings(1e-3);
    settings.data.train = path;
    settings.train.epochs = EPOCHS;
    settings.train.batch_size = 4;
    settings.train.evaluations_per_epoch = 1;
    settings
}

/// Only how long a step took may differ between two runs.
fn without_clock(mut observed: Vec<Observed>) -> Vec<Observed> {
    for (_, metrics) in &mut observed {
        metrics.retain(|(name, _)| name != metric::STEP_SECONDS);
    }
    observed
}

/// The device of the tests, as in `converge_bert::device`.
fn device() -> String {
    std::env::var("CONVERGE_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned())
}

#[test]
fn a_training_that_is_released_or_killed_ends_with_the_same_bits() {
    let folder = Folder::new();
    let settings = tiny(&folder);
    let mut worker = Worker::start_on(&folder, &device(), 1);
    assert!(matches!(worker.next(), Up::Born { .. }));
    let cases = vec![settings.clone()];
    let cache_directory = folder.path("cache");
    worker.say(&Down::Prepare { cases, split_seed: Seed(1).stream("split", 0), cache_directory });
    let prepared = worker.until(|frame| !matches!(frame, Up::Beat));
    let Some(Up::Prepared { facts }) = prepared.last() else { panic!("{prepared:?}") };
    assert_eq!(facts[0].train.examples, 48);
    let assign = |attempt, resume_from| {
        let mut assigned = assignment(&folder, attempt, fine_tune(settings.clone()));
        assigned.resume_from = resume_from;
        assigned.checkpoint_seconds = 0.0;
        Down::Assign(assigned)
    };

    worker.say(&assign(1, None));
    let whole = worker.until_ended();
    assert_eq!(ending(whole.last().unwrap()), (STEPS, &AttemptEnding::Completed));
    let Some(Up::Ended { best: Some(best), .. }) = whole.last() else { panic!("{whole:?}") };
    assert!(std::path::Path::new(&best.directory).join("model.safetensors").is_file());

    // Another number of threads, a release, and then a kill.
    let (second_folder, third_folder) = (Folder::new(), Folder::new());
    let mut worker = Worker::start_on(&second_folder, &device(), 2);
    worker.next();
    worker.say(&assign(2, None));
    let mut first = worker.until(|frame| matches!(frame, Up::Step { step: 7, .. }));
    worker.say(&Down::Release);
    first.extend(worker.until_ended());
    assert_eq!(ending(first.last().unwrap()).1, &AttemptEnding::Released);
    let from = newest_checkpoint(&first);
    worker.say(&assign(3, Some(from)));
    let mut second = worker.until(|frame| matches!(frame, Up::Step { step: 40, .. }));
    worker.signal(Signal::SIGKILL);
    second.extend(worker.rest());
    // There may be none of the second: checkpoints are kept to a small share of the time.
    let from = newest_checkpoint(&[&first[..], &second].concat());
    assert!(from.step < STEPS, "it was killed in the middle");

    let mut worker = Worker::start_on(&third_folder, &device(), 1);
    worker.next();
    let resumed_at = from.step;
    worker.say(&assign(4, Some(from)));
    let third = worker.until_ended();
    assert_eq!(ending(third.last().unwrap()), (STEPS, &AttemptEnding::Completed));
    let kept = steps(&second).into_iter().filter(|(step, _)| *step <= resumed_at).collect();
    let pieces = without_clock([steps(&first), kept, steps(&third)].concat());
    assert_eq!(pieces, without_clock(steps(&whole)));
}

fn newest_checkpoint(frames: &[Up]) -> ResumeFrom {
    let newest = frames.iter().rev().find_map(|frame| match frame {
        Up::Checkpoint { step, directory, .. } => {
            Some(ResumeFrom { step: *step, directory: directory.clone() })
        }
        _ => None,
    });
    newest.expect("there is a checkpoint")
}

#[test]
fn missing_data_is_refused_and_a_failure_of_its_class() {
    let folder = Folder::new();
    let mut worker = Worker::start_on(&folder, &device(), 1);
    worker.next();
    let cache_directory = folder.path("cache");
    let (cases, split_seed) = (vec![settings(1e-4)], Seed(1));
    worker.say(&Down::Prepare { cases, split_seed, cache_directory });
    let Up::Refused { problems } = worker.next() else { panic!("not refused") };
    assert!(format!("{problems:?}").contains("/nowhere/data.tsv"), "{problems:?}");
    worker.say(&Down::Assign(assignment(&folder, 1, fine_tune(settings(1e-4)))));
    let frames = worker.until_ended();
    let (class, message) = failure(frames.last().unwrap());
    assert_eq!(class, FailureClass::Data, "{message}");
    assert!(message.contains("/nowhere/data.tsv"), "{message}");
    assert_eq!(worker.rest(), [Up::Bye]);
}

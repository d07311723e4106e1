//! A worker as a real process with the scripted trainer, and a scheduler made of two files and pipes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod support;
mod training;

use converge_core::failure::FailureClass;
use converge_core::script::{Script, ScriptEnd};
use converge_core::trial::AttemptEnding;
use converge_protocol::message::{Down, Up, Work};
use nix::sys::signal::Signal;
use support::{Folder, Worker, assignment, fine_tune, objective, scripted, settings, steps};

fn script(steps: u64) -> Script {
    Script { steps, ..Script::default() }
}

/// Long enough never to end by itself within a test.
fn endless() -> Script {
    Script { steps: 100_000, step_milliseconds: 5, ..Script::default() }
}

fn ending(frame: &Up) -> (u64, &AttemptEnding) {
    let Up::Ended { step, ending, .. } = frame else { panic!("no ending: {frame:?}") };
    (*step, ending)
}

fn failure(frame: &Up) -> (FailureClass, &str) {
    let (_, AttemptEnding::Failed(failure)) = ending(frame) else { panic!("{frame:?}") };
    (failure.class, &failure.message)
}

#[test]
fn a_worker_says_who_it_is_and_leaves_when_told() {
    let folder = Folder::new();
    let mut worker = Worker::start(&folder);
    let Up::Born { pid, device, threads, machine, .. } = worker.next() else { panic!("no birth") };
    assert_eq!((pid, device.as_str(), threads), (worker.pid(), "scripted", 1));
    assert!(machine.contains_key("kernel"), "{machine:?}");
    worker.say(&Down::Exit);
    assert_eq!(worker.next(), Up::Bye);
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn preparation_answers_with_the_facts_of_each_case() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let cases = vec![settings(1e-4), settings(1e-3)];
    let cache_directory = folder.path("cache");
    worker.say(&Down::Prepare { cases, split_seed: converge_core::seed::Seed(1), cache_directory });
    let Up::Prepared { facts } = worker.next() else { panic!("not prepared") };
    assert_eq!(facts.len(), 2);
    assert_eq!(facts[0].labels, ["negative", "positive"]);
    worker.say(&Down::Exit);
    assert_eq!(worker.next(), Up::Bye);
}

#[test]
fn what_was_said_before_the_birth_is_heard() {
    let folder = Folder::new();
    folder.write_down(1, &Down::Assign(scripted(&folder, 1, script(3))));
    folder.write_down(2, &Down::Exit);
    let mut worker = Worker::born(&folder);
    let frames = worker.rest();
    // The trial may be over before the word to leave is read; either way it ends once.
    let endings = frames.iter().filter(|frame| matches!(frame, Up::Ended { .. })).count();
    assert_eq!(endings, 1, "{frames:?}");
    assert_eq!(frames.last(), Some(&Up::Bye));
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn trials_run_one_after_the_other_in_one_process() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    // Both at once: the second waits.
    worker.say(&Down::Assign(scripted(&folder, 1, script(8))));
    worker.say(&Down::Assign(scripted(&folder, 2, script(8))));
    let first = worker.until_ended();
    let second = worker.until_ended();
    for (attempt, frames) in [(1, &first), (2, &second)] {
        let Up::Started { attempt: started, from_step: 0 } = frames[0] else {
            panic!("{frames:?}")
        };
        assert_eq!(started.0, attempt);
        assert_eq!(
            steps(frames).iter().map(|(step, _)| *step).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8]
        );
        let last = frames.last().unwrap();
        assert_eq!(ending(last), (8, &AttemptEnding::Completed));
        let Up::Ended { best: Some(best), peak_memory_bytes: Some(peak), .. } = last else {
            panic!("{last:?}")
        };
        assert_eq!(best.step, 8);
        assert!(std::path::Path::new(&best.directory).is_dir());
        assert!((1 << 20..1 << 30).contains(peak), "{peak}");
    }
    assert_eq!(steps(&first), steps(&second));
    let log = std::fs::read_to_string(folder.path("attempts/2/log.txt")).unwrap();
    assert!(log.contains("attempt 2") && !log.contains("attempt 1"), "{log}");
    worker.say(&Down::Exit);
    assert_eq!(worker.next(), Up::Bye);
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_released_trial_goes_on_with_the_same_curve() {
    let script = Script { steps: 60, step_milliseconds: 3, ..Script::default() };
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&Down::Assign(scripted(&folder, 1, script.clone())));
    let whole = steps(&worker.until_ended());
    assert_eq!(whole.len(), 60);

    worker.say(&Down::Assign(scripted(&folder, 2, script.clone())));
    let mut first = worker.until(|frame| matches!(frame, Up::Step { step: 5, .. }));
    worker.say(&Down::Release);
    first.extend(worker.until_ended());
    let (done, released) = ending(first.last().unwrap());
    assert_eq!(released, &AttemptEnding::Released);
    assert!((5..60).contains(&done), "{done}");
    let Up::Checkpoint { step, directory, .. } = &first[first.len() - 2] else {
        panic!("{first:?}")
    };
    assert_eq!(*step, done);

    let mut second = scripted(&folder, 3, script);
    second.resume_from =
        Some(converge_protocol::message::ResumeFrom { step: *step, directory: directory.clone() });
    worker.say(&Down::Assign(second));
    let rest = worker.until_ended();
    assert!(matches!(rest[0], Up::Started { from_step, .. } if from_step == done));
    assert_eq!([steps(&first), steps(&rest)].concat(), whole);
    // Nothing runs: a release is heard and means nothing.
    worker.say(&Down::Release);
    worker.say(&Down::Exit);
    assert_eq!(worker.next(), Up::Bye);
}

#[test]
fn the_end_of_the_scheduler_ends_the_worker_after_a_checkpoint() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&Down::Assign(scripted(&folder, 1, endless())));
    worker.say(&Down::Assign(scripted(&folder, 2, endless())));
    worker.until(|frame| matches!(frame, Up::Step { step: 3, .. }));
    worker.abandon();
    assert_released_and_gone(&mut worker);
}

#[test]
fn sigterm_ends_the_worker_after_a_checkpoint() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&Down::Assign(scripted(&folder, 1, endless())));
    worker.say(&Down::Assign(scripted(&folder, 2, endless())));
    worker.until(|frame| matches!(frame, Up::Step { step: 3, .. }));
    worker.signal(Signal::SIGTERM);
    assert_released_and_gone(&mut worker);
}

/// The first trial has its checkpoint; the second was never begun.
fn assert_released_and_gone(worker: &mut Worker) {
    let frames = worker.rest();
    let mut tail = frames.iter().filter(|frame| !matches!(frame, Up::Step { .. }));
    let waiting = tail.next().unwrap();
    assert!(matches!(waiting, Up::Ended { attempt, .. } if attempt.0 == 2), "{frames:?}");
    assert_eq!(ending(waiting), (0, &AttemptEnding::Released));
    let Some(Up::Checkpoint { step, directory, .. }) = tail.next() else { panic!("{frames:?}") };
    assert!(std::path::Path::new(directory).is_dir());
    assert_eq!(ending(tail.next().unwrap()), (*step, &AttemptEnding::Released));
    assert_eq!(tail.collect::<Vec<_>>(), [&Up::Bye]);
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn an_idle_worker_leaves_on_sigterm() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.rest(), [Up::Bye]);
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn the_terminal_s_signals_are_left_to_the_scheduler() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&Down::Assign(scripted(&folder, 1, endless())));
    worker.until(|frame| matches!(frame, Up::Step { .. }));
    worker.signal(Signal::SIGINT);
    worker.signal(Signal::SIGHUP);
    // Steps after the signals were delivered: a second round comes after the first was handled.
    worker.until(|frame| matches!(frame, Up::Step { step: 20, .. }));
    worker.signal(Signal::SIGINT);
    worker.until(|frame| matches!(frame, Up::Step { step: 40, .. }));
    worker.say(&Down::Release);
    assert_eq!(ending(worker.until_ended().last().unwrap()).1, &AttemptEnding::Released);
    worker.say(&Down::Exit);
    assert_eq!(worker.next(), Up::Bye);
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_panic_is_a_failure_with_its_message_and_the_last_of_its_process() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let script = Script { end: ScriptEnd::Panic, at_step: Some(4), ..script(10) };
    worker.say(&Down::Assign(scripted(&folder, 1, script)));
    worker.say(&Down::Assign(scripted(&folder, 2, endless())));
    let frames = worker.rest();
    assert_eq!(steps(&frames).len(), 3);
    let endings: Vec<&Up> =
        frames.iter().filter(|frame| matches!(frame, Up::Ended { .. })).collect();
    let (class, message) = failure(endings[0]);
    assert_eq!((ending(endings[0]).0, class), (3, FailureClass::Panic));
    assert!(message.starts_with("the script says panic at step 4 at "), "{message}");
    assert_eq!(ending(endings[1]), (0, &AttemptEnding::Released), "the second is given back");
    assert_eq!(frames.last(), Some(&Up::Bye));
    assert_eq!(worker.exit_code(), Some(101));
    let log = std::fs::read_to_string(folder.path("attempts/1/log.txt")).unwrap();
    assert!(log.contains("thread work panicked: the script says panic"), "{log}");
}

#[test]
fn errors_of_the_training_carry_their_class() {
    for (end, class) in [(ScriptEnd::Oom, FailureClass::Oom), (ScriptEnd::Data, FailureClass::Data)]
    {
        let folder = Folder::new();
        let mut worker = Worker::born(&folder);
        let script = Script { end, at_step: Some(2), ..script(10) };
        worker.say(&Down::Assign(scripted(&folder, 1, script)));
        let frames = worker.until_ended();
        assert_eq!(failure(frames.last().unwrap()).0, class);
        assert_eq!(worker.rest(), [Up::Bye]);
        assert_eq!(worker.exit_code(), Some(1));
    }
}

#[test]
fn a_device_that_trains_nothing_refuses_a_fine_tune() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&Down::Assign(assignment(&folder, 1, fine_tune(settings(1e-4)))));
    let frames = worker.until_ended();
    assert_eq!(failure(frames.last().unwrap()).0, FailureClass::Config);
}

#[test]
fn a_divergence_is_a_result() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let script = Script { end: ScriptEnd::Diverge, at_step: Some(2), ..script(10) };
    worker.say(&Down::Assign(scripted(&folder, 1, script)));
    let frames = worker.until_ended();
    let (step, diverged) = ending(frames.last().unwrap());
    let quantity = "train/loss".to_owned();
    assert_eq!((step, diverged), (2, &AttemptEnding::Diverged { step: 2, quantity }));
    let observed = steps(&frames);
    assert!(
        observed[1]
            .1
            .iter()
            .any(|(name, bits)| name == "train/loss" && f64::from_bits(*bits).is_nan())
    );
    worker.say(&Down::Exit);
    assert_eq!(worker.next(), Up::Bye, "a diverged trial does not end its process");
}

#[test]
fn a_killed_worker_loses_no_written_frame() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let script = Script {
        end: ScriptEnd::Kill,
        at_step: Some(6),
        attempts: Some(1),
        checkpoint_every: 2,
        ..script(10)
    };
    worker.say(&Down::Assign(scripted(&folder, 1, script.clone())));
    let frames = worker.rest();
    assert_eq!(worker.exit_code(), None, "it was killed");
    assert_eq!(steps(&frames).len(), 5);
    let Some(Up::Checkpoint { step: 4, directory, .. }) =
        frames.iter().rev().find(|frame| matches!(frame, Up::Checkpoint { .. }))
    else {
        panic!("{frames:?}")
    };
    assert!(std::path::Path::new(directory).is_dir(), "the newest checkpoint is there");

    // Its successor is another process with logs of its own.
    let next = Folder::new();
    let mut worker = Worker::born(&next);
    let mut second = scripted(&next, 2, script);
    second.attempt_number = 2;
    second.resume_from =
        Some(converge_protocol::message::ResumeFrom { step: 4, directory: directory.clone() });
    worker.say(&Down::Assign(second));
    let rest = worker.until_ended();
    assert_eq!(steps(&rest)[0].0, 5);
    assert_eq!(ending(rest.last().unwrap()), (10, &AttemptEnding::Completed));
}

#[test]
fn a_hang_says_nothing_and_can_be_killed() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let script = Script { end: ScriptEnd::Hang, at_step: Some(3), ..script(10) };
    worker.say(&Down::Assign(scripted(&folder, 1, script)));
    worker.until(|frame| matches!(frame, Up::Step { step: 2, .. }));
    worker.say(&Down::Release);
    worker.signal(Signal::SIGKILL);
    assert_eq!(worker.rest(), []);
    assert_eq!(worker.exit_code(), None);
}

#[test]
fn a_missing_checkpoint_is_a_failure() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let mut assigned = scripted(&folder, 1, script(4));
    let directory = folder.path("nowhere");
    assigned.resume_from =
        Some(converge_protocol::message::ResumeFrom { step: 2, directory: directory.clone() });
    worker.say(&Down::Assign(assigned));
    let frames = worker.until_ended();
    let (class, message) = failure(frames.last().unwrap());
    assert_eq!(class, FailureClass::Data);
    assert!(message.contains(&directory), "{message}");
}

#[test]
fn a_busy_worker_beats() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let script = Script { step_milliseconds: 60_000, ..script(2) };
    worker.say(&Down::Assign(scripted(&folder, 1, script)));
    assert!(matches!(worker.next(), Up::Started { .. }));
    assert_eq!(worker.next(), Up::Beat);
    // A release does not wait for the step to end.
    worker.say(&Down::Release);
    assert_eq!(ending(worker.until_ended().last().unwrap()), (0, &AttemptEnding::Released));
}

#[test]
fn beats_follow_progress_several_times_within_the_timeout_and_a_hang_has_none() {
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let [quick, slow, hung] = &folders;
    let long_step = Script { step_milliseconds: 60_000, ..script(2) };
    let hang = Script { end: ScriptEnd::Hang, at_step: Some(3), ..script(10) };
    let [mut quick, mut slow, mut hung] =
        [(quick, &long_step, 1), (slow, &long_step, 600), (hung, &hang, 1)].map(
            |(folder, script, timeout_seconds)| {
                let mut worker = Worker::born(folder);
                let mut assigned = scripted(folder, 1, script.clone());
                assigned.timeout_seconds = timeout_seconds;
                worker.say(&Down::Assign(assigned));
                assert!(matches!(worker.next(), Up::Started { .. }));
                worker
            },
        );
    hung.until(|frame| matches!(frame, Up::Step { step: 2, .. }));
    for _ in 0..8 {
        assert_eq!(quick.next(), Up::Beat);
    }
    // Four beats in a timeout of one second, and one in 15 s where it is long.
    assert_eq!(slow.written(), []);
    // Alive, and hearing; but only what it did before it hung is worth a beat.
    assert!(hung.written().len() <= 1);
}

#[test]
fn frames_of_another_version_end_the_worker() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&serde_json::json!({ "type": "dance" }));
    assert_eq!(worker.rest(), [Up::Bye]);
    assert_eq!(worker.exit_code(), Some(1));
    assert!(folder.stderr().contains("dance"), "{}", folder.stderr());
}

#[test]
fn a_folder_has_one_worker_for_ever() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    worker.say(&Down::Exit);
    assert_eq!(worker.rest(), [Up::Bye]);
    let before = std::fs::read(folder.path("up.log")).unwrap();
    let mut second = Worker::start(&folder);
    assert_eq!(second.exit_code(), Some(1));
    assert_eq!(std::fs::read(folder.path("up.log")).unwrap(), before);
    assert!(folder.stderr().contains("another worker has it"), "{}", folder.stderr());
}

#[test]
fn a_thousand_fast_steps_arrive_each_once() {
    let folder = Folder::new();
    let mut worker = Worker::born(&folder);
    let work =
        Work::Scripted { script: script(1000), settings: settings(1e-4), objective: objective() };
    worker.say(&Down::Assign(assignment(&folder, 1, work)));
    let frames = worker.until_ended();
    let observed: Vec<u64> = steps(&frames).into_iter().map(|(step, _)| step).collect();
    assert_eq!(observed, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_loses_nothing_and_no_end_is_told_before_it_is_written() {
    let Some(folder) = Folder::on_a_small_disk() else { return };
    let mut worker = Worker::born(&folder);
    // Far more than fits: about 100 bytes a step.
    let long = Script { steps: 3000, ..Script::default() };
    let mut assigned = scripted(&folder, 1, long);
    assigned.attempt_directory = folder.elsewhere("attempt");
    worker.say(&Down::Assign(assigned));
    folder.wait_for_stderr("cannot write `up.log`");
    let mut frames = worker.written();
    assert!(!frames.iter().any(|frame| matches!(frame, Up::Ended { .. })), "{frames:?}");
    folder.make_room();
    frames.extend(worker.until_ended());
    let observed: Vec<u64> = steps(&frames).into_iter().map(|(step, _)| step).collect();
    assert_eq!(observed, (1..=3000).collect::<Vec<_>>());
    assert_eq!(ending(frames.last().unwrap()), (3000, &AttemptEnding::Completed));
    worker.say(&Down::Exit);
    assert_eq!(worker.rest(), [Up::Bye]);
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_checkpoint_without_room_is_a_failure_of_its_class() {
    let Some(folder) = Folder::on_a_small_disk() else { return };
    let mut worker = Worker::born(&folder);
    let script = Script { checkpoint_every: 2, ..script(10) };
    worker.write(&Down::Assign(scripted(&folder, 1, script)));
    folder.fill_up();
    worker.ring();
    folder.wait_for_stderr("disk_full");
    folder.make_room();
    let frames = worker.until_ended();
    assert_eq!(failure(frames.last().unwrap()).0, FailureClass::DiskFull);
    assert_eq!(worker.rest(), [Up::Bye]);
    assert_eq!(worker.exit_code(), Some(1));
}

use super::*;

use converge_core::items::Answers;
use converge_core::objective::Goal;
use converge_core::settings::{Optimizer, Preset, TrainSettings};

fn settings(optimizer: Optimizer, learning_rate: f64) -> Settings {
    let mut settings = Settings::defaults(Preset::Tiny.into(), "/data.tsv");
    settings.train = TrainSettings { learning_rate, optimizer, ..settings.train };
    settings
}

fn objective() -> Objective {
    Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best }
}

/// Remembers what it was told; stops after a given step.
#[derive(Default)]
struct Listener {
    observed: Vec<(u64, Vec<(String, f64)>)>,
    items: Vec<(u64, ItemResults)>,
    checkpoints: Vec<(u64, PathBuf)>,
    stop_after: Option<u64>,
}

impl Observer for Listener {
    fn observe(&mut self, step: u64, metrics: &[(String, f64)], items: Option<ItemResults>) {
        self.observed.push((step, metrics.to_vec()));
        self.items.extend(items.map(|items| (step, items)));
    }

    fn checkpointed(&mut self, step: u64, directory: &Path) {
        self.checkpoints.push((step, directory.to_owned()));
    }

    fn control(&mut self) -> Control {
        let done = self.observed.last().map(|(step, _)| *step);
        if self.stop_after.is_some() && done >= self.stop_after {
            Control::Stop
        } else {
            Control::Continue
        }
    }
}

fn run(
    script: &Script,
    attempt_number: u64,
    directory: &Path,
    resume_from: Option<&Path>,
    listener: &mut Listener,
) -> Result<Finale, Failure> {
    let settings = settings(Optimizer::AdamW, 1e-4);
    let objective = objective();
    play(
        &Play {
            script,
            settings: &settings,
            objective: &objective,
            attempt_number,
            until_step: None,
            directory,
            resume_from,
        },
        listener,
    )
}

#[test]
fn a_stopped_play_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script { steps: 9, ..Script::default() };
    let mut whole = Listener::default();
    let finale = run(&script, 1, folder.path(), None, &mut whole).unwrap();
    let Finale::Ending(Ending::Completed { steps: 9, best: Some(best) }) = finale else {
        panic!("{finale:?}")
    };
    assert_eq!((best.step, whole.observed.len()), (9, 9));
    assert_eq!(read_checkpoint(&best.directory), Ok(9));

    let mut first = Listener { stop_after: Some(4), ..Listener::default() };
    let stopped = run(&script, 1, folder.path(), None, &mut first).unwrap();
    assert_eq!(stopped, Finale::Ending(Ending::Stopped { step: 4 }));
    let (step, checkpoint) = &first.checkpoints[0];
    assert_eq!(*step, 4);
    let mut second = Listener::default();
    run(&script, 2, folder.path(), Some(checkpoint), &mut second).unwrap();
    assert_eq!([first.observed, second.observed].concat(), whole.observed);
}

#[test]
fn only_the_newest_checkpoint_stays() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script { steps: 10, checkpoint_every: 3, ..Script::default() };
    let mut listener = Listener::default();
    run(&script, 1, folder.path(), None, &mut listener).unwrap();
    let steps: Vec<u64> = listener.checkpoints.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [3, 6, 9]);
    let present: Vec<bool> = listener.checkpoints.iter().map(|(_, path)| path.exists()).collect();
    assert_eq!(present, [false, false, true]);
}

#[test]
fn accidents_happen_at_their_step_and_in_their_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let with =
        |end, at_step| Script { steps: 4, end, at_step, attempts: Some(1), ..Script::default() };
    for (end, at_step, observed) in [
        (ScriptEnd::Kill, Some(3), 2),
        (ScriptEnd::Kill, None, 4),
        (ScriptEnd::Oom, Some(1), 0),
        (ScriptEnd::Data, None, 4),
        (ScriptEnd::Hang, Some(2), 1),
        (ScriptEnd::Diverge, Some(2), 2),
        (ScriptEnd::Diverge, None, 4),
        (ScriptEnd::Complete, Some(2), 4),
    ] {
        let script = with(end, at_step);
        let mut listener = Listener::default();
        let finale = run(&script, 1, folder.path(), None, &mut listener);
        let word = match &finale {
            Ok(Finale::Kill) => "kill",
            Ok(Finale::Hang) => "hang",
            Ok(Finale::Ending(Ending::Diverged { step, quantity })) => {
                assert_eq!((*step, quantity.as_str()), (observed, "train/loss"));
                "diverge"
            }
            Ok(Finale::Ending(_)) => "complete",
            Err(failure) => failure.class.word(),
        };
        assert_eq!(serde_json::to_value(end).unwrap(), word);
        assert_eq!(listener.observed.len() as u64, observed, "{end:?} at {at_step:?}");
        let mut listener = Listener::default();
        run(&script, 2, folder.path(), None, &mut listener).unwrap();
        assert_eq!(listener.observed.len(), 4, "the second attempt is left alone");
    }
}

#[test]
fn the_best_learning_rate_depends_on_the_optimizer() {
    let accuracy = |optimizer, learning_rate| {
        let curve = Curve::new(&settings(optimizer, learning_rate), 40);
        curve.metrics(40).iter().find(|(name, _)| name == "validation/accuracy").unwrap().1
    };
    let best = |optimizer| {
        [1e-5, 1e-4, 1e-3, 1e-2, 1e-1].into_iter().max_by(|left, right| {
            accuracy(optimizer, *left).total_cmp(&accuracy(optimizer, *right))
        })
    };
    assert_eq!(best(Optimizer::AdamW), Some(1e-4));
    assert_eq!(best(Optimizer::Sgd), Some(1e-2));
}

#[test]
fn evaluations_are_spaced_evenly_and_the_last_step_is_one() {
    let evaluations = |steps| {
        Curve::new(&settings(Optimizer::AdamW, 1e-4), steps).evaluations().collect::<Vec<_>>()
    };
    assert_eq!(evaluations(40), [10, 20, 30, 40]);
    assert_eq!(evaluations(10), [3, 5, 8, 10]);
    assert_eq!(evaluations(2), [1, 2]);
    assert_eq!(evaluations(0), [0; 0]);
}

#[test]
fn facts_depend_on_names_only() {
    let settings = settings(Optimizer::AdamW, 1e-4);
    let facts = facts(&settings);
    assert_eq!(facts.train.class_counts, [50, 50]);
    assert_eq!(facts.validation.as_ref().unwrap().examples, 50);
    assert!(facts.content_hashes.values().all(|hash| hash.len() == 64));
    assert_eq!(facts, super::facts(&settings));
}

#[test]
fn items_have_the_curve_s_accuracy_and_loss_and_are_the_same_after_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script { steps: 9, items: true, ..Script::default() };
    let mut whole = Listener::default();
    run(&script, 1, folder.path(), None, &mut whole).unwrap();
    assert_eq!(whole.items.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [3, 5, 7, 9]);
    let facts = facts(&settings(Optimizer::AdamW, 1e-4));
    let Some(Answers::Classes { classes: right }) = facts.validation_answers else { panic!() };
    for (step, items) in &whole.items {
        let metrics = &whole.observed.iter().find(|(at, _)| at == step).unwrap().1;
        let value = |name: &str| metrics.iter().find(|(metric, _)| metric == name).unwrap().1;
        let Answers::Classes { classes } = &items.answers else { panic!("{items:?}") };
        let hits = classes.iter().zip(&right).filter(|(answer, right)| answer == right).count();
        assert_eq!(hits as f64 / 50.0, value("validation/accuracy"), "step {step}");
        let loss = items.losses.iter().copied().map(f64::from).sum::<f64>() / 50.0;
        assert!((loss - value("validation/loss")).abs() < 1e-6, "step {step}: {loss}");
    }
    let mut first = Listener { stop_after: Some(4), ..Listener::default() };
    run(&script, 1, folder.path(), None, &mut first).unwrap();
    let mut second = Listener::default();
    let checkpoint = first.checkpoints[0].1.clone();
    run(&script, 2, folder.path(), Some(&checkpoint), &mut second).unwrap();
    assert_eq!([first.items, second.items].concat(), whole.items);
}

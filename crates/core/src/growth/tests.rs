use std::collections::BTreeMap;

use super::*;
use crate::facts::{ModelFacts, SplitFacts};
use crate::materialise::{cases, trials};
use crate::sampler::sample;

/// Facts of a data set that is not there.
pub(crate) fn facts() -> Facts {
    let split = |examples| SplitFacts {
        examples,
        class_counts: vec![examples / 2, examples / 2],
        targets: None,
        token_lengths: [3, 5, 9, 9],
        truncated_share: 0.0,
        unknown_token_share: 0.0,
    };
    Facts {
        validation_answers: None,
        content_hashes: BTreeMap::from([("train".to_string(), "0".repeat(64))]),
        task: crate::task::Task::Classes,
        task_reason: String::new(),
        labels: vec!["negative".into(), "positive".into()],
        train: split(40),
        validation: Some(split(100)),
        test: None,
        max_length: 9,
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
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

/// The trials that a sweep has from the beginning.
pub(crate) fn planned(sweep: &Sweep) -> Vec<PlannedTrial> {
    let sample = sample(sweep);
    let cases = cases(sweep, &sample);
    trials(sweep, &sample, &cases, &vec![facts(); cases.settings.len()]).0
}

fn sweep(head: &str, rest: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\n{head}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n{rest}"
    );
    crate::sweep_file::read(&text, "s.toml", &[]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A sweep with its trials, whose results are a function of configuration and seed.
struct Played {
    sweep: Sweep,
    trials: Vec<Present>,
    growth: Growth,
}

impl Played {
    fn new(sweep: &Sweep) -> Self {
        let present = (1..).zip(planned(sweep)).map(|(number, planned)| present(number, &planned));
        let trials: Vec<Present> = present.collect();
        let growth = Self::taken_up(sweep, &trials);
        Self { sweep: sweep.clone(), trials, growth }
    }

    fn taken_up(sweep: &Sweep, trials: &[Present]) -> Growth {
        let last = trials.last().map_or(0, |trial| trial.number);
        Growth::new(sweep, &vec![facts(); 4], trials.iter().rev().cloned(), last).unwrap()
    }

    /// Lets all trials end: `workers` at once, which of them ends next drawn by `seed`. At times everything is taken up
    /// anew, in the middle.
    fn play(mut self, workers: usize, seed: u64, result: impl Fn(&Present) -> Outcome) -> Self {
        let mut running: Vec<usize> = Vec::new();
        for turn in 0.. {
            while let added @ [_, ..] = &*self.growth.advance() {
                let added = added.iter().map(|(number, planned)| present(*number, planned));
                self.trials.extend(added);
            }
            let waits = |place: &usize| self.trials[*place].outcome.is_none();
            let idle = (0..self.trials.len()).filter(|place| !running.contains(place));
            let leased: Vec<usize> = idle.filter(waits).take(workers - running.len()).collect();
            running.extend(leased);
            let draw = |name| crate::seed::Seed(seed).draw(turn, name);
            if running.is_empty() {
                break;
            }
            let place = running.swap_remove((draw("which") * running.len() as f64) as usize);
            let outcome = result(&self.trials[place]);
            self.trials[place].outcome = Some(outcome);
            self.growth.end(self.trials[place].number, outcome);
            if draw("killed") < 0.2 {
                running.clear();
                self.growth = Self::taken_up(&self.sweep, &self.trials);
            }
        }
        assert!(self.growth.is_over(), "nothing runs and it is not over");
        self
    }

    fn shown(&self) -> Vec<String> {
        let shown = |one: &Present| {
            let configuration = serde_json::json!(one.configuration);
            format!("{} {:?} {configuration} #{}", one.number, one.kind, one.replicate)
        };
        self.trials.iter().map(shown).collect()
    }

    /// Replicates of each configuration, in their order.
    fn replicates(&self) -> Vec<usize> {
        self.growth.configurations.iter().map(|group| group.trials.len()).collect()
    }
}

fn present(number: u64, planned: &PlannedTrial) -> Present {
    Present {
        number,
        kind: planned.kind,
        fingerprint: planned.fingerprint.clone(),
        replicate: planned.replicate,
        configuration: planned.configuration.clone(),
        case: planned.case,
        total_steps: planned.total_steps,
        outcome: None,
    }
}

fn number(trial: &Present, name: &str) -> f64 {
    match trial.configuration[name] {
        crate::value::Value::Float(value) => value,
        crate::value::Value::Integer(value) => value as f64,
        _ => 0.0,
    }
}

const SEARCHED: &str = "[parameters]\nlearning_rate = { min = 1e-6, max = 1e-3, distribution = \"log_uniform_values\" }\n\
     batch_size = { values = [8, 16, 32] }\n\"data.train_limit\" = { values = [100, 200] }\n\
     [[enqueue]]\nlearning_rate = 3e-5\nbatch_size = 32\n[budget]\nmax_trials = 24";

/// Better near 3e-5; some diverge or fail.
fn quality(trial: &Present) -> Outcome {
    let rate = number(trial, "learning_rate");
    match trial.number % 11 {
        7 => Outcome::Failed,
        8 => Outcome::Cancelled,
        9 => Outcome::Completed(None),
        _ if rate > 3e-4 => Outcome::Diverged,
        _ => Outcome::Completed(Some(0.9 - 0.1 * (rate / 3e-5).ln().abs())),
    }
}

#[test]
fn draws_do_not_depend_on_workers_finish_order_or_kills() {
    for head in ["method = \"tpe\"", "method = \"tpe\"\nahead = 1\nreplicates = 2\nbaseline = true"]
    {
        let sweep = sweep(head, SEARCHED);
        let reference = Played::new(&sweep).play(1, 0, quality).shown();
        let baseline = usize::from(sweep.baseline);
        assert_eq!(reference.len(), (24 + baseline) * sweep.replicates as usize, "{reference:#?}");
        for seed in 1..40 {
            let workers = 1 + seed as usize % 6;
            let played = Played::new(&sweep).play(workers, seed, quality);
            assert_eq!(played.shown(), reference, "seed {seed}, {workers} workers");
        }
    }
}

#[test]
fn the_baseline_is_never_drawn() {
    // All points, the defaults (2e-5, 16) among them.
    let searched = "[parameters]\nlearning_rate = { values = [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4] }\n\
         batch_size = { values = [8, 16, 32] }\n[budget]\nmax_trials = 24";
    let mut apart = 0;
    for seed in 0..12 {
        let sweep = sweep(&format!("method = \"tpe\"\nbaseline = true\nseed = {seed}"), searched);
        let played = Played::new(&sweep).play(2, seed, quality);
        let mut prints: Vec<&str> =
            played.trials.iter().map(|one| one.fingerprint.as_str()).collect();
        apart += u64::from(played.trials[0].kind == TrialKind::Baseline);
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), played.trials.len(), "seed {seed}: nothing is there twice");
    }
    assert!(apart > 0, "in some the first draws leave the defaults out");
}

#[test]
fn a_refit_says_nothing_of_the_data_of_the_search() {
    let sweep = sweep("method = \"tpe\"", SEARCHED);
    let mut trials = Played::new(&sweep).play(1, 0, quality).trials;
    trials.truncate(14);
    let reference = Played::taken_up(&sweep, &trials).advance();
    let refit = Present { number: 15, kind: TrialKind::Refit, case: 3, ..trials[0].clone() };
    trials.push(refit);
    let found = Played::taken_up(&sweep, &trials).advance();
    let cases = |added: &[(u64, PlannedTrial)]| -> Vec<usize> {
        added.iter().map(|(_, planned)| planned.case).collect()
    };
    assert!(!reference.is_empty());
    assert_eq!(cases(&found), cases(&reference));
}

#[test]
fn a_draw_waits_for_the_trials_that_it_is_drawn_from_and_for_no_others() {
    let sweep = sweep("method = \"tpe\"\nahead = 3", SEARCHED);
    let mut played = Played::new(&sweep);
    let first = played.trials.len();
    assert_eq!(first as u64, crate::sampler::tpe::STARTUP + 2);
    assert_eq!(played.growth.advance(), []);
    // Number 13 is drawn from 1 to 10, whatever became of 11 and 12.
    for number in (2..=10).chain([12]) {
        played.growth.end(number, Outcome::Completed(Some(0.5)));
        assert_eq!(played.growth.advance(), [], "after {number}");
    }
    played.growth.end(1, Outcome::Completed(Some(0.5)));
    let numbers: Vec<u64> = played.growth.advance().iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [13]);
    assert_eq!(played.growth.advance(), []);
    assert_eq!((played.growth.stage(), played.growth.total()), (Stage::Drawing, Some(24)));
    played.growth.end(11, Outcome::Failed);
    // 14 from 1 to 11, 15 from 1 to 12; 16 needs 13.
    let mut numbers = Vec::new();
    while let Some((number, _)) = played.growth.advance().pop() {
        numbers.push(number);
    }
    assert_eq!(numbers, [14, 15]);
}

#[test]
fn a_search_space_that_is_drawn_to_the_last_ends_the_sweep() {
    let sweep = sweep(
        "method = \"tpe\"",
        "[parameters]\nbatch_size = { values = [8, 16, 32] }\nepochs = { values = [1, 2, 3, 4, 5, 6] }\n\
         [budget]\nmax_trials = 30",
    );
    let played =
        Played::new(&sweep).play(3, 1, |trial| Outcome::Completed(Some(number(trial, "epochs"))));
    assert_eq!(played.trials.len(), 18);
    assert_eq!((played.growth.stage(), played.growth.total()), (Stage::Over, Some(18)));
}

const GRID: &str = "[parameters]\nbatch_size = { values = [4, 8, 16, 32, 64] }";

/// By batch size; two of them have the same luck in another order.
fn raced(trial: &Present) -> Outcome {
    let size = number(trial, "batch_size") as u64;
    let luck = 0.004 * ((trial.replicate + size / 8) % 2) as f64;
    match size {
        4 => Outcome::Completed(Some(0.70 + luck)),
        8 | 16 => Outcome::Completed(Some(0.90 + luck)),
        32 if trial.replicate == 1 => Outcome::Diverged,
        32 => Outcome::Completed(Some(0.95)),
        _ => Outcome::Failed,
    }
}

#[test]
fn a_race_spends_seeds_on_those_that_are_tied_for_best_and_on_no_others() {
    let sweep = sweep("racing = true\nmax_replicates = 4\nbaseline = true", GRID);
    let reference = Played::new(&sweep).play(1, 0, raced);
    // 4 is worse, 32 diverges with its second seed, 64 fails.
    assert_eq!(reference.replicates(), [1, 4, 4, 2, 1], "{:#?}", reference.shown());
    assert_eq!((reference.growth.stage(), reference.growth.total()), (Stage::Over, Some(12)));
    for seed in 1..40 {
        let played = Played::new(&sweep).play(1 + seed as usize % 6, seed, raced);
        assert_eq!(played.shown(), reference.shown(), "seed {seed}");
    }
}

#[test]
fn the_baseline_gets_the_seeds_of_the_leaders_where_it_stands_apart() {
    let sweep = sweep(
        "racing = true\nmax_replicates = 3\nbaseline = true",
        "[parameters]\nbatch_size = { values = [8, 64] }",
    );
    let even = |_: &Present| Outcome::Completed(Some(0.9));
    let played = Played::new(&sweep).play(2, 3, even);
    assert_eq!(played.replicates(), [3, 3]);
    let seeds = |played: &Played| -> Vec<u64> {
        let apart = played.trials.iter().filter(|one| one.kind == TrialKind::Baseline);
        apart.map(|one| one.replicate).collect()
    };
    assert_eq!(seeds(&played), [0, 1, 2]);
    let failed = |trial: &Present| match trial.kind {
        TrialKind::Baseline => Outcome::Failed,
        _ => Outcome::Completed(Some(0.9)),
    };
    assert_eq!(seeds(&Played::new(&sweep).play(2, 3, failed)), [0]);
}

#[test]
fn a_race_begins_after_the_last_draw() {
    let sweep = sweep("method = \"tpe\"\nracing = true\nmax_replicates = 2", SEARCHED);
    let reference = Played::new(&sweep).play(1, 0, quality);
    let second = reference.trials.iter().position(|one| one.replicate == 1).unwrap();
    assert_eq!(second, 24);
    for seed in 1..20 {
        let played = Played::new(&sweep).play(4, seed, quality);
        assert_eq!(played.shown(), reference.shown(), "seed {seed}");
    }
}

#[test]
fn sweeps_that_have_all_their_trials_do_not_grow() {
    let sweep = sweep("", GRID);
    assert!(Growth::new(&sweep, &[facts()], [], 0).is_none());
}

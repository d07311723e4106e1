use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::items::{Answers, ItemResults};
use crate::objective::{At, Goal, Objective};
use crate::settings::TrainSettings;
use crate::statistics::distributions::share_error;

fn objective() -> Objective {
    Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best }
}

fn rule(rule: Rule) -> EarlyStop {
    EarlyStop { rule, ties: false, ..EarlyStop::default() }
}

fn value(value: f64) -> Standing {
    Standing { value: Some(value), examples: 500, marks: None }
}

/// Numbers that look random, the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// What becomes of a trial wherever it is not stopped.
#[derive(Debug, Clone)]
struct Fate {
    batch: i64,
    /// At each rung.
    standings: Vec<Standing>,
    /// It ends before it comes to the rung of this place.
    fails_before: Option<usize>,
    /// It is cancelled as soon as it waits at the rung of this place.
    cancelled_at: Option<usize>,
}

fn fates(seed: u64, trials: usize, rungs: usize) -> Vec<Fate> {
    let mut dice = Dice(seed);
    let mut fate = |number: usize| {
        // Some are complete before the last rungs.
        let own = rungs - [1, 2, 0, 0, 0, 0][dice.roll(6)].min(rungs);
        let standings = (0..own).map(|_| match dice.roll(9) {
            0 => Standing::default(),
            _ => Standing {
                value: Some(dice.roll(20) as f64 / 20.0),
                examples: 40,
                marks: (dice.roll(3) > 0)
                    .then(|| Marks::Answers((0..40).map(|_| dice.roll(2) as u32).collect())),
            },
        });
        let standings = standings.collect();
        let fails_before = (dice.roll(8) == 0).then(|| dice.roll(own + 1));
        let cancelled_at = (dice.roll(8) == 0).then(|| dice.roll(own.max(1)));
        Fate { batch: i64::from(number * 3 > trials * 2), standings, fails_before, cancelled_at }
    };
    (0..trials).map(&mut fate).collect()
}

/// A sweep under way: which trial is ready to run, in any order.
struct Play<'a> {
    fates: &'a [Fate],
    settings: EarlyStop,
    ladder: Ladder,
    stored: BTreeMap<u64, Known>,
    ready: BTreeSet<u64>,
    decisions: BTreeSet<(u64, u64, bool, u64, u64, u64)>,
}

impl<'a> Play<'a> {
    fn new(fates: &'a [Fate], settings: EarlyStop) -> Self {
        let known = (1..).zip(fates).map(|(trial, fate)| {
            (trial, Known { trial, batch: fate.batch, rungs: Vec::new(), ended: None })
        });
        let stored: BTreeMap<u64, Known> = known.collect();
        let ladder = Ladder::new(settings, objective(), stored.values().cloned().collect());
        let ready = stored.keys().copied().collect();
        Self { fates, settings, ladder, stored, ready, decisions: BTreeSet::new() }
    }

    /// Plays to the end: who comes next is drawn; one time in `restarts` everything is made anew of what is stored.
    fn run(mut self, mut dice: Dice, restarts: usize) -> BTreeSet<(u64, u64, bool, u64, u64, u64)> {
        loop {
            if restarts > 0 && dice.roll(restarts) == 0 {
                let known = self.stored.values().cloned().collect();
                self.ladder = Ladder::new(self.settings, objective(), known);
            }
            self.decide();
            let ready: Vec<u64> = self.ready.iter().copied().collect();
            if ready.is_empty() {
                break;
            }
            self.go_on(ready[dice.roll(ready.len())]);
        }
        for known in self.stored.values() {
            let stopped = known.rungs.last().and_then(|rung| rung.verdict);
            let stopped = matches!(stopped, Some((Verdict::Stopped, _)));
            assert!(stopped != known.ended.is_some(), "every trial has one end: {known:?}");
        }
        self.decisions
    }

    fn decide(&mut self) {
        for made in self.ladder.decide() {
            let promoted = made.verdict == Verdict::Promoted;
            let known = self.stored.get_mut(&made.trial).unwrap();
            // Who was cancelled while it waited is gone, whatever is decided.
            if known.ended.is_some() {
                continue;
            }
            assert_eq!(known.rungs.len() as u64, made.rung + 1, "it waits there: {made:?}");
            let rung = known.rungs.last_mut().unwrap();
            assert_eq!(rung.verdict.replace((made.verdict, made.order)), None, "once: {made:?}");
            if promoted {
                self.ready.insert(made.trial);
            }
            let Decision { trial, rung, rank, among, order, .. } = made;
            self.decisions.insert((rung, trial, promoted, rank, among, order));
        }
    }

    fn go_on(&mut self, trial: u64) {
        self.ready.remove(&trial);
        let fate = &self.fates[trial as usize - 1];
        let known = self.stored.get_mut(&trial).unwrap();
        let rung = known.rungs.len();
        let ended = if fate.fails_before == Some(rung) {
            Ended::Otherwise
        } else if let Some(standing) =
            fate.standings.get(rung).filter(|_| self.settings.rule != Rule::TopK || rung == 0)
        {
            known.rungs.push(KnownRung { standing: standing.clone(), verdict: None });
            self.ladder.reach(trial, standing.clone());
            if fate.cancelled_at == Some(rung) {
                known.ended = Some(Ended::Otherwise);
                self.ladder.end(trial, Ended::Otherwise);
            }
            return;
        } else {
            Ended::Completed(fate.standings.last().cloned().unwrap_or_default())
        };
        known.ended = Some(ended.clone());
        self.ladder.end(trial, ended);
    }
}

#[test]
fn what_is_decided_depends_neither_on_the_order_nor_on_restarts() {
    for rule in [Rule::TopK, Rule::Halving, Rule::Asha, Rule::Median] {
        for seed in 0..60 {
            let ties = seed % 2 == 0;
            let min_trials = 2 + seed % 4;
            let settings = EarlyStop { rule, ties, min_trials, ..EarlyStop::default() };
            let fates = fates(seed, 1 + seed as usize % 29, 3);
            let reference = Play::new(&fates, settings).run(Dice(0), 0);
            for order in 1..12 {
                let found = Play::new(&fates, settings).run(Dice(order), 0);
                assert_eq!(found, reference, "{rule:?}, seed {seed}, order {order}");
                let found = Play::new(&fates, settings).run(Dice(order + 100), 5);
                assert_eq!(found, reference, "{rule:?}, seed {seed}, order {order}, restarted");
            }
        }
    }
}

/// Plays values without accidents; returns the trials that were never stopped.
fn survivors(settings: EarlyStop, values: &[Vec<f64>]) -> Vec<u64> {
    let fates: Vec<Fate> = values
        .iter()
        .map(|values| Fate {
            batch: 0,
            standings: values.iter().map(|one| value(*one)).collect(),
            fails_before: None,
            cancelled_at: None,
        })
        .collect();
    let decisions = Play::new(&fates, settings).run(Dice(7), 0);
    let stopped: BTreeSet<u64> =
        decisions.iter().filter(|made| !made.2).map(|made| made.1).collect();
    (1..=values.len() as u64).filter(|trial| !stopped.contains(trial)).collect()
}

#[test]
fn the_best_go_on() {
    let rising: Vec<Vec<f64>> = (1..=9).map(|place| vec![f64::from(place) / 10.0; 2]).collect();
    assert_eq!(survivors(rule(Rule::TopK), &rising), [7, 8, 9]);
    assert_eq!(survivors(rule(Rule::Halving), &rising), [9]);
    let two = EarlyStop { keep: Some(2.0), ..rule(Rule::TopK) };
    assert_eq!(survivors(two, &rising), [8, 9]);
    let share = EarlyStop { keep: Some(0.5), ..rule(Rule::TopK) };
    assert_eq!(survivors(share, &rising), [6, 7, 8, 9]);
    // Each is the best so far when it comes: what ASHA pays for waiting for nobody.
    assert_eq!(survivors(rule(Rule::Asha), &rising), [5, 6, 7, 8, 9]);
    let falling: Vec<Vec<f64>> = rising.into_iter().rev().collect();
    assert_eq!(survivors(rule(Rule::Asha), &falling), [1]);
    let median = EarlyStop { min_trials: 3, ..rule(Rule::Median) };
    assert_eq!(survivors(median, &falling), [1, 2, 3]);
}

#[test]
fn of_few_trials_one_goes_on() {
    for rule_of in [Rule::TopK, Rule::Halving, Rule::Asha, Rule::Median] {
        assert_eq!(survivors(rule(rule_of), &[vec![0.3, 0.4]]), [1]);
    }
    assert_eq!(survivors(rule(Rule::Halving), &[vec![0.3; 2], vec![0.4; 2]]), [2]);
}

#[test]
fn what_cannot_be_told_from_the_last_that_goes_on_goes_on() {
    // One standard error of 0.80 over 500 examples is 0.0179.
    let values = [vec![0.80], vec![0.79], vec![0.77], vec![0.5], vec![0.4], vec![0.3]];
    let ties = EarlyStop { ties: true, keep: Some(1.0), ..rule(Rule::TopK) };
    assert_eq!(survivors(ties, &values), [1, 2]);
    assert_eq!(survivors(EarlyStop { ties: false, ..ties }, &values), [1]);
}

#[test]
fn paired_results_tell_more_than_values() {
    let answers = |differ: u32| {
        let classes = (0..100).map(|example| u32::from(example < differ)).collect();
        let results = ItemResults { answers: Answers::Classes { classes }, losses: vec![0.0; 100] };
        Marks::of(&results, "validation/accuracy")
    };
    let standing =
        |value, differ| Standing { value: Some(value), examples: 100, marks: answers(differ) };
    let error = standing(0.8, 0).standard_error(&standing(0.76, 9), "validation/accuracy");
    assert!((error - 0.03).abs() < 1e-12, "{error}");
    let unpaired = value(0.8).standard_error(&value(0.76), "validation/accuracy");
    assert!((unpaired - share_error(0.8, 500)).abs() < 1e-12, "{unpaired}");
    // Losses: numpy.std([0.0, 0.1, 0.2, 0.5], ddof=1) / 2.
    let losses = |losses: &[f32]| {
        let answers = Answers::Classes { classes: vec![0; losses.len()] };
        let results = ItemResults { answers, losses: losses.to_vec() };
        let marks = Marks::of(&results, "validation/loss");
        Standing { value: Some(1.0), examples: 4, marks }
    };
    let (left, right) = (losses(&[1.0, 1.1, 1.2, 1.5]), losses(&[1.0; 4]));
    let error = left.standard_error(&right, "validation/loss");
    assert!((error - 0.108_012_345).abs() < 1e-6, "{error}");
    assert_eq!(value(0.3).standard_error(&value(0.4), "validation/pearson"), 0.0);
}

#[test]
fn marks_are_read_as_they_were_stored() {
    for marks in [
        Marks::Answers(vec![0, 1, 255]),
        Marks::Answers(vec![0, 256, u32::MAX]),
        Marks::Losses(vec![0.5, f32::NAN, 1e-30]),
        Marks::Answers(Vec::new()),
    ] {
        let read = Marks::from_bytes(&marks.to_bytes()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{marks:?}"));
    }
    assert_eq!(Marks::from_bytes(&[]), None);
    assert_eq!(Marks::from_bytes(&[9, 1]), None);
    assert_eq!(Marks::from_bytes(&[1, 1, 2, 3]), None);
}

#[test]
fn rungs_fall_on_evaluations_before_the_end() {
    let train = TrainSettings { batch_size: 1, epochs: 9, ..TrainSettings::defaults() };
    assert_eq!(rule(Rule::Halving).rungs(100, &train), [100, 300]);
    assert_eq!(rule(Rule::TopK).rungs(100, &train), [100]);
    assert_eq!(rule(Rule::Median).rungs(100, &train), [100, 200, 300, 400, 500, 600, 700, 800]);
    assert_eq!(rule(Rule::None).rungs(100, &train), [0u64; 0]);
    // Four evaluations an epoch: 25, 50, 75, 100.
    let early = EarlyStop { first: 0.3, eta: 2, ..rule(Rule::Asha) };
    assert_eq!(early.rungs(100, &train), [50, 75, 125, 250, 500]);
    let short = TrainSettings { epochs: 1, ..train.clone() };
    assert_eq!(rule(Rule::Halving).rungs(100, &short), [0u64; 0]);
    let few = TrainSettings { max_steps: Some(120), ..train.clone() };
    assert_eq!(rule(Rule::Halving).rungs(100, &few), [100]);
    let rare = TrainSettings { evaluations_per_epoch: 0, ..train };
    assert_eq!(rule(Rule::Halving).rungs(100, &rare), [0u64; 0]);
    let script = crate::script::Script { steps: 12, ..Default::default() };
    let three = TrainSettings { epochs: 3, ..few };
    assert_eq!(rule(Rule::Halving).rungs_of_script(&script, &three), [6]);
    assert_eq!(rule(Rule::Median).rungs_of_script(&script, &three), [6, 9]);
}

#[test]
fn ten_thousand_trials_are_decided_as_they_come() {
    for rule in [Rule::TopK, Rule::Halving, Rule::Asha, Rule::Median] {
        let settings = EarlyStop { rule, ..EarlyStop::default() };
        let fates = fates(1, 10_000, 3);
        let decisions = Play::new(&fates, settings).run(Dice(3), 0);
        assert!(decisions.len() > 8_000, "{}", decisions.len());
    }
}

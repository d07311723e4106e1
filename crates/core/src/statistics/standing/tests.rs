use super::*;
use crate::statistics::draws::Draws;

/// Answers to examples whose right class is always 1: right with a chance, the same seed being the same examples.
fn answers(items: usize, chance: f64, seed: u64) -> ItemResults {
    let mut draws = Draws::new(Seed(seed));
    let classes: Vec<u32> = (0..items).map(|_| u32::from(draws.unit() < chance)).collect();
    let losses = classes.iter().map(|class| if *class == 1 { 0.25 } else { 1.5 }).collect();
    ItemResults { answers: Answers::Classes { classes }, losses }
}

fn right(items: usize) -> Answers {
    Answers::Classes { classes: vec![1; items] }
}

fn of_values(values: &[f64]) -> Candidate<'static> {
    let replicates = values.iter().map(|value| Replicate { value: *value, items: None }).collect();
    Candidate { replicates, ..Candidate::default() }
}

fn of_items<'a>(metric: &str, results: &[&'a ItemResults]) -> Candidate<'a> {
    let replicate = |results: &&'a ItemResults| {
        let right = right(results.answers.len());
        let value = crate::items::metric(metric, &[], &right, results, None).unwrap();
        Replicate { value, items: Some(*results) }
    };
    Candidate { replicates: results.iter().map(replicate).collect(), ..Candidate::default() }
}

fn contest<'a>(candidates: &'a [Candidate<'a>], right: Option<&'a Answers>) -> Contest<'a> {
    Contest {
        metric: "validation/accuracy",
        goal: Goal::Maximize,
        right,
        labels: &[],
        candidates,
        baseline: None,
        seed: Seed(42),
    }
}

#[test]
fn of_nothing_nothing_is_said() {
    assert_eq!(standing(&contest(&[], None)), None);
    let diverged = Candidate { diverged: 2, ..Candidate::default() };
    assert_eq!(standing(&contest(&[diverged], None)), None);
    assert_eq!(standing(&contest(&[of_values(&[f64::NAN])], None)), None);
}

#[test]
fn a_single_value_has_no_interval() {
    let found = standing(&contest(&[of_values(&[0.8])], None)).unwrap();
    assert_eq!((found.winner, found.value, found.noise), (0, 0.8, Noise::Unknown));
    assert_eq!((found.interval, found.corrected, found.indistinguishable), (None, None, None));
    assert_eq!((found.compared, found.items, found.seeds), (1, None, None));
}

#[test]
fn an_interval_ends_where_the_values_of_its_metric_end() {
    let interval = |metric, goal, values: &[f64]| {
        let candidates = [of_values(values)];
        let contest = Contest { metric, goal, ..contest(&candidates, None) };
        standing(&contest).unwrap().interval.unwrap()
    };
    for metric in ["validation/loss", "validation/rmse", "validation/mae", "train/loss"] {
        let interval = interval(metric, Goal::Minimize, &[0.1, 0.9]);
        assert!(interval.low == 0.0 && interval.high > 0.9, "{metric}: {interval:?}");
    }
    let share = interval("validation/macro_f1", Goal::Maximize, &[0.1, 0.9]);
    assert_eq!((share.low, share.high), (0.0, 1.0));
    assert!(interval("validation/mcc", Goal::Maximize, &[-0.1, 0.3]).low < 0.0);
}

#[test]
fn a_single_trial_with_items_has_the_arcsine_interval_of_a_share() {
    let results = answers(400, 0.8, 1);
    let right = right(400);
    let candidates = [of_items("accuracy", &[&results])];
    let found = standing(&contest(&candidates, Some(&right))).unwrap();
    let share = found.value;
    let (middle, half) = (share.sqrt().asin(), 1.96 / (2.0 * 399.0_f64.sqrt()));
    let [low, high] = [middle - half, middle + half].map(|value| value.sin().powi(2));
    let interval = found.interval.unwrap();
    // Students' distribution for 399 degrees of freedom; the bound on all values takes a tenth of the errors.
    assert!((interval.low - low).abs() < 1e-3 && (interval.high - high).abs() < 1e-3, "{found:?}");
    assert_eq!(found.noise, Noise::Items);
    assert_eq!(found.corrected, Some(share));
    assert_eq!(found.indistinguishable, Some(vec![0]));
}

#[test]
fn replicates_without_items_tell_of_seeds_alone() {
    let candidates = [of_values(&[0.80, 0.82, 0.84]), of_values(&[0.70, 0.72]), of_values(&[0.81])];
    let found = standing(&contest(&candidates, None)).unwrap();
    assert_eq!((found.noise, found.winner), (Noise::Seeds, 0));
    let seeds = found.seeds.unwrap();
    assert_eq!(seeds.degrees, 3);
    assert!((seeds.deviation - ((2.0 * 4e-4 + 2e-4) / 3.0_f64).sqrt()).abs() < 1e-12);
    assert_eq!(found.indistinguishable, Some(vec![0, 2]));
    let interval = found.interval.unwrap();
    assert!(interval.low < 0.80 && interval.high > 0.83, "{interval:?}");
}

#[test]
fn equal_trials_are_indistinguishable_and_the_first_of_them_wins() {
    let results = answers(200, 0.8, 1);
    let right = right(200);
    let candidates = vec![of_items("accuracy", &[&results]); 4];
    let found = standing(&contest(&candidates, Some(&right))).unwrap();
    assert_eq!((found.winner, found.indistinguishable), (0, Some(vec![0, 1, 2, 3])));
    // Models that answer the same cannot have been chosen by luck.
    assert!((found.corrected.unwrap() - found.value).abs() < 1e-9);
    let without = standing(&contest(&vec![of_values(&[0.5, 0.5]); 3], None)).unwrap();
    assert_eq!(without.indistinguishable, Some(vec![0, 1, 2]));
    assert_eq!(without.corrected, Some(0.5));
}

#[test]
fn two_examples_decide_nothing() {
    let results = |classes: &[u32]| ItemResults {
        answers: Answers::Classes { classes: classes.to_vec() },
        losses: vec![0.5; classes.len()],
    };
    let (all, none, half) = (results(&[1, 1]), results(&[0, 0]), results(&[1, 0]));
    let right = right(2);
    let candidates = [&all, &none, &half].map(|results| of_items("accuracy", &[results]));
    let found = standing(&contest(&candidates, Some(&right))).unwrap();
    assert_eq!(found.indistinguishable, Some(vec![0, 2, 1]));
    let interval = found.interval.unwrap();
    assert!(interval.low < 0.3 && interval.high > 0.9, "{interval:?}");
    let one = results(&[1]);
    let right = super::tests::right(1);
    let candidates = [of_items("accuracy", &[&one])];
    let found = standing(&contest(&candidates, Some(&right))).unwrap();
    assert_eq!((found.noise, found.interval), (Noise::Unknown, None));
}

#[test]
fn all_right_is_not_certain_to_stay_so() {
    let results = answers(300, 1.1, 1);
    let right = right(300);
    let candidates = [of_items("accuracy", &[&results])];
    let interval = standing(&contest(&candidates, Some(&right))).unwrap().interval.unwrap();
    // The rule of three: 3.7 of 300 for two sides.
    assert!(interval.low < 1.0 - 2.5 / 300.0 && interval.low > 0.95, "{interval:?}");
    assert!(interval.high > 0.999);
}

#[test]
fn a_far_winner_stands_alone_and_is_hardly_corrected() {
    let results: Vec<ItemResults> = [0.95, 0.6, 0.55]
        .iter()
        .zip(1..)
        .map(|(chance, seed)| answers(500, *chance, seed))
        .collect();
    let right = right(500);
    let candidates: Vec<Candidate<'_>> =
        results.iter().map(|results| of_items("accuracy", &[results])).collect();
    let contest = Contest { baseline: Some(1), ..contest(&candidates, Some(&right)) };
    let found = standing(&contest).unwrap();
    assert_eq!(found.indistinguishable, Some(vec![0]));
    assert!((found.corrected.unwrap() - found.value).abs() < 1e-3);
    let gain = found.gain.unwrap();
    assert!((gain.corrected.unwrap() - gain.value).abs() < 1e-3);
    assert!(gain.p.unwrap() < 1e-6 && gain.interval.unwrap().low > 0.25, "{gain:?}");
}

#[test]
fn a_baseline_that_wins_has_no_gain_over_itself() {
    let candidates = [of_values(&[0.9, 0.91]), of_values(&[0.5, 0.51])];
    let of = |baseline| {
        let contest = Contest { baseline: Some(baseline), ..contest(&candidates, None) };
        standing(&contest).unwrap().gain
    };
    assert_eq!(of(0), None);
    assert!((of(1).unwrap().value - 0.4).abs() < 1e-12);
    assert_eq!(of(7), None);
}

#[test]
fn smaller_is_better_is_the_mirror_image() {
    let values = [[0.31, 0.35], [0.42, 0.40], [0.33, 0.36]];
    let upright = values.map(|values| of_values(&values.map(|value| -value)));
    let mirrored = values.map(|values| of_values(&values));
    let of = |goal| Contest { metric: "validation/margin", goal, ..contest(&upright, None) };
    let upright = standing(&Contest { baseline: Some(1), ..of(Goal::Maximize) }).unwrap();
    let mirrored =
        standing(&Contest { baseline: Some(1), candidates: &mirrored, ..of(Goal::Minimize) })
            .unwrap();
    assert_eq!(mirrored.value, -upright.value);
    assert_eq!(mirrored.corrected.map(|value| -value), upright.corrected);
    let [left, right] = [upright.interval.unwrap(), mirrored.interval.unwrap()];
    assert_eq!((left.low, left.high), (-right.high, -right.low));
    assert_eq!(mirrored.gain, upright.gain);
    assert!(mirrored.gain.unwrap().value > 0.0);
    assert_eq!(mirrored.indistinguishable, upright.indistinguishable);
}

#[test]
fn a_loss_is_compared_by_its_items_and_an_area_under_the_curve_by_seeds() {
    let (first, second) = (answers(300, 0.9, 1), answers(300, 0.7, 2));
    let right = right(300);
    let candidates = [&first, &second].map(|results| of_items("loss", &[results]));
    let loss = Contest {
        metric: "validation/loss",
        goal: Goal::Minimize,
        ..contest(&candidates, Some(&right))
    };
    let found = standing(&loss).unwrap();
    assert_eq!((found.winner, found.noise, found.items), (0, Noise::Items, Some(300)));
    assert_eq!(found.indistinguishable, Some(vec![0]));
    let area = Contest { metric: "validation/auroc", ..loss };
    assert_eq!(standing(&area).unwrap().noise, Noise::Unknown);
}

#[test]
fn items_that_give_another_value_than_was_recorded_are_not_used() {
    let results = answers(300, 0.9, 1);
    let right = right(300);
    let mut candidate = of_items("accuracy", &[&results]);
    candidate.replicates[0].value += 0.01;
    let found = standing(&contest(&[candidate], Some(&right))).unwrap();
    assert_eq!(found.noise, Noise::Unknown);
}

#[test]
fn one_that_diverged_in_a_replicate_is_not_compared_and_counts_among_the_lost() {
    let mut lucky = of_values(&[0.99]);
    lucky.diverged = 1;
    let mut failing = of_values(&[0.80, 0.82]);
    failing.failed = 2;
    let candidates = [lucky.clone(), failing, of_values(&[0.7, 0.71])];
    let found = standing(&contest(&candidates, None)).unwrap();
    assert_eq!((found.winner, found.compared), (1, 2));
    assert_eq!((found.lost.count, found.lost.of), (3, 8));
    let interval = found.lost.interval.unwrap();
    assert!(interval.low > 0.08 && interval.high < 0.75);
    // Where all diverged once, the best of what is left is still named.
    assert_eq!(standing(&contest(&[lucky], None)).unwrap().winner, 0);
}

#[test]
fn the_cheapest_of_the_set_is_named_where_all_costs_are_known() {
    let costs = |costs: [Option<f64>; 3]| {
        let values = [[0.80, 0.82], [0.79, 0.83], [0.5, 0.52]];
        let candidates: Vec<Candidate<'_>> = values
            .iter()
            .zip(costs)
            .map(|(values, cost)| Candidate { cost, ..of_values(values) })
            .collect();
        standing(&contest(&candidates, None)).unwrap().cheapest
    };
    assert_eq!(costs([Some(3.0), Some(2.0), Some(1.0)]), Some(1));
    assert_eq!(costs([Some(2.0), Some(2.0), Some(1.0)]), Some(0));
    assert_eq!(costs([Some(3.0), None, Some(1.0)]), None);
    // One that is far behind need not be known.
    assert_eq!(costs([Some(3.0), Some(4.0), None]), Some(0));
}

#[test]
fn it_is_a_function_of_results_and_seed() {
    let results: Vec<ItemResults> = (1..6).map(|seed| answers(100, 0.8, seed)).collect();
    let right = right(100);
    let candidates: Vec<Candidate<'_>> =
        results.iter().map(|results| of_items("macro_f1", &[results, results])).collect();
    let contest = Contest { metric: "validation/macro_f1", ..contest(&candidates, Some(&right)) };
    let found = standing(&contest).unwrap();
    assert_eq!(found.noise, Noise::SeedsAndItems);
    assert_eq!(found, standing(&contest).unwrap());
    let other = standing(&Contest { seed: Seed(43), ..contest }).unwrap();
    assert_ne!(found.corrected, other.corrected);
    assert!((found.corrected.unwrap() - other.corrected.unwrap()).abs() < 0.01);
}

#[test]
fn configurations_that_learnt_nothing_say_nothing_of_the_spread_of_seeds() {
    let right = Answers::Classes { classes: (0..400).map(|item| item % 2).collect() };
    let result = |chance, seed| {
        let mut draws = Draws::new(Seed(seed));
        let classes =
            (0..400).map(|item| if draws.unit() < chance { item % 2 } else { 1 - item % 2 });
        ItemResults {
            answers: Answers::Classes { classes: classes.collect() },
            losses: vec![0.5; 400],
        }
    };
    let learnt: Vec<ItemResults> = [(0.8, 1), (0.7, 2), (0.72, 3), (0.83, 4)]
        .map(|(chance, seed)| result(chance, seed))
        .into();
    let constant =
        ItemResults { answers: Answers::Classes { classes: vec![1; 400] }, losses: vec![0.7; 400] };
    let candidate = |results: &[&'_ ItemResults]| {
        let replicates = results.iter().map(|result| {
            let value = crate::items::metric("accuracy", &[], &right, result, None).unwrap();
            (value, (*result).clone())
        });
        replicates.collect::<Vec<_>>()
    };
    let sets = [
        candidate(&[&learnt[0], &learnt[1]]),
        candidate(&[&learnt[2], &learnt[3]]),
        candidate(&[&constant, &constant]),
        candidate(&[&constant, &learnt[1]]),
    ];
    let candidates: Vec<Candidate<'_>> = sets
        .iter()
        .map(|set| Candidate {
            replicates: set
                .iter()
                .map(|(value, items)| Replicate { value: *value, items: Some(items) })
                .collect(),
            ..Candidate::default()
        })
        .collect();
    let alone = standing(&contest(&candidates[..2], Some(&right))).unwrap().seeds.unwrap();
    let all = standing(&contest(&candidates, Some(&right))).unwrap().seeds.unwrap();
    assert_eq!(all, alone);
    assert_eq!(alone.degrees, 2);
    // Where nothing learnt anything, there is nothing else to go by.
    let nothing = standing(&contest(&candidates[2..3], Some(&right))).unwrap();
    assert_eq!(nothing.seeds.unwrap().deviation, 0.0);
}

use super::candidate::{Outcome, Seen, Space};
use super::constant::Constant;
use super::draws::Draws;
use super::edge::{Edge, EdgeKind, Side};
use super::explanation::{Explanation, explain};
use super::importance::{self, Effort, NoImportances};
use super::variance::{NoShares, NoiseSource, PartKind};
use crate::objective::{At, Goal, Objective};
use crate::sampler::sample;
use crate::search_space::Configuration;
use crate::seed::Seed;
use crate::sweep::Sweep;
use crate::sweep_file::read;

fn sweep(head: &str, parameters: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\n{head}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n[parameters]\n{parameters}\n"
    );
    read(&text, "s.toml", &[]).unwrap()
}

/// Plays a sweep: what each configuration comes to is a function of its values and its replicate.
fn play(
    sweep: &Sweep,
    outcome: &mut dyn FnMut(&Configuration, u64) -> Outcome,
    replicates: u64,
) -> Vec<Seen> {
    let sample = sample(sweep);
    let configurations = sample.configurations.into_iter().zip(sample.kinds).enumerate();
    configurations
        .flat_map(|(index, (configuration, kind))| {
            (0..replicates).map(move |replicate| (index, configuration.clone(), kind, replicate))
        })
        .map(|(index, configuration, kind, replicate)| Seen {
            fingerprint: index.to_string(),
            outcome: outcome(&configuration, replicate),
            configuration,
            replicate,
            kind,
        })
        .collect()
}

fn accuracy() -> Objective {
    Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best }
}

fn number(configuration: &Configuration, name: &str) -> f64 {
    configuration.get(name).and_then(crate::value::Value::number).unwrap_or(f64::NAN)
}

const NESTED: &str = "\
learning_rate = [ { values = [1e-5, 5e-5, 2e-4], when = { optimizer = \"adamw\" } }, { values = [1e-3, 1e-2, 1e-1], when = { optimizer = \"sgd\" } } ]
batch_size = { values = [16, 32] }
optimizer = { values = [\"adamw\", \"sgd\"] }
dropout = { values = [0.1, 0.3] }
";

/// A little noise that depends on nothing but the configuration and its replicate.
fn noise(configuration: &Configuration, replicate: u64) -> f64 {
    let name = serde_json::json!(configuration).to_string();
    Draws::new(Seed(replicate), &name).normal()
}

fn nested(replicates: u64) -> Explanation {
    let sweep = sweep("", NESTED);
    let mut outcome = |configuration: &Configuration, replicate| {
        let rate = number(configuration, "learning_rate");
        // Larger is better, in both optimizers.
        let step = match rate {
            1e-5 | 1e-3 => 0.0,
            5e-5 | 1e-2 => 1.0,
            _ => 2.0,
        };
        let optimizer = if rate < 5e-4 { 0.1 } else { 0.0 };
        Outcome::Value(0.6 + 0.08 * step + optimizer + 0.005 * noise(configuration, replicate))
    };
    explain(&sweep, &play(&sweep, &mut outcome, replicates), &accuracy(), None)
}

fn parts(found: &Explanation) -> Vec<(PartKind, String)> {
    let parts = found.variance.iter().flat_map(|variance| &variance.parts);
    parts.map(|part| (part.kind, part.parameters.join(","))).collect()
}

#[test]
fn a_grid_with_conditions_is_taken_apart_within_each_case() {
    for replicates in [1, 2] {
        let found = nested(replicates);
        let variance = found.variance.as_ref().unwrap();
        assert_eq!((variance.designs, variance.configurations), (2, 24));
        let source =
            if replicates == 1 { NoiseSource::Interactions } else { NoiseSource::Replicates };
        assert_eq!(variance.noise, source);
        let sum: f64 = variance.parts.iter().map(|part| part.share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        let parts = parts(&found);
        assert_eq!(parts[0], (PartKind::Main, "learning_rate".into()));
        assert_eq!(parts[1], (PartKind::Between, "optimizer".into()));
        let first = &variance.parts[0];
        assert_eq!(first.degrees, 4);
        // 24 cells: squares of (0.08, 0, 0.08) eightfold, twice; and of 0.05.
        let share = 16.0 * 0.0064 / (16.0 * 0.0064 + 24.0 * 0.0025);
        assert!((first.share - share).abs() < 0.02, "{} is not {share}", first.share);
        assert!(first.low.unwrap() < share && share < first.high.unwrap(), "{first:?}");
        let idle = variance.parts.iter().find(|part| part.parameters == ["dropout"]).unwrap();
        assert_eq!(idle.significant, Some(false), "{idle:?}");
        assert_eq!(found.parameters[..2], ["learning_rate", "optimizer"]);
        let map = found.heat_map.as_ref().unwrap();
        assert_eq!(map.rows, "learning_rate", "and not its optimizer beside it");
        assert_ne!(map.columns, "optimizer");
    }
}

#[test]
fn the_best_at_the_end_of_its_values_is_told_with_a_value_beyond() {
    let edges = nested(2).edges;
    let [Edge { parameter, when, kind, side, best, .. }] = &edges[..] else {
        panic!("{edges:?}");
    };
    assert_eq!(
        (parameter.as_str(), when.as_str(), *side),
        ("learning_rate", "optimizer=adamw", Side::High)
    );
    assert_eq!(best.to_string(), "2e-4");
    let EdgeKind::Tried { next } = kind else { panic!("{kind:?}") };
    assert_eq!(next.to_string(), "8e-4");
}

#[test]
fn a_cliff_beyond_the_best_is_no_reason_to_extend() {
    let sweep = sweep(
        "",
        "learning_rate = { values = [1e-5, 1e-4, 1e-3] }\ndropout = { values = [0.0, 0.1, 0.2] }",
    );
    let cliff = |value: fn(f64) -> Outcome| {
        let mut outcome =
            |configuration: &Configuration, _| value(number(configuration, "learning_rate"));
        let mut trials = play(&sweep, &mut outcome, 1);
        // Told apart, so that there is one best.
        for (index, trial) in trials.iter_mut().enumerate() {
            if let Outcome::Value(value) = &mut trial.outcome {
                *value += 0.001 * (index % 3 == 1) as u8 as f64;
            }
        }
        explain(&sweep, &trials, &accuracy(), Some(Constant { value: 0.5, beaten_beyond: 0.55 }))
    };
    let diverges =
        cliff(
            |rate| {
                if rate > 5e-4 { Outcome::Diverged } else { Outcome::Value(0.7 + rate * 1e3) }
            },
        );
    let kind = &diverges.edges[0].kind;
    assert_eq!(
        *kind,
        EdgeKind::Working { trials: 3, lost: 3, from: 1e-3, to: None },
        "{:?}",
        diverges.edges
    );
    assert_eq!(diverges.edges.len(), 1);
    // The design is what works; the rest is named.
    let variance = diverges.variance.as_ref().unwrap();
    assert_eq!(variance.configurations, 6);
    assert_eq!(variance.left_out.len(), 1);
    assert_eq!(variance.left_out[0].value.to_string(), "0.001");
    // No better than a constant answer is as good as diverged, but has a value.
    let collapses = cliff(|rate| Outcome::Value(if rate > 5e-4 { 0.5 } else { 0.7 + rate * 1e3 }));
    assert_eq!(collapses.edges[0].kind, *kind);
    assert_eq!(collapses.standing.at_chance, 3);
    assert_eq!(collapses.variance.unwrap().configurations, 9);
}

#[test]
fn a_cliff_fails_more_often_than_not_and_more_often_than_where_the_best_is() {
    let sweep = sweep(
        "",
        "learning_rate = { values = [1e-5, 1e-4, 1e-3] }\nbatch_size = { values = [8, 16, 32, 64] }",
    );
    // Of the four batch sizes the last so many diverge, at each rate another number of them.
    let of = |lost: [usize; 3]| {
        let mut outcome = |configuration: &Configuration, _| {
            let rate = [1e-5, 1e-4, 1e-3]
                .iter()
                .position(|rate| *rate == number(configuration, "learning_rate"))
                .unwrap();
            let size = number(configuration, "batch_size").log2() as usize - 3;
            match size >= 4 - lost[rate] {
                true => Outcome::Diverged,
                false => Outcome::Value(0.8 - 0.02 * size as f64 - 0.1 * (rate != 1) as u8 as f64),
            }
        };
        let found = explain(&sweep, &play(&sweep, &mut outcome, 1), &accuracy(), None);
        let cliffs = found.edges.into_iter().filter(|edge| edge.parameter == "learning_rate");
        cliffs.map(|edge| (edge.side, edge.kind)).collect::<Vec<_>>()
    };
    let cliff = EdgeKind::Working { trials: 4, lost: 3, from: 1e-3, to: None };
    assert_eq!(of([0, 0, 3]), [(Side::High, cliff)]);
    assert_eq!(of([0, 0, 2]), [], "as often as not");
    assert_eq!(of([0, 3, 3]), [], "no more often than where the best is");
}

#[test]
fn a_best_in_the_middle_is_no_edge() {
    let sweep = sweep(
        "",
        "learning_rate = { values = [1e-5, 1e-4, 1e-3] }\nbatch_size = { values = [16, 32] }",
    );
    let mut outcome = |configuration: &Configuration, _| {
        let decades = number(configuration, "learning_rate").log10() + 4.0;
        Outcome::Value(0.9 - 0.1 * decades * decades + 0.001 * number(configuration, "batch_size"))
    };
    let found = explain(&sweep, &play(&sweep, &mut outcome, 1), &accuracy(), None);
    // Two values are both ends: that says nothing.
    assert_eq!(found.edges, []);
}

#[test]
fn a_random_sweep_has_importances_bins_and_an_outlook() {
    let sweep = sweep(
        "method = \"random\"",
        "learning_rate = { distribution = \"log_uniform_values\", min = 1e-6, max = 1e-2 }\n\
         dropout = { min = 0.0, max = 0.3 }\nbatch_size = { values = [16, 32] }\n[budget]\nmax_trials = 80",
    );
    let mut outcome = |configuration: &Configuration, replicate| {
        let decades = number(configuration, "learning_rate").log10() + 4.5;
        if decades > 1.5 {
            return Outcome::Diverged;
        }
        Outcome::Value(0.9 - 0.05 * decades * decades + 0.002 * noise(configuration, replicate))
    };
    let found = explain(&sweep, &play(&sweep, &mut outcome, 1), &accuracy(), None);
    assert!(matches!(found.no_variance, Some(NoShares::NotCrossed { .. })));
    for importances in [found.working.as_ref().unwrap(), found.among_best.as_ref().unwrap()] {
        let first = &importances.parameters[0];
        assert_eq!(first.parameter, "learning_rate", "{importances:?}");
        assert!(first.significant && first.share > 0.5, "{first:?}");
        let sum: f64 = importances.parameters.iter().map(|one| one.share).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
    let ladder = &found.isolation[0];
    assert_eq!((ladder.parameter.as_str(), ladder.levels.len()), ("learning_rate", 6));
    let trials: u64 = ladder.levels.iter().map(|level| level.counts.trials).sum();
    assert_eq!(trials, 80);
    assert_eq!(ladder.levels.iter().filter(|level| level.holds_best).count(), 1);
    assert!(ladder.levels[5].counts.diverged > 0);
    assert!(found.independent);
    let counts: Vec<u64> = found.expected_best.iter().map(|row| row.configurations).collect();
    assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64, 80]);
    let last = found.expected_best.last().unwrap().value;
    assert!(last < found.best.unwrap().mean, "plug-in is low");
    assert!(found.further_gain.unwrap().at_most >= 0.0);
    let [sensitivity] = &found.sensitivity[..] else { panic!("one optimizer") };
    assert!(sensitivity.sensitivity > 0.02, "{sensitivity:?}");
}

#[test]
fn smaller_is_better_where_the_goal_says_so() {
    let sweep = sweep(
        "method = \"random\"",
        "learning_rate = { min = 0.1, max = 0.9 }\n[budget]\nmax_trials = 40",
    );
    let losses = Objective { metric: "validation/loss".into(), goal: Goal::Minimize, at: At::Best };
    let mut loss =
        |configuration: &Configuration, _| Outcome::Value(number(configuration, "learning_rate"));
    let mut gain =
        |configuration: &Configuration, _| Outcome::Value(-number(configuration, "learning_rate"));
    let minimized = explain(&sweep, &play(&sweep, &mut loss, 1), &losses, None);
    let maximized = explain(&sweep, &play(&sweep, &mut gain, 1), &accuracy(), None);
    assert_eq!(minimized.among_best, maximized.among_best);
    assert_eq!(minimized.best.unwrap().mean, -maximized.best.unwrap().mean);
    for (left, right) in minimized.expected_best.iter().zip(&maximized.expected_best) {
        assert_eq!(left.value, -right.value);
    }
    assert_eq!(minimized.further_gain, maximized.further_gain);
    assert_eq!(minimized.sensitivity[0].sensitivity, maximized.sensitivity[0].sensitivity);
    // The smallest rate is the best: 0 is not allowed, half of it is.
    assert_eq!(minimized.edges.len(), 1, "{:?}", minimized.edges);
    assert_eq!(minimized.edges[0].side, Side::Low);
}

#[test]
fn sensitivity_is_the_mean_distance_from_the_best_rate() {
    let sweep = sweep("", "learning_rate = { values = [1e-5, 1e-4, 1e-3, 1e-2] }");
    let mut outcome =
        |configuration: &Configuration, _| match number(configuration, "learning_rate") {
            1e-5 => Outcome::Value(0.7),
            1e-4 => Outcome::Value(0.9),
            1e-3 => Outcome::Value(0.4),
            _ => Outcome::Diverged,
        };
    let constant = Constant { value: 0.5, beaten_beyond: 0.55 };
    let found = explain(&sweep, &play(&sweep, &mut outcome, 1), &accuracy(), Some(constant));
    // (0.2 + 0 + 0.4 + 0.4) / 4: nobody is worse off than with the constant answer.
    assert!((found.sensitivity[0].sensitivity - 0.25).abs() < 1e-12, "{:?}", found.sensitivity);
    assert_eq!(found.sensitivity[0].floor, 0.5);
}

#[test]
fn sweeps_with_little_to_say_say_so() {
    let sweep = sweep("", "learning_rate = { values = [1e-5, 1e-4, 1e-3] }");
    let of = |outcomes: [Outcome; 3]| {
        let mut outcomes = outcomes.into_iter();
        let mut next = |_: &Configuration, _| outcomes.next().unwrap_or(Outcome::Open);
        explain(&sweep, &play(&sweep, &mut next, 1), &accuracy(), None)
    };
    let open = of([Outcome::Open; 3]);
    assert_eq!((open.standing.configurations, open.standing.open), (0, 3));
    let one = of([Outcome::Value(0.5), Outcome::Open, Outcome::Open]);
    assert_eq!(one.no_variance, Some(NoShares::OneConfiguration));
    assert_eq!(one.parameters, Vec::<String>::new());
    let failed = of([Outcome::Failed; 3]);
    assert_eq!(failed.best, None);
    assert_eq!(failed.no_working, Some(NoImportances::TooFew));
    let equal = of([Outcome::Value(0.7); 3]);
    assert_eq!(equal.no_variance, Some(NoShares::AllEqual));
    let alone = of([Outcome::Value(0.5), Outcome::Value(0.7), Outcome::Value(0.6)]);
    let variance = alone.variance.unwrap();
    assert_eq!((variance.noise, variance.parts.len()), (NoiseSource::Unknown, 1));
    assert_eq!(variance.parts[0].share, 1.0);
    assert_eq!(alone.edges, []);
}

#[test]
fn further_seeds_of_some_configurations_do_not_tip_the_scales() {
    let sweep =
        sweep("", "learning_rate = { values = [1e-5, 1e-4] }\nbatch_size = { values = [16, 32] }");
    let mut outcome = |configuration: &Configuration, replicate| {
        Outcome::Value(
            number(configuration, "learning_rate").log10() + 0.1 * noise(configuration, replicate),
        )
    };
    let even = play(&sweep, &mut outcome, 2);
    let mut uneven = even.clone();
    uneven.push(Seen { replicate: 2, outcome: Outcome::Value(9.0), ..even[0].clone() });
    let of = |trials: &[Seen]| explain(&sweep, trials, &accuracy(), None).variance.unwrap();
    assert_eq!(of(&even), of(&uneven));
}

/// A random sweep in which the learning rate has an effect and nothing else has.
fn drawn(seed: u64, trials: u64) -> (Sweep, Vec<Seen>) {
    let sweep = sweep(
        &format!("method = \"random\"\nseed = {seed}"),
        &format!(
            "learning_rate = {{ distribution = \"log_uniform_values\", min = 1e-6, max = 1e-2 }}\n\
             dropout = {{ min = 0.0, max = 0.3 }}\nbatch_size = {{ values = [16, 32, 64] }}\n[budget]\nmax_trials = {trials}"
        ),
    );
    let mut outcome = |configuration: &Configuration, replicate| {
        let decades = number(configuration, "learning_rate").log10() + 4.5;
        Outcome::Value(0.9 - 0.02 * decades * decades + 0.03 * noise(configuration, replicate))
    };
    let trials = play(&sweep, &mut outcome, 1);
    (sweep, trials)
}

#[test]
fn an_idle_parameter_is_called_important_once_in_twenty_sweeps() {
    let (mut important, sweeps) = ([0u32; 2], 200);
    for seed in 0..sweeps {
        let (sweep, trials) = drawn(seed, 60);
        let space = Space::new(&sweep, &trials);
        let candidates = space.candidates(&trials, Goal::Maximize, None);
        let axes = importance::axes(&space, &candidates);
        let effort = Effort { lots: 200, resamples: 1 };
        let mut draws = Draws::new(sweep.seed, "test");
        let found = importance::of_best(&axes, &candidates, effort, &mut draws).unwrap();
        for one in found.parameters.iter().filter(|one| one.significant) {
            let place = ["dropout", "batch_size"].iter().position(|name| *name == one.parameter);
            if let Some(place) = place {
                important[place] += 1;
            }
        }
    }
    // 10 expected; the binomial deviation is 3.1: three of them.
    assert!(important.iter().all(|count| (1..=19).contains(count)), "{important:?} of {sweeps}");
}

#[test]
fn ten_thousand_trials_are_explained() {
    let (sweep, trials) = drawn(1, 10_000);
    let found = explain(&sweep, &trials, &accuracy(), None);
    let best = found.among_best.unwrap();
    assert_eq!((best.region, best.target), (5_000, 1_000));
    assert_eq!(best.parameters[0].parameter, "learning_rate");
    assert!(best.parameters[0].share > 0.9, "{best:?}");
}

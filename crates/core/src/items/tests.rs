use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::seed::Seed;
use crate::task::Task;

/// What `finetune` tests its evaluation against: `scripts/reference/make_task_goldens.py metrics`.
#[derive(Deserialize)]
struct Case {
    name: String,
    task: Task,
    logits: Vec<Vec<f32>>,
    targets: Vec<Value>,
    metrics: BTreeMap<String, f64>,
}

const GOLDENS: &str = include_str!("../../../finetune/tests/goldens/metrics.json");

fn cases() -> Vec<Case> {
    serde_json::from_str(GOLDENS).unwrap()
}

impl Case {
    fn labels(&self) -> Vec<String> {
        (0..self.logits[0].len()).map(|label| label.to_string()).collect()
    }

    fn right(&self) -> Answers {
        match self.task {
            Task::Classes => Answers::Classes {
                classes: self.targets.iter().map(|class| class.as_u64().unwrap() as u32).collect(),
            },
            Task::MultiLabel => Answers::Labels {
                labels: self.logits[0].len() as u32,
                has: self
                    .targets
                    .iter()
                    .flat_map(|row| row.as_array().unwrap())
                    .map(|has| has == 1)
                    .collect(),
            },
            Task::Regression => Answers::Numbers {
                numbers: self
                    .targets
                    .iter()
                    .map(|target| target.as_f64().unwrap() as f32)
                    .collect(),
            },
        }
    }

    fn results(&self) -> ItemResults {
        let right = self.right();
        let answers = match self.task {
            Task::Classes => {
                let answer = |logits: &Vec<f32>| {
                    (1..logits.len()).fold(0, |best, class| {
                        if logits[class] > logits[best] { class } else { best }
                    }) as u32
                };
                Answers::Classes { classes: self.logits.iter().map(answer).collect() }
            }
            Task::MultiLabel => Answers::Labels {
                labels: self.logits[0].len() as u32,
                has: self.logits.iter().flatten().map(|logit| *logit > 0.0).collect(),
            },
            Task::Regression => Answers::Numbers { numbers: self.logits.concat() },
        };
        let losses = self.logits.iter().enumerate().map(|(place, logits)| match &right {
            Answers::Classes { classes } => {
                let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
                let largest = logits.iter().copied().map(f64::from).fold(f64::MIN, f64::max);
                // Far logits overflow: there the largest is all of the sum.
                let log = if sum.is_finite() { sum.ln() } else { largest };
                (log - f64::from(logits[classes[place] as usize])) as f32
            }
            Answers::Labels { has, .. } => {
                let loss = |(label, logit): (usize, &f32)| {
                    let logit = f64::from(*logit);
                    let wrong = if has[place * logits.len() + label] { -logit } else { logit };
                    wrong.max(0.0) + (-logit.abs()).exp().ln_1p()
                };
                (logits.iter().enumerate().map(loss).sum::<f64>() / logits.len() as f64) as f32
            }
            Answers::Numbers { numbers } => {
                (f64::from(logits[0]) - f64::from(numbers[place])).powi(2) as f32
            }
        });
        ItemResults { losses: losses.collect(), answers }
    }
}

/// Losses are kept in single precision, and so are the right numbers; what counts is exact.
fn tolerance(right: &Answers, metric: &str) -> f64 {
    match right {
        Answers::Numbers { numbers } => {
            let largest = numbers.iter().fold(1.0, |most: f32, number| most.max(number.abs()));
            1e-6 * f64::from(largest)
        }
        _ if metric == "loss" => 1e-6,
        _ => 1e-12,
    }
}

#[test]
fn every_metric_that_answers_give_is_that_of_the_reference() {
    for case in cases() {
        let (right, results, labels) = (case.right(), case.results(), case.labels());
        for (name, expected) in &case.metrics {
            let found = metric(name, &labels, &right, &results, None);
            // These are made of probabilities, or of how losses are spread.
            if ["auroc", "confidence", "confidently_wrong", "loss_deviation"]
                .contains(&name.as_str())
            {
                assert_eq!(found, None, "{}", case.name);
                continue;
            }
            let found = found.unwrap_or_else(|| panic!("{}: no {name}", case.name));
            let difference = (found - expected).abs() / expected.abs().max(1.0);
            let tolerance = tolerance(&right, name);
            assert!(difference < tolerance, "{}: {name} is {found}, not {expected}", case.name);
        }
        for name in ["pearson", "spearman", "f1/0", "recall/0", "mcc", "macro_f1"] {
            if !case.metrics.contains_key(name) {
                assert_eq!(metric(name, &labels, &right, &results, None), None, "{}", case.name);
            }
        }
    }
}

/// Takes the examples at `places` of answers.
fn taken(answers: &Answers, places: &[usize]) -> Answers {
    match answers {
        Answers::Classes { classes } => {
            Answers::Classes { classes: places.iter().map(|place| classes[*place]).collect() }
        }
        Answers::Numbers { numbers } => {
            Answers::Numbers { numbers: places.iter().map(|place| numbers[*place]).collect() }
        }
        Answers::Labels { labels, has } => {
            let count = *labels as usize;
            let rows = places.iter().flat_map(|place| &has[place * count..][..count]);
            Answers::Labels { labels: *labels, has: rows.copied().collect() }
        }
    }
}

#[test]
fn a_weight_is_the_same_as_so_many_copies() {
    for (number, case) in cases().into_iter().enumerate() {
        let (right, results, labels) = (case.right(), case.results(), case.labels());
        let size = right.len();
        for resample in 0..20 {
            let seed = Seed(number as u64).stream("copies", resample);
            let places: Vec<usize> =
                (0..size).map(|draw| (seed.draw(draw as u64, "") * size as f64) as usize).collect();
            let mut weights = vec![0; size];
            places.iter().for_each(|place| weights[*place] += 1);
            let copies = ItemResults {
                answers: taken(&results.answers, &places),
                losses: places.iter().map(|place| results.losses[*place]).collect(),
            };
            for name in case.metrics.keys() {
                let weighted = metric(name, &labels, &right, &results, Some(&weights));
                let copied = metric(name, &labels, &taken(&right, &places), &copies, None);
                match (weighted, copied) {
                    (Some(weighted), Some(copied)) => assert!(
                        (weighted - copied).abs() < 1e-9 * copied.abs().max(1.0),
                        "{}: {name} is {weighted} by weights and {copied} by copies",
                        case.name
                    ),
                    (weighted, copied) => assert_eq!(weighted, copied, "{}: {name}", case.name),
                }
            }
        }
    }
}

#[test]
fn results_that_do_not_fit_the_right_answers_have_no_metric() {
    let right = Answers::Classes { classes: vec![0, 1] };
    let results = |answers, losses| ItemResults { answers, losses };
    let short = results(Answers::Classes { classes: vec![0] }, vec![0.5]);
    let unweighed = results(Answers::Classes { classes: vec![0, 1] }, vec![0.5]);
    let other = results(Answers::Numbers { numbers: vec![0.5, 1.0] }, vec![0.5, 0.25]);
    for wrong in [&short, &unweighed, &other] {
        assert_eq!(metric("accuracy", &[], &right, wrong, None), None);
    }
    assert_eq!(metric("loss", &[], &right, &short, None), None);
    let sound = results(Answers::Classes { classes: vec![0, 0] }, vec![0.5, 0.25]);
    assert_eq!(metric("accuracy", &[], &right, &sound, None), Some(0.5));
    assert_eq!(metric("f1/nobody", &["a".into()], &right, &sound, None), None);
    assert_eq!(metric("rmse", &[], &right, &sound, None), None);
    let empty = results(Answers::Classes { classes: vec![] }, vec![]);
    let nothing = Answers::Classes { classes: vec![] };
    for name in ["accuracy", "loss", "macro_f1", "mcc"] {
        assert_eq!(metric(name, &[], &nothing, &empty, None), None, "{name}");
    }
}

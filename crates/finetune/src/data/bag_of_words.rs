//! What words alone tell: a logistic regression on which word pieces a text has, order and context left out.
//!
//! It is the reference for whether data can be learned at all, and costs seconds where a fine-tune costs minutes.

use std::collections::BTreeMap;

use converge_core::facts::BagOfWords;

use crate::data::dataset::{Dataset, Examples};
use crate::data::labels::Target;
use crate::data::tokens::TextEncoder;

/// Training examples that are used at most, the first ones of the split (which is in random order).
const MOST_EXAMPLES: usize = 20_000;
/// Weights that there may be at most: classes times distinct word pieces.
const MOST_WEIGHTS: usize = 5_000_000;
/// Rounds at most.
const MOST_ROUNDS: usize = 100;
/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 8;
/// The largest part of the gradient at which the optimum is taken as found, by example.
const TOLERANCE: f64 = 1e-4;

/// Returns how well words alone do on the validation split, texts cut off as for the model; none where the task is
/// another one, there is no validation split, or it would take too long.
pub(crate) fn bag_of_words(dataset: &Dataset, encoder: &TextEncoder) -> Option<BagOfWords> {
    let validation = dataset.validation.as_ref()?;
    let classes = dataset.labels.len();
    let pieces = |longest: usize| {
        move |examples: &Examples, position: usize| {
            let (mut ids, mut types) = (Vec::new(), Vec::new());
            let example = examples.example(position);
            encoder.sequence(&examples.file, example, longest, &mut ids, &mut types);
            ids
        }
    };
    let of = |longest: usize| {
        let mut columns = BTreeMap::new();
        let train = Texts::of(&dataset.train, MOST_EXAMPLES, pieces(longest), &mut columns, true)?;
        let held_out = Texts::of(validation, usize::MAX, pieces(longest), &mut columns, false)?;
        if classes.saturating_mul(columns.len()) > MOST_WEIGHTS {
            return None;
        }
        Some(Regression::fit(&train, classes, columns.len()).judge(&held_out))
    };
    let cut = of(dataset.max_length)?;
    let is_cut = [&dataset.train, validation].iter().any(|split| {
        (0..split.len())
            .any(|position| split.example(position).length as usize > dataset.max_length)
    });
    let whole = if is_cut { of(usize::MAX) } else { None };
    Some(BagOfWords {
        accuracy: cut.accuracy,
        macro_f1: cut.macro_f1,
        accuracy_untruncated: whole.map(|whole| whole.accuracy),
    })
}

/// Texts as the sets of their word pieces.
struct Texts {
    /// By text: columns, ascending.
    columns: Vec<Vec<u32>>,
    classes: Vec<usize>,
}

impl Texts {
    fn of(
        examples: &Examples,
        most: usize,
        pieces: impl Fn(&Examples, usize) -> Vec<u32>,
        columns: &mut BTreeMap<u32, u32>,
        learns: bool,
    ) -> Option<Self> {
        let mut texts = Self { columns: Vec::new(), classes: Vec::new() };
        for position in 0..examples.len().min(most) {
            let Target::Class(class) = examples.target(position) else { return None };
            let mut found: Vec<u32> = Vec::new();
            for id in pieces(examples, position) {
                let next = columns.len() as u32;
                match learns {
                    true => found.push(*columns.entry(id).or_insert(next)),
                    false => found.extend(columns.get(&id)),
                }
            }
            found.sort_unstable();
            found.dedup();
            texts.columns.push(found);
            texts.classes.push(*class);
        }
        Some(texts)
    }
}

/// A multinomial logistic regression: a row of weights for each class, the last of a row its intercept.
struct Regression {
    weights: Vec<f64>,
    classes: usize,
    columns: usize,
}

/// How well it answers.
struct Judged {
    accuracy: f64,
    macro_f1: f64,
}

impl Regression {
    /// Minimises the sum of the losses plus half the squares of all weights but the intercepts.
    ///
    /// # Source
    /// The objective of scikit-learn's `LogisticRegression(C=1)`; L-BFGS as in Nocedal and Wright, algorithm 7.5.
    fn fit(texts: &Texts, classes: usize, columns: usize) -> Self {
        let mut fitted = Self { weights: vec![0.0; classes * (columns + 1)], classes, columns };
        let (mut value, mut gradient) = fitted.loss(texts);
        let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let steepest = gradient.iter().fold(0.0_f64, |most, part| most.max(part.abs()));
            if steepest <= TOLERANCE * texts.classes.len() as f64 {
                break;
            }
            let direction = direction(&gradient, &memory);
            let slope = dot(&gradient, &direction);
            let start = fitted.weights.clone();
            let mut length = if memory.is_empty() { 1.0 / steepest.max(1.0) } else { 1.0 };
            let (new_value, new_gradient) = loop {
                for ((weight, from), along) in fitted.weights.iter_mut().zip(&start).zip(&direction)
                {
                    *weight = from + length * along;
                }
                let found = fitted.loss(texts);
                if found.0 <= value + 1e-4 * length * slope || length < 1e-12 {
                    break found;
                }
                length *= 0.5;
            };
            let step: Vec<f64> =
                fitted.weights.iter().zip(&start).map(|(new, old)| new - old).collect();
            let change: Vec<f64> =
                new_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            if dot(&step, &change) > 0.0 {
                memory.push((step, change));
                if memory.len() > MEMORY {
                    memory.remove(0);
                }
            }
            (value, gradient) = (new_value, new_gradient);
        }
        fitted
    }

    fn scores(&self, columns: &[u32]) -> Vec<f64> {
        let row = |class: usize| &self.weights[class * (self.columns + 1)..][..=self.columns];
        let score = |row: &[f64]| {
            columns.iter().map(|column| row[*column as usize]).sum::<f64>() + row[self.columns]
        };
        (0..self.classes).map(|class| score(row(class))).collect()
    }

    fn loss(&self, texts: &Texts) -> (f64, Vec<f64>) {
        let mut gradient = vec![0.0; self.weights.len()];
        let mut value = 0.0;
        for (columns, right) in texts.columns.iter().zip(&texts.classes) {
            let scores = self.scores(columns);
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            value += sum.ln() + largest - scores[*right];
            for (class, power) in powers.iter().enumerate() {
                let part = power / sum - f64::from(u8::from(class == *right));
                let row = &mut gradient[class * (self.columns + 1)..][..=self.columns];
                columns.iter().for_each(|column| row[*column as usize] += part);
                row[self.columns] += part;
            }
        }
        for (place, (part, weight)) in gradient.iter_mut().zip(&self.weights).enumerate() {
            if place % (self.columns + 1) != self.columns {
                value += 0.5 * weight * weight;
                *part += weight;
            }
        }
        (value, gradient)
    }

    fn judge(&self, texts: &Texts) -> Judged {
        let (mut right, mut answered, mut there) =
            (vec![0_u64; self.classes], vec![0_u64; self.classes], vec![0_u64; self.classes]);
        for (columns, class) in texts.columns.iter().zip(&texts.classes) {
            let scores = self.scores(columns);
            let better =
                |best: usize, class: usize| if scores[class] > scores[best] { class } else { best };
            let answer = (0..self.classes).fold(0, better);
            answered[answer] += 1;
            there[*class] += 1;
            right[answer] += u64::from(answer == *class);
        }
        let f1 = |class: usize| {
            let both = answered[class] + there[class];
            (both > 0).then(|| 2.0 * right[class] as f64 / both as f64)
        };
        let scores: Vec<f64> = (0..self.classes).filter_map(f1).collect();
        Judged {
            accuracy: right.iter().sum::<u64>() as f64 / texts.classes.len().max(1) as f64,
            macro_f1: scores.iter().sum::<f64>() / scores.len().max(1) as f64,
        }
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Returns the direction to go, from the gradient and the last steps with the changes of the gradient that they made.
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|part| -part).collect();
    let add = |direction: &mut [f64], factor: f64, other: &[f64]| {
        direction.iter_mut().zip(other).for_each(|(part, other)| *part += factor * other);
    };
    let mut shares = Vec::new();
    for (step, change) in memory.iter().rev() {
        let share = dot(step, &direction) / dot(step, change);
        add(&mut direction, -share, change);
        shares.push(share);
    }
    if let Some((step, change)) = memory.last() {
        let scale = dot(step, change) / dot(change, change);
        direction.iter_mut().for_each(|part| *part *= scale);
    }
    for ((step, change), share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = dot(change, &direction) / dot(step, change);
        add(&mut direction, share - back, step);
    }
    direction
}

#[cfg(test)]
mod tests;

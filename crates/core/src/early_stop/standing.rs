//! What a trial has reached at a rung, and how far two of them have to be apart to be told apart.

use crate::items::{Answers, ItemResults};
use crate::metric::is_share;
use crate::statistics::distributions::share_error;

/// What a trial has reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The objective so far, as it ranks trials; none: not observed, or never a number.
    pub value: Option<f64>,
    /// Examples that it was measured on; 0: not known.
    pub examples: u64,
    /// What can be compared example by example.
    pub marks: Option<Marks>,
}

/// What is left of a trial's results on each example: just what a paired comparison by the objective needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Marks {
    /// The answer to each: a class, or a number that stands for a set of labels.
    Answers(Vec<u32>),
    /// The loss on each.
    Losses(Vec<f32>),
}

/// First bytes of stored marks.
const BYTES: u8 = 0;
const WORDS: u8 = 1;
const LOSSES: u8 = 2;

impl Marks {
    /// Returns the marks of an evaluation for an objective; none where examples cannot be compared by it.
    pub fn of(results: &ItemResults, metric: &str) -> Option<Self> {
        if metric.ends_with("/loss") {
            return Some(Self::Losses(results.losses.clone()));
        }
        if !is_share(metric) {
            return None;
        }
        Some(Self::Answers(match &results.answers {
            Answers::Classes { classes } => classes.clone(),
            Answers::Labels { labels, has } => {
                has.chunks((*labels).max(1) as usize).map(set_of).collect()
            }
            Answers::Numbers { .. } => return None,
        }))
    }

    /// Returns them as they are stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Answers(answers) => {
                let small: Option<Vec<u8>> =
                    answers.iter().map(|answer| u8::try_from(*answer).ok()).collect();
                match small {
                    Some(bytes) => [vec![BYTES], bytes].concat(),
                    None => {
                        let words = answers.iter().flat_map(|answer| answer.to_le_bytes());
                        std::iter::once(WORDS).chain(words).collect()
                    }
                }
            }
            Self::Losses(losses) => {
                let words = losses.iter().flat_map(|loss| loss.to_le_bytes());
                std::iter::once(LOSSES).chain(words).collect()
            }
        }
    }

    /// Reads stored marks; none where they are not what [`Marks::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let words = || {
            let (words, left) = rest.as_chunks::<4>();
            left.is_empty().then(|| words.iter().copied())
        };
        match *kind {
            BYTES => Some(Self::Answers(rest.iter().copied().map(u32::from).collect())),
            WORDS => Some(Self::Answers(words()?.map(u32::from_le_bytes).collect())),
            LOSSES => Some(Self::Losses(words()?.map(f32::from_le_bytes).collect())),
            _ => None,
        }
    }
}

impl Standing {
    /// Returns the standard error of the difference to another standing; 0 where nothing is known of it.
    ///
    /// Paired, where both have marks: answers that differ on d of n examples give √d / n, which of two classes is the
    /// error of a difference of accuracies, and with more an upper bound; of an F1 or a recall of a rare class it is too
    /// small, and fewer are tied than could be. Losses: the error of their mean difference. Else, for a share of
    /// examples, that of the better one ([`share_error`]).
    pub fn standard_error(&self, other: &Self, metric: &str) -> f64 {
        let paired = match (&self.marks, &other.marks) {
            (Some(Marks::Answers(left)), Some(Marks::Answers(right)))
                if left.len() == right.len() && !left.is_empty() =>
            {
                let differ = left.iter().zip(right).filter(|(left, right)| left != right).count();
                Some((differ as f64).sqrt() / left.len() as f64)
            }
            (Some(Marks::Losses(left)), Some(Marks::Losses(right)))
                if left.len() == right.len() && left.len() > 1 =>
            {
                Some(of_mean(left.iter().zip(right).map(|(l, r)| f64::from(*l) - f64::from(*r))))
            }
            _ => None,
        };
        let alone = || match self.value {
            Some(p) if is_share(metric) && (0.0..=1.0).contains(&p) && self.examples > 0 => {
                share_error(p, self.examples)
            }
            _ => 0.0,
        };
        paired.filter(|error| error.is_finite()).unwrap_or_else(alone)
    }
}

/// Returns a number that two sets of labels share if they are equal (FNV-1a over their places).
fn set_of(has: &[bool]) -> u32 {
    let places = has.iter().enumerate().filter(|(_, has)| **has);
    places.fold(0x811c_9dc5, |hash, (place, _)| (hash ^ place as u32).wrapping_mul(0x0100_0193))
}

/// Returns the standard error of the mean.
fn of_mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

//! Metrics of a multi-label task.

use std::sync::Arc;

use converge_core::metric::{F1_OF, PREDICTED_OF, RECALL_OF};

use super::mean_and_deviation;
use super::ranks::auroc;

/// Returns all metrics by name; what is not defined is left out.
///
/// A label is answered where its probability is over one half: where its logit is positive.
///
/// `logits` are those of all labels, example by example.
pub(super) fn metrics(
    logits: &[f32],
    targets: &[Arc<[bool]>],
    labels: &[String],
) -> Vec<(String, f64)> {
    let count = labels.len();
    let (mut losses, mut all_right) = (Vec::with_capacity(targets.len()), 0_u64);
    let mut by_label = vec![Counts::default(); count];
    for (logits, has) in logits.chunks_exact(count).zip(targets) {
        let (mut right, mut sum) = (true, 0.0);
        for ((logit, has), counts) in logits.iter().zip(has.iter()).zip(&mut by_label) {
            let answer = is_answered(*logit);
            sum += loss(f64::from(*logit), *has);
            right &= answer == *has;
            counts.add(*has, answer);
        }
        losses.push(sum / count as f64);
        all_right += u64::from(right);
    }
    let examples = targets.len().max(1) as f64;
    let all = by_label.iter().fold(Counts::default(), |all, one| all.plus(*one));
    let (loss, loss_deviation) = mean_and_deviation(&losses);
    let mut metrics = vec![
        ("loss".to_owned(), loss),
        ("loss_deviation".to_owned(), loss_deviation),
        ("accuracy".to_owned(), all_right as f64 / examples),
        ("macro_f1".to_owned(), mean(by_label.iter().map(Counts::f1)).unwrap_or(0.0)),
        ("micro_f1".to_owned(), all.f1()),
    ];
    let area = |label: usize| {
        let scores: Vec<f64> =
            logits.iter().skip(label).step_by(count).map(|logit| f64::from(*logit)).collect();
        auroc(&scores, |place| targets[place][label])
    };
    metrics.extend(mean((0..count).filter_map(area)).map(|area| ("auroc".to_owned(), area)));
    for (infix, value) in [
        (F1_OF, (|counts| Some(counts.f1())) as fn(&Counts) -> Option<f64>),
        (RECALL_OF, Counts::recall),
    ] {
        let of = |(label, counts)| Some((format!("{infix}{label}"), value(counts)?));
        metrics.extend(labels.iter().zip(&by_label).filter_map(of));
    }
    let share = |counts: &Counts| counts.answers as f64 / examples;
    metrics.extend(
        labels
            .iter()
            .zip(&by_label)
            .map(|(label, counts)| (format!("{PREDICTED_OF}{label}"), share(counts))),
    );
    metrics
}

/// Returns whether a label is answered: its probability is over one half.
pub(super) fn is_answered(logit: f32) -> bool {
    logit > 0.0
}

/// Returns the binary cross-entropy of a logit.
///
/// # Source
/// `torch.nn.BCEWithLogitsLoss`, in its form that does not overflow.
pub(super) fn loss(logit: f64, has: bool) -> f64 {
    let wrong = if has { -logit } else { logit };
    wrong.max(0.0) + (-logit.abs()).exp().ln_1p()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Examples that have a label, to which it was answered, and both.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    support: u64,
    answers: u64,
    right: u64,
}

impl Counts {
    fn add(&mut self, has: bool, answer: bool) {
        self.support += u64::from(has);
        self.answers += u64::from(answer);
        self.right += u64::from(has && answer);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            support: self.support + other.support,
            answers: self.answers + other.answers,
            right: self.right + other.right,
        }
    }

    /// # Source
    /// scikit-learn's `f1_score` with `zero_division=0`: 0 for a label that neither occurs nor is answered.
    fn f1(&self) -> f64 {
        2.0 * self.right as f64 / (self.support + self.answers).max(1) as f64
    }

    fn recall(&self) -> Option<f64> {
        (self.support > 0).then(|| self.right as f64 / self.support as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_large_logits_does_not_overflow() {
        assert_eq!(loss(1e30, false), 1e30);
        assert_eq!(loss(1e30, true), 0.0);
        assert!((loss(0.0, true) - 2.0_f64.ln()).abs() < 1e-15);
        assert!(loss(f64::NAN, true).is_nan());
    }
}

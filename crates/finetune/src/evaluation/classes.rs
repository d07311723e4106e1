//! Metrics of a task of classes.

use converge_core::metric::{F1_OF, PREDICTED_OF, RECALL_OF};

use super::mean_and_deviation;
use super::ranks::auroc;

/// A probability from which on an answer counts as confident.
const CONFIDENT: f64 = 0.9;

/// Returns all metrics by name; what is not defined is left out.
///
/// `logits` are those of all classes, example by example.
pub(super) fn metrics(logits: &[f32], targets: &[usize], labels: &[String]) -> Vec<(String, f64)> {
    let classes = labels.len();
    let mut losses = Vec::with_capacity(targets.len());
    let (mut confidence, mut confidently_wrong) = (0.0, 0_u64);
    let mut confusion = Confusion::new(classes);
    for (logits, target) in logits.chunks_exact(classes).zip(targets) {
        let (loss, answer) = judge(logits, *target);
        losses.push(loss);
        confusion.add(*target, answer);
        let probability = (-judge(logits, answer).0).exp();
        confidence += probability;
        confidently_wrong += u64::from(answer != *target && probability > CONFIDENT);
    }
    let examples = targets.len().max(1) as f64;
    let (loss, loss_deviation) = mean_and_deviation(&losses);
    let mut metrics = vec![
        ("loss".to_owned(), loss),
        ("loss_deviation".to_owned(), loss_deviation),
        ("confidence".to_owned(), confidence / examples),
        ("confidently_wrong".to_owned(), confidently_wrong as f64 / examples),
        ("accuracy".to_owned(), confusion.accuracy()),
        ("macro_f1".to_owned(), confusion.macro_f1()),
        ("mcc".to_owned(), confusion.mcc()),
    ];
    metrics.extend(macro_auroc(logits, targets, classes).map(|area| ("auroc".to_owned(), area)));
    let by_class = |infix: &'static str, value: &dyn Fn(usize) -> Option<f64>| {
        let of =
            |(class, label): (usize, &String)| Some((format!("{infix}{label}"), value(class)?));
        labels.iter().enumerate().filter_map(of).collect::<Vec<_>>()
    };
    metrics.extend(by_class(F1_OF, &|class| confusion.f1(class)));
    metrics.extend(by_class(RECALL_OF, &|class| confusion.recall(class)));
    metrics.extend(by_class(PREDICTED_OF, &|class| Some(confusion.share_of_answers(class))));
    metrics
}

/// Returns -log p of the right class, and the class with the largest logit (the first of equals).
pub(super) fn judge(logits: &[f32], target: usize) -> (f64, usize) {
    let mut answer = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[answer] {
            answer = class;
        }
    }
    let largest = f64::from(logits[answer]);
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    (sum.ln() + largest - f64::from(logits[target]), answer)
}

/// Returns the area under the ROC curve of the second of two classes, or the mean over more, each against the rest.
fn macro_auroc(logits: &[f32], targets: &[usize], classes: usize) -> Option<f64> {
    let probabilities: Vec<f64> = logits.chunks_exact(classes).flat_map(probabilities).collect();
    let area = |class: usize| {
        let scores: Vec<f64> = probabilities.iter().skip(class).step_by(classes).copied().collect();
        auroc(&scores, |place| targets[place] == class)
    };
    if classes == 2 {
        return area(1);
    }
    let areas: Vec<f64> = (0..classes).filter_map(area).collect();
    (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
}

fn probabilities(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// `[right class][answer]`.
struct Confusion(Vec<Vec<u64>>);

impl Confusion {
    fn new(classes: usize) -> Self {
        Self(vec![vec![0; classes]; classes])
    }

    fn add(&mut self, class: usize, answer: usize) {
        self.0[class][answer] += 1;
    }

    fn examples(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    fn right(&self, class: usize) -> u64 {
        self.0[class][class]
    }

    fn all_right(&self) -> u64 {
        (0..self.0.len()).map(|class| self.right(class)).sum()
    }

    /// Examples of a class.
    fn support(&self, class: usize) -> u64 {
        self.0[class].iter().sum()
    }

    /// Answers that were this class.
    fn answers(&self, class: usize) -> u64 {
        self.0.iter().map(|answers| answers[class]).sum()
    }

    fn accuracy(&self) -> f64 {
        self.all_right() as f64 / self.examples().max(1) as f64
    }

    fn share_of_answers(&self, class: usize) -> f64 {
        self.answers(class) as f64 / self.examples().max(1) as f64
    }

    fn recall(&self, class: usize) -> Option<f64> {
        let support = self.support(class);
        (support > 0).then(|| self.right(class) as f64 / support as f64)
    }

    /// Returns 2 · precision · recall / (precision + recall); none for a class that neither occurs nor is answered.
    fn f1(&self, class: usize) -> Option<f64> {
        let both = self.support(class) + self.answers(class);
        (both > 0).then(|| 2.0 * self.right(class) as f64 / both as f64)
    }

    /// # Source
    /// scikit-learn's `f1_score(average="macro")`: classes that occur neither in the data nor among
    /// the answers do not count.
    fn macro_f1(&self) -> f64 {
        let scores: Vec<f64> = (0..self.0.len()).filter_map(|class| self.f1(class)).collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    }

    /// # Source
    /// Gorodkin 2004, *Comparing two K-category assignments by a K-category correlation coefficient*, as
    /// scikit-learn's `matthews_corrcoef`: 0 where it is not defined.
    fn mcc(&self) -> f64 {
        let classes = 0..self.0.len();
        let examples = self.examples() as f64;
        let sum = |of: &dyn Fn(usize) -> f64| classes.clone().map(of).sum::<f64>();
        let [supports, answers] =
            [|s: &Self, c| s.support(c) as f64, |s: &Self, c| s.answers(c) as f64];
        let both = self.all_right() as f64 * examples
            - sum(&|class| supports(self, class) * answers(self, class));
        let of_answers = examples * examples - sum(&|class| answers(self, class).powi(2));
        let of_supports = examples * examples - sum(&|class| supports(self, class).powi(2));
        if of_answers * of_supports == 0.0 {
            return 0.0;
        }
        both / (of_answers * of_supports).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_large_logits_does_not_overflow() {
        let (loss, answer) = judge(&[1e30, -1e30], 1);
        assert_eq!((loss, answer), (f64::from(1e30_f32) * 2.0, 0));
        let (loss, answer) = judge(&[0.0, 0.0], 1);
        assert!((loss - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(answer, 0);
        assert!(judge(&[f32::NAN, 1.0], 1).0.is_nan());
    }
}

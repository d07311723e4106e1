//! Metrics that follow from counts of right classes and answers.

/// `[right class][answer]`, row by row.
pub(super) struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    pub(super) fn new(classes: usize, counts: Vec<u64>) -> Self {
        debug_assert_eq!(counts.len(), classes * classes);
        Self { classes, counts }
    }

    fn examples(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn right(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    /// Examples of a class.
    fn support(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    /// Answers that were this class.
    fn answers(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    pub(super) fn predicted(&self, class: usize) -> Option<f64> {
        let examples = self.examples();
        (examples > 0).then(|| self.answers(class) as f64 / examples as f64)
    }

    pub(super) fn recall(&self, class: usize) -> Option<f64> {
        let support = self.support(class);
        (support > 0).then(|| self.right(class) as f64 / support as f64)
    }

    /// None for a class that neither occurs nor is answered.
    pub(super) fn f1(&self, class: usize) -> Option<f64> {
        let both = self.support(class) + self.answers(class);
        (both > 0).then(|| 2.0 * self.right(class) as f64 / both as f64)
    }

    /// The mean over the classes that occur or are answered.
    pub(super) fn macro_f1(&self) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0_u32);
        for score in (0..self.classes).filter_map(|class| self.f1(class)) {
            sum += score;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    /// # Source
    /// Gorodkin 2004, *Comparing two K-category assignments by a K-category correlation coefficient*: 0 where it is
    /// not defined.
    pub(super) fn mcc(&self) -> Option<f64> {
        let examples = self.examples() as f64;
        if examples == 0.0 {
            return None;
        }
        let sum = |of: &dyn Fn(usize) -> f64| (0..self.classes).map(of).sum::<f64>();
        let all_right = sum(&|class| self.right(class) as f64);
        let both = all_right * examples
            - sum(&|class| self.support(class) as f64 * self.answers(class) as f64);
        let of_answers = examples * examples - sum(&|class| (self.answers(class) as f64).powi(2));
        let of_supports = examples * examples - sum(&|class| (self.support(class) as f64).powi(2));
        let scale = of_answers * of_supports;
        Some(if scale == 0.0 { 0.0 } else { both / scale.sqrt() })
    }
}

/// Of one label, or of all pairs of example and label.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) support: u64,
    pub(super) answers: u64,
    pub(super) right: u64,
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            support: self.support + other.support,
            answers: self.answers + other.answers,
            right: self.right + other.right,
        }
    }

    /// 0 for a label that neither occurs nor is answered.
    pub(super) fn f1(&self) -> f64 {
        2.0 * self.right as f64 / (self.support + self.answers).max(1) as f64
    }

    pub(super) fn recall(&self) -> Option<f64> {
        (self.support > 0).then(|| self.right as f64 / self.support as f64)
    }
}

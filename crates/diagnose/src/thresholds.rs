//! The numbers that rules compare signals with.

use serde::Serialize;

/// Thresholds of all rules. The default is what the benchmark's tuning split chose (`docs/diagnosis.md`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thresholds {
    /// Losses this near to chance, as a share of it, are at chance.
    pub at_chance: f64,
    /// A smoothed training loss this many times chance has blown up.
    pub blown_up: f64,
    /// A smoothed training loss that rises by this share of chance has risen.
    pub rise: f64,
    /// A smoothed training loss this many times chance is a spike.
    pub spike: f64,
    /// Encoder travel from which on pretraining is overwritten.
    pub far: f64,
    /// Encoder travel up to which nothing has moved.
    pub still: f64,
    /// |ΔW| / |W| of one update from which on updates are large, and up to which they are tiny.
    pub update_large: f64,
    /// See `update_large`.
    pub update_tiny: f64,
    /// The lowest layers' gradient, late over early, up to which it has died.
    pub gradient_died: f64,
    /// Share of answers that are the same from which on a model has collapsed.
    pub same_answer: f64,
    /// Straightness up to which steps go too far.
    pub overshoots: f64,
    /// Share of Adam's step that epsilon may take.
    pub epsilon_share: f64,
    /// Share of the schedule that warm-up may take.
    pub warmup: f64,
    /// Learning rate over 1 - momentum up to which SGD is too slow for a fine-tune.
    pub sgd_rate: f64,
    /// Travel up to which SGD has not moved as a fine-tune should.
    pub sgd_still: f64,
    /// Skill on training examples under which hardly anything was learnt.
    pub hardly: f64,
    /// Steps under which a training is short.
    pub few_steps: u64,
    /// What the last third may still add to skill where training is done.
    pub still_improving: f64,
    /// The largest class over the smallest from which on data are imbalanced.
    pub imbalance: f64,
    /// Examples a class under which data are few.
    pub few_examples: f64,
    /// Accuracy on training examples from which on they are learnt by heart.
    pub by_heart: f64,
    /// Dropout from which on it is strong.
    pub strong_dropout: f64,
    /// Label smoothing from which on it is strong.
    pub strong_smoothing: f64,
    /// Share of the weights that decay may take.
    pub strong_decay: f64,
    /// Share of confidently contradicted training examples from which on labels are in doubt.
    pub contradicted: f64,
    /// Share of unknown words from which on they matter, and from which on nothing else does.
    pub unknown_words: f64,
    /// See `unknown_words`.
    pub mostly_unknown: f64,
    /// Share of truncated examples from which on truncation matters.
    pub truncated: f64,
    /// Share of the schedule from which on a trial that has not ended may be called at chance.
    pub enough: f64,
    /// Share of the way from a constant answer to the sweep's best from which on a trial works.
    pub works: f64,
}

impl Default for Thresholds {
    /// # Source
    /// `convergence.md` §3 and its pilot §7: hypotheses, until the benchmark's tuning split has been run.
    fn default() -> Self {
        Self {
            at_chance: 0.05,
            blown_up: 2.0,
            rise: 0.2,
            spike: 1.2,
            far: 0.05,
            still: 1e-4,
            update_large: 3e-3,
            update_tiny: 1e-6,
            gradient_died: 0.2,
            same_answer: 0.98,
            overshoots: 0.0,
            epsilon_share: 0.5,
            warmup: 0.5,
            sgd_rate: 3e-2,
            sgd_still: 1e-2,
            hardly: 0.1,
            few_steps: 100,
            still_improving: 0.05,
            imbalance: 4.0,
            few_examples: 50.0,
            by_heart: 0.95,
            strong_dropout: 0.3,
            strong_smoothing: 0.3,
            strong_decay: 0.25,
            contradicted: 0.05,
            unknown_words: 0.05,
            mostly_unknown: 0.3,
            truncated: 0.2,
            enough: 0.3,
            works: 0.8,
        }
    }
}

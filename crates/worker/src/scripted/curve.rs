//! Curves that look like training, as functions of settings and step.

use converge_core::metric;
use converge_core::script::Script;
use converge_core::settings::{Optimizer, Settings};
use converge_core::task::Task;

/// The curves of one trial.
#[derive(Debug)]
pub(crate) struct Curve {
    learning_rate: f64,
    warmup_share: f64,
    /// How well the settings do, in (0, 1].
    quality: f64,
    steps: u64,
    task: Task,
}

impl Curve {
    pub(crate) fn new(settings: &Settings, steps: u64) -> Self {
        let train = &settings.train;
        let best_learning_rate: f64 = match train.optimizer {
            Optimizer::AdamW | Optimizer::Adam | Optimizer::RmsProp => 1e-4,
            Optimizer::Sgd | Optimizer::AdaGrad => 1e-2,
        };
        let decades = (train.learning_rate / best_learning_rate).log10();
        // Far weaker than the learning rate, so that they order configurations that share it.
        let doublings = (train.batch_size as f64 / 16.0).log2();
        let dropout = train.dropout.unwrap_or(0.1);
        let quality = (-0.5 * decades * decades).exp()
            * (1.0 - 0.01 * doublings.abs().min(4.0))
            * (1.0 - 0.02 * (dropout - 0.1).abs())
            * (1.0 - 0.01 * (train.weight_decay - 0.01).abs().min(1.0))
            * (1.0 + 0.005 * (train.momentum.clamp(0.0, 1.0) - 1.0));
        Self {
            learning_rate: train.learning_rate,
            warmup_share: train.warmup_ratio,
            quality: if quality.is_finite() { quality } else { 0.0 },
            steps,
            task: settings.data.task.task().unwrap_or_default(),
        }
    }

    /// Returns the steps that are evaluated, in order.
    pub(crate) fn evaluations(&self) -> impl Iterator<Item = u64> {
        Script { steps: self.steps, ..Script::default() }.evaluations()
    }

    /// Returns the metrics of a step, those of its evaluation included.
    pub(crate) fn metrics(&self, step: u64) -> Vec<(String, f64)> {
        let learnt = self.quality * self.progress(step);
        // No two steps alike, but never enough to change an order.
        let ripple = 0.01 * (step as f64 * 0.7).sin();
        let mut metrics = vec![
            (metric::TRAIN_LOSS, 0.7 - 0.6 * learnt + ripple),
            (metric::LEARNING_RATE, self.learning_rate_at(step)),
        ];
        if self.evaluations().any(|evaluated| evaluated == step) {
            metrics.push(("validation/loss", 0.7 - 0.5 * learnt));
            metrics.extend(match self.task {
                Task::Classes | Task::MultiLabel => [
                    ("validation/accuracy", 0.5 + 0.45 * learnt),
                    ("validation/macro_f1", 0.48 + 0.46 * learnt),
                ],
                Task::Regression => [
                    ("validation/rmse", (0.7 - 0.5 * learnt).max(0.0).sqrt()),
                    ("validation/pearson", 0.95 * learnt),
                ],
            });
        }
        metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Rises from 0 towards 1.
    fn progress(&self, step: u64) -> f64 {
        1.0 - (-3.0 * step as f64 / self.steps.max(1) as f64).exp()
    }

    fn learning_rate_at(&self, step: u64) -> f64 {
        let (done, all) = ((step - 1) as f64, self.steps as f64);
        let warmup = (self.warmup_share * all).max(0.0);
        if done < warmup {
            self.learning_rate * done / warmup
        } else {
            self.learning_rate * (all - done) / (all - warmup).max(1.0)
        }
    }
}

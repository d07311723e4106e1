//! At which steps trials are compared.

use super::{EarlyStop, Rule};
use crate::script::Script;
use crate::settings::TrainSettings;
use crate::steps::{is_evaluated, steps_per_epoch, total_steps};

impl EarlyStop {
    /// Returns the rungs of a training, in epochs: those before its end. They may be far more than its steps.
    fn epochs(&self, epochs: f64) -> impl Iterator<Item = f64> {
        let factor = self.eta.max(2) as f64;
        let Self { rule, first, .. } = *self;
        let rung = move |index: u64| match rule {
            Rule::None => None,
            Rule::TopK => (index == 0).then_some(first),
            Rule::Halving | Rule::Asha => Some(first * factor.powi(index as i32)),
            Rule::Median => Some(first * (index + 1) as f64),
        };
        (0..).map_while(rung).take_while(move |rung| *rung < epochs && *rung > 0.0)
    }

    /// Returns the rungs of a training in steps: for each the first step at or after it that is evaluated.
    ///
    /// They grow, and lie before the last step: a training that is shorter than a rung is complete there.
    pub fn rungs(&self, train_examples: u64, train: &TrainSettings) -> Vec<u64> {
        let total = total_steps(train_examples, train);
        let in_epoch = steps_per_epoch(train_examples, train) as f64;
        self.placed(train.epochs as f64, in_epoch, total, |step| {
            is_evaluated(step, train_examples, train)
        })
    }

    /// The same for a script, whose steps make up the epochs of its settings.
    pub fn rungs_of_script(&self, script: &Script, train: &TrainSettings) -> Vec<u64> {
        let evaluations: Vec<u64> = script.evaluations().collect();
        let epochs = train.epochs.max(1) as f64;
        let in_epoch = script.steps as f64 / epochs;
        self.placed(epochs, in_epoch, script.steps, |step| evaluations.contains(&step))
    }

    fn placed(
        &self,
        epochs: f64,
        in_epoch: f64,
        total: u64,
        is_evaluated: impl Fn(u64) -> bool,
    ) -> Vec<u64> {
        let mut rungs: Vec<u64> = Vec::new();
        for rung in self.epochs(epochs) {
            let from = (rung * in_epoch - 1e-6).ceil().max(1.0) as u64;
            let from = from.max(rungs.last().map_or(1, |last| last + 1));
            match (from..total).find(|step| is_evaluated(*step)) {
                Some(step) => rungs.push(step),
                None => break,
            }
        }
        rungs
    }
}

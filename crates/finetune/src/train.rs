//! The loop.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use converge_bert::BertClassifier;
use converge_core::items::ItemResults;
use converge_core::metric::{
    EPSILON_SHARE, EXPECTED_DROP, GRADIENT_NORM, GRADIENT_NORM_OF, LAYER_GROUPS, LEARNING_RATE,
    SAME_BATCH_DROP, STEP_SECONDS, TOKENS, TRAIN_LOSS, TRAVEL_OF, UPDATE_RATIO_OF,
};
use converge_core::micro_batches::MicroBatches;
use converge_core::objective::{At, Objective};
use converge_core::seed::Seed;
use converge_core::settings::TrainSettings;
use converge_core::steps;
use converge_faults::point;

use crate::batch::{Batch, micro_batches};
use crate::best::BestDirectory;
use crate::checkpoint::{self, Best, Progress};
use crate::data::dataset::{Dataset, Examples};
use crate::data::tokens::TextEncoder;
use crate::evaluation::{Sequences, evaluate};
use crate::gradients::{Gradients, Norms};
use crate::job::{Control, Ending, FineTuneError, Job, Observer};
use crate::loss::Loss;
use crate::loss_scale::LossScale;
use crate::optimizer::{Optimizer, Update};
use crate::order::Order;
use crate::schedule::LearningRate;
use crate::start;
use crate::travel::Travel;
use crate::update_signals::BeforeUpdate;

/// Largest share of time that goes into checkpoints.
const CHECKPOINT_SHARE: f64 = 0.03;

/// Runs one fine-tune to its end, or until the observer stops it.
///
/// # Errors
/// [`FineTuneError`], whose class decides about a retry.
pub fn fine_tune(job: &Job, observer: &mut dyn Observer) -> Result<Ending, FineTuneError> {
    let mut training = start::training(job)?;
    loop {
        // The observation of a step is complete with its evaluation only.
        if !training.progress.unreported.is_empty() {
            match training.report(observer)? {
                Report::Made => {}
                Report::CutShort => return training.stop(observer),
                Report::Diverged(quantity) => {
                    return Ok(Ending::Diverged { step: training.progress.step, quantity });
                }
            }
        }
        if training.progress.step >= training.total_steps
            || training.has_blown_up()
            || training.is_out_of_patience()
        {
            return training.complete();
        }
        if training.until_step.is_some_and(|until| training.progress.step >= until) {
            return training.pause(observer);
        }
        if observer.control() == Control::Stop {
            return training.stop(observer);
        }
        if training.checkpoint_is_due() {
            training.checkpoint(observer)?;
        }
        if training.step(observer) == Control::Stop {
            return training.stop(observer);
        }
    }
}

/// A fine-tune between two of its steps.
pub(crate) struct Training {
    /// None only while an update is made of it.
    pub(crate) model: Option<BertClassifier>,
    pub(crate) optimizer: Optimizer,
    pub(crate) progress: Progress,
    pub(crate) total_steps: u64,
    pub(crate) until_step: Option<u64>,
    pub(crate) patience: Option<u64>,
    pub(crate) rate: LearningRate,
    pub(crate) loss: Loss,
    pub(crate) order: Order,
    pub(crate) dropout_seed: Seed,
    pub(crate) settings: TrainSettings,
    /// Whether the last step is evaluated on the test split: nothing is chosen any more.
    pub(crate) ends_with_test: bool,
    /// How a full step is divided.
    pub(crate) micro_batches: MicroBatches,
    pub(crate) objective: Objective,
    pub(crate) encoder: TextEncoder,
    pub(crate) dataset: Dataset,
    /// A fixed part of training, evaluated with dropout off.
    pub(crate) train_subset: Examples,
    pub(crate) travel: Travel,
    /// Outside autodiff.
    pub(crate) device: Device,
    /// The same, with autodiff.
    pub(crate) autodiff: Device,
    pub(crate) best: BestDirectory,
    /// The best weights, where they are not in the directory yet: they are written once it counts,
    /// with a checkpoint or at the end.
    pub(crate) unwritten_best: Option<BertClassifier>,
    pub(crate) attempt_directory: PathBuf,
    pub(crate) fingerprint: String,
    pub(crate) checkpoints: CheckpointClock,
}

/// What a step's forward and backward passes found.
struct StepGradients {
    /// Times `scale`.
    gradients: Gradients,
    loss: f64,
    norms: Norms,
    scale: f32,
}

/// What an evaluation found.
struct Found {
    /// Metrics of all evaluated splits, and how far the weights have come.
    metrics: Vec<(String, f64)>,
    /// What the model said of each validation example.
    items: Option<ItemResults>,
}

enum Report {
    Made,
    /// The observer asked to stop; the evaluation is to be done again.
    CutShort,
    Diverged(String),
}

impl Training {
    fn model(&self) -> &BertClassifier {
        self.model.as_ref().expect("the model is there between two updates")
    }

    /// Does one step, unless the observer asks to stop in the middle: then nothing has changed.
    ///
    /// The metrics wait in `progress.unreported`. Where one of them is not finite, the model is
    /// left as it is.
    fn step(&mut self, observer: &mut dyn Observer) -> Control {
        let begin = Instant::now();
        let step = self.progress.step + 1;
        let learning_rate = self.rate.at(step - 1);
        let padding = self.model().config().pad_token_id;
        let positions = self.order.of_step(step);
        let examples = &self.dataset.train;

        let targets = positions.iter().map(|position| examples.target(*position));
        let divisor = self.loss.divisor(targets);
        let batches: Vec<Batch> = micro_batches(positions, examples, self.micro_batches)
            .iter()
            .map(|part| Batch::new(examples, part, &self.encoder, self.dataset.max_length, padding))
            .collect();
        let mut words: Vec<u32> = batches.iter().flat_map(Batch::words).collect();
        words.sort_unstable();
        words.dedup();
        self.catch_up(Some(&words));

        let Some(found) = self.scaled_gradients(step, &batches, divisor, observer) else {
            return Control::Stop;
        };
        let StepGradients { gradients, loss, norms, scale } = found;
        let tokens: u64 = batches.iter().map(|batch| batch.tokens).sum();

        let mut signals = Vec::new();
        if loss.is_finite() && norms.global.is_finite() {
            let closely = steps::is_recorded_closely(step, self.total_steps);
            let before = closely.then(|| BeforeUpdate::new(self.model(), &gradients));
            let gradient_factor = norms.clip_factor(self.settings.max_grad_norm) / scale;
            let update = Update { number: step, learning_rate, gradient_factor };
            self.model =
                self.model.take().map(|model| self.optimizer.update(model, &gradients, update));
            if let Some(before) = before {
                let change = before.compare(self.model(), &gradients, scale);
                drop((before, gradients));
                let after = self.loss_of(step, &batches, divisor);
                signals = named(UPDATE_RATIO_OF, change.ratios);
                let share = self.optimizer.epsilon_share(self.model(), step);
                signals.extend(share.map(|share| (EPSILON_SHARE.to_owned(), share)));
                signals.push((EXPECTED_DROP.to_owned(), change.expected_drop));
                signals.push((SAME_BATCH_DROP.to_owned(), loss - after));
            }
        }
        self.progress.step = step;
        self.progress.unreported = vec![
            (TRAIN_LOSS.to_owned(), loss),
            (LEARNING_RATE.to_owned(), learning_rate),
            (TOKENS.to_owned(), tokens as f64),
            (GRADIENT_NORM.to_owned(), norms.global),
        ];
        if steps::is_recorded_closely(step, self.total_steps) || self.is_evaluated(step) {
            self.progress.unreported.extend(named(GRADIENT_NORM_OF, norms.groups));
        }
        self.progress.unreported.extend(signals);
        let seconds = begin.elapsed().as_secs_f64();
        self.progress.unreported.push((STEP_SECONDS.to_owned(), seconds));
        if let Some(watch) = &mut self.progress.watch {
            // A gradient that is not finite leaves the model as it is: nothing would be learned from going on.
            watch.note(if norms.global.is_finite() { loss } else { f64::NAN });
        }
        Control::Continue
    }

    /// Returns whether a ramp has come to its end: it was made to find it.
    fn has_blown_up(&self) -> bool {
        self.progress.watch.is_some_and(|watch| watch.has_blown_up())
    }

    /// Computes the gradients of a step, with a loss scale that they survive; none if the observer asks to stop.
    fn scaled_gradients(
        &mut self,
        step: u64,
        batches: &[Batch],
        divisor: f64,
        observer: &mut dyn Observer,
    ) -> Option<StepGradients> {
        loop {
            let found = self.gradients(step, batches, divisor, observer)?;
            let overflow = found.loss.is_finite() && !found.norms.global.is_finite();
            if let Some(scale) = &mut self.progress.loss_scale {
                if !overflow {
                    scale.survived();
                } else if scale.overflowed() {
                    continue;
                }
            }
            return Some(found);
        }
    }

    fn gradients(
        &self,
        step: u64,
        batches: &[Batch],
        divisor: f64,
        observer: &mut dyn Observer,
    ) -> Option<StepGradients> {
        let model = self.model();
        let scale = self.progress.loss_scale.map_or(1.0, LossScale::factor);
        let mut gradients = Gradients::default();
        let mut loss = 0.0;
        for (number, batch) in batches.iter().enumerate() {
            if number > 0 && observer.control() == Control::Stop {
                return None;
            }
            let part = self.part_of_loss(step, number, batch, divisor);
            loss += scalar(part.clone());
            gradients.add_from(model, if scale == 1.0 { part } else { part * scale });
        }
        let norms = gradients.norms(model).divided_by(scale);
        Some(StepGradients { gradients, loss, norms, scale: scale as f32 })
    }

    /// Returns what a micro-batch adds to the loss of a step, with dropout.
    fn part_of_loss(&self, step: u64, number: usize, batch: &Batch, divisor: f64) -> Tensor<1> {
        // Every mask is a function of seed, step and micro-batch: nothing to save, and a resumed
        // training draws the same.
        let masks = self.dropout_seed.stream("step", step).stream("micro_batch", number as u64);
        let logits = self.model().forward(batch.input(&self.autodiff, masks.0));
        self.loss.part(logits, &batch.targets, divisor, &self.autodiff)
    }

    /// Returns the loss of a step's batches with the weights as they are now.
    fn loss_of(&self, step: u64, batches: &[Batch], divisor: f64) -> f64 {
        let parts = batches.iter().enumerate();
        parts.map(|(number, batch)| scalar(self.part_of_loss(step, number, batch, divisor))).sum()
    }

    /// Brings the rows of the word table that are about to be read up to date, or all weights.
    fn catch_up(&mut self, words: Option<&[u32]>) {
        self.model = self.model.take().map(|model| self.optimizer.catch_up(model, words));
    }

    fn is_evaluated(&self, step: u64) -> bool {
        steps::is_evaluated(step, self.dataset.train.len() as u64, &self.settings)
    }

    /// Evaluates where that is due, and shows the observer the metrics of the step.
    fn report(&mut self, observer: &mut dyn Observer) -> Result<Report, FineTuneError> {
        let step = self.progress.step;
        let mut metrics = self.progress.unreported.clone();
        let mut items = None;
        let diverged = |metrics: &[(String, f64)]| {
            let watched = |name: &str| name.ends_with("/loss") || name == GRADIENT_NORM;
            let found = metrics.iter().find(|(name, value)| watched(name) && !value.is_finite());
            found.map(|(name, _)| name.clone())
        };
        if diverged(&metrics).is_none() && self.is_evaluated(step) {
            self.catch_up(None);
            match self.evaluate(observer) {
                Some(found) => {
                    metrics.extend(found.metrics);
                    items = found.items;
                }
                None => return Ok(Report::CutShort),
            }
        }
        self.progress.unreported.clear();
        if let Some(quantity) = diverged(&metrics).filter(|_| self.progress.watch.is_none()) {
            observer.observe(step, &metrics, None);
            return Ok(Report::Diverged(quantity));
        }
        if self.is_evaluated(step) {
            self.keep_best(&metrics)?;
        }
        observer.observe(step, &metrics, items);
        Ok(Report::Made)
    }

    /// Evaluates all splits that are due; none if the observer asked to stop.
    fn evaluate(&self, observer: &mut dyn Observer) -> Option<Found> {
        // Outside autodiff and without dropout; shares its memory with the model.
        let model = self.model().valid();
        let labels = &self.dataset.labels;
        let sequences = Sequences { encoder: &self.encoder, max_length: self.dataset.max_length };
        let tested = self.ends_with_test && self.progress.step == self.total_steps;
        let splits = [
            ("validation", self.dataset.validation.as_ref()),
            ("train_subset", Some(&self.train_subset)),
            ("test", self.dataset.test.as_ref().filter(|_| tested)),
        ];
        let (mut metrics, mut items) = (Vec::new(), None);
        for (split, examples) in splits {
            let Some(examples) = examples else { continue };
            let control = &mut || observer.control();
            let evaluation =
                evaluate(&model, examples, sequences, labels.len(), &self.device, control)?;
            metrics.extend(evaluation.metrics(split, self.dataset.task, labels));
            if split == "validation" {
                items = evaluation.items();
            }
        }
        metrics.extend(named(TRAVEL_OF, self.travel.distances(&model)));
        Some(Found { metrics, items })
    }

    /// Keeps the weights if the objective, by the metrics of this evaluation, never was better.
    fn keep_best(&mut self, metrics: &[(String, f64)]) -> Result<(), FineTuneError> {
        let step = self.progress.step;
        let objective = metrics.iter().find(|(name, _)| *name == self.objective.metric);
        let Some(value) = objective.map(|(_, value)| *value).filter(|value| value.is_finite())
        else {
            return Ok(());
        };
        let counts = match self.objective.at {
            At::Last => step == self.total_steps,
            At::Best => {
                let incumbent = self.progress.best.as_ref();
                incumbent.is_none_or(|best| self.objective.improves(value, best.value))
            }
        };
        if counts {
            // A copy shares its memory with the model until the next update.
            self.unwritten_best = Some(self.model().valid());
            self.progress.best = Some(Best { step, value });
        }
        Ok(())
    }

    fn checkpoint_is_due(&self) -> bool {
        // A checkpoint of no step would save nothing.
        self.progress.step > 0 && self.checkpoints.is_due()
    }

    fn checkpoint(&mut self, observer: &mut dyn Observer) -> Result<(), FineTuneError> {
        let begin = Instant::now();
        self.catch_up(None);
        self.write_best()?;
        let directory = checkpoint::write(
            &self.attempt_directory,
            &self.fingerprint,
            &self.progress,
            self.model(),
            &self.optimizer,
            &self.best.weights(),
        )?;
        observer.checkpointed(self.observed_step(), &directory);
        point("checkpoint.reported");
        checkpoint::remove_others(&self.attempt_directory, Some(&directory)).map_err(|error| {
            FineTuneError::io("remove old checkpoints from", &self.attempt_directory, error)
        })?;
        self.checkpoints.written(begin.elapsed());
        Ok(())
    }

    /// Returns whether the objective has not become better for too many evaluations. A function of the steps and of what
    /// a checkpoint holds, so that a resumed training ends where an undisturbed one does.
    fn is_out_of_patience(&self) -> bool {
        let step = self.progress.step;
        let Some(patience) = self.patience.filter(|_| self.objective.at == At::Best) else {
            return false;
        };
        if !self.is_evaluated(step) {
            return false;
        }
        let best = self.progress.best.as_ref().map_or(0, |best| best.step);
        let since = (best + 1..=step).filter(|step| self.is_evaluated(*step)).count() as u64;
        since >= patience
    }

    fn pause(&mut self, observer: &mut dyn Observer) -> Result<Ending, FineTuneError> {
        self.checkpoint(observer)?;
        point("pause.checkpointed");
        Ok(Ending::Paused { step: self.progress.step })
    }

    fn stop(&mut self, observer: &mut dyn Observer) -> Result<Ending, FineTuneError> {
        self.checkpoint(observer)?;
        Ok(Ending::Stopped { step: self.observed_step() })
    }

    /// Returns the last step whose observation was made. Where an evaluation was cut short that is the step before the
    /// last done: told as later, the observation would count as made when it comes after the resume.
    fn observed_step(&self) -> u64 {
        self.progress.step - u64::from(!self.progress.unreported.is_empty())
    }

    fn write_best(&mut self) -> Result<(), FineTuneError> {
        self.unwritten_best.take().map_or(Ok(()), |best| self.best.write(&best))
    }

    fn complete(&mut self) -> Result<Ending, FineTuneError> {
        self.write_best()?;
        let best = self.progress.best.as_ref();
        let best = best.map(|best| self.best.finish(best.step, best.value)).transpose()?;
        Ok(Ending::Completed { steps: self.progress.step, best })
    }
}

/// Returns the numbers that layer groups have, under their names.
fn named(prefix: &str, numbers: [Option<f64>; LAYER_GROUPS.len()]) -> Vec<(String, f64)> {
    let named = LAYER_GROUPS.iter().zip(numbers);
    named.filter_map(|(group, number)| Some((format!("{prefix}{group}"), number?))).collect()
}

/// Reads a number, waiting for the device.
fn scalar(tensor: Tensor<1>) -> f64 {
    let data = tensor.into_data();
    data.as_slice::<f32>()
        .ok()
        .and_then(|values| values.first())
        .map_or(f64::NAN, |v| f64::from(*v))
}

/// When the next checkpoint is due.
pub(crate) struct CheckpointClock {
    interval: Duration,
    /// Time that the last one took to write.
    took: Duration,
    last: Instant,
}

impl CheckpointClock {
    pub(crate) fn new(seconds: f64) -> Self {
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Self { interval, took: Duration::ZERO, last: Instant::now() }
    }

    fn is_due(&self) -> bool {
        // None at all asks for a checkpoint after every step, whatever that takes.
        self.interval.is_zero()
            || self.last.elapsed() >= self.interval.max(self.took.div_f64(CHECKPOINT_SHARE))
    }

    fn written(&mut self, took: Duration) {
        self.took = took;
        self.last = Instant::now();
    }
}

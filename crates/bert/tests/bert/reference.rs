//! Logits, loss, gradients and twenty optimizer steps, equal to PyTorch's: of BERT, DistilBERT and RoBERTa.

use burn::module::Module;
use burn::tensor::Tensor;
use converge_bert::device::of_tests;
use converge_bert::{BertClassifier, ClassifierOptions, Gradient, Parameter, Pooling};

use crate::golden::{FIXTURES, Fixture, Optimizer, assert_close, largest_difference, values};

#[test]
fn logits_and_loss_equal_the_reference() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read().forward;
        let device = of_tests();
        let model = fixture.model(&ClassifierOptions::new(3), &device);
        let logits = model.forward(golden.batch.input(&device));
        assert_eq!(logits.dims(), [4, 3]);
        let loss = golden.batch.loss(logits.clone());
        assert_close("logits", &values(logits), &golden.logits.concat(), 1e-5);
        assert_close("loss", &values(loss), &[golden.loss], 1e-5);
    }
}

#[test]
fn padding_changes_nothing() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read().forward;
        let device = of_tests();
        let model = fixture.model(&ClassifierOptions::new(3), &device);
        let mut padded = golden.batch;
        let wider = |rows: &mut Vec<Vec<i64>>, filler: i64| {
            rows.iter_mut().for_each(|row| row.extend([filler; 5]));
        };
        wider(&mut padded.token_ids, 17);
        // RoBERTa knows one type only.
        wider(&mut padded.token_type_ids, i64::from(fixture.config().type_vocab_size != 1));
        wider(&mut padded.attention_mask, 0);
        let logits = model.forward(padded.input(&device));
        assert_close("logits under padding", &values(logits), &golden.logits.concat(), 1e-5);
    }
}

#[test]
fn mean_pooling_equals_the_reference() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read().forward;
        let device = of_tests();
        let options = ClassifierOptions { pooling: Pooling::Mean, ..ClassifierOptions::new(3) };
        let logits = fixture.model(&options, &device).forward(golden.batch.input(&device));
        assert_close("mean pooling", &values(logits), &golden.mean_pooling_logits.concat(), 1e-5);
    }
}

#[test]
fn the_first_layer_alone_equals_the_reference() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read().forward;
        let device = of_tests();
        let options = ClassifierOptions { layers: Some(1), ..ClassifierOptions::new(3) };
        let model = fixture.model(&options, &device);
        assert_eq!(model.config().num_hidden_layers, 1);
        let logits = model.forward(golden.batch.input(&device));
        assert_close("one layer", &values(logits), &golden.one_layer_logits.concat(), 1e-5);
    }
}

#[test]
fn every_gradient_equals_the_reference() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read().forward;
        let expected = fixture.tensors("gradients.safetensors");
        let device = of_tests().autodiff();
        let model = fixture.model(&ClassifierOptions::new(3), &device);
        let loss = golden.batch.loss(model.forward(golden.batch.input(&device)));
        let gradients = model.take_gradients(loss.backward());
        assert_eq!(expected.len(), model.parameters().len());

        let mut worst: (f64, &str) = (0.0, "");
        for (parameter, gradient) in model.parameters().iter().zip(gradients) {
            let gradient = gradient.expect("the loss depends on every parameter");
            let found = parameter.to_checkpoint_layout(gradient.into_values(parameter));
            let expected = &expected[&parameter.name];
            let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let tolerance = 1e-4 * f64::from(largest) + 1e-7 * golden.gradient_norm;
            let difference = f64::from(largest_difference(&found, expected));
            assert!(
                difference <= tolerance,
                "`{}` differs by {difference:.2e}, tolerance {tolerance:.2e}",
                parameter.name
            );
            if difference / tolerance > worst.0 {
                worst = (difference / tolerance, &parameter.name);
            }
        }
        println!("gradients: at most {:.4} of the tolerance, at `{}`", worst.0, worst.1);
    }
}

#[test]
fn twenty_steps_of_adamw_equal_the_reference() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read();
        let device = of_tests().autodiff();
        let mut model = fixture.model(&ClassifierOptions::new(3), &device);
        let mut optimizer = AdamW::new(&golden.optimizer);
        let (mut worst_loss, mut worst_logits, mut worst_norm) = (0.0_f32, 0.0_f32, 0.0_f64);
        assert_eq!(golden.trajectory.len(), golden.optimizer.steps);
        for (number, step) in golden.trajectory.iter().enumerate() {
            let learning_rate = optimizer.learning_rate(number);
            assert!((learning_rate - step.learning_rate).abs() < 1e-11, "step {number}");
            let logits = model.forward(step.batch.input(&device));
            let loss = step.batch.loss(logits.clone());
            let gradients = dense(&model, model.take_gradients(loss.backward()));
            let norm;
            (model, norm) = optimizer.step(model, gradients, learning_rate);

            let loss = largest_difference(&values(loss.inner()), &[step.loss]);
            let logits = largest_difference(&values(logits.inner()), &step.logits.concat());
            let norm = (norm / step.gradient_norm - 1.0).abs();
            assert!(loss <= 1e-4 && logits <= 1e-4, "step {number}: loss {loss}, logits {logits}");
            assert!(norm <= 1e-4, "step {number}: gradient norm differs by {norm}");
            worst_loss = worst_loss.max(loss);
            worst_logits = worst_logits.max(logits);
            worst_norm = worst_norm.max(norm);
        }
        println!(
            "trajectory: loss {worst_loss:.2e}, logits {worst_logits:.2e}, norm {worst_norm:.2e}"
        );
        assert_trained_parameters(fixture, &model);
    }
}

fn dense(model: &BertClassifier, gradients: Vec<Option<Gradient>>) -> Vec<Option<Tensor<1>>> {
    let pairs = model.parameters().iter().zip(gradients);
    pairs
        .map(|(parameter, gradient)| {
            let values = gradient?.into_values(parameter);
            Some(Tensor::from_floats(values.as_slice(), &of_tests()))
        })
        .collect()
}

fn assert_trained_parameters(fixture: Fixture, model: &BertClassifier) {
    let expected = fixture.tensors("trained.safetensors");
    let mut worst: (f32, String) = (0.0, String::new());
    let mut compared = 0;
    model.visit_parameters(|parameter, tensor| {
        // Adding the same number to every score of a softmax changes nothing, so the gradient of a
        // key's bias is zero: rounding, which Adam scales up to full steps.
        let is_key_bias = ["attention.self.key.bias", "attention.k_lin.bias"];
        if is_key_bias.iter().any(|name| parameter.name.ends_with(name)) {
            return;
        }
        let found = parameter.to_checkpoint_layout(values(tensor));
        let difference = largest_difference(&found, &expected[&parameter.name]);
        assert!(difference <= 1e-4, "`{}` differs by {difference:.2e}", parameter.name);
        compared += 1;
        if difference > worst.0 {
            worst = (difference, parameter.name.clone());
        }
    });
    assert_eq!(compared, expected.len() - 2);
    println!("trained parameters: largest difference {:.2e}, at `{}`", worst.0, worst.1);
}

#[test]
fn a_validation_copy_computes_what_the_trained_model_computes() {
    for fixture in FIXTURES {
        println!("{fixture:?}");
        let golden = fixture.read().forward;
        let device = of_tests().autodiff();
        let model = fixture.model(&ClassifierOptions::new(3), &device);
        let trained = model.forward(golden.batch.input(&device)).inner();
        let validated = model.valid().forward(golden.batch.input(&of_tests()));
        assert!(!validated.device().is_autodiff());
        // Not to the bit: under autodiff, burn computes softmax and LayerNorm in smaller operations.
        assert_close("validation copy", &values(validated), &values(trained), 1e-5);
    }
}

/// The optimizer as PyTorch's documentation states it, one line per equation.
struct AdamW<'a> {
    settings: &'a Optimizer,
    step: i32,
    /// First and second moment of each parameter, once it has a gradient.
    moments: Vec<Option<(Tensor<1>, Tensor<1>)>>,
}

impl<'a> AdamW<'a> {
    fn new(settings: &'a Optimizer) -> Self {
        Self { settings, step: 0, moments: Vec::new() }
    }

    fn learning_rate(&self, step: usize) -> f64 {
        let (warmup, steps) = (self.settings.warmup_steps, self.settings.steps);
        let share = if step < warmup {
            step as f64 / warmup as f64
        } else {
            (steps - step) as f64 / (steps - warmup) as f64
        };
        self.settings.learning_rate * share
    }

    /// Clips, updates every parameter, and returns the norm before clipping.
    fn step(
        &mut self,
        model: BertClassifier,
        mut gradients: Vec<Option<Tensor<1>>>,
        learning_rate: f64,
    ) -> (BertClassifier, f64) {
        let square = |gradient: &Tensor<1>| -> f64 {
            values(gradient.clone()).iter().map(|value| f64::from(*value).powi(2)).sum()
        };
        let norm = gradients.iter().flatten().map(square).sum::<f64>().sqrt();
        let scale = (self.settings.max_grad_norm / (norm + 1e-6)).min(1.0);
        self.step += 1;
        self.moments.resize(model.parameters().len(), None);
        let model = model.map_parameters(|parameter, values| {
            let gradient = gradients[parameter.index].take().expect("every parameter is used");
            self.update(parameter, values, gradient * scale, learning_rate)
        });
        (model, norm)
    }

    fn update(
        &mut self,
        parameter: &Parameter,
        values: Tensor<1>,
        gradient: Tensor<1>,
        learning_rate: f64,
    ) -> Tensor<1> {
        let Optimizer { beta_1, beta_2, epsilon, weight_decay, .. } = *self.settings;
        let (first, second) = self.moments[parameter.index]
            .take()
            .unwrap_or_else(|| (gradient.zeros_like(), gradient.zeros_like()));
        let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
        let unbiased_first = first.clone() / (1.0 - beta_1.powi(self.step));
        let unbiased_second = second.clone() / (1.0 - beta_2.powi(self.step));
        self.moments[parameter.index] = Some((first, second));
        let decay = if parameter.decays { weight_decay } else { 0.0 };
        values * (1.0 - learning_rate * decay)
            - unbiased_first / (unbiased_second.sqrt() + epsilon) * learning_rate
    }
}

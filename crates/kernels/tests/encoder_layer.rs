//! The backward pass against slopes of the forward pass, and the same bits for any number of threads.
//!
//! That the arithmetic is BERT's is tested by `converge-bert` against PyTorch.

use converge_kernels::embeddings::{self, Tables, Token};
use converge_kernels::encoder_layer::{self, Gradients, Linear, Settings, Weights};
use converge_kernels::{Activation, Asking, Dropout, Norm, Sequences};

/// Numbers between -1 and 1, a function of the salt.
fn numbers(count: usize, salt: u64) -> Vec<f32> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A layer's parameters in one piece, so that a test can move them all along one direction.
#[derive(Clone)]
struct Layer {
    hidden: usize,
    intermediate: usize,
    parts: Vec<Vec<f32>>,
}

impl Layer {
    fn new(hidden: usize, intermediate: usize) -> Self {
        let (square, wide) = (hidden * hidden, hidden * intermediate);
        let sizes = [
            square,
            hidden,
            square,
            hidden,
            square,
            hidden,
            square,
            hidden,
            hidden,
            hidden,
            wide,
            intermediate,
            wide,
            hidden,
            hidden,
            hidden,
        ];
        let parts = sizes
            .iter()
            .zip(1..)
            .map(|(size, salt)| numbers(*size, salt).iter().map(|value| value * 0.5).collect());
        Self { hidden, intermediate, parts: parts.collect() }
    }

    fn weights(&self) -> Weights<'_> {
        let linear =
            |first: usize| Linear { weight: &self.parts[first], bias: &self.parts[first + 1] };
        let norm = |first: usize| Norm {
            gamma: &self.parts[first],
            beta: &self.parts[first + 1],
            epsilon: 1e-5,
        };
        Weights {
            query: linear(0),
            key: linear(2),
            value: linear(4),
            attention_output: linear(6),
            attention_norm: norm(8),
            intermediate: linear(10),
            output: linear(12),
            output_norm: norm(14),
        }
    }

    fn moved(&self, directions: &[Vec<f32>], by: f32) -> Self {
        let mut moved = self.clone();
        for (part, direction) in moved.parts.iter_mut().zip(directions) {
            part.iter_mut().zip(direction).for_each(|(value, along)| *value += by * along);
        }
        moved
    }
}

fn parts(gradients: Gradients) -> (Vec<f32>, Vec<Vec<f32>>) {
    let Gradients {
        input,
        query,
        key,
        value,
        attention_output,
        attention_norm,
        intermediate,
        output,
        output_norm,
    } = gradients;
    let linear = |linear: encoder_layer::LinearGradient| [linear.weight, linear.bias];
    let norm = |norm: encoder_layer::NormGradient| [norm.gamma, norm.beta];
    let parts = [
        linear(query),
        linear(key),
        linear(value),
        linear(attention_output),
        norm(attention_norm),
        linear(intermediate),
        linear(output),
        norm(output_norm),
    ];
    (input, parts.into_iter().flatten().collect())
}

fn settings(activation: Activation, dropout: f64) -> Settings {
    Settings {
        heads: 2,
        activation,
        hidden_dropout: Dropout::new(dropout, 11),
        attention_dropout: Dropout::new(dropout, 12),
    }
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}

#[test]
fn gradients_are_the_slopes_of_the_layer() {
    for (activation, dropout, asking) in [
        (Activation::Gelu, 0.0, Asking::All),
        (Activation::Gelu, 0.3, Asking::All),
        (Activation::Gelu, 0.3, Asking::First),
        (Activation::GeluTanh, 0.2, Asking::First),
        (Activation::Relu, 0.0, Asking::All),
    ] {
        let settings = settings(activation, dropout);
        let layer = Layer::new(8, 20);
        let sequences = Sequences::new([3, 1, 5]).with_asking(asking);
        let input = numbers(9 * 8, 50);
        let rows = if asking == Asking::First { 3 } else { 9 };
        let readout = numbers(rows * layer.hidden, 51);
        let value = |layer: &Layer, input: &[f32]| {
            dot(&encoder_layer::forward(settings, &layer.weights(), &sequences, input).0, &readout)
        };
        let (output, saved) =
            encoder_layer::forward(settings, &layer.weights(), &sequences, &input);
        assert_eq!(output.len(), readout.len());
        let gradients = encoder_layer::backward(
            settings,
            &layer.weights(),
            &sequences,
            &input,
            saved,
            readout.clone(),
        );
        let (by_input, by_parts) = parts(gradients);
        const STEP: f32 = 2e-3;
        let slope = |above: f64, below: f64| (above - below) / (2.0 * f64::from(STEP));
        let check = |what: String, slope: f64, gradient: f64, size: f64| {
            assert!(
                (slope - gradient).abs() < 0.02 * size,
                "{what}: {slope} is not {gradient}, {activation:?} {dropout} {asking:?}"
            );
        };
        // Each part alone, so that an error in a small one is not lost.
        for part in 0..by_parts.len() {
            let mut directions: Vec<Vec<f32>> =
                layer.parts.iter().map(|part| vec![0.0; part.len()]).collect();
            directions[part] = numbers(layer.parts[part].len(), 60 + part as u64);
            let found = slope(
                value(&layer.moved(&directions, STEP), &input),
                value(&layer.moved(&directions, -STEP), &input),
            );
            let size = dot(&by_parts[part], &by_parts[part]).sqrt()
                * dot(&directions[part], &directions[part]).sqrt();
            check(
                format!("part {part}"),
                found,
                dot(&by_parts[part], &directions[part]),
                size.max(0.05),
            );
        }
        let direction = numbers(input.len(), 90);
        let moved = |by: f32| -> Vec<f32> {
            input.iter().zip(&direction).map(|(value, along)| value + by * along).collect()
        };
        let found = slope(value(&layer, &moved(STEP)), value(&layer, &moved(-STEP)));
        let size = dot(&by_input, &by_input).sqrt() * dot(&direction, &direction).sqrt();
        check("input".to_owned(), found, dot(&by_input, &direction), size);
    }
}

#[test]
fn gradients_are_the_slopes_of_the_embeddings() {
    const HIDDEN: usize = 8;
    let tables = [numbers(10 * HIDDEN, 1), numbers(6 * HIDDEN, 2), numbers(2 * HIDDEN, 3)];
    let (gamma, beta) = (numbers(HIDDEN, 4), numbers(HIDDEN, 5));
    let token = |word, position, token_type| Token { word, position, token_type };
    let tokens = [token(3, 0, 0), token(7, 1, 0), token(3, 2, 1), token(9, 0, 0), token(3, 1, 1)];
    let readout = numbers(tokens.len() * HIDDEN, 6);
    let dropout = Dropout::new(0.25, 5);
    let compute = |tables: &[Vec<f32>; 3]| {
        let [word, position, token_type] = tables.each_ref().map(Vec::as_slice);
        let norm = Norm { gamma: &gamma, beta: &beta, epsilon: 1e-5 };
        embeddings::forward(Tables { word, position, token_type }, norm, dropout, &tokens)
    };
    let (_, saved) = compute(&tables);
    let found = embeddings::backward(&gamma, dropout, &tokens, &saved, readout.clone());
    assert_eq!(found.word.numbers, [3, 7, 9]);
    let matrices = [
        found.word.to_matrix(10, HIDDEN),
        found.position.to_matrix(6, HIDDEN),
        found.token_type.to_matrix(2, HIDDEN),
    ];
    for (table, matrix) in matrices.iter().enumerate() {
        let direction = numbers(matrix.len(), 70 + table as u64);
        let value = |by: f32| {
            let mut moved = tables.clone();
            moved[table].iter_mut().zip(&direction).for_each(|(value, along)| *value += by * along);
            dot(&compute(&moved).0, &readout)
        };
        let slope = (value(2e-3) - value(-2e-3)) / 4e-3;
        let gradient = dot(matrix, &direction);
        assert!(
            (slope - gradient).abs() < 0.02 * gradient.abs().max(0.5),
            "{table}: {slope} is not {gradient}"
        );
    }
}

/// Large enough for matrix products and elementwise work to be split.
#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let layer = Layer::new(96, 384);
    let lengths = [40, 7, 64, 33, 20, 51, 64, 9];
    let input = numbers(lengths.iter().sum::<usize>() * 96, 1);
    for asking in [Asking::All, Asking::First] {
        let sequences = Sequences::new(lengths).with_asking(asking);
        let compute = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let settings = settings(Activation::Gelu, 0.1);
                let (output, saved) =
                    encoder_layer::forward(settings, &layer.weights(), &sequences, &input);
                let gradient = output.clone();
                let found = encoder_layer::backward(
                    settings,
                    &layer.weights(),
                    &sequences,
                    &input,
                    saved,
                    gradient,
                );
                let (input, parts) = parts(found);
                let all = [vec![output, input], parts].concat();
                all.into_iter().flatten().map(f32::to_bits).collect::<Vec<u32>>()
            })
        };
        let one = compute(1);
        for threads in [2, 3, 5] {
            assert!(compute(threads) == one, "{threads} threads, {asking:?}");
        }
    }
}

#[test]
fn a_sequence_does_not_depend_on_its_neighbours() {
    let layer = Layer::new(16, 32);
    let settings = settings(Activation::Gelu, 0.0);
    let (first, second) = (numbers(5 * 16, 1), numbers(9 * 16, 2));
    let compute = |lengths: &[usize], input: &[f32]| {
        let sequences = Sequences::new(lengths.iter().copied());
        encoder_layer::forward(settings, &layer.weights(), &sequences, input).0
    };
    let together = compute(&[5, 9], &[first.clone(), second.clone()].concat());
    assert_eq!(together, [compute(&[5], &first), compute(&[9], &second)].concat());
    assert_eq!(layer.intermediate, 32);
}

//! What a trained model answers to texts, row by row.

use std::path::Path;

use converge_core::problem::Problem;
use converge_core::task::Task;

use crate::batch::Batch;
use crate::data::table::{self, Columns, Row};
use crate::job::Control;
use crate::regular_file;
use crate::source::unreadable;
use crate::trained::TrainedModel;

/// Rows that are tokenised and put in order of length together: answers come as soon as these are computed.
const WINDOW: usize = 256;
/// Rows computed together, where nobody says otherwise.
const BATCH: usize = 64;
/// Most tokens computed together, padding included: bounds the memory for attention.
const MOST_TOKENS: usize = 8192;

/// Texts to be judged.
pub struct Texts {
    rows: Vec<Row>,
    /// Where they are from, for messages.
    place: String,
}

/// The answer to one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// One for each label, unnormalised.
    pub logits: Vec<f32>,
    /// Of the classes, or of each label by itself; empty where the answer is a number.
    pub probabilities: Vec<f32>,
}

impl Texts {
    /// Reads the texts of a csv, tsv or jsonl file.
    ///
    /// # Errors
    /// Every problem with it, each with its line.
    pub fn of_file(path: &Path, text: &str, text_pair: Option<&str>) -> Result<Self, Vec<Problem>> {
        let content = regular_file::read(path).map_err(|error| vec![unreadable(path, &error)])?;
        let columns = Columns {
            text: text.to_owned(),
            text_pair: text_pair.map(str::to_owned),
            label: None,
            empty_labels: false,
        };
        let rows = table::read(path, &content, &columns)?;
        Ok(Self { rows, place: path.to_string_lossy().into_owned() })
    }

    /// Takes texts as they are; `first_line` is the number of the first.
    pub fn of_lines(lines: Vec<String>, first_line: u64) -> Self {
        let row = |(text, line)| Row { text, text_pair: None, label: String::new(), line };
        Self { rows: lines.into_iter().zip(first_line..).map(row).collect(), place: "stdin".into() }
    }
}

impl TrainedModel {
    /// Answers to each text, in order, until `each` says stop.
    ///
    /// # Errors
    /// Where a text cannot be tokenised.
    pub fn predict(
        &self,
        texts: &Texts,
        batch_size: Option<usize>,
        each: &mut dyn FnMut(Prediction) -> Control,
    ) -> Result<Control, Vec<Problem>> {
        for rows in texts.rows.chunks(WINDOW) {
            for logits in self.window(rows, &texts.place, batch_size.unwrap_or(BATCH).max(1))? {
                let probabilities = probabilities(self.task(), &logits);
                if each(Prediction { logits, probabilities }) == Control::Stop {
                    return Ok(Control::Stop);
                }
            }
        }
        Ok(Control::Continue)
    }

    /// Returns the logits of each row; rows of similar length are computed together.
    fn window(
        &self,
        rows: &[Row],
        place: &str,
        batch_size: usize,
    ) -> Result<Vec<Vec<f32>>, Vec<Problem>> {
        let config = self.model.config();
        let file = self
            .encoder
            .encode(rows, config.max_sequence())
            .map_err(|error| vec![Problem::new(place, error.to_string())])?;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| std::cmp::Reverse(file.examples[*row].length));
        let mut answers = vec![Vec::new(); rows.len()];
        let mut rest = order.as_slice();
        while let [longest, ..] = rest {
            let length = (file.examples[*longest].length as usize).clamp(1, self.max_length);
            let size = (MOST_TOKENS / length).clamp(1, batch_size).min(rest.len());
            let (chosen, others) = rest.split_at(size);
            rest = others;
            let sequences = chosen.iter().map(|row| {
                let (mut ids, mut types) = (Vec::new(), Vec::new());
                let example = &file.examples[*row];
                self.encoder.sequence(&file, example, self.max_length, &mut ids, &mut types);
                (ids, types)
            });
            let batch = Batch::of_sequences(sequences.collect(), config.pad_token_id);
            let logits = self.model.forward(batch.input(&self.device, 0)).into_data();
            let logits: &[f32] = logits.as_slice().expect("logits are f32");
            for (row, logits) in chosen.iter().zip(logits.chunks_exact(self.labels().len())) {
                answers[*row] = logits.to_vec();
            }
        }
        Ok(answers)
    }
}

/// Returns logits as probabilities: they add up to one where one class is the answer.
fn probabilities(task: Task, logits: &[f32]) -> Vec<f32> {
    match task {
        Task::Classes => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shares: Vec<f64> =
                logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
            let sum: f64 = shares.iter().sum();
            shares.iter().map(|share| (share / sum) as f32).collect()
        }
        Task::MultiLabel => {
            logits.iter().map(|logit| (1.0 / (1.0 + f64::from(-logit).exp())) as f32).collect()
        }
        Task::Regression => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_task() {
        let near = |found: Vec<f32>, expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
            }
        };
        // scipy.special.softmax and expit.
        near(probabilities(Task::Classes, &[1.0, 2.0]), &[0.268_941_43, 0.731_058_6]);
        near(probabilities(Task::Classes, &[500.0, -500.0]), &[1.0, 0.0]);
        near(probabilities(Task::MultiLabel, &[0.0, 2.0, -90.0]), &[0.5, 0.880_797_1, 0.0]);
        assert_eq!(probabilities(Task::Regression, &[3.5]), Vec::<f32>::new());
    }
}

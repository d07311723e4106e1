//! What a model said of each example, as comparisons of trials want it.

use converge_core::items::{Answers, ItemResults};
use converge_core::packed;

use super::{classes, multi_label};
use crate::data::dataset::Examples;
use crate::data::labels::Target;

/// Returns what is right of each example of a split; none where it is too large for item results, or empty.
///
/// `outputs` are the model's: classes, labels, or one.
pub(crate) fn right_answers(examples: &Examples, outputs: usize) -> Option<Answers> {
    let targets: Vec<&Target> =
        (0..examples.len()).map(|position| examples.target(position)).collect();
    let answers = of_targets(&targets, outputs)?;
    // What the losses add decides as well: there are item results for all evaluations or for none.
    let losses = vec![0.0; examples.len()];
    let items = ItemResults { answers, losses };
    packed::items(&items).map(|_| items.answers)
}

/// Returns answers and losses; none where they are too many, or there are none.
///
/// `logits` are those of all outputs, example by example.
pub(super) fn of(logits: &[f32], targets: &[Target]) -> Option<ItemResults> {
    let outputs = logits.len() / targets.len().max(1);
    let judged = logits.chunks_exact(outputs.max(1)).zip(targets);
    let mut losses = Vec::with_capacity(targets.len());
    let answers = match targets.first()? {
        Target::Class(_) => {
            let judge = |(logits, target): (&[f32], &Target)| {
                let Target::Class(class) = target else { panic!("{target:?} is no class") };
                let (loss, answer) = classes::judge(logits, *class);
                losses.push(loss as f32);
                answer as u32
            };
            Answers::Classes { classes: judged.map(judge).collect() }
        }
        Target::Labels(_) => {
            for (logits, target) in judged {
                let Target::Labels(has) = target else { panic!("{target:?} is no set of labels") };
                let sum: f64 = logits
                    .iter()
                    .zip(has.iter())
                    .map(|(logit, has)| multi_label::loss(f64::from(*logit), *has))
                    .sum();
                losses.push((sum / outputs as f64) as f32);
            }
            let has = logits.iter().map(|logit| multi_label::is_answered(*logit)).collect();
            Answers::Labels { labels: outputs as u32, has }
        }
        Target::Number(_) => {
            for (answer, target) in judged {
                let Target::Number(number) = target else { panic!("{target:?} is no number") };
                losses.push((f64::from(answer[0]) - number).powi(2) as f32);
            }
            Answers::Numbers { numbers: logits.to_vec() }
        }
    };
    let items = ItemResults { answers, losses };
    packed::items(&items).is_some().then_some(items)
}

pub(super) fn of_targets(targets: &[&Target], outputs: usize) -> Option<Answers> {
    Some(match targets.first()? {
        Target::Class(_) => {
            let class = |target: &&Target| match target {
                Target::Class(class) => *class as u32,
                other => panic!("{other:?} is no class"),
            };
            Answers::Classes { classes: targets.iter().map(class).collect() }
        }
        Target::Labels(_) => {
            let has = targets.iter().flat_map(|target| match target {
                Target::Labels(has) => has.iter().copied(),
                other => panic!("{other:?} is no set of labels"),
            });
            Answers::Labels { labels: outputs as u32, has: has.collect() }
        }
        Target::Number(_) => {
            let number = |target: &&Target| match target {
                Target::Number(number) => *number as f32,
                other => panic!("{other:?} is no number"),
            };
            Answers::Numbers { numbers: targets.iter().map(number).collect() }
        }
    })
}

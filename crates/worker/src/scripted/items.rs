//! What a scripted model would say of each validation example, so that a curve's value is the share of right answers.
//!
//! Examples are hard or easy for every trial alike, and a little so for each by itself: comparisons of trials that are
//! paired by example gain by it as they do with real ones.

use converge_core::items::{Answers, ItemResults};
use converge_core::seed::Seed;
use converge_core::settings::Settings;
use converge_core::task::Task;

/// How much of an example's difficulty is the trial's own.
const OWN: f64 = 0.3;

/// Returns what is right of so many examples: one class, then the other; the same as labels; numbers about 0.
pub(super) fn right_answers(task: Task, examples: u64) -> Answers {
    let classes = (0..examples).map(|example| (example % 2) as u32);
    match task {
        Task::Classes => Answers::Classes { classes: classes.collect() },
        Task::MultiLabel => {
            let has = classes.flat_map(|class| [class == 0, class == 1]);
            Answers::Labels { labels: 2, has: has.collect() }
        }
        Task::Regression => {
            let number = |example| (4.0 * Seed(0).stream("number", example).unit() - 2.0) as f32;
            Answers::Numbers { numbers: (0..examples).map(number).collect() }
        }
    }
}

/// Returns item results of which `accuracy` is right and `loss` the mean loss, both as near as so many examples allow;
/// of a regression, squared errors whose mean is `loss`.
pub(super) fn results(
    right: Answers,
    accuracy: f64,
    loss: f64,
    settings: &Settings,
    replicate: u64,
) -> ItemResults {
    // Where the data lie does not matter.
    let own = serde_json::to_string(&settings.train).unwrap_or_default();
    let own = Seed(replicate).stream(&own, 0);
    let hardness = |example: u64| {
        (1.0 - OWN) * Seed(0).stream("example", example).unit()
            + OWN * own.stream("example", example).unit()
    };
    let examples = right.len();
    let hardness: Vec<f64> = (0..examples as u64).map(hardness).collect();
    let mut easiest: Vec<usize> = (0..examples).collect();
    easiest.sort_by(|left, right| hardness[*left].total_cmp(&hardness[*right]));
    let many = (accuracy.clamp(0.0, 1.0) * examples as f64).round() as usize;
    let mut wrong = vec![false; examples];
    easiest.iter().skip(many).for_each(|example| wrong[*example] = true);
    // Losses grow with the hardness, and are such that their mean is what it should be.
    let shape: Vec<f64> = hardness.iter().map(|hardness| (3.0 * hardness).exp()).collect();
    let mean = shape.iter().sum::<f64>() / examples.max(1) as f64;
    let losses: Vec<f32> = shape.iter().map(|shape| (shape / mean * loss) as f32).collect();
    let answers = match right {
        Answers::Classes { classes } => Answers::Classes {
            classes: classes
                .iter()
                .zip(&wrong)
                .map(|(class, wrong)| class ^ u32::from(*wrong))
                .collect(),
        },
        Answers::Labels { labels, has } => Answers::Labels {
            labels,
            // One label of two is enough to be wrong.
            has: has
                .iter()
                .enumerate()
                .map(|(place, has)| has ^ (place % 2 == 0 && wrong[place / 2]))
                .collect(),
        },
        Answers::Numbers { numbers } => Answers::Numbers {
            numbers: numbers
                .iter()
                .zip(&losses)
                .enumerate()
                .map(|(place, (number, loss))| {
                    number + if place % 2 == 0 { loss.sqrt() } else { -loss.sqrt() }
                })
                .collect(),
        },
    };
    ItemResults { answers, losses }
}

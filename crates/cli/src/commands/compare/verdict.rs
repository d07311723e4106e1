//! Whether what two sides differ by is more than noise: by the examples of two trials, by the seeds of two configurations.

use std::collections::BTreeMap;

use converge_core::items::{ItemResults, Measure};
use converge_core::objective::Objective;
use converge_core::statistics::paired::{Difference, Discordant, bootstrapped, student};
use converge_core::statistics::standing::CONFIDENCE;
use converge_core::sweep::Sweep;
use converge_store::{Reader, SweepRecord, TrialDetail};

use super::Side;
use crate::report::Report;

/// Whether the difference is more than noise.
pub(super) enum Verdict {
    /// Of two trials, by the examples that both were asked.
    Examples { difference: Difference, discordant: Option<Discordant>, examples: usize },
    /// Of configurations, by the seeds that both were trained with.
    Seeds { difference: Difference, seeds: usize },
    /// Not known.
    Unknown(&'static str),
}

/// Why a stopped or running trial is not judged.
const UNFINISHED: &str = "not all of these were trained to their end, and a value on the way is not what a trial comes to";

/// Returns whether what two sides differ by is more than noise.
pub(super) fn verdict(
    reader: &Reader,
    record: &SweepRecord,
    sweep: &Sweep,
    sides: &[Side; 2],
    objective: &Objective,
) -> Result<Verdict, Report> {
    let [first, second] = sides;
    if sides.iter().any(|side| side.unfinished().next().is_some()) {
        return Ok(Verdict::Unknown(UNFINISHED));
    }
    if let ([one], [other]) = (first.trials.as_slice(), second.trials.as_slice()) {
        let facts = |detail: &TrialDetail| {
            let index = usize::try_from(detail.trial.facts_index).ok()?;
            record.facts.get(index)
        };
        let right = facts(one).and_then(|facts| facts.validation_answers.as_ref());
        if facts(other).and_then(|facts| facts.validation_answers.as_ref()) != right {
            return Ok(Verdict::Unknown("the two were evaluated on different examples"));
        }
        let evaluations = [(one.trial.id, first.values[0].1), (other.trial.id, second.values[0].1)];
        let found: Vec<Option<ItemResults>> = match objective.metric.starts_with("validation/") {
            true => reader.item_results(&evaluations)?,
            false => Vec::new(),
        };
        let (Some(right), [Some(one_said), Some(other_said)]) = (right, found.as_slice()) else {
            return Ok(Verdict::Unknown(
                "what was said of each validation example is not kept: the trials are of an earlier converge, the split is too large, or the metric is of another split",
            ));
        };
        let name = objective.metric.trim_start_matches("validation/");
        let labels = facts(one).map_or(&[][..], |facts| &facts.labels);
        let measure = |said: &ItemResults| Measure::new(name, labels, right, said);
        let (Some(one), Some(other)) = (measure(one_said), measure(other_said)) else {
            return Ok(Verdict::Unknown(
                "the metric does not follow from what was said of each example",
            ));
        };
        let examples = right.len();
        return Ok(match bootstrapped(&one, &other, examples, CONFIDENCE, sweep.seed) {
            Some(difference) => {
                let discordant = Discordant::count(right, &one_said.answers, &other_said.answers);
                Verdict::Examples { difference, discordant, examples }
            }
            None => Verdict::Unknown("the metric is not defined on resamples of the examples"),
        });
    }
    let by_seed = |side: &Side| -> BTreeMap<u64, f64> {
        let trials = side.trials.iter().zip(&side.values);
        trials.map(|(detail, (value, _))| (detail.trial.replicate, *value)).collect()
    };
    let (one, other) = (by_seed(first), by_seed(second));
    let differences: Vec<f64> =
        one.iter().filter_map(|(seed, value)| Some(value - other.get(seed)?)).collect();
    let equal = |pair: &[f64]| (pair[0] - pair[1]).abs() < 1e-12;
    if differences.len() > 1 && differences.windows(2).all(equal) {
        return Ok(Verdict::Unknown(
            "all seeds differ by the same: nothing tells how much of it is luck",
        ));
    }
    Ok(match student(&differences, CONFIDENCE) {
        Some(difference) => Verdict::Seeds { difference, seeds: differences.len() },
        None => Verdict::Unknown("it takes two seeds that both sides were trained with"),
    })
}

//! Whether a parameter matters, told from a sweep's results alone.
//!
//! How far its values are apart is compared with how far they come apart when the results are shuffled among them, and
//! with what luck makes of a mean over so many results.
//! Results that agree in everything else are shuffled among themselves where a sweep has such, as a grid does: what
//! the other parameters do is then no noise.

use std::collections::BTreeMap;

use super::Tried;
use crate::search_space::Configuration;
use crate::seed::Seed;
use crate::value::Value;

/// Shuffles.
const SHUFFLES: u64 = 999;
/// A parameter goes where so large a share of the shuffles is as far apart as its own values are.
const CHANCE: f64 = 0.25;
/// Fewer results tell nothing.
const FEWEST: usize = 4;
/// Groups into which many values are cut.
const GROUPS: usize = 3;

/// What is known of a parameter's effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Effect {
    /// Too few results, or of one value only.
    Unknown,
    /// No more than chance gives.
    None {
        /// How far the means of its values are apart.
        apart: f64,
        /// How far luck alone moves them.
        by_luck: f64,
    },
    /// More than that.
    Some,
}

/// Returns the effect of a parameter over the results that have it; `noise` is the standard error of the difference of
/// two results.
pub(super) fn effect(name: &str, tried: &[&Tried], noise: Option<f64>, seed: Seed) -> Effect {
    let results: Vec<(&Configuration, &Value, f64)> = tried
        .iter()
        .filter_map(|one| Some((&one.configuration, one.configuration.get(name)?, one.mean()?)))
        .collect();
    let groups = groups(results.iter().map(|(_, value, _)| *value).collect());
    let distinct = groups.iter().max().map_or(0, |most| most + 1);
    if results.len() < FEWEST || distinct < 2 {
        return Effect::Unknown;
    }
    let blocks = blocks(name, &results, &groups);
    let values: Vec<f64> = centred(&blocks, &results);
    let paired: Vec<usize> = blocks.iter().flatten().copied().collect();
    let apart = spread(&paired, &values, &groups, distinct);
    let mut shuffled: Vec<f64> = (0..SHUFFLES)
        .map(|index| {
            let mut moved = values.clone();
            for (number, block) in blocks.iter().enumerate() {
                let stream = seed.stream("shuffle", index).stream(name, number as u64);
                shuffle(block, &values, &mut moved, stream);
            }
            spread(&paired, &moved, &groups, distinct)
        })
        .collect();
    shuffled.sort_by(f64::total_cmp);
    // Sums come in another order when shuffled.
    let hair = 1e-9 * (1.0 + apart.abs());
    let as_far = shuffled.iter().filter(|other| **other >= apart - hair).count();
    let share = (as_far + 1) as f64 / (SHUFFLES + 1) as f64;
    // Configurations are compared on the same examples, so that luck makes less of them than of two samples: half.
    let of_means = noise.unwrap_or(0.0) / 2.0 / (paired.len() as f64 / distinct as f64).sqrt();
    match share > CHANCE || apart < of_means {
        true => Effect::None { apart, by_luck: of_means.max(shuffled[shuffled.len() / 2]) },
        false => Effect::Some,
    }
}

/// Returns the group of each value: one for each, or thirds of the order where there are many numbers.
fn groups(values: Vec<&Value>) -> Vec<usize> {
    let mut known: Vec<&Value> = Vec::new();
    for value in &values {
        if !known.iter().any(|one| one.means(value)) {
            known.push(value);
        }
    }
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.number()).collect();
    match numbers {
        Some(numbers) if known.len() > 2 * GROUPS => {
            let mut order: Vec<usize> = (0..numbers.len()).collect();
            order.sort_by(|left, right| numbers[*left].total_cmp(&numbers[*right]));
            let mut groups = vec![0; numbers.len()];
            for (place, index) in order.into_iter().enumerate() {
                groups[index] = place * GROUPS / numbers.len();
            }
            groups
        }
        _ => {
            let place = |value: &&Value| known.iter().position(|one| one.means(value)).unwrap_or(0);
            values.iter().map(place).collect()
        }
    }
}

/// Returns what may be shuffled among itself: results that agree in all else, or all of them where few do.
fn blocks(
    name: &str,
    results: &[(&Configuration, &Value, f64)],
    groups: &[usize],
) -> Vec<Vec<usize>> {
    let mut by_rest: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, (configuration, ..)) in results.iter().enumerate() {
        let mut rest = (*configuration).clone();
        rest.remove(name);
        by_rest.entry(serde_json::json!(rest).to_string()).or_default().push(index);
    }
    let several = |block: &Vec<usize>| block.iter().any(|index| groups[*index] != groups[block[0]]);
    let blocks: Vec<Vec<usize>> = by_rest.into_values().filter(several).collect();
    let paired: usize = blocks.iter().map(Vec::len).sum();
    if paired * 2 >= results.len() { blocks } else { vec![(0..results.len()).collect()] }
}

/// Takes each block's mean from its results.
fn centred(blocks: &[Vec<usize>], results: &[(&Configuration, &Value, f64)]) -> Vec<f64> {
    let mut values: Vec<f64> = results.iter().map(|(.., value)| *value).collect();
    for block in blocks {
        let mean = block.iter().map(|index| values[*index]).sum::<f64>() / block.len() as f64;
        block.iter().for_each(|index| values[*index] -= mean);
    }
    values
}

/// Returns how far the means of the groups are apart.
fn spread(used: &[usize], values: &[f64], groups: &[usize], distinct: usize) -> f64 {
    let (mut sums, mut counts) = (vec![0.0; distinct], vec![0.0; distinct]);
    for index in used {
        sums[groups[*index]] += values[*index];
        counts[groups[*index]] += 1.0;
    }
    let means = sums.iter().zip(&counts).filter(|(_, count)| **count > 0.0);
    let (min, max) = means
        .map(|(sum, count)| sum / count)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), mean| {
            (min.min(mean), max.max(mean))
        });
    max - min
}

/// Deals a block's values out anew.
fn shuffle(block: &[usize], from: &[f64], into: &mut [f64], seed: Seed) {
    let mut dealt: Vec<f64> = block.iter().map(|index| from[*index]).collect();
    for place in (1..dealt.len()).rev() {
        let unit = seed.draw(place as u64, "");
        dealt.swap(place, ((unit * (place + 1) as f64) as usize).min(place));
    }
    for (index, value) in block.iter().zip(dealt) {
        into[*index] = value;
    }
}

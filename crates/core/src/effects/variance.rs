//! Shares of the variance of a full grid: exact main effects and interactions, each with an interval.
//!
//! Where a parameter has other values under another condition (learning rates of AdamW and of SGD), a grid is several
//! crossed designs. Each is taken apart by itself; what lies between their means is a part of its own, and equal parts
//! of all are added up: the effect of a learning rate is that within its optimizer.

use std::collections::BTreeMap;

use serde::Serialize;

use super::candidate::{Candidate, Space};
use super::distribution::f_survival;
use super::draws::Draws;
use super::factorial::Factorial;
use super::share_interval::{Noise, of_part};
use crate::trial::TrialKind;
use crate::value::Value;

/// Draws behind each interval.
const DRAWS: usize = 2_000;
/// What is less probable without any effect is called an effect.
const LEVEL: f64 = 0.05;

/// The variance of a full grid, in parts that add up to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variance {
    /// Configurations of the design.
    pub configurations: u64,
    /// Crossed designs that it consists of: one, unless parameters have conditions.
    pub designs: u64,
    /// Seeds of each configuration that are counted.
    pub replicates: u64,
    /// What stands in for the noise.
    pub noise: NoiseSource,
    /// Deviation of the noise, in units of the objective; none where it is not known.
    pub noise_deviation: Option<f64>,
    /// From the largest share to the smallest; the noise comes last.
    pub parts: Vec<PartShare>,
    /// Values that are left out because none of their trials has a value.
    pub left_out: Vec<LeftOutValue>,
}

/// Where the noise of a design is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseSource {
    /// Seeds of the same configuration differ.
    Replicates,
    /// Interactions are taken for noise: those of three and more parameters, or of two where there are no more.
    Interactions,
    /// From nowhere: one parameter, one seed.
    Unknown,
}

/// What a part of the variance is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The means of the designs differ: the parameters that others depend on.
    Between,
    /// One parameter.
    Main,
    /// Two parameters, beyond what each does alone.
    Interaction,
    /// Three parameters and more.
    Higher,
    /// Neither.
    Noise,
}

/// A part of the variance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartShare {
    /// What it is due to.
    pub kind: PartKind,
    /// The parameters that have a hand in it.
    pub parameters: Vec<String>,
    /// Degrees of freedom.
    pub degrees: u64,
    /// Sum of squares.
    pub squares: f64,
    /// Of the sum of squares of all values.
    pub share: f64,
    /// Lower end of the 95 % interval of the true share.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Mean square over that of the noise.
    pub f: Option<f64>,
    /// Probability of such an F without any effect.
    pub p: Option<f64>,
    /// Whether that is small; none where the noise is not known.
    pub significant: Option<bool>,
}

/// A value that is not part of the design.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOutValue {
    /// Name of the parameter.
    pub parameter: String,
    /// The value.
    pub value: Value,
    /// When it applies; empty: always.
    pub when: String,
}

/// Why there are no shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum NoShares {
    /// The configurations are not all combinations of some values.
    NotCrossed {
        /// Configurations with a value.
        configurations: u64,
        /// Combinations of their values.
        combinations: u64,
    },
    /// There is one configuration at most.
    OneConfiguration,
    /// All values are the same.
    AllEqual,
}

/// A crossed design with the names of its factors.
struct Design {
    factors: Vec<usize>,
    factorial: Factorial,
}

/// Returns the shares of the variance.
pub(crate) fn shares(
    space: &Space,
    candidates: &[Candidate<'_>],
    draws: &mut Draws,
) -> Result<Variance, NoShares> {
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    let (designs, left_out) = designs(space, &all).or_else(|why| {
        // A named configuration may lie beside the grid.
        let grid: Vec<&Candidate<'_>> =
            all.iter().copied().filter(|one| one.kind == TrialKind::Grid).collect();
        if grid.len() < all.len() { designs(space, &grid).map_err(|_| why) } else { Err(why) }
    })?;
    let values: usize = designs.iter().map(|design| design.factorial.values()).sum();
    let replicates = designs[0].factorial.cells[0].len();
    let decomposed: Vec<_> = designs.iter().map(|design| design.factorial.decompose()).collect();
    let configurations: usize = designs.iter().map(|design| design.factorial.cells.len()).sum();
    if configurations < 2 {
        return Err(NoShares::OneConfiguration);
    }

    // What is taken for noise, and the rest by what it is due to.
    let mut noise = (0, 0.0);
    let mut parts: BTreeMap<(u8, Vec<usize>), (u64, f64)> = BTreeMap::new();
    for (design, found) in designs.iter().zip(&decomposed) {
        noise = (noise.0 + found.within.0, noise.1 + found.within.1);
        let order = if design.factors.len() > 2 { 3 } else { 2 };
        for part in &found.parts {
            let size = part.factors.len();
            let sum = if replicates == 1 && size >= order {
                &mut noise
            } else {
                let factors = part.factors.iter().map(|factor| design.factors[*factor]);
                let key = if size > 2 { (3, vec![]) } else { (size as u8, factors.collect()) };
                parts.entry(key).or_default()
            };
            sum.0 += part.degrees;
            sum.1 += part.squares;
        }
    }
    let grand = designs
        .iter()
        .zip(&decomposed)
        .map(|(design, found)| found.mean * design.factorial.values() as f64)
        .sum::<f64>()
        / values as f64;
    if designs.len() > 1 {
        let squares = designs
            .iter()
            .zip(&decomposed)
            .map(|(design, found)| design.factorial.values() as f64 * (found.mean - grand).powi(2))
            .sum();
        parts.insert((0, selectors(space)), (designs.len() as u64 - 1, squares));
    }
    let total = noise.1 + parts.values().map(|(_, squares)| squares).sum::<f64>();
    // Rounding leaves traces of values that are all the same.
    if total <= f64::EPSILON * f64::EPSILON * values as f64 * grand * grand * 1e4 {
        return Err(NoShares::AllEqual);
    }

    let source = match (noise.0, replicates) {
        (0, _) => NoiseSource::Unknown,
        (_, 1) => NoiseSource::Interactions,
        _ => NoiseSource::Replicates,
    };
    let bounds = (noise.0 > 0).then(|| {
        let parts: Vec<(u64, f64)> = parts.values().copied().collect();
        let noise = Noise { degrees: noise.0, squares: noise.1 };
        let of_part = |place| of_part(&parts, place, noise, values, DRAWS, draws);
        (0..parts.len()).map(of_part).collect::<Vec<_>>()
    });
    let mean_square = noise.1 / noise.0 as f64;
    let mut shown: Vec<PartShare> = parts
        .iter()
        .enumerate()
        .map(|(place, ((size, factors), (degrees, squares)))| {
            let f = (noise.0 > 0).then(|| squares / *degrees as f64 / mean_square);
            let p = f.map(|f| f_survival(f, *degrees, noise.0));
            let bounds = bounds.as_ref().map(|bounds| bounds[place]);
            PartShare {
                kind: match size {
                    0 => PartKind::Between,
                    1 => PartKind::Main,
                    2 => PartKind::Interaction,
                    _ => PartKind::Higher,
                },
                parameters: factors
                    .iter()
                    .map(|factor| space.parameters[*factor].name.clone())
                    .collect(),
                degrees: *degrees,
                squares: *squares,
                share: squares / total,
                low: bounds.map(|(low, _)| low),
                high: bounds.map(|(_, high)| high),
                f: f.filter(|f| f.is_finite()),
                p,
                significant: p.map(|p| p <= LEVEL),
            }
        })
        .collect();
    shown.sort_by(|left, right| right.share.total_cmp(&left.share));
    if noise.0 > 0 {
        shown.push(PartShare {
            kind: PartKind::Noise,
            parameters: vec![],
            degrees: noise.0,
            squares: noise.1,
            share: noise.1 / total,
            low: None,
            high: None,
            f: None,
            p: None,
            significant: None,
        });
    }
    Ok(Variance {
        configurations: configurations as u64,
        designs: designs.len() as u64,
        replicates: replicates as u64,
        noise: source,
        noise_deviation: (noise.0 > 0).then(|| mean_square.sqrt()),
        parts: shown,
        left_out,
    })
}

/// Returns the parameters that the cases of others depend on.
fn selectors(space: &Space) -> Vec<usize> {
    let is_asked = |name: &str| {
        space.parameters.iter().any(|other| other.depends_on().any(|asked| asked == name))
    };
    (0..space.parameters.len()).filter(|place| is_asked(&space.parameters[*place].name)).collect()
}

/// Splits configurations by the cases in force; each part has to be crossed.
fn designs(
    space: &Space,
    candidates: &[&Candidate<'_>],
) -> Result<(Vec<Design>, Vec<LeftOutValue>), NoShares> {
    let replicates = candidates
        .iter()
        .filter(|candidate| candidate.cost.is_some())
        .map(|candidate| candidate.values.len())
        .min()
        .ok_or(NoShares::OneConfiguration)?;
    let mut groups: BTreeMap<&[Option<usize>], Vec<&Candidate<'_>>> = BTreeMap::new();
    for candidate in candidates {
        groups.entry(&candidate.cases).or_default().push(candidate);
    }
    let (mut designs, mut left_out) = (Vec::new(), Vec::new());
    let (mut configurations, mut combinations) = (0, 0);
    let mut crossed = true;
    for (cases, members) in groups {
        let members = without_lost(space, cases, members, &mut left_out);
        if members.is_empty() {
            continue;
        }
        let design = design(space, &members, replicates);
        configurations += members.iter().filter(|member| member.cost.is_some()).count() as u64;
        combinations += design.1;
        crossed &= design.0.is_some();
        designs.extend(design.0);
    }
    match (crossed, configurations) {
        (_, 0 | 1) => Err(NoShares::OneConfiguration),
        (false, _) => Err(NoShares::NotCrossed { configurations, combinations }),
        (true, _) => Ok((designs, left_out)),
    }
}

/// Leaves out values with which no trial came to a value.
fn without_lost<'a, 'b>(
    space: &Space,
    cases: &[Option<usize>],
    mut members: Vec<&'a Candidate<'b>>,
    left_out: &mut Vec<LeftOutValue>,
) -> Vec<&'a Candidate<'b>> {
    // A design without any value has no part in anything; which of its values is to blame nobody knows.
    if members.iter().all(|member| member.cost.is_none()) {
        return Vec::new();
    }
    for (parameter, case) in space.parameters.iter().zip(cases) {
        let mut hopes: BTreeMap<String, (&Value, bool)> = BTreeMap::new();
        for member in &members {
            let Some(value) = member.configuration.get(&parameter.name) else { continue };
            hopes.entry(value.to_string()).or_insert((value, false)).1 |= member.cost.is_some();
        }
        let lost = hopes.values().filter(|(_, has_hope)| !has_hope);
        left_out.extend(lost.map(|(value, _)| LeftOutValue {
            parameter: parameter.name.clone(),
            value: (*value).clone(),
            when: case.map_or(String::new(), |case| parameter.when(case)),
        }));
        let has_hope = |member: &&Candidate<'_>| {
            let value = member.configuration.get(&parameter.name);
            value.is_none_or(|value| hopes[&value.to_string()].1)
        };
        let kept: Vec<&Candidate<'_>> = members.iter().copied().filter(has_hope).collect();
        members = kept;
    }
    members
}

/// Returns a crossed design of some configurations, and the number of combinations of their values.
fn design(space: &Space, members: &[&Candidate<'_>], replicates: usize) -> (Option<Design>, u64) {
    let (mut factors, mut levels): (Vec<usize>, Vec<BTreeMap<String, usize>>) = (vec![], vec![]);
    for (place, parameter) in space.parameters.iter().enumerate() {
        let mut seen = BTreeMap::new();
        for value in members.iter().filter_map(|one| one.configuration.get(&parameter.name)) {
            let next = seen.len();
            seen.entry(value.to_string()).or_insert(next);
        }
        if seen.len() > 1 {
            factors.push(place);
            levels.push(seen);
        }
    }
    let combinations =
        levels.iter().fold(1u64, |product, seen| product.saturating_mul(seen.len() as u64));
    if combinations != members.len() as u64 {
        return (None, combinations);
    }
    let mut cells: Vec<Vec<f64>> = vec![Vec::new(); members.len()];
    for member in members.iter().filter(|member| member.cost.is_some()) {
        let index = factors.iter().zip(&levels).fold(0, |index, (factor, seen)| {
            let value = member.configuration.get(&space.parameters[*factor].name);
            index * seen.len() + value.map_or(0, |value| seen[&value.to_string()])
        });
        // As many of each configuration: further seeds of some would tip the scales.
        cells[index] = member.values.values().copied().take(replicates).collect();
    }
    let full = cells.iter().all(|cell| cell.len() == replicates);
    let levels = levels.iter().map(BTreeMap::len).collect();
    (full.then_some(Design { factors, factorial: Factorial { levels, cells } }), combinations)
}

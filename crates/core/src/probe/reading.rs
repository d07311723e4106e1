//! What the losses of a ramp tell.
//!
//! The rule, in words: learning rates are worth a search from where the loss begins to fall to a tenth of where it is
//! back up, and over a factor of ten at least. All places are read from a smoothed curve, and only where it falls by
//! more than batches differ.
//!
//! The factor of ten: a ramp spends a handful of steps at each rate, so that the fall shows late, and the blow-up soon
//! after. The two ends are then close, or even swapped, and the range lies around their middle.

/// Smoothing: the deviation of the weights, in factors of ten of the learning rate.
const WIDTH: f64 = 0.15;
/// A fall of fewer standard errors is no fall.
const CLEAR: f64 = 4.0;
/// Share of the whole fall with which it has begun.
const BEGUN: f64 = 0.1;
/// The highest rate that is proposed is the one of the blow-up divided by this.
const MARGIN: f64 = 10.0;
/// A range reaches over such a factor at least.
const LEAST: f64 = 10.0;
/// Fewer losses than this tell nothing.
const FEWEST: usize = 16;

/// One step of a ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its learning rate.
    pub learning_rate: f64,
    /// Its loss, before the update with that rate.
    pub loss: f64,
}

/// What a ramp tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The losses, smoothed; those from the first on that is no number are left out.
    pub smoothed: Vec<Point>,
    /// Standard error of a smoothed loss.
    pub noise: f64,
    /// The range to search, or why there is none.
    pub range: Result<Range, NoRange>,
}

/// Learning rates that are worth a search, and where they were read from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lowest rate to search.
    pub min: f64,
    /// Highest.
    pub max: f64,
    /// Where the loss begins to fall.
    pub falls_from: f64,
    /// Where it falls fastest.
    pub steepest: f64,
    /// Where it is smallest.
    pub lowest: f64,
    /// Where it is as high again as it began, or the ramp ended with it; none: not on this ramp.
    pub blows_up: Option<f64>,
    /// How far it fell.
    pub drop: f64,
}

/// Why a ramp proposes no range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoRange {
    /// It was too short, or blew up at once.
    #[error("it has {0} losses, which is too few to read")]
    TooFew(usize),
    /// Batches differ by as much.
    #[error("the loss never fell by more than batches differ")]
    NeverFell {
        /// Where it rose by more, or was no number: rates from here on are too large.
        blows_up: Option<f64>,
    },
}

/// Reads the losses of a ramp, in the order of its steps. `ended`: it did not reach its last step, since the loss had
/// blown up.
pub fn read(points: &[Point], ended: bool) -> Reading {
    let end = points.iter().position(|point| !point.loss.is_finite());
    let (points, blown_up) = match end {
        Some(end) => (&points[..end], Some(points[end].learning_rate)),
        None => (points, points.last().filter(|_| ended).map(|point| point.learning_rate)),
    };
    let smoothed = smooth(points);
    let noise = noise(points);
    let range = range(points, &smoothed, noise, blown_up);
    Reading { smoothed, noise, range }
}

fn range(
    points: &[Point],
    smoothed: &[Point],
    noise: f64,
    blown_up: Option<f64>,
) -> Result<Range, NoRange> {
    if points.len() < FEWEST {
        return Err(NoRange::TooFew(points.len()));
    }
    let level = level(points);
    let lowest = (0..smoothed.len())
        .min_by(|left, right| smoothed[*left].loss.total_cmp(&smoothed[*right].loss))
        .unwrap_or(0);
    let drop = level - smoothed[lowest].loss;
    if drop <= CLEAR * noise {
        let rises = level + (BEGUN * level.abs()).max(CLEAR * noise);
        // The last time that it had not risen: what comes after is up to the end.
        let calm = smoothed.iter().rposition(|point| point.loss < rises);
        let risen = calm.and_then(|calm| smoothed.get(calm + 1)).map(|point| point.learning_rate);
        return Err(NoRange::NeverFell { blows_up: risen.or(blown_up) });
    }
    let begun = level - (BEGUN * drop).max(2.0 * noise);
    // The last time that it had not begun: from here it is down to the lowest.
    let falls = smoothed[..lowest].iter().rposition(|point| point.loss >= begun).unwrap_or(0);
    let steepest = (falls..lowest)
        .max_by(|left, right| slope(smoothed, *left).total_cmp(&slope(smoothed, *right)))
        .unwrap_or(falls);
    let back = smoothed[lowest..].iter().find(|point| point.loss >= level);
    let blows_up = back.map(|point| point.learning_rate).or(blown_up);
    let falls_from = smoothed[falls].learning_rate;
    let safe = match blows_up {
        Some(rate) => rate / MARGIN,
        None => smoothed[lowest].learning_rate,
    };
    let (mut min, mut max) = (falls_from, safe);
    if max < min * LEAST {
        // Never above where the loss was smallest.
        max = ((min * safe).sqrt() * LEAST.sqrt()).min(smoothed[lowest].learning_rate);
        min = max / LEAST;
    }
    Ok(Range {
        min: super::rounded(min),
        max: super::rounded(max),
        falls_from,
        steepest: smoothed[steepest].learning_rate,
        lowest: smoothed[lowest].learning_rate,
        blows_up,
        drop,
    })
}

/// Returns how fast a curve falls between a point and the next, in the logarithm of the rate.
fn slope(smoothed: &[Point], at: usize) -> f64 {
    let (here, next) = (smoothed[at], smoothed[at + 1]);
    (here.loss - next.loss) / (next.learning_rate / here.learning_rate).log10().max(1e-12)
}

/// The loss before anything was learned: the median over the first factor of ten, where rates are too small to matter.
fn level(points: &[Point]) -> f64 {
    let first = points[0].learning_rate;
    let early = points.iter().take_while(|point| point.learning_rate <= first * 10.0);
    median(early.map(|point| point.loss).collect())
}

/// Weighted means, near in the logarithm of the rate counting most: no lag, unlike the running mean of other tools.
fn smooth(points: &[Point]) -> Vec<Point> {
    let place = |point: &Point| point.learning_rate.log10();
    let smoothed = |at: &Point| {
        let (mut sum, mut weights) = (0.0, 0.0);
        for point in points {
            let distance = (place(point) - place(at)) / WIDTH;
            let weight = (-0.5 * distance * distance).exp();
            sum += weight * point.loss;
            weights += weight;
        }
        Point { learning_rate: at.learning_rate, loss: sum / weights }
    };
    points.iter().map(smoothed).collect()
}

/// Standard error of a smoothed loss, by how far one step's loss is from the next's: a median, so that neither the
/// blow-up nor the fall counts.
fn noise(points: &[Point]) -> f64 {
    let differences: Vec<f64> =
        points.windows(2).map(|pair| (pair[1].loss - pair[0].loss).abs()).collect();
    if differences.is_empty() {
        return 0.0;
    }
    // Of a normal difference of two: its median is 0.6745 deviations, each √2 of one loss's.
    let deviation = median(differences) / 0.6745 / std::f64::consts::SQRT_2;
    let decades = (points[points.len() - 1].learning_rate / points[0].learning_rate).log10();
    let per_decade = (points.len() - 1) as f64 / decades.max(1e-12);
    // Points that a weighted mean counts as.
    let effective = (2.0 * std::f64::consts::PI.sqrt() * WIDTH * per_decade).max(1.0);
    deviation / effective.sqrt()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

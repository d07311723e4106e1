//! Where a number is looked for next: around the best value, further out where that lies on an edge, and not where
//! everything failed.

use super::Tried;
use crate::key::Key;
use crate::probe::rounded;
use crate::search_space::{Domain, round};
use crate::value::Value;

/// A range around the best reaches so many times as far to both sides, on a scale of ratios,
const FACTOR: f64 = 3.0;
/// and so far beyond an edge.
const BEYOND: f64 = 10.0;
/// A draw this near to the end of its range lies on the edge: a share of the range.
const NEAR: f64 = 0.1;

/// Where to look next.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Values for a grid, the best among them.
    pub(super) values: Vec<Value>,
    /// Ends for draws.
    pub(super) min: Value,
    pub(super) max: Value,
    /// Evenly in the logarithm.
    pub(super) logarithmic: bool,
    /// Why, for people.
    pub(super) why: String,
}

/// Which edge of the old range the best lies on.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Lower,
    Upper,
    Neither,
}

/// Returns where to look around `best`; none where that is no number. `here` are the results that had this domain.
pub(super) fn around(key: &Key, domain: &Domain, best: &Value, here: &[&Tried]) -> Option<Axis> {
    let at = best.number()?;
    let name = key.short_name();
    let whole = matches!(best, Value::Integer(_));
    let mut tried: Vec<(f64, bool)> = Vec::new();
    for one in here {
        let Some(number) = one.configuration.get(name).and_then(Value::number) else { continue };
        let worked = one.mean().is_some();
        match tried.iter_mut().find(|(other, _)| *other == number) {
            Some((_, any)) => *any |= worked,
            None => tried.push((number, worked)),
        }
    }
    tried.sort_by(|left, right| left.0.total_cmp(&right.0));
    let logarithmic = at > 0.0 && is_logarithmic(name, domain, &tried);
    let scale = |number: f64| if logarithmic { number.ln() } else { number };
    let back = |place: f64| if logarithmic { place.exp() } else { place };
    let edge = edge(domain, at, &tried, scale);
    // How far apart values were, on the scale.
    let distance = neighbour(at, &tried, scale).unwrap_or_else(|| match logarithmic {
        true => FACTOR.ln(),
        false => (span(domain).map_or(at.abs(), |(low, high)| high - low) / 4.0).max(1e-6),
    });
    let (near, far) = match (logarithmic, whole) {
        (true, false) => (FACTOR.ln(), BEYOND.ln()),
        // Whole numbers on a scale of ratios, such as batch sizes, and numbers on an even scale go by what they had.
        (true, true) | (false, _) => (distance, distance),
    };
    let (mut low, mut high) = (scale(at) - near, scale(at) + near);
    let mut why = format!("around the best, {best}");
    match edge {
        Edge::Upper => {
            high = scale(at) + far;
            why = format!("{best} was best and the largest tried: further up");
        }
        Edge::Lower => {
            low = scale(at) - far;
            why = format!("{best} was best and the smallest tried: further down");
        }
        Edge::Neither => {}
    }
    // Where nothing worked, nothing is tried again: half way to it at most.
    let failed = |(number, worked): &&(f64, bool)| !worked && *number != at;
    if let Some((wall, _)) = tried.iter().filter(failed).find(|(number, _)| *number > at)
        && high > f64::midpoint(scale(at), scale(*wall))
    {
        high = f64::midpoint(scale(at), scale(*wall));
        why += &format!("; nothing worked at {}", Value::Float(*wall));
    }
    if let Some((wall, _)) = tried.iter().filter(failed).rfind(|(number, _)| *number < at)
        && low < f64::midpoint(scale(at), scale(*wall))
    {
        low = f64::midpoint(scale(at), scale(*wall));
        why += &format!("; nothing worked at {}", Value::Float(*wall));
    }
    let middle = scale(at);
    let (below, above) = (f64::midpoint(low, middle), f64::midpoint(middle, high));
    let third = middle + (high - middle) * near / (high - middle).max(near);
    let fourth = middle - (middle - low) * near / (middle - low).max(near);
    let mut places = match (edge, whole) {
        (Edge::Neither, false) if logarithmic => vec![low, below, middle, above, high],
        (Edge::Neither, false) => vec![below, middle, above],
        (Edge::Neither, true) => vec![low, middle, high],
        (Edge::Upper, _) => vec![low, middle, third, high],
        (Edge::Lower, _) => vec![low, fourth, middle, high],
    };
    places.sort_by(f64::total_cmp);
    let mut values: Vec<Value> = Vec::new();
    for place in places {
        let value = match place == middle {
            true => best.clone(),
            false => written(back(place), whole, logarithmic),
        };
        // Of neighbours that round to one, the best stays.
        let allowed =
            key.check(&value).is_ok_and(|value| !values.iter().any(|other| other.means(&value)));
        let is_best = value.means(best);
        if allowed && (is_best || written(at, whole, logarithmic) != value) {
            values.push(value);
        }
    }
    if values.len() == 1 {
        why += "; there is no room around it";
    }
    let (min, max) = (values.first()?.clone(), values.last()?.clone());
    Some(Axis { values, min, max, logarithmic: logarithmic && !whole, why })
}

fn written(number: f64, whole: bool, logarithmic: bool) -> Value {
    match (whole, logarithmic) {
        (true, _) => Value::Integer(number.round() as i64),
        (false, true) => Value::Float(rounded(number)),
        (false, false) => Value::Float(round(format!("{number:.2e}").parse().unwrap_or(number))),
    }
}

/// Ratios count, not differences: for rates, for ranges that say so, and where values double or more.
fn is_logarithmic(name: &str, domain: &Domain, tried: &[(f64, bool)]) -> bool {
    let is_rate = name.ends_with("learning_rate") || ["weight_decay", "epsilon"].contains(&name);
    let doubling = || {
        tried.len() > 1
            && tried.windows(2).all(|pair| pair[0].0 > 0.0 && pair[1].0 / pair[0].0 > 1.9)
    };
    match domain {
        Domain::LogUniform { .. } => true,
        Domain::Values(_) => {
            (is_rate && tried.iter().all(|(number, _)| *number > 0.0)) || doubling()
        }
        Domain::Integers { .. } | Domain::Steps { .. } | Domain::Uniform { .. } => false,
    }
}

/// Returns the ends of a domain of numbers.
fn span(domain: &Domain) -> Option<(f64, f64)> {
    match domain {
        Domain::Values(values) => {
            let numbers: Option<Vec<f64>> = values.iter().map(Value::number).collect();
            let numbers = numbers?;
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            Some((low, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)))
        }
        Domain::Integers { min, max, .. } => Some((*min as f64, *max as f64)),
        Domain::Steps { min, max, .. }
        | Domain::Uniform { min, max, .. }
        | Domain::LogUniform { min, max, .. } => Some((*min, *max)),
    }
}

/// A list of one value has no edge; a draw near to the end of its range counts as on it.
fn edge(domain: &Domain, at: f64, tried: &[(f64, bool)], scale: impl Fn(f64) -> f64) -> Edge {
    let Some((low, high)) = span(domain) else { return Edge::Neither };
    if tried.len() < 2 || low == high {
        return Edge::Neither;
    }
    let near = match domain {
        Domain::Values(_) | Domain::Integers { .. } | Domain::Steps { .. } => 0.0,
        Domain::Uniform { .. } | Domain::LogUniform { .. } => NEAR * (scale(high) - scale(low)),
    };
    let hair = 1e-9 * (scale(high) - scale(low));
    if scale(at) >= scale(high) - near - hair {
        Edge::Upper
    } else if scale(at) <= scale(low) + near + hair {
        Edge::Lower
    } else {
        Edge::Neither
    }
}

/// Returns the distance to the nearest value that was tried.
fn neighbour(at: f64, tried: &[(f64, bool)], scale: impl Fn(f64) -> f64) -> Option<f64> {
    let distances = tried.iter().filter(|(number, _)| *number != at);
    distances.map(|(number, _)| (scale(*number) - scale(at)).abs()).min_by(f64::total_cmp)
}

//! A parameter in one of its cases, as the model sees it: numbers as points of [0, 1], words as categories.

use crate::search_space::{Case, Domain};
use crate::value::Value;

/// What a model is made over.
#[derive(Debug)]
pub(super) struct Axis<'a> {
    domain: &'a Domain,
    pub(super) scale: Scale,
}

/// How values lie on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scale {
    /// Anywhere in [0, 1].
    Continuous,
    /// In the middle of one of so many cells of [0, 1].
    Cells(usize),
    /// One of so many, in no order.
    Categories(usize),
    /// There is one value only, and nothing to learn.
    Single,
}

impl<'a> Axis<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        let domain = &case.domain;
        let scale = match domain {
            Domain::Values(values) if values.len() == 1 => Scale::Single,
            // In the order of the numbers, each as far from the next as any: lists are chosen so that it is.
            Domain::Values(values) if values.iter().all(|value| value.number().is_some()) => {
                Scale::Cells(values.len())
            }
            Domain::Values(values) => Scale::Categories(values.len()),
            Domain::Integers { .. } | Domain::Steps { .. } => match domain.stepped_len() {
                1 => Scale::Single,
                cells => Scale::Cells(cells),
            },
            Domain::Uniform { min, max, .. } | Domain::LogUniform { min, max, .. }
                if min == max =>
            {
                Scale::Single
            }
            Domain::Uniform { .. } | Domain::LogUniform { .. } => Scale::Continuous,
        };
        Self { domain, scale }
    }

    /// Returns the place of a value: a point of [0, 1], or the number of a category. None where it lies outside of
    /// what is searched, as an enqueued one may.
    pub(super) fn place(&self, value: &Value) -> Option<f64> {
        match self.domain {
            Domain::Values(values) => {
                let index = values.iter().position(|one| one.means(value))?;
                match self.scale {
                    Scale::Cells(cells) => Some(middle(rank(values, index), cells)),
                    _ => Some(index as f64),
                }
            }
            Domain::Integers { min, step, .. } => {
                self.cell((value.number()? - *min as f64) / *step as f64)
            }
            Domain::Steps { min, step, .. } => self.cell((value.number()? - min) / step),
            Domain::Uniform { min, max, .. } => within((value.number()? - min) / (max - min)),
            Domain::LogUniform { min, max, .. } => {
                within((value.number()?.ln() - min.ln()) / (max.ln() - min.ln()))
            }
        }
    }

    /// Returns the value at a place.
    pub(super) fn value(&self, place: f64) -> Value {
        match (self.domain, &self.scale) {
            (Domain::Values(values), Scale::Cells(cells)) => {
                let cell = cell_of(place, *cells);
                let at = (0..values.len()).find(|index| rank(values, *index) == cell);
                values[at.unwrap_or(0)].clone()
            }
            (Domain::Values(values), Scale::Categories(_)) => values[place as usize].clone(),
            (domain, Scale::Cells(cells)) => domain.at(middle(cell_of(place, *cells), *cells)),
            // Rounded, so that no bit of it hangs on how a machine's library takes logarithms.
            (domain, _) => match domain.at(place) {
                Value::Float(number) => Value::Float(match domain {
                    Domain::Uniform { min, max, .. } | Domain::LogUniform { min, max, .. } => {
                        crate::search_space::round(number).clamp(*min, *max)
                    }
                    _ => number,
                }),
                value => value,
            },
        }
    }

    fn cell(&self, steps: f64) -> Option<f64> {
        let (cell, Scale::Cells(cells)) = (steps.round(), &self.scale) else { return Some(0.0) };
        let is_there = (steps - cell).abs() < 1e-6 && cell >= 0.0 && cell < *cells as f64;
        is_there.then(|| middle(cell as usize, *cells))
    }
}

/// Returns the cell of a place in [0, 1].
pub(super) fn cell_of(place: f64, cells: usize) -> usize {
    ((place * cells as f64) as usize).min(cells - 1)
}

fn middle(cell: usize, cells: usize) -> f64 {
    (cell as f64 + 0.5) / cells as f64
}

fn within(place: f64) -> Option<f64> {
    // Both ends belong to it, whatever the logarithm rounds to.
    (-1e-9..=1.0 + 1e-9).contains(&place).then(|| place.clamp(0.0, 1.0))
}

/// Returns how many values of a list of numbers are smaller than the one at `index`.
fn rank(values: &[Value], index: usize) -> usize {
    let smaller = |value: &&Value| value.number() < values[index].number();
    values.iter().filter(smaller).count()
}

//! Updates of a table of which each step touches a few rows, exact and late.
//!
//! A row without gradient still moves: Adam's moments fade and push it, decay shrinks it. To write all rows at every
//! step would move hundreds of megabytes, so a row misses updates until it is read or gets a gradient, and then makes
//! up for them one by one: the same operations on the same numbers, and so the same bits, as if it had never missed one.

use converge_kernels::vectorised;

use super::rule::Step;

/// Which updates the rows of a table have missed.
#[derive(Debug)]
pub(super) struct LateRows {
    columns: usize,
    /// Updates since all rows were up to date.
    steps: Vec<Step>,
    /// How many of them each row has made.
    made: Vec<u32>,
    /// Whether a row's state is other than zero.
    touched: Vec<bool>,
    /// A gradient of zero.
    zeros: Vec<f32>,
}

impl LateRows {
    /// Returns the state of rows that have missed nothing.
    pub(super) fn new(columns: usize, rows: usize, state: &[Vec<f32>]) -> Self {
        let touched = |row: usize| {
            let slots = state.iter().flat_map(|slot| &slot[row * columns..][..columns]);
            slots.into_iter().any(|value| *value != 0.0)
        };
        Self {
            columns,
            steps: Vec::new(),
            made: vec![0; rows],
            touched: (0..rows).map(touched).collect(),
            zeros: vec![0.0; columns],
        }
    }

    /// Says whether no row has missed anything.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.steps.is_empty()
    }

    /// Lets some rows make the updates that they have missed.
    pub(super) fn catch_up(&mut self, rows: &[u32], weights: &mut [f32], state: &mut [Vec<f32>]) {
        vectorised(
            #[inline(always)]
            || {
                for row in rows {
                    self.catch_up_row(*row as usize, weights, state);
                }
            },
        );
    }

    /// Lets all rows make the updates that they have missed.
    pub(super) fn catch_up_all(&mut self, weights: &mut [f32], state: &mut [Vec<f32>]) {
        vectorised(
            #[inline(always)]
            || {
                for row in 0..self.made.len() {
                    self.catch_up_row(row, weights, state);
                }
            },
        );
        self.steps.clear();
        self.made.fill(0);
    }

    /// Makes an update in which only some rows have a gradient.
    ///
    /// # Panics
    /// If one of these rows is not up to date: the gradient was computed from old weights then.
    pub(super) fn update(
        &mut self,
        step: Step,
        rows: &[u32],
        gradients: &[f32],
        weights: &mut [f32],
        state: &mut [Vec<f32>],
    ) {
        let made = self.steps.len() as u32;
        vectorised(
            #[inline(always)]
            || {
                for (row, gradient) in rows.iter().zip(gradients.chunks_exact(self.columns)) {
                    let row = *row as usize;
                    assert_eq!(self.made[row], made, "row {row} was read before it caught up");
                    apply(step, row, self.columns, gradient, weights, state);
                    self.made[row] += 1;
                    self.touched[row] = true;
                }
            },
        );
        self.steps.push(step);
    }

    #[inline(always)]
    fn catch_up_row(&mut self, row: usize, weights: &mut [f32], state: &mut [Vec<f32>]) {
        for step in &self.steps[self.made[row] as usize..] {
            let elements = &mut weights[row * self.columns..][..self.columns];
            if self.touched[row] || !step.apply_to_untouched(elements) {
                apply(*step, row, self.columns, &self.zeros, weights, state);
                self.touched[row] = true;
            }
        }
        self.made[row] = self.steps.len() as u32;
    }
}

/// Applies a step to one row.
#[inline(always)]
fn apply(
    step: Step,
    row: usize,
    columns: usize,
    gradient: &[f32],
    weights: &mut [f32],
    state: &mut [Vec<f32>],
) {
    let range = row * columns..(row + 1) * columns;
    let weights = &mut weights[range.clone()];
    match state {
        [] => step.apply(weights, gradient, &mut []),
        [slot] => step.apply(weights, gradient, &mut [&mut slot[range]]),
        [first, second] => {
            let (first, second) = (&mut first[range.clone()], &mut second[range]);
            step.apply(weights, gradient, &mut [first, second]);
        }
        more => panic!("no rule keeps {} slots", more.len()),
    }
}

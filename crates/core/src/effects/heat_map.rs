//! Two parameters at once: the best over all others for each pair of their levels.

use serde::Serialize;

use super::candidate::{Candidate, Counts, cost};
use super::ladder::{Ladder, Level, best};
use crate::objective::Goal;

/// The levels of two parameters, and what came of each pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeatMap {
    /// The parameter whose levels are rows.
    pub rows: String,
    /// The parameter whose levels are columns: not more than the rows.
    pub columns: String,
    /// Levels of the rows.
    pub row_levels: Vec<Level>,
    /// Levels of the columns.
    pub column_levels: Vec<Level>,
    /// Row by row; none where nothing was tried.
    pub cells: Vec<Vec<Option<HeatCell>>>,
}

/// What came of a pair of levels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeatCell {
    /// The best mean of a configuration; none where none completed.
    pub best: Option<f64>,
    /// Trials that ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether the best configuration of all is here.
    pub holds_best: bool,
}

impl HeatMap {
    /// Returns the map of two parameters.
    pub(crate) fn new(
        left: &Ladder,
        right: &Ladder,
        candidates: &[Candidate<'_>],
        goal: Goal,
    ) -> Self {
        let used = |ladder: &Ladder| -> Vec<usize> {
            let has_trials = |place: &usize| ladder.levels[*place].counts.trials > 0;
            (0..ladder.levels.len()).filter(has_trials).collect()
        };
        let (left_used, right_used) = (used(left), used(right));
        let ((rows, row_places), (columns, column_places)) = if right_used.len() > left_used.len() {
            ((right, right_used), (left, left_used))
        } else {
            ((left, left_used), (right, right_used))
        };
        let best = best(candidates);
        let mut cells: Vec<Vec<Option<HeatCell>>> =
            vec![vec![None; column_places.len()]; row_places.len()];
        for (index, candidate) in candidates.iter().enumerate() {
            let place = |of: Option<usize>, places: &[usize]| {
                of.and_then(|level| places.iter().position(|place| *place == level))
            };
            let (Some(row), Some(column)) =
                (place(rows.of[index], &row_places), place(columns.of[index], &column_places))
            else {
                continue;
            };
            let cell = cells[row][column].get_or_insert(HeatCell {
                best: None,
                counts: Counts::default(),
                holds_best: false,
            });
            cell.counts.add(candidate.counts);
            cell.holds_best |= best == Some(index);
            let costs = cell.best.map(|best| cost(best, goal)).into_iter().chain(candidate.cost);
            cell.best = costs.reduce(f64::min).map(|best| cost(best, goal));
        }
        let levels = |ladder: &Ladder, places: &[usize]| {
            places.iter().map(|place| ladder.levels[*place].clone()).collect()
        };
        Self {
            rows: rows.parameter.clone(),
            columns: columns.parameter.clone(),
            row_levels: levels(rows, &row_places),
            column_levels: levels(columns, &column_places),
            cells,
        }
    }
}

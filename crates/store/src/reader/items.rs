//! What was said of each validation example.

use converge_core::ids::TrialId;
use converge_core::items::ItemResults;
use converge_core::packed;

use super::{QueryError, Reader, row};
use crate::database_error::unreadable;

impl Reader {
    /// Returns what trials said of each validation example at given evaluations, in the order of the questions; none
    /// where it is not kept: the evaluation is of an earlier version, the split was too large, or the step was not
    /// evaluated, or does not count any more.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn item_results(
        &self,
        evaluations: &[(TrialId, u64)],
    ) -> Result<Vec<Option<ItemResults>>, QueryError> {
        self.query("item results", |connection| {
            let one = |(trial, step): &(TrialId, u64)| {
                let sql = "SELECT item_results.data
                    FROM attempts
                    JOIN item_results ON item_results.attempt = attempts.id
                    WHERE attempts.trial = ?1 AND item_results.step = ?2
                        AND attempts.from_step < ?2
                        AND coalesce(attempts.until_step, 9223372036854775807) >= ?2";
                row(connection, sql, (trial.0, step), |row| {
                    let data = row.get_ref(0)?.as_blob()?;
                    packed::items_of(data).map_err(|error| unreadable("data", error))
                })
            };
            evaluations.iter().map(one).collect()
        })
    }
}

//! Trials that a sweep gets while it runs.

use converge_core::ids::{SweepId, TrialId};
use converge_faults::{Mutant, is_on};

use super::{Batch, Stop};
use crate::refusal::Refusal;
use crate::sweep::{NewTrial, insert_trial};
use crate::{parameter, record, wide};

impl Batch<'_> {
    pub(super) fn trial_added(
        &mut self,
        trial: TrialId,
        sweep: SweepId,
        number: u64,
        new: &NewTrial,
    ) -> Result<(), Stop> {
        let not_new = |why| Stop::from(Refusal::NotNew { sweep, trial, number, why });
        let found: Option<(u64, u64)> = self.find(
            "SELECT json_array_length(facts),
                (SELECT coalesce(max(number), 0) FROM sweep_trials WHERE sweep = sweeps.id)
            FROM sweeps WHERE id = ?1",
            [sweep.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let Some((facts, last)) = found else { return Err(Refusal::NoSweep(sweep).into()) };
        if new.facts_index >= facts {
            return Err(not_new("the sweep has no such facts"));
        }
        if number <= last {
            return Err(not_new("the number is taken"));
        }
        let seen =
            |sql, parameters: &[&dyn rusqlite::ToSql]| self.find(sql, parameters, |_| Ok(()));
        if seen("SELECT 1 FROM sweep_trials WHERE id = ?1", &[&trial.0])?.is_some() {
            return Err(not_new("the id is taken"));
        }
        let repeated = seen(
            "SELECT 1 FROM sweep_trials WHERE sweep = ?1 AND fingerprint = ?2 AND replicate = ?3",
            &[&sweep.0, &new.fingerprint, &new.replicate],
        )?;
        if repeated.is_some() && !is_on(Mutant::NoUniqueGrid) {
            return Err(not_new("it has this configuration with this seed already"));
        }
        insert_trial(self.connection, Some(trial), sweep, number, new, self.now_ms)?;
        self.grown.insert(sweep);
        Ok(())
    }

    /// Writes what follows from the trials of a sweep, and its record: that may know of trials that a crash then keeps
    /// from being stored, never the reverse.
    pub(super) fn finish_growth(&mut self) -> Result<(), Stop> {
        for sweep in std::mem::take(&mut self.grown) {
            parameter::fill(self.connection, sweep)?;
            wide::recreate(self.connection)?;
            record::write(self.connection, sweep).map_err(Stop::Record)?;
        }
        Ok(())
    }
}

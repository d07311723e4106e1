//! Changes at the rungs of early stopping.

use converge_core::early_stop::Verdict;
use converge_core::ids::TrialId;

use super::{Batch, Stop};
use crate::change::{RungDecision, RungStanding};
use crate::refusal::Refusal;

impl Batch<'_> {
    pub(super) fn reached(
        &mut self,
        trial: TrialId,
        rung: u64,
        step: u64,
        standing: &RungStanding,
    ) -> Result<(), Stop> {
        self.stored_state(trial)?;
        // What was decided stays what it was decided by.
        self.execute(
            "INSERT INTO rungs (trial, rung, step, value, marks, reached_at_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (trial, rung) DO UPDATE
            SET step = excluded.step, value = excluded.value, marks = excluded.marks,
                reached_at_ms = excluded.reached_at_ms
            WHERE decision IS NULL",
            (trial.0, rung, step, standing.value, &standing.marks, self.now_ms),
        )?;
        Ok(())
    }

    pub(super) fn decided(
        &mut self,
        trial: TrialId,
        rung: u64,
        decision: &RungDecision,
    ) -> Result<(), Stop> {
        let word = match decision.verdict {
            Verdict::Promoted => "promoted",
            Verdict::Stopped => "stopped",
        };
        let changed = self.execute(
            "UPDATE rungs SET decision = ?3, rank = ?4, among = ?5, place = ?6, decided_at_ms = ?7
            WHERE trial = ?1 AND rung = ?2 AND decision IS NULL",
            (trial.0, rung, word, decision.rank, decision.among, decision.place, self.now_ms),
        )?;
        if changed == 0 { Err(Refusal::NotAtRung { trial, rung }.into()) } else { Ok(()) }
    }
}

//! Changes of workers: their process, and how far their logs were read.

use std::collections::BTreeMap;

use converge_core::ids::{AttemptId, WorkerId};

use super::{Batch, Stop};
use crate::refusal::Refusal;

impl Batch<'_> {
    pub(super) fn worker_spawned(
        &mut self,
        worker: WorkerId,
        pid: u32,
        process_start: u64,
        boot_id: &str,
    ) -> Result<(), Stop> {
        self.open_worker(worker)?;
        self.execute(
            "UPDATE workers SET pid = ?2, process_start = ?3, boot_id = ?4 WHERE id = ?1",
            (worker.0, pid, process_start, boot_id),
        )?;
        Ok(())
    }

    pub(super) fn worker_born(
        &mut self,
        worker: WorkerId,
        machine: &BTreeMap<String, String>,
        version: &str,
    ) -> Result<(), Stop> {
        self.open_worker(worker)?;
        let machine = serde_json::Value::from_iter(machine.clone()).to_string();
        self.execute(
            "UPDATE workers SET machine = ?2, version = ?3 WHERE id = ?1",
            (worker.0, machine, version),
        )?;
        Ok(())
    }

    pub(super) fn log_read(
        &mut self,
        worker: WorkerId,
        offset: u64,
        next_seq: u64,
        torn_lines: u64,
    ) -> Result<(), Stop> {
        let stored = self.open_worker(worker)?;
        for (from, to) in [(stored.up_offset, offset), (stored.up_next_seq, next_seq)] {
            if to < from {
                return Err(Refusal::LogGoesBack { worker, from, to }.into());
            }
        }
        self.execute(
            "UPDATE workers
            SET up_offset = ?2, up_next_seq = ?3, torn_lines = torn_lines + ?4
            WHERE id = ?1",
            (worker.0, offset, next_seq, torn_lines),
        )?;
        Ok(())
    }

    pub(super) fn down_logged(&mut self, worker: WorkerId, next_seq: u64) -> Result<(), Stop> {
        let stored = self.open_worker(worker)?;
        if next_seq < stored.down_next_seq {
            let from = stored.down_next_seq;
            return Err(Refusal::LogGoesBack { worker, from, to: next_seq }.into());
        }
        self.execute("UPDATE workers SET down_next_seq = ?2 WHERE id = ?1", (worker.0, next_seq))?;
        Ok(())
    }

    /// Counts, even for a worker that has ended: a zombie's frames are what the count is for.
    pub(super) fn stale_frames(&mut self, worker: WorkerId, count: u64) -> Result<(), Stop> {
        let changed = self.execute(
            "UPDATE workers SET stale_frames = stale_frames + ?2 WHERE id = ?1",
            (worker.0, count),
        )?;
        if changed == 0 { Err(Refusal::NoWorker(worker).into()) } else { Ok(()) }
    }

    pub(super) fn worker_ended(&mut self, worker: WorkerId, exit: &str) -> Result<(), Stop> {
        self.open_worker(worker)?;
        let open = self.find(
            "SELECT id FROM attempts WHERE worker = ?1 AND ending IS NULL",
            [worker.0],
            |row| row.get(0),
        )?;
        if let Some(attempt) = open {
            let attempt = AttemptId(attempt);
            return Err(Refusal::WorkerHasAttempt { worker, attempt }.into());
        }
        self.execute(
            "UPDATE workers SET ended_at_ms = ?2, exit = ?3 WHERE id = ?1",
            (worker.0, self.now_ms, exit),
        )?;
        Ok(())
    }

    /// Returns how far the logs of a worker are, if it has not ended.
    pub(super) fn open_worker(&self, worker: WorkerId) -> Result<Logs, Stop> {
        let found = self.find(
            "SELECT up_offset, up_next_seq, down_next_seq, ended_at_ms IS NOT NULL
            FROM workers WHERE id = ?1",
            [worker.0],
            |row| {
                let logs = Logs {
                    up_offset: row.get(0)?,
                    up_next_seq: row.get(1)?,
                    down_next_seq: row.get(2)?,
                };
                Ok((logs, row.get::<_, bool>(3)?))
            },
        )?;
        match found {
            None => Err(Refusal::NoWorker(worker).into()),
            Some((_, true)) => Err(Refusal::WorkerEnded(worker).into()),
            Some((logs, false)) => Ok(logs),
        }
    }
}

/// How far the two logs of a worker are.
pub(super) struct Logs {
    pub(super) up_offset: u64,
    pub(super) up_next_seq: u64,
    pub(super) down_next_seq: u64,
}

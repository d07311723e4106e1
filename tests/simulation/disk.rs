//! The simulated file system: logs as bytes, and which checkpoints are whole.

use std::collections::BTreeMap;
use std::ops::Range;

use converge_core::ids::WorkerId;

/// A file that is only appended to, with one writer for ever.
#[derive(Debug, Default)]
pub(crate) struct Log {
    bytes: Vec<u8>,
    writer: Option<String>,
    /// What a reader sees of it; none: all.
    visible: Option<usize>,
    /// Reads as NULs.
    hole: Option<Range<usize>>,
}

/// The two logs of a worker.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(crate) up: Log,
    pub(crate) down: Log,
}

/// Files by worker and by name.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) logs: BTreeMap<WorkerId, Logs>,
    /// By folder: configuration and step.
    pub(crate) checkpoints: BTreeMap<String, (u64, u64)>,
}

impl Disk {
    /// Makes the two logs of a worker.
    ///
    /// # Errors
    /// Where they are there already: a worker's folder is given once.
    pub(crate) fn create(&mut self, worker: WorkerId) -> Result<(), String> {
        match self.logs.insert(worker, Logs::default()) {
            None => Ok(()),
            Some(_) => Err(format!("the folder of worker {worker} was given twice")),
        }
    }

    /// Deletes a folder with all that is in it.
    pub(crate) fn remove(&mut self, folder: &str) {
        let below = format!("{folder}/");
        self.checkpoints.retain(|name, _| !name.starts_with(&below));
    }
}

impl Log {
    /// Appends bytes.
    ///
    /// # Errors
    /// Where another writer has appended before: a file has one writer for ever.
    pub(crate) fn append(&mut self, writer: &str, bytes: &[u8]) -> Result<(), String> {
        if self.writer.get_or_insert_with(|| writer.to_owned()) != writer {
            let first = self.writer.as_deref().unwrap_or_default();
            return Err(format!("a log of {first} was written to by {writer}"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns what is in the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What comes after the first `count` bytes is not visible until [`Log::show`].
    pub(crate) fn hide_from(&mut self, count: usize) {
        self.visible.get_or_insert(count);
    }

    /// A range reads as NULs until [`Log::mend`].
    pub(crate) fn tear(&mut self, hole: Range<usize>) {
        self.hole = Some(hole);
    }

    /// Everything that was written is visible.
    pub(crate) fn show(&mut self) {
        self.visible = None;
    }

    /// There are no NULs but those that were written.
    pub(crate) fn mend(&mut self) {
        self.hole = None;
    }

    /// Returns what a reader sees from `offset` on.
    pub(crate) fn read_from(&self, offset: u64) -> Vec<u8> {
        let offset = usize::try_from(offset).expect("logs are short");
        let end = self.visible.unwrap_or(self.bytes.len()).max(offset).min(self.bytes.len());
        let mut seen = self.bytes.get(offset..end).unwrap_or_default().to_vec();
        if let Some(hole) = &self.hole {
            for place in hole.clone() {
                if let Some(byte) = place.checked_sub(offset).and_then(|place| seen.get_mut(place))
                {
                    *byte = 0;
                }
            }
        }
        seen
    }
}

//! What the scheduler notes beside a worker's logs: which worker it is, and how it ended where it could not say so
//! itself. Nothing reads them but [`crate::rebuild`]; like the logs they are not synced.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use converge_core::ids::AttemptId;
use converge_core::trial::AttemptEnding;
use converge_store::{Change, WorkerNote};
use serde_json::{Value, json};

use crate::home::Home;

const START: &str = "worker.json";
const END: &str = "end.json";

/// How a worker ended, as its scheduler saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// For people.
    pub exit: String,
    /// The attempt that ended with it, how, and after which step.
    pub attempt: Option<(AttemptId, AttemptEnding, u64)>,
    /// Peak memory of that attempt as seen from outside. Unit: bytes.
    pub peak_memory_bytes: Option<u64>,
}

/// Notes which worker it is, once its process runs.
pub fn write_start(folder: &Path, note: &WorkerNote) {
    let text = serde_json::to_vec(note).map_err(io::Error::from);
    tell(folder, text.and_then(|text| write(folder, START, &text)));
}

/// Returns what was noted of a worker.
pub fn read_start(folder: &Path) -> Option<WorkerNote> {
    serde_json::from_slice(&std::fs::read(folder.join(START)).ok()?).ok()
}

/// Notes the ends of workers that a batch, which is committed, tells of.
pub fn write_ends(home: &Home, changes: &[Change]) {
    let mut last = None;
    // What was seen from outside stands behind the end that it belongs to.
    let peak_of = |ended: &AttemptId| {
        changes.iter().find_map(|change| match change {
            Change::Evidence { attempt, peak_memory_bytes, .. } if attempt == ended => {
                *peak_memory_bytes
            }
            _ => None,
        })
    };
    for change in changes {
        match change {
            Change::AttemptEnded { attempt, ending, last_step, .. } => {
                last = Some(json!({
                    "attempt": attempt, "ending": ending, "step": last_step,
                    "peak_memory_bytes": peak_of(attempt),
                }));
            }

            Change::WorkerEnded { worker, exit } => {
                let folder = home.root().join(format!("workers/{worker}"));
                let note = json!({ "exit": exit, "attempt": last.take() });
                tell(&folder, write(&folder, END, note.to_string().as_bytes()));
            }
            _ => {}
        }
    }
}

/// Returns how a worker ended.
pub fn read_end(folder: &Path) -> Option<End> {
    let note: Value = serde_json::from_slice(&std::fs::read(folder.join(END)).ok()?).ok()?;
    let attempt = |note: &Value| {
        let ending = serde_json::from_value(note.get("ending")?.clone()).ok()?;
        Some((AttemptId(note.get("attempt")?.as_i64()?), ending, note.get("step")?.as_u64()?))
    };
    Some(End {
        exit: note.get("exit")?.as_str()?.to_owned(),
        attempt: note.get("attempt").and_then(attempt),
        peak_memory_bytes: note.pointer("/attempt/peak_memory_bytes").and_then(Value::as_u64),
    })
}

fn write(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let aside = folder.join(format!("{name}.tmp"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(text)?;
    std::fs::rename(aside, folder.join(name))
}

/// Without a note the database would be made anew a little less exactly; a sweep does not stop for that.
fn tell(folder: &Path, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!(folder = %folder.display(), %error, "cannot note something beside a worker's logs");
    }
}

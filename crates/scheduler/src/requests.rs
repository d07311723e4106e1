//! Requests to the scheduler of a home: one small file each, made by other commands, deleted once it is carried out.
//!
//! The scheduler is the only writer of the database, so `cancel` and `pause` ask it. A file is written aside and renamed,
//! so it is whole or not there. The scheduler looks at every tick, commits what it did, and only then deletes the file:
//! a request survives the death of either side, and carrying it out twice changes nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::reactor::RequestId;

/// A request is a page at most for each few thousand trials; what is longer is none.
const MOST_BYTES: u64 = 4 << 20;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Cancel trials; holds for any scheduler, whenever it looks.
    Cancel {
        /// Name of their sweep.
        sweep: String,
        /// Their numbers.
        trials: Vec<u64>,
    },
    /// Have the workers checkpoint and leave; holds for one life of the scheduler.
    Pause {
        /// Process id of the scheduler that is meant.
        scheduler: u32,
    },
    /// Go on after a pause; likewise.
    Unpause {
        /// Process id of the scheduler that is meant.
        scheduler: u32,
    },
}

/// The requests of a home.
#[derive(Debug, Clone)]
pub struct Requests {
    folder: PathBuf,
}

impl Requests {
    /// Names the requests of a home; there may be none yet.
    pub fn of(home: &Home) -> Self {
        Self { folder: home.root().join("requests") }
    }

    /// Puts a request, and returns its name.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn put(&self, request: &Request) -> std::io::Result<RequestId> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let bytes = serde_json::to_vec(request)?;
        for count in 0u32.. {
            let name = format!("{}-{count}.json", std::process::id());
            let path = self.folder.join(&name);
            let aside = self.folder.join(format!(".{name}"));
            // The name is taken by a request of an earlier process with this pid, which nobody has answered.
            if path.exists() {
                continue;
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&aside)?;
            file.write_all(&bytes)?;
            std::fs::rename(&aside, &path)?;
            return Ok(name);
        }
        Err(std::io::Error::other("there are too many requests"))
    }

    /// Returns whether a request is still there: not carried out yet.
    pub fn is_waiting(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    /// Takes a request back, or notes that it was carried out.
    pub fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot delete a request");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Returns the requests that wait, by name. What is no request is deleted, with a warning.
    pub fn waiting(&self) -> Vec<(RequestId, Request)> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') && name.ends_with(".json"))
            .collect();
        names.sort_unstable();
        let mut requests = Vec::new();
        for name in names {
            match self.read(&name) {
                Ok(request) => requests.push((name, request)),
                // Taken back in between.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(name, %error, "not a request, deleting it");
                    self.remove(&name);
                }
            }
        }
        requests
    }

    fn read(&self, name: &str) -> std::io::Result<Request> {
        let mut bytes = Vec::new();
        File::open(self.folder.join(name))?.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_request_waits_until_it_is_removed_and_rubbish_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let requests = Requests::of(&Home::at(directory.path()));
        assert_eq!(requests.waiting(), []);
        let cancel = Request::Cancel { sweep: "s".into(), trials: vec![1, 2] };
        let first = requests.put(&cancel).unwrap();
        let second = requests.put(&Request::Pause { scheduler: 7 }).unwrap();
        let folder = directory.path().join("requests");
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.clone()), mode(folder.join(&first))), (0o700, 0o600));
        for (name, text) in [("1.json", "{"), ("2.json", r#"{"type":"dance"}"#), (".3.json", "{")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let waiting = requests.waiting();
        assert_eq!(waiting.len(), 2);
        assert_eq!(waiting[0], (first.clone(), cancel));
        assert!(!folder.join("1.json").exists());
        requests.remove(&first);
        assert!(!requests.is_waiting(&first) && requests.is_waiting(&second));
        requests.remove(&first);
    }
}

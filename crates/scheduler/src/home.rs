//! The home: the folder that holds database, workers' logs, attempts and cache; one scheduler at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use converge_faults::point;

/// Name of a home in a working directory.
pub const NAME: &str = ".converge";

/// How long the lock of a scheduler that is gone may stay taken.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// A home, which may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// The right to schedule in a home; given back by the system when the process ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// A home cannot be used for scheduling.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another scheduler has it.
    #[error("another converge is running sweeps in `{}`: {holder}", home.display())]
    Held {
        /// The home.
        home: PathBuf,
        /// Who, as far as its lock file tells.
        holder: String,
    },
    /// A file or folder cannot be made.
    #[error("cannot write to `{}`", path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Home {
    /// Names a home by its folder, which should be absolute.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Finds the home that serves `directory`: the nearest `.converge` upwards, as git does, or else the one
    /// that would be made there.
    pub fn search(directory: &Path) -> Self {
        let found = directory.ancestors().map(|above| above.join(NAME)).find(|home| home.is_dir());
        Self { root: found.unwrap_or_else(|| directory.join(NAME)) }
    }

    /// Makes a folder of its own among the system's temporary ones, for this user only.
    ///
    /// Others can write there and guess names: a name that is taken, by whatever, is not used.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn temporary(purpose: &str) -> std::io::Result<PathBuf> {
        let pid = std::process::id();
        let mut taken = None;
        for count in 0..1000 {
            let folder = std::env::temp_dir().join(format!("converge-{purpose}-{pid}-{count}"));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(folder),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    taken = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(taken.unwrap_or_else(|| std::io::Error::other("no name is free")))
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where the database is.
    pub fn database(&self) -> PathBuf {
        self.root.join("sweeps.db")
    }

    /// Returns the folder of tokenised data.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Makes the home where it is not there, for this user only.
    ///
    /// # Errors
    /// [`HomeError::Unwritable`]: a read-only file system, or somebody else's folder.
    pub fn create(&self) -> Result<(), HomeError> {
        point("home.before");
        let below = ["workers", "attempts", "requests"].map(|name| self.root.join(name));
        for folder in [self.root.clone(), self.cache()].into_iter().chain(below) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|source| HomeError::Unwritable { path: folder, source })?;
        }
        point("home.after");
        Ok(())
    }

    /// Takes the home for this process, and notes who holds it.
    ///
    /// # Errors
    /// [`HomeError::Held`] where another process has it, [`HomeError::Unwritable`] where the lock cannot be made.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.lock_path();
        let unwritable = |source| HomeError::Unwritable { path: path.clone(), source };
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = open.map_err(unwritable)?;
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(unwritable(source)),
            }
            let mut holder = String::new();
            // Only a courtesy: the lock itself is the truth.
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut holder));
            // A scheduler that was killed while it started a worker: until that runs, it has the lock as well.
            if is_gone(&holder) && begin.elapsed() < PATIENCE {
                std::thread::sleep(LOOK);
            } else {
                return Err(HomeError::Held {
                    home: self.root.clone(),
                    holder: holder.trim().to_string(),
                });
            }
        }
        let note = format!("pid {}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(unwritable)?;
        Ok(HomeLock { _file: file })
    }

    /// Returns the process id of the scheduler that holds the home now; none where nobody does.
    pub fn holder(&self) -> Option<u32> {
        let mut file = OpenOptions::new().read(true).open(self.lock_path()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) | Err(TryLockError::Error(_)) => return None,
        }
        let mut note = String::new();
        file.read_to_string(&mut note).ok()?;
        note.trim().strip_prefix("pid ")?.parse().ok()
    }

    /// Returns the place of something in this home, given relative to it, if it lies in one of the folders in which
    /// trials leave their files, and no link on the way leads out of it.
    ///
    /// What a worker said once is not believed when it is time to read or to delete.
    pub fn inside(&self, relative: &str) -> Option<PathBuf> {
        let mut parts = Path::new(relative).components();
        let plain = parts.all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain || !(relative.starts_with("attempts/") || relative.starts_with("workers/")) {
            return None;
        }
        let path = self.root.join(relative);
        let root = self.root.canonicalize().ok()?;
        let parent = path.parent()?.canonicalize().ok()?;
        let real = parent == root.join(Path::new(relative).parent()?);
        let linked = path.symlink_metadata().ok()?.is_symlink();
        (real && !linked).then_some(path)
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join("scheduler.lock")
    }
}

/// Returns whether the process that a lock's note names is no more.
fn is_gone(note: &str) -> bool {
    let pid = note.trim().strip_prefix("pid ").and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_home_upwards_serves() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(Home::search(&deep).root(), deep.join(NAME));
        std::fs::create_dir(directory.path().join(NAME)).unwrap();
        assert_eq!(Home::search(&deep).root(), directory.path().join(NAME));
    }

    #[test]
    fn nothing_outside_of_a_home_is_inside() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("home"));
        home.create().unwrap();
        let attempt = home.root().join("attempts/1");
        std::fs::create_dir_all(attempt.join("best")).unwrap();
        std::fs::create_dir(directory.path().join("other")).unwrap();
        std::os::unix::fs::symlink(directory.path(), attempt.join("out")).unwrap();
        std::os::unix::fs::symlink(attempt.join("best"), attempt.join("alias")).unwrap();
        assert_eq!(home.inside("attempts/1/best"), Some(attempt.join("best")));
        for outside in [
            "",
            "/",
            "/etc",
            "..",
            "attempts/../../other",
            "attempts/1/../../../other",
            "../other",
            "sweeps.db",
            "cache",
            "attempts/1/out/other",
            "attempts/1/out",
            "attempts/1/alias",
            "attempts/1/nothing",
            "./attempts/1",
        ] {
            assert_eq!(home.inside(outside), None, "{outside}");
        }
    }

    #[test]
    fn a_temporary_folder_is_nobody_else_s() {
        let [first, second] = [(); 2].map(|()| Home::temporary("test").unwrap());
        assert_ne!(first, second);
        let mode = std::os::unix::fs::MetadataExt::mode(&first.metadata().unwrap());
        assert_eq!(mode & 0o777, 0o700);
        for folder in [first, second] {
            std::fs::remove_dir(folder).unwrap();
        }
    }

    #[test]
    fn a_home_has_one_scheduler_and_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        assert_eq!(home.holder(), None);
        let lock = home.lock().unwrap();
        // Locks of one process on two descriptors exclude each other as those of two processes do.
        let refused = home.lock().unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        assert_eq!(home.holder(), Some(std::process::id()));
        // A child that has not become another program yet holds the lock of a parent that is gone: for a moment.
        std::fs::write(home.lock_path(), "pid 4294967295\n").unwrap();
        let child = std::thread::spawn(move || {
            std::thread::sleep(LOOK);
            drop(lock);
        });
        drop(home.lock().unwrap());
        child.join().unwrap();
        assert_eq!(home.holder(), None);
        home.lock().unwrap();
    }
}

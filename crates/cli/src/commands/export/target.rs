//! Where an export goes: written aside, and renamed when it is whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::report::Report;

/// In each folder that an export made: `--force` replaces no other.
const MARK: &str = ".converge-export";

/// What an export makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A file or folder that is not whole yet. What was written goes with it, unless it is finished.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    aside: PathBuf,
    kind: Kind,
}

impl Target {
    /// Begins what will be at `path`.
    ///
    /// # Errors
    /// Where something is there already and `force` does not allow to replace it, or nothing can be written.
    pub(super) fn begin(path: &Path, kind: Kind, force: bool) -> Result<Self, Report> {
        let shown = path.display();
        let Some(name) = path.file_name() else {
            return Err(Report::usage(
                format!("`{shown}` is no name for a file or folder"),
                "`--to` names what the export makes, such as `--to runs/movie-reviews`",
            ));
        };
        if let Ok(there) = path.symlink_metadata() {
            if !force {
                return Err(Report::usage(
                    format!("`{shown}` is there already"),
                    "`--force` replaces it when the export is whole",
                ));
            }
            if !replaceable(path, &there, kind) {
                let what = match kind {
                    Kind::File => "a file",
                    Kind::Folder => "a folder that an export made",
                };
                return Err(Report::usage(
                    format!("`{shown}` is not {what}: it is not replaced"),
                    "name another with `--to`, or delete it yourself",
                ));
            }
        }
        let mut aside = std::ffi::OsString::from(".");
        aside.push(name);
        aside.push(format!(".part-{}", std::process::id()));
        let target = Self { path: path.to_owned(), aside: path.with_file_name(aside), kind };
        let failed = |error| unwritable(path, &error);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        if kind == Kind::Folder {
            fs::create_dir(&target.aside).map_err(failed)?;
            fs::write(target.aside.join(MARK), "converge export\n").map_err(failed)?;
        }
        Ok(target)
    }

    /// Where to write until it is finished.
    pub(super) fn aside(&self) -> &Path {
        &self.aside
    }

    /// Puts it in its place.
    pub(super) fn finish(self) -> Result<(), Report> {
        let failed = |error| unwritable(&self.path, &error);
        let mut old = self.aside.clone().into_os_string();
        old.push(".old");
        let old = PathBuf::from(old);
        // A file is replaced by the renaming itself; a folder has to step aside.
        let moved = self.kind == Kind::Folder && self.path.symlink_metadata().is_ok();
        if moved {
            fs::rename(&self.path, &old).map_err(failed)?;
        }
        if let Err(error) = fs::rename(&self.aside, &self.path) {
            if moved {
                // What was there is better than nothing; the first error is the one to tell.
                let _ = fs::rename(&old, &self.path);
            }
            return Err(failed(error));
        }
        if moved { fs::remove_dir_all(&old).map_err(failed) } else { Ok(()) }
    }

    /// Says that it cannot be written.
    pub(super) fn unwritable(&self, error: &std::io::Error) -> Report {
        unwritable(&self.path, error)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // After `finish` there is nothing there; before, there is nobody left to tell.
        let _ = match self.kind {
            Kind::File => fs::remove_file(&self.aside),
            Kind::Folder => fs::remove_dir_all(&self.aside),
        };
    }
}

fn replaceable(path: &Path, there: &fs::Metadata, kind: Kind) -> bool {
    match kind {
        Kind::File => there.is_file(),
        Kind::Folder => {
            let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
            there.is_dir() && (path.join(MARK).is_file() || is_empty())
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Report {
    let hint = match error.kind() {
        ErrorKind::StorageFull => "free some room, or name another place with `--to`",
        _ => "name another place with `--to`",
    };
    Report::failure(format!("cannot write `{}`", path.display()), error).hint(hint)
}

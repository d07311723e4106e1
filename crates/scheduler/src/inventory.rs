//! What lies in a home, beside what its database says should lie there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::home::Home;

/// Prefix of checkpoint folders in an attempt's folder.
pub const CHECKPOINT: &str = "checkpoint-";
/// Folder of the best weights in an attempt's folder.
pub const BEST: &str = "best";

/// Something on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Files in it.
    pub files: u64,
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.files += other.files;
    }
}

/// What lies in a home. Paths are relative to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Everything.
    pub total: Size,
    /// Folders of attempts.
    pub attempts: BTreeMap<String, Size>,
    /// Checkpoints in them, whole ones.
    pub checkpoints: BTreeMap<String, Size>,
    /// Best weights in them.
    pub weights: BTreeMap<String, Size>,
    /// Folders of workers.
    pub workers: BTreeMap<String, Size>,
    /// Tokenised data.
    pub tokens: BTreeMap<String, Size>,
    /// Files and folders that were being written when their process ended.
    pub unfinished: BTreeMap<String, Size>,
    /// Files and folders that others may read, with what would be right.
    pub readable: BTreeMap<String, u32>,
}

/// Looks through a home. What cannot be read is not there.
///
/// # Errors
/// Where the home itself cannot be read.
pub fn look(home: &Home) -> io::Result<Inventory> {
    let mut found = Inventory::default();
    found.walk(home.root(), "")?;
    Ok(found)
}

impl Inventory {
    /// Takes in a folder and returns its size; links are not followed.
    fn walk(&mut self, folder: &Path, relative: &str) -> io::Result<Size> {
        let mut size = Size::default();
        for entry in fs::read_dir(folder)? {
            let Ok(entry) = entry else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            if !metadata.is_symlink() {
                let mode = metadata.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    self.readable.insert(path.clone(), mode & 0o700);
                }
            }
            let here = if metadata.is_dir() {
                self.walk(&entry.path(), &path).unwrap_or_default()
            } else {
                Size { bytes: metadata.len(), files: 1 }
            };
            self.file(&path, metadata.is_dir(), here);
            size += here;
        }
        if relative.is_empty() {
            self.total = size;
        }
        Ok(size)
    }

    fn file(&mut self, path: &str, is_folder: bool, size: Size) {
        let parts: Vec<&str> = path.split('/').collect();
        if is_unfinished(&parts) {
            self.unfinished.insert(path.to_string(), size);
            return;
        }
        let place = match (parts.as_slice(), is_folder) {
            (["attempts", _], true) => &mut self.attempts,
            (["attempts", _, name], true) if name.starts_with(CHECKPOINT) => &mut self.checkpoints,
            (["attempts", _, BEST], true) => &mut self.weights,
            (["workers", _], true) => &mut self.workers,
            (["cache", name], false) if name.starts_with("tokens-") => &mut self.tokens,
            _ => return,
        };
        place.insert(path.to_string(), size);
    }
}

/// Returns whether a path has the name that something has while it is written.
fn is_unfinished(parts: &[&str]) -> bool {
    let Some(name) = parts.last() else { return false };
    let named = name.ends_with(".tmp") || name.ends_with(".part");
    // What libraries keep in the cache has names of their own.
    named && !parts.starts_with(&["cache", "kernels"])
}

/// Deletes a file or folder of a home, if it lies where converge writes such things.
///
/// # Errors
/// Those of the file system; what is not there is no error.
pub fn delete(home: &Home, relative: &str) -> io::Result<()> {
    let below = |folder: &str| relative.starts_with(folder);
    let path = if below("attempts/") || below("workers/") {
        match home.inside(relative) {
            Some(path) => path,
            None => return Ok(()),
        }
    } else if !relative.contains("..") && !relative.starts_with('/') {
        home.root().join(relative)
    } else {
        return Ok(());
    };
    let is_folder = match path.symlink_metadata() {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found_under_its_kind() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("home"));
        home.create().unwrap();
        let write = |path: &str, bytes: usize| {
            let path = home.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, vec![0; bytes]).unwrap();
        };
        write("attempts/1/checkpoint-3/weights", 10);
        write("attempts/1/checkpoint-4.tmp/weights", 20);
        write("attempts/1/best/model.safetensors", 30);
        write("attempts/1/best/.model.safetensors.1.0.tmp", 40);
        write("workers/7/up.log", 50);
        write("cache/tokens-ab.bin", 60);
        write("measured.tmp", 70);
        let found = look(&home).unwrap();
        assert_eq!(found.total.bytes, 280);
        assert_eq!(found.attempts["attempts/1"], Size { bytes: 100, files: 4 });
        assert_eq!(found.checkpoints.keys().collect::<Vec<_>>(), ["attempts/1/checkpoint-3"]);
        assert_eq!(found.weights["attempts/1/best"].bytes, 70);
        assert_eq!(found.workers["workers/7"].bytes, 50);
        assert_eq!(found.tokens["cache/tokens-ab.bin"].bytes, 60);
        let unfinished: Vec<_> = found.unfinished.keys().map(String::as_str).collect();
        assert_eq!(
            unfinished,
            [
                "attempts/1/best/.model.safetensors.1.0.tmp",
                "attempts/1/checkpoint-4.tmp",
                "measured.tmp"
            ]
        );
        delete(&home, "attempts/1").unwrap();
        delete(&home, "measured.tmp").unwrap();
        delete(&home, "attempts/1").unwrap();
        delete(&home, "../home").unwrap();
        assert_eq!(look(&home).unwrap().total.bytes, 110);
    }
}

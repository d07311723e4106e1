//! What a power cut would leave of the files that were written.
//!
//! `kill -9` keeps the page cache, so it proves nothing about syncs. Durable writers therefore say here what they made,
//! wrote and synced; with the feature `enabled` and [`JOURNAL_VARIABLE`] set, that goes into a journal which all
//! processes of a run append to. When they are dead, `cut` takes away what the disk need not have:
//!
//! - a file is cut back to the length that it had when it was last synced, to nothing if it never was;
//! - a new name that was not followed by a sync of its directory is gone, with all that is below it.
//!
//! That is the worst that POSIX allows for appended files and new names; ext4 and xfs keep more. What it leaves out:
//! deleted files never come back, and a name that replaced another stays the new one (its content may be lost). Files are
//! known by inode, so a rename or a second name changes nothing. SQLite's log is cut the same way: it then lacks its
//! last transactions.

/// The environment variable that names the journal; without it nothing is noted.
pub const JOURNAL_VARIABLE: &str = "CONVERGE_DISK_JOURNAL";

#[cfg(feature = "enabled")]
mod noted {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs::{self, File, OpenOptions};
    use std::io::{self, Write as _};
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    static JOURNAL: OnceLock<Option<File>> = OnceLock::new();

    fn note(line: impl FnOnce() -> Option<String>) {
        let open = || {
            let path = std::env::var_os(super::JOURNAL_VARIABLE)?;
            OpenOptions::new().append(true).create(true).open(path).ok()
        };
        let Some(mut journal) = JOURNAL.get_or_init(open).as_ref() else { return };
        // What is gone already needs no note.
        if let Some(line) = line() {
            let _ = journal.write_all(format!("{line}\n").as_bytes());
        }
    }

    fn inode(path: &Path) -> Option<u64> {
        fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
    }

    fn entry(path: &Path) -> Option<String> {
        let directory = inode(path.parent()?)?;
        Some(format!("named {directory} {}", path.file_name()?.to_str()?))
    }

    /// A new file or directory: nothing of it is on the disk, not even its name.
    pub fn created(path: &Path) {
        note(|| Some(format!("created {}\n{}", inode(path)?, entry(path)?)));
    }

    /// A file was written to, and it may have been there before.
    pub fn written(path: &Path) {
        note(|| Some(format!("written {}", inode(path)?)));
    }

    /// A file got a new name.
    pub fn renamed(path: &Path) {
        note(|| entry(path));
    }

    /// All that is in a file is on the disk.
    pub fn synced(path: &Path) {
        note(|| {
            let metadata = fs::metadata(path).ok()?;
            Some(format!("synced {} {}", metadata.ino(), metadata.len()))
        });
    }

    /// All names in a directory are on the disk.
    pub fn directory_synced(path: &Path) {
        note(|| Some(format!("directory {}", inode(path)?)));
    }

    /// What the journal says of the disk.
    #[derive(Default)]
    struct Disk {
        /// Length that is safe, by inode of the file.
        files: BTreeMap<u64, u64>,
        /// Names that are not safe: inode of the directory, and name.
        names: BTreeSet<(u64, String)>,
    }

    impl Disk {
        fn read(journal: &str) -> Option<Self> {
            let mut disk = Self::default();
            for line in journal.lines() {
                let (word, rest) = line.split_once(' ')?;
                let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let inode: u64 = number.parse().ok()?;
                match word {
                    "created" => {
                        disk.files.insert(inode, 0);
                        // An inode can be that of a directory which is no more.
                        disk.names.retain(|(directory, _)| *directory != inode);
                    }
                    "written" => {
                        disk.files.entry(inode).or_default();
                    }
                    "synced" => {
                        disk.files.insert(inode, rest.parse().ok()?);
                    }
                    "named" => {
                        disk.names.insert((inode, rest.to_owned()));
                    }
                    "directory" => disk.names.retain(|(directory, _)| *directory != inode),
                    _ => return None,
                }
            }
            Some(disk)
        }

        fn cut(
            &self,
            directory: &Path,
            spared: &dyn Fn(&Path) -> bool,
            lost: &mut Vec<PathBuf>,
        ) -> io::Result<()> {
            let number = fs::metadata(directory)?.ino();
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let (path, metadata) = (entry.path(), entry.metadata()?);
                let name = entry.file_name().to_string_lossy().into_owned();
                if !spared(&path) && self.names.contains(&(number, name)) {
                    if metadata.is_dir() {
                        fs::remove_dir_all(&path)?;
                    } else {
                        fs::remove_file(&path)?;
                    }
                    lost.push(path);
                } else if metadata.is_dir() {
                    self.cut(&path, spared, lost)?;
                } else if let Some(length) = self.files.get(&metadata.ino())
                    && *length < metadata.len()
                    && !spared(&path)
                {
                    OpenOptions::new().write(true).open(&path)?.set_len(*length)?;
                    lost.push(path);
                }
            }
            Ok(())
        }
    }

    /// Takes from `directory` what a power cut would, but for what is `spared`; returns what was touched.
    ///
    /// # Errors
    /// Those of the file system, and a journal that is not one.
    pub fn cut(
        journal: &Path,
        directory: &Path,
        spared: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<PathBuf>> {
        let text = match fs::read_to_string(journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let disk =
            Disk::read(&text).ok_or_else(|| io::Error::other("not a journal of the disk"))?;
        let mut lost = Vec::new();
        disk.cut(directory, spared, &mut lost)?;
        Ok(lost)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Makes a directory with two files, and returns it with the inodes of directory and files.
        fn two_files() -> (tempfile::TempDir, [u64; 3]) {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().join(name);
            fs::write(path("a"), "0123456789").unwrap();
            fs::write(path("b"), "0123456789").unwrap();
            let inodes =
                [directory.path(), &path("a"), &path("b")].map(|path| inode(path).unwrap());
            (directory, inodes)
        }

        fn lengths(directory: &Path) -> Vec<(String, u64)> {
            let mut lengths: Vec<_> = fs::read_dir(directory)
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    let name = entry.file_name().to_string_lossy().into_owned();
                    (name, entry.metadata().unwrap().len())
                })
                .filter(|(name, _)| name != "journal")
                .collect();
            lengths.sort();
            lengths
        }

        fn cut_by(journal: &str, directory: &Path) -> Vec<(String, u64)> {
            let path = directory.join("journal");
            fs::write(&path, journal).unwrap();
            cut(&path, directory, &|path| path.ends_with("spared")).unwrap();
            lengths(directory)
        }

        #[test]
        fn what_was_not_synced_is_lost_and_nothing_else() {
            let (directory, [_, a, b]) = two_files();
            let journal = format!("created {a}\nsynced {a} 4\nwritten {a}\nwritten {b}\n");
            let left = cut_by(&journal, directory.path());
            assert_eq!(left, [("a".to_owned(), 4), ("b".to_owned(), 0)]);
        }

        #[test]
        fn a_name_is_safe_once_its_directory_is_synced() {
            let (directory, [home, ..]) = two_files();
            let left = cut_by(&format!("named {home} a\nnamed {home} b\n"), directory.path());
            assert_eq!(left, []);
            let (directory, [home, ..]) = two_files();
            let left = cut_by(
                &format!("named {home} a\ndirectory {home}\nnamed {home} b\n"),
                directory.path(),
            );
            assert_eq!(left, [("a".to_owned(), 10)]);
        }

        #[test]
        fn what_is_spared_stays() {
            let (directory, [home, a, _]) = two_files();
            fs::rename(directory.path().join("a"), directory.path().join("spared")).unwrap();
            let left = cut_by(&format!("created {a}\nnamed {home} spared\n"), directory.path());
            assert_eq!(left, [("b".to_owned(), 10), ("spared".to_owned(), 10)]);
        }
    }
}

#[cfg(not(feature = "enabled"))]
mod noted {
    use std::path::Path;

    /// Does nothing: this build keeps no journal.
    #[inline]
    pub fn created(_: &Path) {}

    /// Does nothing: this build keeps no journal.
    #[inline]
    pub fn written(_: &Path) {}

    /// Does nothing: this build keeps no journal.
    #[inline]
    pub fn renamed(_: &Path) {}

    /// Does nothing: this build keeps no journal.
    #[inline]
    pub fn synced(_: &Path) {}

    /// Does nothing: this build keeps no journal.
    #[inline]
    pub fn directory_synced(_: &Path) {}
}

pub use noted::*;

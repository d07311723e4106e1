//! Files that are complete or absent: written aside, hashed on the way, renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use converge_faults::{Mutant, disk, is_on, point};
use sha2::{Digest, Sha256};

/// Whether a file must survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// It must: the content is on the disk before the name is.
    Yes,
    /// It can be made again, or is synced later.
    No,
}

/// Writes a file under a temporary name beside `path` and renames it; returns its SHA-256.
///
/// Readers see the old content or the new one, never a part. The directory is not synced, so after a power cut it may
/// still have the old name.
///
/// # Errors
/// Those of the operating system and of `content`; nothing is left behind.
pub(crate) fn write(
    path: &Path,
    sync: Sync,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<String> {
    let aside = beside(path);
    let replaces = path.exists();
    let result = write_new(&aside, sync, content).and_then(|hash| {
        fs::rename(&aside, path)?;
        if !replaces {
            disk::renamed(path);
        }
        point("file.renamed");
        Ok(hash)
    });
    if result.is_err() {
        // The first error is the one to tell; a left-over is harmless.
        let _ = fs::remove_file(&aside);
    }
    result
}

fn write_new(
    path: &Path,
    sync: Sync,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<String> {
    let file = File::create(path)?;
    disk::created(path);
    point("file.begun");
    let mut writer =
        Hashing { inner: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new() };
    content(&mut writer)?;
    let file = writer.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    point("file.written");
    if sync == Sync::Yes && !is_on(Mutant::RenameBeforeSync) {
        file.sync_all()?;
        disk::synced(path);
        point("file.synced");
    }
    Ok(hex(&writer.hash.finalize()))
}

/// Returns a name beside `path` that no other writer uses.
pub(crate) fn beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{count}.tmp", std::process::id()))
}

/// Makes the names in a directory survive a crash of the machine.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    // The parent of a relative name.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    point("directory.before");
    File::open(directory)?.sync_all()?;
    disk::directory_synced(directory);
    point("directory.synced");
    Ok(())
}

/// Makes what was written to a file survive a crash of the machine.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    if !is_on(Mutant::RenameBeforeSync) {
        File::open(path)?.sync_all()?;
        disk::synced(path);
    }
    Ok(())
}

/// Gives a file a second name without copying it, or copies it where the file system cannot.
///
/// Replaces what stands at `to`.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    let aside = beside(to);
    if fs::hard_link(from, &aside).is_err() {
        fs::copy(from, &aside)?;
        disk::created(&aside);
        sync_file(&aside)?;
    }
    point("link.made");
    let replaces = to.exists();
    fs::rename(&aside, to)?;
    if !replaces {
        disk::renamed(to);
    }
    point("link.renamed");
    // Renaming one name of a file to another of the same file does nothing.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the SHA-256 of a file's content, in hexadecimal digits.
pub(crate) fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// Returns the SHA-256 of bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what it passes on.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_has_the_hash_that_was_returned() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let hash = write(&path, Sync::Yes, |writer| writer.write_all(b"abc")).unwrap();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256_of_file(&path).unwrap(), hash);
        assert_eq!(sha256(b"abc"), hash);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "old").unwrap();
        let result = write(&path, Sync::No, |writer| {
            writer.write_all(b"half of the n")?;
            Err(io::Error::other("no more"))
        });
        assert!(result.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn linking_replaces_and_can_be_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        link(&from, &to).unwrap();
        link(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}

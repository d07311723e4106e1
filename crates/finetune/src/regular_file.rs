//! Files that a sweep file names, which may be a stranger's: regular ones only. A device, such as `/dev/zero`, has no
//! end, and a pipe may never begin.

use std::fs;
use std::io;
use std::path::Path;

use crate::durable;

/// Returns the content of a file.
///
/// # Errors
/// Those of the operating system, and that it is no regular file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    check(path)?;
    fs::read(path)
}

/// Returns the SHA-256 of a file's content, in hexadecimal digits.
///
/// # Errors
/// As [`read`].
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    check(path)?;
    durable::sha256_of_file(path)
}

fn check(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path).unwrap(), b"abc");
        for endless in [Path::new("/dev/zero"), directory.path()] {
            assert_eq!(read(endless).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert!(sha256(endless).is_err());
        }
    }
}

//! The two logs of a worker, from the scheduler's side: reads `up.log`, writes `down.log`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use converge_faults::{disk, point, point_after};
use converge_protocol::frame::{Frame, Hold, Reader, Writer};
use converge_protocol::message::{Down, Up};

use crate::reactor::LogPlace;

/// Bytes read at once; a longer line is read by doubling.
const PIECE: usize = 1 << 20;

/// The logs of one worker.
#[derive(Debug)]
pub struct Mailbox {
    directory: PathBuf,
    up: File,
    down: File,
    reader: Reader,
    writer: Writer,
}

/// What was read.
#[derive(Debug)]
pub struct Mail {
    /// New frames.
    pub frames: Vec<Frame<Up>>,
    /// The place after them.
    pub place: LogPlace,
    /// Why reading stopped before the end; on a local disk the log is then damaged.
    pub hold: Option<Hold>,
}

impl Mailbox {
    /// Makes the folder with two empty logs, before the worker is started; their names survive a power cut.
    ///
    /// # Errors
    /// Where the folder or a log cannot be made.
    pub fn create(directory: &Path) -> std::io::Result<Self> {
        point("worker_folder.before");
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mailbox = Self::open(directory, Reader::default())?;
        let made = [directory, &directory.join("up.log"), &directory.join("down.log")];
        made.into_iter().for_each(disk::created);
        for folder in [Some(directory), directory.parent()].into_iter().flatten() {
            File::open(folder)?.sync_all()?;
            disk::directory_synced(folder);
        }
        point("worker_folder.after");
        Ok(mailbox)
    }

    /// Opens the logs of a worker that an earlier scheduler started, at the place that the database holds.
    ///
    /// # Errors
    /// Where a log cannot be opened.
    pub fn reopen(directory: &Path, offset: u64, next_seq: u64) -> std::io::Result<Self> {
        Self::open(directory, Reader::resume(next_seq, offset))
    }

    fn open(directory: &Path, reader: Reader) -> std::io::Result<Self> {
        let open = |name: &str| {
            OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(directory.join(name))
        };
        Ok(Self {
            up: open("up.log")?,
            down: open("down.log")?,
            directory: directory.to_path_buf(),
            reader,
            writer: Writer::default(),
        })
    }

    /// Returns the worker's folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends a message to `down.log`; the worker looks when its bell rings.
    ///
    /// # Errors
    /// Where the log cannot be written; the frame stays pending and goes out with the next.
    pub fn send(&mut self, message: &Down) -> std::io::Result<()> {
        point("down_log.before");
        self.writer.push(message);
        point_after("down_log.half", || {
            let _ = self.down.write(&self.writer.bytes()[..self.writer.bytes().len() / 2]);
        });
        while !self.writer.is_empty() {
            match self.down.write(self.writer.bytes()) {
                Ok(count) => self.writer.wrote(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.writer.wrote(0);
                    return Err(error);
                }
            }
        }
        disk::written(&self.directory.join("down.log"));
        point("down_log.after");
        Ok(())
    }

    /// Reads what is new in `up.log`.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn read(&mut self) -> std::io::Result<Mail> {
        read(&mut self.up, &mut self.reader)
    }
}

/// Reads the log of a worker from a stored place, and touches nothing.
///
/// # Errors
/// Where the log cannot be read.
pub fn peek(directory: &Path, offset: u64, next_seq: u64) -> std::io::Result<Mail> {
    let mut up = File::open(directory.join("up.log"))?;
    read(&mut up, &mut Reader::resume(next_seq, offset))
}

fn read(up: &mut File, reader: &mut Reader) -> std::io::Result<Mail> {
    let (mut frames, mut torn_lines, mut hold) = (Vec::new(), 0, None);
    let (mut size, mut bytes) = (PIECE, Vec::new());
    while hold.is_none() {
        let before = reader.offset();
        up.seek(SeekFrom::Start(before))?;
        bytes.clear();
        let count = (&*up).take(size as u64).read_to_end(&mut bytes)?;
        let read = reader.feed(&bytes);
        frames.extend(read.frames);
        torn_lines += read.torn_lines;
        hold = read.hold;
        if count < size {
            break;
        }
        if reader.offset() == before {
            size *= 2;
        }
    }
    let place = LogPlace { offset: reader.offset(), next_seq: reader.next_seq(), torn_lines };
    Ok(Mail { frames, place, hold })
}

#[cfg(test)]
mod tests {
    use super::*;
    use converge_protocol::frame::encode;

    #[test]
    fn frames_are_read_once_and_on_from_a_stored_place() {
        let directory = tempfile::tempdir().unwrap();
        let mut mailbox = Mailbox::create(directory.path()).unwrap();
        let mut bytes = Vec::new();
        encode(1, &Up::Beat, &mut bytes);
        encode(2, &Up::Bye, &mut bytes);
        let (first, second) = bytes.split_at(bytes.len() - 3);
        let mut log =
            OpenOptions::new().append(true).open(directory.path().join("up.log")).unwrap();
        log.write_all(first).unwrap();
        let mail = mailbox.read().unwrap();
        assert_eq!(mail.frames.len(), 1);
        log.write_all(second).unwrap();
        let mut reopened =
            Mailbox::reopen(directory.path(), mail.place.offset, mail.place.next_seq).unwrap();
        assert_eq!(reopened.read().unwrap().frames[0].message, Up::Bye);
        assert_eq!(mailbox.read().unwrap().frames.len(), 1);
        assert!(mailbox.read().unwrap().frames.is_empty());
    }

    #[test]
    fn a_line_longer_than_a_piece_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut mailbox = Mailbox::create(directory.path()).unwrap();
        let long = Up::Refused {
            problems: vec![converge_core::problem::Problem::new("x", "y".repeat(3 * PIECE))],
        };
        let mut bytes = Vec::new();
        encode(1, &long, &mut bytes);
        encode(2, &Up::Bye, &mut bytes);
        std::fs::write(directory.path().join("up.log"), bytes).unwrap();
        let mail = mailbox.read().unwrap();
        assert_eq!(mail.frames.len(), 2);
        assert_eq!(mail.frames[0].message, long);
    }
}

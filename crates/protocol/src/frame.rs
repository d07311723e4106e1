//! Frames as bytes: `<seq> <crc32 hex> <json>\n`, the checksum over number and message.

use std::collections::VecDeque;
use std::io::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Ends a torn line, and spoils it: a frame that lacked nothing but its newline does not become whole
/// after its writer has counted it as not written.
const SPOIL: &[u8] = b"~\n";

/// Appends the frame of `message` to `bytes`.
///
/// # Panics
/// Where `message` has no JSON: a map with keys that are not strings. No message of this crate has.
pub fn encode<T: Serialize>(seq: u64, message: &T, bytes: &mut Vec<u8>) {
    let json = serde_json::to_vec(message).expect("messages of the protocol have a JSON form");
    let crc = checksum(seq.to_string().as_bytes(), &json);
    write!(bytes, "{seq} {crc:08x} ").expect("writing to memory succeeds");
    bytes.extend_from_slice(&json);
    bytes.push(b'\n');
}

/// A reader's place in a log, and the rules by which it moves.
///
/// The caller reads the file from [`Reader::offset`] and gives the bytes to [`Reader::feed`]. To
/// survive a crash it stores [`Reader::next_seq`] and [`Reader::offset`] in the same transaction as
/// what the frames caused, and goes on with [`Reader::resume`].
///
/// ```
/// use converge_protocol::frame::{Reader, encode};
///
/// let mut log = Vec::new();
/// encode(1, &"one", &mut log);
/// encode(2, &"two", &mut log);
/// let mut reader = Reader::default();
/// let read = reader.feed::<String>(&log[..log.len() - 1]); // the last line is not whole yet
/// assert_eq!(read.frames.len(), 1);
/// let read = reader.feed::<String>(&log[reader.offset() as usize..]);
/// assert_eq!(read.frames[0].message, "two");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    next_seq: u64,
    offset: u64,
}

/// What a piece of a log held.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<T> {
    /// New frames in order, each once.
    pub frames: Vec<Frame<T>>,
    /// Lines skipped because they are no frames.
    pub torn_lines: u64,
    /// Frames skipped because they had been read before.
    pub repeats: u64,
    /// Why reading stopped before the last whole line; the offset stays there.
    pub hold: Option<Hold>,
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame<T> {
    /// Its number.
    pub seq: u64,
    /// Offset of the byte after it.
    pub end: u64,
    /// What it says.
    pub message: T,
}

/// Why a reader does not move on. Reading again later may help with the first two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// A frame is missing, or not visible yet.
    #[error("frame {wanted} is missing before frame {found}")]
    Gap {
        /// The next number.
        wanted: u64,
        /// The number found.
        found: u64,
    },
    /// NULs where a frame should be: the data is not visible yet (NFS), or was lost in a power cut.
    #[error("frame {wanted} is missing: there are NULs in its place")]
    Hole {
        /// The next number.
        wanted: u64,
    },
    /// A sound frame that this version does not understand.
    #[error("frame {seq} is not understood: {problem}")]
    Foreign {
        /// Its number.
        seq: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl Default for Reader {
    /// At the start of a log.
    fn default() -> Self {
        Self { next_seq: 1, offset: 0 }
    }
}

impl Reader {
    /// Returns a reader at a stored place.
    #[must_use]
    pub fn resume(next_seq: u64, offset: u64) -> Self {
        Self { next_seq, offset }
    }

    /// Returns the number of the next frame.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Returns where the next bytes are to be read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the whole lines of `bytes`, which were read at [`Reader::offset`].
    ///
    /// Bytes after the last newline are not looked at and have to be given again. A caller that reads
    /// in pieces of fixed size doubles the size when a full piece moves the offset by nothing.
    pub fn feed<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Read<T> {
        let mut read = Read { frames: Vec::new(), torn_lines: 0, repeats: 0, hold: None };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some((b'\n', content)) = line.split_last() else { break };
            if let Err(hold) = self.take(content, &mut read) {
                read.hold = Some(hold);
                break;
            }
            self.offset += line.len() as u64;
        }
        read
    }

    fn take<T: DeserializeOwned>(&mut self, line: &[u8], read: &mut Read<T>) -> Result<(), Hold> {
        // JSON has no raw NUL, and no write of ours that is torn leaves one.
        if line.contains(&0) {
            return Err(Hold::Hole { wanted: self.next_seq });
        }
        let Some((seq, json)) = parse(line) else {
            read.torn_lines += 1;
            return Ok(());
        };
        if seq < self.next_seq {
            read.repeats += 1;
            return Ok(());
        }
        if seq > self.next_seq {
            return Err(Hold::Gap { wanted: self.next_seq, found: seq });
        }
        let message = serde_json::from_slice(json)
            .map_err(|error| Hold::Foreign { seq, problem: error.to_string() })?;
        let end = self.offset + line.len() as u64 + 1;
        read.frames.push(Frame { seq, end, message });
        self.next_seq += 1;
        Ok(())
    }
}

/// Splits a line without its newline; none: torn.
fn parse(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (seq, crc, json) = (parts.next()?, parts.next()?, parts.next()?);
    if seq.is_empty() || seq[0] == b'0' || !seq.iter().all(u8::is_ascii_digit) || crc.len() != 8 {
        return None;
    }
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if checksum(seq, json) != crc {
        return None;
    }
    let seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
    Some((seq, json))
}

/// Covers the number too: where a piece of a log is lost, the number of one frame and the message of a later one can
/// come to stand in one line.
fn checksum(seq: &[u8], json: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(seq);
    hasher.update(b" ");
    hasher.update(json);
    hasher.finalize()
}

/// Frames on their way into a log, and the rule for writes that fail.
///
/// The caller appends [`Writer::bytes`] to the file with one write and says with [`Writer::wrote`]
/// how much of it arrived (an error: nothing). What did not arrive stays, in order, to be tried again.
#[derive(Debug)]
pub struct Writer {
    next_seq: u64,
    waiting: Vec<u8>,
    /// Length of each waiting frame.
    lengths: VecDeque<usize>,
    /// `waiting` begins with [`SPOIL`].
    torn: bool,
}

impl Default for Writer {
    /// At the start of an empty log.
    fn default() -> Self {
        Self { next_seq: 1, waiting: Vec::new(), lengths: VecDeque::new(), torn: false }
    }
}

impl Writer {
    /// Returns the writer of a log that another process began, for one that has read it all: the
    /// reader's next number, and whether bytes without a newline follow the reader's offset.
    #[must_use]
    pub fn resume(next_seq: u64, torn: bool) -> Self {
        let waiting = if torn { SPOIL.to_vec() } else { Vec::new() };
        Self { next_seq, waiting, lengths: VecDeque::new(), torn }
    }

    /// Adds a frame and returns its number.
    pub fn push<T: Serialize>(&mut self, message: &T) -> u64 {
        let seq = self.next_seq;
        let before = self.waiting.len();
        encode(seq, message, &mut self.waiting);
        self.lengths.push_back(self.waiting.len() - before);
        self.next_seq += 1;
        seq
    }

    /// Returns whether all frames have arrived.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Returns what is to be written; nothing where no frame waits.
    pub fn bytes(&self) -> &[u8] {
        if self.is_empty() { &[] } else { &self.waiting }
    }

    /// Takes note that the first `count` of [`Writer::bytes`] are in the file.
    ///
    /// # Panics
    /// Where that is more than there was to write.
    pub fn wrote(&mut self, count: usize) {
        assert!(count <= self.waiting.len(), "no more is written than there is");
        let spoil = if self.torn { SPOIL.len() } else { 0 };
        let Some(mut rest) = count.checked_sub(spoil) else { return };
        let mut whole = spoil;
        while let Some(length) = self.lengths.front().copied().filter(|length| *length <= rest) {
            self.lengths.pop_front();
            rest -= length;
            whole += length;
        }
        self.waiting.drain(..whole);
        self.torn = rest > 0;
        if self.torn {
            self.waiting.splice(..0, SPOIL.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(messages: std::ops::RangeInclusive<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for seq in messages {
            encode(seq, &format!("message {seq}"), &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_frame_is_one_line() {
        let mut bytes = Vec::new();
        encode(7, &"a\nb", &mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), "7 8a9858a0 \"a\\nb\"\n");
    }

    #[test]
    fn a_gap_holds_until_it_is_filled() {
        let (mut reader, whole) = (Reader::default(), log(1..=3));
        let second = log(1..=1).len()..log(1..=2).len();
        let with_gap = [&whole[..second.start], &whole[second.end..]].concat();
        let read = reader.feed::<String>(&with_gap);
        assert_eq!(read.hold, Some(Hold::Gap { wanted: 2, found: 3 }));
        assert_eq!((read.frames.len(), reader.offset()), (1, second.start as u64));
        let read = reader.feed::<String>(&whole[reader.offset() as usize..]);
        assert_eq!((read.frames.len(), read.hold), (2, None));
        assert_eq!(read.frames[1].end, whole.len() as u64);
    }

    #[test]
    fn nulls_hold_until_the_data_is_visible() {
        let (mut reader, whole) = (Reader::default(), log(1..=3));
        let mut unseen = whole.clone();
        let second = log(1..=1).len()..log(1..=2).len();
        unseen[second.clone()].fill(0);
        let read = reader.feed::<String>(&unseen);
        assert_eq!((read.frames.len(), read.hold), (1, Some(Hold::Hole { wanted: 2 })));
        let read = reader.feed::<String>(&whole[reader.offset() as usize..]);
        assert_eq!((read.frames.len(), read.torn_lines), (2, 0));
    }

    #[test]
    fn a_sound_frame_of_another_version_is_not_a_torn_line() {
        let read = Reader::default().feed::<u64>(&log(1..=1));
        assert!(matches!(read.hold, Some(Hold::Foreign { seq: 1, .. })), "{read:?}");
    }

    #[test]
    fn a_frame_without_its_newline_was_not_written() {
        let mut writer = Writer::default();
        writer.push(&"one");
        let mut file = writer.bytes()[..writer.bytes().len() - 1].to_vec();
        writer.wrote(file.len());
        file.extend_from_slice(writer.bytes());
        let read = Reader::default().feed::<String>(&file);
        assert_eq!((read.frames.len(), read.repeats, read.torn_lines), (1, 0, 1));
    }
}

//! Logs read without the code under test: what frames are in the first so many bytes of a log.

use converge_core::ids::AttemptId;
use converge_protocol::message::Up;

/// A log as far as somebody claims to have read it.
#[derive(Debug)]
pub(crate) struct Ledger {
    offset: usize,
    pub(crate) next_seq: u64,
    pub(crate) torn_lines: u64,
    pub(crate) frames: Vec<(u64, Up)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { offset: 0, next_seq: 1, torn_lines: 0, frames: Vec::new() }
    }
}

impl Ledger {
    /// Goes on to `offset`. What is before it never changes again, so it is read once.
    ///
    /// # Errors
    /// Where nobody can have read up to there: in the middle of a line, past the end, over NULs or over a gap.
    pub(crate) fn read_to(&mut self, log: &[u8], offset: usize) -> Result<(), String> {
        let Some(new) = log.get(self.offset..offset) else {
            return Err(format!("from {} to {offset} of {} bytes", self.offset, log.len()));
        };
        if new.is_empty() {
            return Ok(());
        }
        let Some((b'\n', lines)) = new.split_last() else {
            return Err(format!("{offset} is in the middle of a line"));
        };
        for line in lines.split(|byte| *byte == b'\n') {
            if line.contains(&0) {
                return Err(format!("NULs were read before {offset}"));
            }
            match frame(line) {
                None => self.torn_lines += 1,
                Some((seq, _)) if seq < self.next_seq => {}
                Some((seq, _)) if seq > self.next_seq => {
                    return Err(format!("frame {seq} was read before {}", self.next_seq));
                }
                Some((seq, json)) => {
                    let message =
                        serde_json::from_slice(json).map_err(|error| error.to_string())?;
                    self.frames.push((seq, message));
                    self.next_seq += 1;
                }
            }
        }
        self.offset = offset;
        Ok(())
    }
}

/// Returns which attempt a message is about.
pub(crate) fn attempt_of(message: &Up) -> Option<AttemptId> {
    match message {
        Up::Started { attempt, .. }
        | Up::Step { attempt, .. }
        | Up::Checkpoint { attempt, .. }
        | Up::Ended { attempt, .. } => Some(*attempt),
        _ => None,
    }
}

fn frame(line: &[u8]) -> Option<(u64, &[u8])> {
    let (seq, rest) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
    let (crc, json) = (rest.get(1..9)?, rest.get(10..)?);
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if rest[9] != b' ' || checksum(&[seq, b" ", json]) != crc {
        return None;
    }
    Some((std::str::from_utf8(seq).ok()?.parse().ok()?, json))
}

/// CRC-32 as of IEEE 802.3, by its definition.
fn checksum(pieces: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut value = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
        }
        table
    };
    let bytes = pieces.iter().flat_map(|piece| piece.iter());
    !bytes
        .fold(u32::MAX, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize])
}

//! TensorBoard's event files: records with checksums, and in them the few messages that scalars and hyperparameters
//! need, written field by field as protocol buffers are.

use std::collections::BTreeMap;
use std::io::Write;

/// Tag under which TensorBoard looks for a run's hyperparameters.
const SESSION_START: &str = "_hparams_/session_start_info";
/// Tag under which it looks for how the run ended.
const SESSION_END: &str = "_hparams_/session_end_info";
/// Tag under which it looks for what the runs have in common.
const EXPERIMENT: &str = "_hparams_/experiment";

/// A value of a hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hyperparameter {
    Number(f64),
    Text(String),
    Boolean(bool),
}

/// How a run ended, as TensorBoard has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Unknown,
    Success,
    Failure,
    Running,
}

/// An event file under way. Times are in seconds since 1970.
#[derive(Debug)]
pub(super) struct EventFile<W> {
    out: W,
}

impl<W: Write> EventFile<W> {
    /// Begins a file.
    pub(super) fn begin(out: W, time: f64) -> std::io::Result<Self> {
        let mut file = Self { out };
        let mut event = Message::default();
        event.double(1, time).text(3, "brain.Event:2");
        file.record(&event)?;
        Ok(file)
    }

    /// Writes the values of a step.
    pub(super) fn scalars<'a>(
        &mut self,
        time: f64,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> std::io::Result<()> {
        let mut summary = Message::default();
        for (tag, value) in values {
            let mut one = Message::default();
            // TensorBoard keeps scalars as 32-bit numbers.
            one.text(1, tag).float(2, value as f32);
            summary.message(1, &one);
        }
        self.event(time, step, &summary)
    }

    /// Writes a run's hyperparameters; runs with one `group` are shown as one, with their mean.
    pub(super) fn session_start<'a>(
        &mut self,
        time: f64,
        group: &str,
        hyperparameters: impl IntoIterator<Item = (&'a str, Hyperparameter)>,
    ) -> std::io::Result<()> {
        let mut start = Message::default();
        for (name, value) in hyperparameters {
            let mut entry = Message::default();
            entry.text(1, name).message(2, &value.message());
            start.message(1, &entry);
        }
        start.text(4, group).double(5, time);
        self.plugin(time, SESSION_START, 3, &start)
    }

    /// Writes how the run ended.
    pub(super) fn session_end(&mut self, time: f64, status: Status) -> std::io::Result<()> {
        let mut end = Message::default();
        end.varint(1, status as u64).double(2, time);
        self.plugin(time, SESSION_END, 4, &end)
    }

    /// Writes what the runs have in common: which hyperparameters, with the values of those that are listed, and which
    /// metrics are shown with them.
    pub(super) fn experiment<'a>(
        &mut self,
        time: f64,
        name: &str,
        hyperparameters: &BTreeMap<&str, Domain>,
        metrics: impl IntoIterator<Item = &'a str>,
    ) -> std::io::Result<()> {
        let mut experiment = Message::default();
        for (name, domain) in hyperparameters {
            let mut info = Message::default();
            info.text(1, name);
            match domain {
                Domain::Values(values) => {
                    let kind = match values.first() {
                        Some(Hyperparameter::Text(_)) | None => 1,
                        Some(Hyperparameter::Boolean(_)) => 2,
                        Some(Hyperparameter::Number(_)) => 3,
                    };
                    let mut list = Message::default();
                    for value in values {
                        list.message(1, &value.message());
                    }
                    info.varint(4, kind).message(5, &list);
                }
                Domain::Range(low, high) => {
                    let mut interval = Message::default();
                    interval.double(1, *low).double(2, *high);
                    info.varint(4, 3).message(6, &interval);
                }
            }
            experiment.message(4, &info);
        }
        for tag in metrics {
            let (mut name, mut info) = (Message::default(), Message::default());
            name.text(2, tag);
            info.message(1, &name);
            experiment.message(5, &info);
        }
        experiment.text(6, name).double(3, time);
        self.plugin(time, EXPERIMENT, 2, &experiment)
    }

    /// Ends the file.
    pub(super) fn end(mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    /// Writes a message of the hyperparameters' plugin, which is `field` of its data.
    fn plugin(
        &mut self,
        time: f64,
        tag: &str,
        field: u64,
        message: &Message,
    ) -> std::io::Result<()> {
        let mut content = Message::default();
        content.message(field, message);
        let (mut data, mut metadata) = (Message::default(), Message::default());
        data.text(1, "hparams").message(2, &content);
        metadata.message(1, &data);
        let (mut value, mut summary) = (Message::default(), Message::default());
        value.text(1, tag).message(9, &metadata);
        summary.message(1, &value);
        self.event(time, 0, &summary)
    }

    fn event(&mut self, time: f64, step: u64, summary: &Message) -> std::io::Result<()> {
        let mut event = Message::default();
        event.double(1, time).varint(2, step).message(5, summary);
        self.record(&event)
    }

    /// Writes length, its checksum, the message, its checksum.
    fn record(&mut self, message: &Message) -> std::io::Result<()> {
        let length = (message.0.len() as u64).to_le_bytes();
        self.out.write_all(&length)?;
        self.out.write_all(&masked(&length).to_le_bytes())?;
        self.out.write_all(&message.0)?;
        self.out.write_all(&masked(&message.0).to_le_bytes())
    }
}

/// The values that a hyperparameter can take.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Domain {
    /// These, all of one kind.
    Values(Vec<Hyperparameter>),
    /// Numbers between the two.
    Range(f64, f64),
}

impl Hyperparameter {
    /// Returns it as `google.protobuf.Value`.
    fn message(&self) -> Message {
        let mut message = Message::default();
        match self {
            Self::Number(number) => message.double(2, *number),
            Self::Text(text) => message.text(3, text),
            Self::Boolean(value) => message.varint(4, u64::from(*value)),
        };
        message
    }
}

/// A protocol buffer under way.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u64, value: u64) -> &mut Self {
        self.number(field << 3);
        self.number(value);
        self
    }

    fn double(&mut self, field: u64, value: f64) -> &mut Self {
        self.number(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(&mut self, field: u64, value: f32) -> &mut Self {
        self.number(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(&mut self, field: u64, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(&mut self, field: u64, value: &Self) -> &mut Self {
        self.bytes(field, &value.0)
    }

    fn bytes(&mut self, field: u64, value: &[u8]) -> &mut Self {
        self.number(field << 3 | 2);
        self.number(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Returns the checksum as the records have it: turned, and moved by a constant.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with Castagnoli's polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

/// The checksum of each byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn a_step_is_one_record() {
        let mut bytes = Vec::new();
        let mut file = EventFile::begin(&mut bytes, 1.5).unwrap();
        file.scalars(2.0, 300, [("a", 0.5)]).unwrap();
        file.end().unwrap();
        let first = 8 + 4 + 9 + 2 + 13 + 4;
        assert_eq!(&bytes[..8], 24u64.to_le_bytes());
        assert_eq!(&bytes[8 + 4 + 9..first - 4], b"\x1a\x0dbrain.Event:2");
        let step = [
            b"\x09".as_slice(),
            &2.0f64.to_le_bytes(),
            // Step 300; a summary of 10 bytes; a value of 8; tag `a`; 0.5 as a 32-bit number.
            b"\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01a\x15",
            &0.5f32.to_le_bytes(),
        ]
        .concat();
        assert_eq!(&bytes[first..first + 8], (step.len() as u64).to_le_bytes());
        assert_eq!(&bytes[first + 12..bytes.len() - 4], step);
    }
}

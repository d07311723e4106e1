//! `pytorch_model.bin`: an archive or a stream of pickles with the tensors' bytes beside them.
//!
//! `pytorch-reader` interprets pickles as data and executes nothing. What a pickle *makes* can still be a hundred times
//! its size, and what an archive says about its entries can be anything. So a file is looked at first:
//!
//! - an archive's entries are stored as they are, as PyTorch writes them: nothing grows when it is read;
//! - a pickle has no more operations, and no more text, than the index of a large model needs;
//! - the two forms that PyTorch has written since there is BERT are accepted, and no others.
//!
//! Shapes are compared with the model's before a tensor is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use pytorch_reader::{PytorchError, PytorchReader, Tensor};
use zip::{CompressionMethod, ZipArchive};

use super::stored::corrupt;
use super::{FileProblem, WeightFormat};

/// Operations of one pickle. A tensor takes some forty of them.
const MOST_OPERATIONS: u64 = 1 << 18;
/// Bytes of one pickle: names, mostly.
const MOST_BYTES: u64 = 16 << 20;

/// How a file of PyTorch 0.1.10 to 1.5 begins: a pickle, protocol 2, of its magic number.
const STREAM_START: [u8; 15] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// Pickles of such a file: magic number, protocol, system, tensors, order of the storages.
const STREAM_PICKLES: usize = 5;
/// Where the reader looks for a still older form, before it looks for the stream.
const TAR_MAGIC: (u64, &[u8; 5]) = (257, b"ustar");

/// Returns the tensors of a file, in the order of their names, and how many bytes it has.
pub(super) fn open(path: &Path) -> Result<(Vec<Tensor>, u64), FileProblem> {
    let unread = |source| FileProblem::Read { path: path.to_owned(), source };
    let damaged = |reason| corrupt(Some(path.to_owned()), WeightFormat::PyTorch, reason);
    let length = File::open(path).and_then(|file| file.metadata()).map_err(unread)?.len();
    match check(path, length) {
        Err(Refusal::Io(error)) if error.raw_os_error().is_some() => return Err(unread(error)),
        Err(Refusal::Io(error)) => return Err(damaged(error.to_string())),
        Err(Refusal::Content(reason)) => return Err(damaged(reason)),
        Ok(()) => {}
    }
    let reader = PytorchReader::new(path).map_err(|error| match error {
        PytorchError::Io(error) if error.raw_os_error().is_some() => unread(error),
        error => damaged(error.to_string()),
    })?;
    let mut tensors: Vec<Tensor> = reader.into_tensors().into_values().collect();
    tensors.sort_by(|left, right| left.name.cmp(&right.name));
    Ok((tensors, length))
}

/// Why a file is not given to the reader.
enum Refusal {
    Io(io::Error),
    Content(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Content(reason.into()))
}

fn check(path: &Path, length: u64) -> Result<(), Refusal> {
    let mut start = Vec::new();
    File::open(path)?.take(TAR_MAGIC.0 + 5).read_to_end(&mut start)?;
    if start.starts_with(b"PK\x03\x04") {
        return check_archive(path, length);
    }
    if !start.starts_with(&STREAM_START) || start.ends_with(TAR_MAGIC.1) {
        return refuse("it is neither an archive nor a stream of pickles");
    }
    let mut stream = BufReader::new(File::open(path)?);
    (0..STREAM_PICKLES).try_for_each(|_| check_pickle(&mut stream))
}

fn check_archive(path: &Path, length: u64) -> Result<(), Refusal> {
    let refused = |error: zip::result::ZipError| Refusal::Content(error.to_string());
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(refused)?;
    let mut pickles = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(refused)?;
        let stored = entry.compression() == CompressionMethod::Stored;
        if !stored || entry.size() != entry.compressed_size() {
            return refuse("its entries are compressed, which PyTorch never does");
        }
        let start = entry.data_start().unwrap_or(u64::MAX);
        if start.checked_add(entry.size()).is_none_or(|end| end > length) {
            return refuse("an entry goes on behind the end");
        }
        if entry.name().map_err(refused)?.ends_with("data.pkl") {
            pickles.push((start, entry.size()));
        }
    }
    for (start, size) in pickles {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        check_pickle(&mut BufReader::new(file.take(size)))?;
    }
    Ok(())
}

/// Passes over one pickle, up to and including its end.
///
/// # Source
/// `Lib/pickletools.py` of CPython names each operation and what follows it.
fn check_pickle(stream: &mut impl BufRead) -> Result<(), Refusal> {
    let mut bytes = 0;
    for _ in 0..MOST_OPERATIONS {
        let [operation] = array(stream)?;
        let text = match operation {
            b'.' => return Ok(()),
            // Nothing follows.
            b'('
            | b'0'
            | b'1'
            | b'2'
            | b'N'
            | b'R'
            | b'b'
            | b'd'
            | b'l'
            | b't'
            | b's'
            | b'a'
            | b')'
            | b']'
            | b'}'
            | b'e'
            | b'u'
            | b'Q'
            | 0x81
            | 0x85..=0x89
            | 0x8f..=0x94 => 0,
            b'K' | b'h' | b'q' | 0x80 => 1,
            b'M' => 2,
            b'J' | b'j' | b'r' => 4,
            b'G' | 0x95 => 8,
            // So many bytes of text or of a number.
            b'U' | b'C' | 0x8a | 0x8c => u64::from(array::<1>(stream)?[0]),
            b'T' | b'X' | b'B' | 0x8b => u64::from(u32::from_le_bytes(array(stream)?)),
            0x8d | 0x8e | 0x96 => u64::from_le_bytes(array(stream)?),
            // Lines.
            b'I' | b'L' | b'F' | b'V' | b'g' | b'p' | b'P' => line(stream)?,
            b'c' => line(stream)? + line(stream)?,
            other => return refuse(format!("operation {other:#04x} is none of a model's")),
        };
        if !matches!(operation, b'I' | b'L' | b'F' | b'V' | b'g' | b'p' | b'P' | b'c') {
            skip(stream, text)?;
        }
        bytes += text.min(MOST_BYTES + 1);
        if bytes > MOST_BYTES {
            return refuse("the index of its tensors has more text than any model's");
        }
    }
    refuse("the index of its tensors is longer than any model's")
}

fn array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(stream: &mut impl Read, count: u64) -> Result<(), Refusal> {
    if count > MOST_BYTES {
        return refuse("the index of its tensors has more text than any model's");
    }
    let skipped = io::copy(&mut stream.take(count), &mut io::sink())?;
    if skipped == count { Ok(()) } else { refuse("it ends in the index of its tensors") }
}

/// Passes over a line, and returns how long it is.
fn line(stream: &mut impl BufRead) -> Result<u64, Refusal> {
    let mut text = Vec::new();
    stream.take(MOST_BYTES).read_until(b'\n', &mut text)?;
    if text.ends_with(b"\n") {
        Ok(text.len() as u64)
    } else {
        refuse("it ends in the index of its tensors")
    }
}

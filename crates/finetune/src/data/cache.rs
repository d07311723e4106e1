//! Tokenised files on disk, named by the hash of everything that they were made from.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `CVGTOKEN` |
//! | 4 | format version |
//! | 4 | flags: 1 = pairs, 2 = tokens of two bytes |
//! | 3 × 8 | numbers of labels, examples, tokens |
//! | per label | 8 line, 4 length, name |
//! | 40 per example | label, first, second, length, content, unknown (4 each), start, text hash (8 each) |
//! | 2 or 4 per token | its number |
//! | 32 | SHA-256 of all of the above |
//!
//! Numbers are little-endian.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::data::table::Columns;
use crate::data::tokens::{Example, FileTokens};
use crate::durable;

const MAGIC: &[u8; 8] = b"CVGTOKEN";
/// Counted up when format or tokenisation changes.
const VERSION: u32 = 1;
const PAIRS: u32 = 1;
const NARROW: u32 = 2;
const DIGEST: usize = 32;

/// Everything that decides what a tokenised file holds.
pub(crate) struct Key<'a> {
    /// SHA-256 of the data file.
    pub(crate) content: &'a str,
    /// How the file is read: its extension.
    pub(crate) extension: &'a str,
    pub(crate) columns: &'a Columns,
    /// SHA-256 of the tokenizer.
    pub(crate) tokenizer: &'a str,
    /// Tokens kept of a text.
    pub(crate) longest: usize,
}

impl Key<'_> {
    /// Returns where the file with this key is kept.
    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        let mut hash = Sha256::new();
        let pair = self.columns.text_pair.as_deref();
        let (version, longest) = (VERSION.to_string(), self.longest.to_string());
        let parts: [&str; 9] = [
            &version,
            self.content,
            self.extension,
            &self.columns.text,
            if pair.is_some() { "pair" } else { "single" },
            pair.unwrap_or_default(),
            self.columns.label.as_deref().unwrap_or_default(),
            self.tokenizer,
            &longest,
        ];
        // Not a part of its own, so that files from before there was a choice keep their names.
        let empty = self.columns.empty_labels.then_some("empty labels");
        for part in parts.into_iter().chain(empty) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let hash: String = hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        directory.join(format!("tokens-{hash}.bin"))
    }
}

/// Reads a tokenised file; none if there is none or it is damaged.
pub(crate) fn read(path: &Path) -> Option<FileTokens> {
    let bytes = fs::read(path).ok()?;
    let file = decode(&bytes);
    if file.is_none() {
        tracing::warn!(path = %path.display(), "the token cache is damaged and is built again");
    }
    file
}

/// Writes a tokenised file; whoever reads meanwhile sees nothing or all of it.
pub(crate) fn write(path: &Path, file: &FileTokens) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let bytes = encode(file);
    // A loss is repaired by tokenising again.
    durable::write(path, durable::Sync::No, |writer| writer.write_all(&bytes)).map(drop)
}

fn encode(file: &FileTokens) -> Vec<u8> {
    let narrow = file.ids.iter().all(|id| u16::try_from(*id).is_ok());
    let flags = u32::from(file.has_pairs) * PAIRS + u32::from(narrow) * NARROW;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    for count in [file.labels.len(), file.examples.len(), file.ids.len()] {
        bytes.extend((count as u64).to_le_bytes());
    }
    for (label, line) in &file.labels {
        bytes.extend(line.to_le_bytes());
        bytes.extend((label.len() as u32).to_le_bytes());
        bytes.extend(label.as_bytes());
    }
    for example in &file.examples {
        let Example { label, start, first, second, length, content, unknown, text_hash } = example;
        for number in [label, first, second, length, content, unknown] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(start.to_le_bytes());
        bytes.extend(text_hash.to_le_bytes());
    }
    for id in &file.ids {
        if narrow {
            bytes.extend((*id as u16).to_le_bytes());
        } else {
            bytes.extend(id.to_le_bytes());
        }
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest.as_slice());
    bytes
}

fn decode(bytes: &[u8]) -> Option<FileTokens> {
    let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let mut reader = Reader { bytes: content };
    if reader.take(MAGIC.len())? != MAGIC || reader.u32()? != VERSION {
        return None;
    }
    let flags = reader.u32()?;
    let [labels, examples, ids] = [reader.count()?, reader.count()?, reader.count()?];
    let mut file = FileTokens { has_pairs: flags & PAIRS != 0, ..FileTokens::default() };
    for _ in 0..labels {
        let line = reader.u64()?;
        let length = reader.u32()? as usize;
        file.labels.push((String::from_utf8(reader.take(length)?.to_vec()).ok()?, line));
    }
    for _ in 0..examples {
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = reader.u32()?;
        }
        let [label, first, second, length, content, unknown] = numbers;
        let (start, text_hash) = (reader.u64()?, reader.u64()?);
        file.examples.push(Example {
            label,
            start,
            first,
            second,
            length,
            content,
            unknown,
            text_hash,
        });
    }
    let narrow = flags & NARROW != 0;
    let tokens = reader.take(ids.checked_mul(if narrow { 2 } else { 4 })?)?;
    file.ids = if narrow {
        tokens.as_chunks().0.iter().map(|id| u32::from(u16::from_le_bytes(*id))).collect()
    } else {
        tokens.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)).collect()
    };
    reader.bytes.is_empty().then_some(file)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(largest: u32) -> FileTokens {
        let example = Example {
            label: 1,
            start: 0,
            first: 1,
            second: 1,
            length: 5,
            content: 2,
            unknown: 1,
            text_hash: u64::MAX,
        };
        FileTokens {
            labels: vec![("a".into(), 2), ("é".into(), 3)],
            has_pairs: true,
            examples: vec![example.clone(), Example { start: 2, ..example }],
            ids: vec![1, 2, 3, largest],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/tokens.bin");
        for file in [file(4), file(70_000), FileTokens::default()] {
            write(&path, &file).unwrap();
            assert_eq!(read(&path), Some(file));
        }
    }

    #[test]
    fn any_damage_is_noticed() {
        let whole = encode(&file(4));
        assert!(decode(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), None, "cut to {length}");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x40;
            assert_eq!(decode(&damaged), None, "bit of byte {place}");
        }
    }

    #[test]
    fn every_part_of_the_key_decides_about_the_name() {
        let columns = |text: &str, text_pair: Option<&str>| Columns {
            text: text.into(),
            text_pair: text_pair.map(str::to_owned),
            label: Some("label".into()),
            empty_labels: false,
        };
        let with_empty = Columns { empty_labels: true, ..columns("a", None) };
        let [plain, other, empty_pair] =
            [columns("a", None), columns("b", None), columns("a", Some(""))];
        let key = |content, extension, columns, tokenizer, longest| {
            Key { content, extension, columns, tokenizer, longest }.path(Path::new("d"))
        };
        let paths = [
            key("1", "csv", &plain, "2", 512),
            key("0", "csv", &plain, "2", 512),
            key("1", "tsv", &plain, "2", 512),
            key("1", "csv", &other, "2", 512),
            key("1", "csv", &empty_pair, "2", 512),
            key("1", "csv", &plain, "3", 512),
            key("1", "csv", &plain, "2", 256),
            key("1", "csv", &with_empty, "2", 512),
        ];
        let distinct: std::collections::BTreeSet<_> = paths.iter().collect();
        assert_eq!(distinct.len(), paths.len());
    }
}

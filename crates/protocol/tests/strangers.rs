//! A log may hold anything: whatever it is, frames are taken in order or reading stops, and nothing breaks.

#![expect(clippy::disallowed_methods, reason = "the corpus lies in files")]

use std::path::Path;

use converge_protocol::frame::{Reader, encode};
use converge_protocol::message::{Down, Up};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a log whole and in two pieces, and holds the two against each other.
fn take<T: DeserializeOwned + Serialize>(log: &[u8], cut: usize) {
    let mut whole = Reader::default();
    let read = whole.feed::<T>(log);
    assert!(whole.offset() as usize <= log.len());
    for (seq, frame) in (1..).zip(&read.frames) {
        assert_eq!(frame.seq, seq, "frames come in order, without gaps");
        assert!(frame.end <= whole.offset());
        // What was understood can be said again.
        encode(seq, &frame.message, &mut Vec::new());
    }
    let mut pieces = Reader::default();
    let first = pieces.feed::<T>(&log[..cut.min(log.len())]);
    let mut frames = first.frames.len();
    if first.hold.is_none() {
        frames += pieces.feed::<T>(&log[pieces.offset() as usize..]).frames.len();
        assert_eq!(pieces, whole);
        assert_eq!(frames, read.frames.len());
    }
}

/// A line with a right checksum around any content.
fn line(seq: u64, json: &str) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(format!("{seq} ").as_bytes());
    hasher.update(json.as_bytes());
    format!("{seq} {:08x} {json}\n", hasher.finalize()).into_bytes()
}

/// JSON that looks like a message: right names, any values.
fn message() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(
        &[
            "born",
            "prepared",
            "refused",
            "started",
            "step",
            "checkpoint",
            "ended",
            "beat",
            "bye",
            "prepare",
            "assign",
            "release",
            "exit",
            "\\u0000",
            "",
        ][..],
    );
    let key = prop::sample::select(
        &[
            "attempt",
            "step",
            "metrics",
            "directory",
            "ending",
            "best",
            "peak_memory_bytes",
            "facts",
            "work",
            "problems",
            "cases",
            "machine",
            "pid",
            "from_step",
            "type",
        ][..],
    );
    let value = prop::sample::select(
        &[
            "1",
            "-1",
            "18446744073709551615",
            "1e400",
            "null",
            "\"nan\"",
            "\"-inf\"",
            "[]",
            "{}",
            "true",
            "[[\"a\",1],[\"a\",\"nan\"]]",
            "[[\"\",0.1]]",
            "\"/etc/passwd\"",
            "\"completed\"",
            "{\"failed\":{}}",
            "{\"diverged\":{\"step\":18446744073709551615,\"quantity\":\"x\"}}",
            "\"\\u001b[2J\"",
        ][..],
    );
    (kind, prop::collection::vec((key, value), 0..5)).prop_map(|(kind, fields)| {
        let fields: String =
            fields.iter().map(|(key, value)| format!(",\"{key}\":{value}")).collect();
        format!("{{\"type\":\"{kind}\"{fields}}}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_held(log in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        take::<Up>(&log, cut);
        take::<Down>(&log, cut);
    }

    #[test]
    fn lines_that_look_like_frames_are_read_or_held(
        messages in prop::collection::vec((0u64..6, message(), any::<bool>()), 0..8), cut in 0usize..2000
    ) {
        let mut log = Vec::new();
        for (at, (seq, message, wild)) in (1..).zip(messages) {
            log.extend(line(if wild { seq } else { at }, &message));
        }
        take::<Up>(&log, cut);
        take::<Down>(&log, cut);
    }

    #[test]
    fn a_sound_log_with_a_damaged_byte_is_read_or_held(at: usize, byte: u8, count in 1u64..6) {
        let mut log = Vec::new();
        for seq in 1..=count {
            encode(seq, &Up::Beat, &mut log);
        }
        let at = at % log.len();
        log[at] = byte;
        take::<Up>(&log, at);
    }
}

#[test]
fn every_kept_input_is_read_or_held() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
    let mut replayed = 0;
    for folder in ["up_log", "down_log"] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            let log = std::fs::read(entry.unwrap().path()).unwrap();
            take::<Up>(&log, log.len() / 2);
            take::<Down>(&log, log.len() / 2);
            // As a whole line with a right checksum, too.
            let text = String::from_utf8_lossy(&log).replace('\n', " ");
            take::<Up>(&line(1, &text), 0);
            take::<Down>(&line(1, &text), 0);
            replayed += 1;
        }
    }
    assert!(replayed >= 6, "only {replayed} files are kept");
}

#[test]
fn nesting_without_end_is_held() {
    for depth in [100, 100_000] {
        let json =
            format!("{{\"type\":\"born\",\"machine\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let log = line(1, &json);
        let read = Reader::default().feed::<Up>(&log);
        assert!(read.frames.is_empty() && read.hold.is_some());
        assert!(Reader::default().feed::<Down>(&log).hold.is_some());
    }
}

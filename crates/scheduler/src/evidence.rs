//! What an attempt that went wrong left in its logs: the last lines, bounded, and safe to print.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use converge_store::{Change, Evidence};

use crate::home::Home;
use crate::reactor::Unexplained;

/// Lines that are kept of each log.
const LINES: usize = 50;
/// Characters that are kept of a line.
const LINE_CHARACTERS: usize = 400;
/// Bytes that are looked at, from the end of a log.
const BYTES: u64 = 64 << 10;

/// Reads the ends of the attempt's own log and of what its worker wrote to stderr.
///
/// A log that cannot be read is an empty one: evidence must never keep an attempt from being closed.
pub fn collect(home: &Home, of: Unexplained, peak_memory_bytes: Option<u64>) -> Change {
    let attempt = home.root().join("attempts").join(of.attempt.to_string());
    let worker = home.root().join("workers").join(of.worker.to_string());
    let evidence =
        Evidence { log: tail(&attempt.join("log.txt")), stderr: tail(&worker.join("stderr.log")) };
    Change::Evidence { attempt: of.attempt, evidence, peak_memory_bytes }
}

/// Returns whether the last that a worker wrote to stderr is that it could get no more memory: Rust says so and aborts.
pub fn says_out_of_memory(worker_directory: &Path) -> bool {
    let end = tail(&worker_directory.join("stderr.log"));
    let said = |line: &&str| line.starts_with("memory allocation of ") && line.contains(" failed");
    end.lines().rev().take(5).any(|line| said(&line))
}

/// Returns the last lines of a file.
fn tail(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let start = length.saturating_sub(BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>((bytes, start > 0))
    };
    match read() {
        Ok((bytes, cut)) => last_lines(&bytes, cut),
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "cannot read the end of a log");
            }
            String::new()
        }
    }
}

/// Returns the last lines of `bytes`, each ended; where they were `cut` from something longer, the first is no line.
fn last_lines(bytes: &[u8], cut: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    // One line that fills all that was read is better than nothing.
    let first = usize::from(cut && lines.len() > 1).max(lines.len().saturating_sub(LINES));
    let mut kept = String::new();
    for line in &lines[first..] {
        let mut characters = line.chars();
        // Terminals obey control characters: a log from a stranger's file must not.
        let printable = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        kept.extend(characters.by_ref().take(LINE_CHARACTERS).map(printable));
        if characters.next().is_some() {
            kept.push('…');
        }
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fifty_lines_are_kept() {
        let text: String = (1..=70).map(|line| format!("line {line}\n")).collect();
        let kept = last_lines(text.as_bytes(), false);
        let lines: Vec<&str> = kept.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[49]), (50, "line 21", "line 70"));
        assert_eq!(last_lines(b"whole\nunfinished", false), "whole\nunfinished\n");
        assert_eq!(last_lines(b"alf a line\nwhole\n", true), "whole\n");
        assert_eq!(last_lines(b"", false), "");
    }

    #[test]
    fn what_is_no_text_or_too_long_is_bounded_and_printable() {
        let kept = last_lines(b"bad \xff\xfe \x1b[31mred\x00\tend\r\n", false);
        assert_eq!(kept, "bad \u{fffd}\u{fffd} \u{fffd}[31mred\u{fffd}\tend\n");
        let long = "ä".repeat(100_000);
        let kept = last_lines(&long.as_bytes()[1..], true);
        assert_eq!(kept.chars().count(), LINE_CHARACTERS + 2);
        assert!(kept.ends_with("ä…\n"));
    }

    #[test]
    fn an_allocation_that_failed_is_known_by_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let says = |words: &str| {
            std::fs::write(directory.path().join("stderr.log"), words).unwrap();
            says_out_of_memory(directory.path())
        };
        assert!(says("INFO attempt 1\nmemory allocation of 67108864 bytes failed\n"));
        assert!(!says("INFO attempt 1\nthread panicked\n"));
        assert!(!says(""));
    }

    #[test]
    fn only_the_end_of_a_long_file_is_read_and_a_missing_one_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.txt");
        assert_eq!(tail(&path), "");
        std::fs::write(&path, "x".repeat(3 << 20) + "\nthe end\n").unwrap();
        assert_eq!(tail(&path), "the end\n");
        assert_eq!(tail(directory.path()), "");
    }
}

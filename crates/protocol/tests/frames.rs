//! Whatever happens to a log, the accepted frames are a prefix of those written, each once.

use converge_protocol::frame::{Read, Reader, Writer, encode};
use proptest::prelude::*;

/// One frame a message, and where each ends.
fn log(messages: &[String]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for (seq, message) in (1..).zip(messages) {
        encode(seq, message, &mut bytes);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn texts(read: Read<String>) -> Vec<String> {
    read.frames.into_iter().map(|frame| frame.message).collect()
}

/// Reads a file that shows itself in pieces, up to each of `boundaries`.
fn read_in_pieces(file: &[u8], boundaries: &[usize]) -> (Vec<String>, Reader) {
    let (mut reader, mut accepted) = (Reader::default(), Vec::new());
    let mut boundaries: Vec<usize> = boundaries.iter().map(|at| at % (file.len() + 1)).collect();
    boundaries.sort_unstable();
    boundaries.push(file.len());
    for visible in boundaries {
        let from = (reader.offset() as usize).min(visible);
        // Each piece is read by a reader that was stored and loaded again.
        reader = Reader::resume(reader.next_seq(), reader.offset());
        accepted.extend(texts(reader.feed(&file[from..visible])));
    }
    (accepted, reader)
}

fn messages() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(any::<String>(), 1..8)
}

proptest! {
    #[test]
    fn a_reader_may_stop_at_any_byte(messages in messages(), cuts in prop::collection::vec(any::<usize>(), 0..10)) {
        let (file, _) = log(&messages);
        let (accepted, reader) = read_in_pieces(&file, &cuts);
        prop_assert_eq!(accepted, messages);
        prop_assert_eq!(reader.offset() as usize, file.len());
    }

    #[test]
    fn a_truncated_log_gives_its_whole_lines(messages in messages(), cut: usize) {
        let (file, ends) = log(&messages);
        let cut = cut % (file.len() + 1);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let read = Reader::default().feed(&file[..cut]);
        prop_assert_eq!(read.torn_lines, 0);
        prop_assert_eq!(&texts(read)[..], &messages[..whole]);
    }

    #[test]
    fn a_torn_line_is_skipped(messages in messages(), at: usize, cut: usize) {
        let (file, ends) = log(&messages);
        let at = at % messages.len();
        let start = if at == 0 { 0 } else { ends[at - 1] };
        let torn_end = start + cut % (ends[at] - start);
        let damaged = [&file[..torn_end], b"~\n", &file[start..]].concat();
        let mut reader = Reader::default();
        let read = reader.feed(&damaged);
        prop_assert_eq!(read.torn_lines, 1);
        prop_assert_eq!(&read.hold, &None);
        prop_assert_eq!(texts(read), messages);
        prop_assert_eq!(reader.offset() as usize, damaged.len());
    }

    #[test]
    fn a_repeated_tail_counts_once(messages in messages(), from: usize) {
        let (file, ends) = log(&messages);
        let from = from % messages.len();
        let start = if from == 0 { 0 } else { ends[from - 1] };
        let read = Reader::default().feed(&[&file[..], &file[start..]].concat());
        prop_assert_eq!(read.repeats as usize, messages.len() - from);
        prop_assert_eq!(texts(read), messages);
    }

    #[test]
    fn a_tail_of_nulls_is_waited_for(messages in messages(), from: usize, cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let (file, ends) = log(&messages);
        let from = from % (file.len() + 1);
        let mut unseen = file.clone();
        unseen[from..].fill(0);
        let (mut accepted, mut reader) = read_in_pieces(&unseen, &cuts);
        let whole = ends.iter().filter(|end| **end <= from).count();
        prop_assert_eq!(&accepted[..], &messages[..whole]);
        accepted.extend(texts(reader.feed(&file[reader.offset() as usize..])));
        prop_assert_eq!(accepted, messages);
    }

    #[test]
    fn a_lost_piece_never_reorders(messages in messages(), from: usize, length in 1usize..200) {
        let (mut file, ends) = log(&messages);
        let from = from % file.len();
        file.drain(from..(from + length).min(file.len()));
        let untouched = ends.iter().filter(|end| **end <= from).count();
        let accepted = texts(Reader::default().feed(&file));
        prop_assert!(accepted.len() >= untouched);
        prop_assert!(messages.starts_with(&accepted), "{accepted:?} of {messages:?}");
    }

    #[test]
    fn garbage_is_never_a_frame(garbage: Vec<u8>, lines in "([0-9]{0,3} [0-9a-f]{7,9} [^\n]{0,20}\n){0,5}") {
        prop_assert_eq!(Reader::default().feed::<String>(&garbage).frames, vec![]);
        prop_assert_eq!(Reader::default().feed::<String>(lines.as_bytes()).frames, vec![]);
        let lossy = String::from_utf8_lossy(&garbage).replace('\u{0}', "");
        let read = Reader::default().feed::<serde_json::Value>(lossy.as_bytes());
        prop_assert_eq!(&read.frames, &vec![]);
    }

    /// The disk takes `room` bytes of each write and no more.
    #[test]
    fn short_writes_lose_nothing(messages in messages(), rooms in prop::collection::vec(0usize..120, 1..40)) {
        let (mut writer, mut file, mut reader) = (Writer::default(), Vec::new(), Reader::default());
        let (mut accepted, mut queue) = (Vec::new(), messages.iter());
        for room in rooms.into_iter().chain(std::iter::repeat_n(usize::MAX, messages.len() + 1)) {
            if let Some(message) = queue.next() {
                writer.push(message);
            }
            let written = room.min(writer.bytes().len());
            file.extend_from_slice(&writer.bytes()[..written]);
            writer.wrote(written);
            accepted.extend(texts(reader.feed(&file[reader.offset() as usize..])));
            prop_assert!(messages.starts_with(&accepted));
        }
        prop_assert!(writer.is_empty() && writer.bytes().is_empty());
        prop_assert_eq!(accepted, messages);
    }

    /// A new process goes on with the log of a dead one, whose last line may be torn.
    #[test]
    fn a_log_can_be_taken_over(messages in messages(), cut: usize) {
        let (mut file, _) = log(&messages);
        file.truncate(cut % (file.len() + 1));
        let mut reader = Reader::default();
        let mut expected = texts(reader.feed(&file));
        let torn = (reader.offset() as usize) < file.len();
        let mut writer = Writer::resume(reader.next_seq(), torn);
        writer.push(&"after");
        file.extend_from_slice(writer.bytes());
        let accepted = texts(Reader::default().feed(&file));
        expected.push("after".to_owned());
        prop_assert_eq!(accepted, expected);
    }
}

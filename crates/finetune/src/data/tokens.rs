//! From text to token numbers.

use std::ops::Range;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use crate::data::table::Row;

/// A tokenizer, and how it joins the tokens of one or two texts to a sequence.
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    unknown: Option<u32>,
    single: Template,
    pair: Template,
}

/// The order in which special tokens and texts make a sequence, such as `[CLS] A [SEP] B [SEP]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    content: Content,
    token_type: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Special(u32),
    First,
    Second,
}

/// The examples of one file as token numbers, without special tokens and untruncated up to the
/// model's longest sequence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FileTokens {
    /// Distinct labels, and the line of the first example of each; sorted by name.
    pub(crate) labels: Vec<(String, u64)>,
    pub(crate) has_pairs: bool,
    pub(crate) examples: Vec<Example>,
    pub(crate) ids: Vec<u32>,
}

/// One example in [`FileTokens`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    /// Index in [`FileTokens::labels`].
    pub(crate) label: u32,
    /// Where its tokens begin in [`FileTokens::ids`].
    pub(crate) start: u64,
    /// Tokens kept of the first text.
    pub(crate) first: u32,
    /// Tokens kept of the second text, directly behind those of the first.
    pub(crate) second: u32,
    /// Tokens of the sequence before any truncation, special tokens included.
    pub(crate) length: u32,
    /// Tokens of the texts before any truncation.
    pub(crate) content: u32,
    /// How many of those the tokenizer does not know.
    pub(crate) unknown: u32,
    /// Equal for equal texts.
    pub(crate) text_hash: u64,
}

impl Example {
    fn first_range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.first as usize
    }

    fn second_range(&self) -> Range<usize> {
        let start = self.first_range().end;
        start..start + self.second as usize
    }
}

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenizerError {
    #[error("the tokenizer cannot be read: {0}")]
    Unreadable(String),
    #[error("the tokenizer makes no tokens of a text")]
    Mute,
    #[error("the tokenizer has tokens up to number {largest}, the model only {vocabulary} rows")]
    BeyondVocabulary { largest: u32, vocabulary: usize },
    #[error("{place} cannot be tokenised: {message}")]
    Text { place: String, message: String },
}

impl TextEncoder {
    /// Reads a `tokenizer.json` for a model with so many rows of embeddings.
    pub(crate) fn from_json(json: &[u8], vocabulary: usize) -> Result<Self, TokenizerError> {
        let unreadable = |error: tokenizers::Error| TokenizerError::Unreadable(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(unreadable)?;
        tokenizer.with_truncation(None).map_err(unreadable)?;
        tokenizer.with_padding(None);
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(TokenizerError::BeyondVocabulary { largest, vocabulary });
        }
        let unknown = ["[UNK]", "<unk>"].iter().find_map(|token| tokenizer.token_to_id(token));
        let single = Template::of(&tokenizer.encode("a", true).map_err(unreadable)?)?;
        let pair = Template::of(&tokenizer.encode(("a", "a"), true).map_err(unreadable)?)?;
        Ok(Self { tokenizer, unknown, single, pair })
    }

    /// Returns the number of special tokens that a sequence has.
    pub(crate) fn special_tokens(&self, pairs: bool) -> usize {
        self.template(pairs).special_tokens()
    }

    /// Returns the largest token type of a sequence.
    pub(crate) fn largest_token_type(&self, pairs: bool) -> u32 {
        let types = self.template(pairs).pieces.iter().map(|piece| piece.token_type);
        types.max().unwrap_or(0)
    }

    fn template(&self, pairs: bool) -> &Template {
        if pairs { &self.pair } else { &self.single }
    }

    /// Tokenises all rows, on all threads; the result does not depend on how many those are.
    pub(crate) fn encode(
        &self,
        rows: &[Row],
        longest: usize,
    ) -> Result<FileTokens, TokenizerError> {
        let has_pairs = rows.iter().any(|row| row.text_pair.is_some());
        let encoded: Vec<Encoded> = rows
            .par_iter()
            .map(|row| self.encode_row(row, longest, has_pairs))
            .collect::<Result<_, _>>()?;
        let labels = first_lines(rows);
        let mut file = FileTokens { labels, has_pairs, ..FileTokens::default() };
        for (row, encoded) in rows.iter().zip(encoded) {
            let label = file
                .labels
                .binary_search_by(|(label, _)| label.as_str().cmp(&row.label))
                .unwrap_or_else(|_| unreachable!("every label of the rows is listed"));
            let start = file.ids.len() as u64;
            file.ids.extend(encoded.ids);
            file.examples.push(Example { label: label as u32, start, ..encoded.example });
        }
        Ok(file)
    }

    fn encode_row(
        &self,
        row: &Row,
        longest: usize,
        has_pairs: bool,
    ) -> Result<Encoded, TokenizerError> {
        let encode = |text: &str| {
            self.tokenizer.encode_fast(text, false).map_err(|error| TokenizerError::Text {
                place: format!("line {}", row.line),
                message: error.to_string(),
            })
        };
        let first = encode(&row.text)?;
        let second = row.text_pair.as_deref().map(encode).transpose()?;
        let second = second.as_ref().map_or(&[][..], |encoding| encoding.get_ids());
        let first = first.get_ids();
        let content = first.len() + second.len();
        let unknown = first.iter().chain(second).filter(|id| Some(**id) == self.unknown).count();
        let length = content + self.special_tokens(has_pairs);
        let (first, second) =
            (&first[..first.len().min(longest)], &second[..second.len().min(longest)]);
        Ok(Encoded {
            ids: [first, second].concat(),
            example: Example {
                label: 0,
                start: 0,
                first: first.len() as u32,
                second: second.len() as u32,
                length: length as u32,
                content: content as u32,
                unknown: unknown as u32,
                text_hash: text_hash(row),
            },
        })
    }

    /// Appends an example's tokens and token types, cut to `max_length`.
    pub(crate) fn sequence(
        &self,
        file: &FileTokens,
        example: &Example,
        max_length: usize,
        ids: &mut Vec<u32>,
        token_types: &mut Vec<u32>,
    ) {
        let template = self.template(file.has_pairs);
        let room = max_length.saturating_sub(template.special_tokens());
        let (first, second) = if file.has_pairs {
            cut_pair(example.first as usize, example.second as usize, room)
        } else {
            ((example.first as usize).min(room), 0)
        };
        for piece in &template.pieces {
            match piece.content {
                Content::Special(id) => ids.push(id),
                Content::First => ids.extend(&file.ids[example.first_range()][..first]),
                Content::Second => ids.extend(&file.ids[example.second_range()][..second]),
            }
            token_types.resize(ids.len(), piece.token_type);
        }
    }
}

struct Encoded {
    ids: Vec<u32>,
    example: Example,
}

fn first_lines(rows: &[Row]) -> Vec<(String, u64)> {
    let mut labels = std::collections::BTreeMap::new();
    for row in rows {
        labels.entry(row.label.clone()).or_insert(row.line);
    }
    labels.into_iter().collect()
}

fn text_hash(row: &Row) -> u64 {
    let mut hash = Sha256::new();
    hash.update((row.text.len() as u64).to_le_bytes());
    hash.update(&row.text);
    hash.update(row.text_pair.as_deref().unwrap_or_default());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(bytes)
}

/// Returns how many tokens of each text of a pair stay.
///
/// # Source
/// `longest_first` of the tokenizers library,
/// <https://github.com/huggingface/tokenizers/blob/v0.21.0/tokenizers/src/utils/truncation.rs#L60>.
fn cut_pair(first: usize, second: usize, room: usize) -> (usize, usize) {
    if first + second <= room {
        return (first, second);
    }
    let (shorter, swapped) = if first <= second { (first, false) } else { (second, true) };
    let mut longer = if shorter > room { shorter } else { shorter.max(room - shorter) };
    let mut shorter = shorter;
    if shorter + longer > room {
        shorter = room / 2;
        longer = shorter + room % 2;
    }
    if swapped { (longer, shorter) } else { (shorter, longer) }
}

impl Template {
    /// Learns the template from what the tokenizer makes of known texts.
    fn of(encoding: &tokenizers::Encoding) -> Result<Self, TokenizerError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let sequences = encoding.get_sequence_ids();
        for (place, id) in encoding.get_ids().iter().enumerate() {
            let special = encoding.get_special_tokens_mask().get(place) == Some(&1);
            let content = match sequences.get(place).copied().flatten() {
                _ if special => Content::Special(*id),
                Some(1) => Content::Second,
                _ => Content::First,
            };
            let token_type = encoding.get_type_ids().get(place).copied().unwrap_or(0);
            // A text of several tokens is still one piece.
            if special || pieces.last().is_none_or(|last| last.content != content) {
                pieces.push(Piece { content, token_type });
            }
        }
        if pieces.iter().all(|piece| matches!(piece.content, Content::Special(_))) {
            return Err(TokenizerError::Mute);
        }
        Ok(Self { pieces })
    }

    fn special_tokens(&self) -> usize {
        self.pieces.iter().filter(|piece| matches!(piece.content, Content::Special(_))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary;

    fn row(text: &str, text_pair: Option<&str>) -> Row {
        let text_pair = text_pair.map(str::to_owned);
        Row { text: text.to_owned(), text_pair, label: "x".to_owned(), line: 1 }
    }

    fn encoder(rows: &[Row]) -> TextEncoder {
        let (json, vocabulary) = vocabulary::of(rows);
        TextEncoder::from_json(&json, vocabulary).unwrap()
    }

    fn sequence(rows: &[Row], place: usize, max_length: usize) -> (Vec<u32>, Vec<u32>) {
        let encoder = encoder(rows);
        let file = encoder.encode(rows, 64).unwrap();
        let (mut ids, mut types) = (Vec::new(), Vec::new());
        encoder.sequence(&file, &file.examples[place], max_length, &mut ids, &mut types);
        (ids, types)
    }

    #[test]
    fn one_text_stands_between_the_special_tokens() {
        // [CLS] is 2, [SEP] is 3; words from 5 on, the most frequent first.
        let rows = [row("Good good, film", None), row("good good good film", None)];
        assert_eq!(sequence(&rows, 0, 64), (vec![2, 5, 5, 7, 6, 3], vec![0; 6]));
        assert_eq!(sequence(&rows, 0, 4).0, [2, 5, 5, 3]);
    }

    #[test]
    fn the_second_text_of_a_pair_has_its_own_type() {
        let rows = [row("a b", Some("c"))];
        assert_eq!(sequence(&rows, 0, 64), (vec![2, 5, 6, 3, 7, 3], vec![0, 0, 0, 0, 1, 1]));
    }

    #[test]
    fn pairs_are_cut_as_the_tokenizers_library_does() {
        let texts: Vec<(String, String)> = [(1, 9), (9, 1), (5, 5), (9, 9), (0, 9), (4, 3), (9, 2)]
            .map(|(first, second)| ("a ".repeat(first), "b ".repeat(second)))
            .into();
        let rows: Vec<Row> = texts.iter().map(|(a, b)| row(a, Some(b))).collect();
        let encoder = encoder(&rows);
        let file = encoder.encode(&rows, 64).unwrap();
        for max_length in 3..16 {
            let mut reference = encoder.tokenizer.clone();
            let truncation = tokenizers::TruncationParams {
                max_length,
                strategy: tokenizers::TruncationStrategy::LongestFirst,
                ..Default::default()
            };
            reference.with_truncation(Some(truncation)).unwrap();
            for (row, example) in rows.iter().zip(&file.examples) {
                let pair = (row.text.as_str(), row.text_pair.as_deref().unwrap());
                let expected = reference.encode(pair, true).unwrap();
                let (mut ids, mut types) = (Vec::new(), Vec::new());
                encoder.sequence(&file, example, max_length, &mut ids, &mut types);
                assert_eq!(ids, expected.get_ids(), "{row:?} to {max_length}");
                assert_eq!(types, expected.get_type_ids(), "{row:?} to {max_length}");
            }
        }
    }

    #[test]
    fn counts_are_of_the_text_before_truncation() {
        let rows = [row("a b c d e", None), row("", None)];
        let encoder = encoder(&rows[..1]);
        let unseen = [row("a b x y e", None), row("", None)];
        let file = encoder.encode(&unseen, 3).unwrap();
        let example = &file.examples[0];
        let counts = (example.first, example.length, example.content, example.unknown);
        assert_eq!(counts, (3, 7, 5, 2));
        assert_eq!((file.examples[1].first, file.examples[1].length), (0, 2));
    }

    #[test]
    fn an_unusable_tokenizer_is_an_error() {
        assert!(matches!(TextEncoder::from_json(b"{}", 10), Err(TokenizerError::Unreadable(_))));
        let (json, vocabulary) = vocabulary::of(&[row("a b c", None)]);
        assert!(matches!(
            TextEncoder::from_json(&json, vocabulary - 1),
            Err(TokenizerError::BeyondVocabulary { largest: 7, vocabulary: 7 })
        ));
    }
}

//! The tokenizer of the preset models: lower-cased words of the training file.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::json;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use crate::data::table::Row;

/// Tokens of the vocabulary, special ones included.
const MOST_TOKENS: usize = 2000;

/// Special tokens, numbered by their place.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Returns a `tokenizer.json` that knows the most frequent words of `rows`, and how many tokens
/// that makes. Equal rows give equal bytes.
pub(crate) fn of(rows: &[Row]) -> (Vec<u8>, usize) {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        for text in [Some(row.text.as_str()), row.text_pair.as_deref()].into_iter().flatten() {
            for word in words(text) {
                *counts.entry(word).or_default() += 1;
            }
        }
    }
    for token in SPECIAL_TOKENS {
        counts.remove(token);
    }
    // The most frequent first; equally frequent ones by name.
    let mut ranked: Vec<(String, u64)> = counts.into_iter().collect();
    ranked.sort_by_key(|(_, count)| Reverse(*count));
    let tokens = SPECIAL_TOKENS
        .into_iter()
        .chain(ranked.iter().map(|(word, _)| word.as_str()))
        .take(MOST_TOKENS);
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        tokens.enumerate().map(|(number, token)| (token.to_owned(), json!(number))).collect();
    let count = vocabulary.len();
    (to_json(&vocabulary).into_bytes(), count)
}

/// Splits a text as the tokenizer will.
fn words(text: &str) -> Vec<String> {
    let normalizer = BertNormalizer::new(true, true, Some(true), true);
    let mut text = PreTokenizedString::from(text);
    let split = text
        .normalize(|part| normalizer.normalize(part))
        .and_then(|()| BertPreTokenizer.pre_tokenize(&mut text));
    // Neither of the two has a way to fail; a text they could not split would have no words.
    if split.is_err() {
        return Vec::new();
    }
    text.get_splits(OffsetReferential::Normalized, OffsetType::None)
        .into_iter()
        .map(|(word, ..)| word.to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

fn to_json(vocabulary: &serde_json::Map<String, serde_json::Value>) -> String {
    let added: Vec<_> = SPECIAL_TOKENS
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({ "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": { "type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": true, "strip_accents": true, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Vec<Row> {
        let row = |text: &&str| Row {
            text: (*text).to_owned(),
            text_pair: None,
            label: "x".to_owned(),
            line: 1,
        };
        texts.iter().map(row).collect()
    }

    #[test]
    fn frequent_words_come_first_and_the_rest_is_cut() {
        let many: Vec<String> = (0..5000).map(|i| format!("word{i:04}")).collect();
        let many = many.join(" ");
        let (json, count) = of(&rows(&["zebra ZEBRA zébra! [CLS]", &many]));
        let text = String::from_utf8(json).unwrap();
        assert_eq!(count, 2000);
        assert!(text.contains("\"zebra\":5"), "{}", &text[..2000]);
        assert!(!text.contains("word4000"));
    }

    #[test]
    fn equal_rows_give_equal_bytes() {
        let rows = rows(&["b a", "a c"]);
        assert_eq!(of(&rows), of(&rows));
        assert_eq!(of(&[]).1, 5);
    }
}

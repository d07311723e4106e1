//! A `tokenizer.json` from the files that came before it.
//!
//! | files | what is made | settings in `tokenizer_config.json` that count |
//! |---|---|---|
//! | `vocab.txt` | BERT's and DistilBERT's word pieces | `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, special tokens |
//! | `vocab.json`, `merges.txt` | RoBERTa's byte pairs | `add_prefix_space`, special tokens |
//!
//! Special tokens may stand in `special_tokens_map.json` as well, and further ones in `added_tokens.json`.
//!
//! # Source
//! `BertTokenizer` and `RobertaTokenizer` of transformers, `tokenization_bert.py` and `tokenization_roberta.py`; the
//! tests compare with them.

use std::collections::BTreeMap;
use std::path::Path;

use converge_core::problem::Problem;
use serde_json::{Map, Value, json};

use crate::model_files::{TokenizerFiles, TokenizerSettings};
use crate::regular_file;

/// Returns the text of the `tokenizer.json` that the files are or amount to. Equal files give equal bytes.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn to_json(files: &TokenizerFiles) -> Result<Vec<u8>, Vec<Problem>> {
    let mut reader = Reader { problems: Vec::new() };
    let json = match files {
        TokenizerFiles::Whole(path) => {
            return reader.bytes(path).ok_or(reader.problems);
        }
        TokenizerFiles::WordPieces { vocabulary, settings } => {
            let vocabulary = reader.word_pieces(vocabulary);
            let settings = reader.settings(settings);
            vocabulary.zip(settings).map(|(words, settings)| reader.bert(&words, &settings))
        }
        TokenizerFiles::BytePairs { vocabulary, merges, settings } => {
            let vocabulary = reader.numbered(vocabulary);
            let merges = reader.merges(merges);
            let settings = reader.settings(settings);
            vocabulary
                .zip(merges)
                .zip(settings)
                .map(|((words, merges), settings)| reader.roberta(&words, &merges, &settings))
        }
    };
    match json {
        Some(json) if reader.problems.is_empty() => Ok(json.to_string().into_bytes()),
        _ => Err(reader.problems),
    }
}

/// Numbers by token.
struct Vocabulary {
    place: String,
    numbers: BTreeMap<String, u32>,
}

/// What the files beside the vocabulary say.
struct Settings {
    place: String,
    keys: Map<String, Value>,
    /// Tokens that are not in the vocabulary, or more than their text, by number.
    added: BTreeMap<u32, Value>,
}

/// Reads files and remembers everything that was wrong with them.
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    fn bytes(&mut self, path: &Path) -> Option<Vec<u8>> {
        match regular_file::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.wrong(path.to_string_lossy(), format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        let text = String::from_utf8(self.bytes(path)?).ok();
        if text.is_none() {
            self.wrong(path.to_string_lossy(), "is not UTF-8");
        }
        text
    }

    fn object(&mut self, path: &Path) -> Option<Map<String, Value>> {
        match serde_json::from_str(&self.text(path)?) {
            Ok(object) => Some(object),
            Err(error) => {
                self.wrong(path.to_string_lossy(), format!("is not a JSON object: {error}"));
                None
            }
        }
    }

    /// A token a line, numbered from 0; of equal ones the last counts.
    fn word_pieces(&mut self, path: &Path) -> Option<Vocabulary> {
        let text = self.text(path)?;
        let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
        let token = |line: &str| line.strip_suffix('\r').unwrap_or(line).to_owned();
        let numbers = lines.map(token).zip(0..).collect();
        Some(Vocabulary { place: path.to_string_lossy().into_owned(), numbers })
    }

    fn numbered(&mut self, path: &Path) -> Option<Vocabulary> {
        let place = path.to_string_lossy().into_owned();
        let mut numbers = BTreeMap::new();
        for (token, number) in self.object(path)? {
            let Some(number) = number.as_u64().and_then(|number| u32::try_from(number).ok()) else {
                self.wrong(place, format!("numbers `{token}` with {number}"));
                return None;
            };
            numbers.insert(token, number);
        }
        Some(Vocabulary { place, numbers })
    }

    fn merges(&mut self, path: &Path) -> Option<Vec<Value>> {
        let text = self.text(path)?;
        let mut merges = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || (number == 0 && line.starts_with("#version")) {
                continue;
            }
            match line.split(' ').collect::<Vec<_>>()[..] {
                [left, right] => merges.push(json!([left, right])),
                _ => {
                    let place = format!("{}:{}", path.display(), number + 1);
                    self.wrong(place, "is not a pair of tokens");
                    return None;
                }
            }
        }
        Some(merges)
    }

    fn settings(&mut self, files: &TokenizerSettings) -> Option<Settings> {
        let place = |path: &Path| path.to_string_lossy().into_owned();
        let config = files.config.as_deref();
        let mut keys = match config {
            Some(path) => self.object(path)?,
            None => Map::new(),
        };
        if let Some(path) = &files.special_tokens {
            for (key, token) in self.object(path)? {
                keys.entry(key).or_insert(token);
            }
        }
        let mut settings = Settings {
            place: config.map_or_else(String::new, place),
            keys,
            added: BTreeMap::new(),
        };
        let numbered = settings.keys.get("added_tokens_decoder").and_then(Value::as_object);
        for (number, token) in numbered.into_iter().flatten() {
            let Ok(number) = number.parse::<u32>() else {
                self.wrong(
                    &settings.place,
                    format!("`added_tokens_decoder` numbers with `{number}`"),
                );
                return None;
            };
            settings.added.insert(number, token.clone());
        }
        if let Some(path) = &files.added_tokens {
            for (token, number) in self.numbered(path)?.numbers {
                settings.added.entry(number).or_insert(Value::String(token));
            }
        }
        Some(settings)
    }

    fn flag(&mut self, settings: &Settings, name: &str, default: Option<bool>) -> Option<bool> {
        match settings.keys.get(name) {
            None | Some(Value::Null) => default,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(other) => {
                self.wrong(&settings.place, format!("`{name}` must be true or false, not {other}"));
                default
            }
        }
    }

    /// Refuses a tokenizer that has these files but is another.
    fn check_class(&mut self, settings: &Settings, supported: &[&str]) {
        let Some(class) = settings.keys.get("tokenizer_class").and_then(Value::as_str) else {
            return;
        };
        // `AutoTokenizer` saves the name of the faster of two classes that do the same.
        if !supported.contains(&class.strip_suffix("Fast").unwrap_or(class)) {
            let problem = Problem::new(&settings.place, format!("`tokenizer_class` is {class}"));
            self.problems.push(problem.hint(
                "make tokenizer.json with `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`",
            ));
        }
    }

    fn needed(
        &mut self,
        words: &Vocabulary,
        settings: &Settings,
        token: (&str, &str),
    ) -> (String, u32) {
        let found = special_token(words, settings, token);
        found.unwrap_or_else(|| {
            let name = settings.keys.get(token.0).and_then(content).unwrap_or(token.1);
            self.wrong(&words.place, format!("lacks the special token `{name}`"));
            (name.to_owned(), 0)
        })
    }

    fn bert(&mut self, words: &Vocabulary, settings: &Settings) -> Value {
        self.check_class(
            settings,
            &["BertTokenizer", "DistilBertTokenizer", "PreTrainedTokenizer"],
        );
        if self.flag(settings, "do_basic_tokenize", Some(true)) == Some(false) {
            self.wrong(&settings.place, "`do_basic_tokenize` is false; supported: true");
        }
        let lowercase = self.flag(settings, "do_lower_case", Some(true));
        let chinese = self.flag(settings, "tokenize_chinese_chars", Some(true));
        // None follows `do_lower_case`.
        let accents = self.flag(settings, "strip_accents", None);
        let (cls, cls_number) = self.needed(words, settings, ("cls_token", "[CLS]"));
        let (sep, sep_number) = self.needed(words, settings, ("sep_token", "[SEP]"));
        let (unknown, _) = self.needed(words, settings, ("unk_token", "[UNK]"));
        let special = [
            ("pad_token", "[PAD]"),
            ("unk_token", "[UNK]"),
            ("cls_token", "[CLS]"),
            ("sep_token", "[SEP]"),
            ("mask_token", "[MASK]"),
        ];
        let first = |text: &str| json!({ "SpecialToken": { "id": text, "type_id": 0 } });
        let text =
            |name: &str, number: u32| json!({ "Sequence": { "id": name, "type_id": number } });
        let end = json!({ "SpecialToken": { "id": &sep, "type_id": 1 } });
        let single = json!([first(&cls), text("A", 0), first(&sep)]);
        let pair = json!([first(&cls), text("A", 0), first(&sep), text("B", 1), end]);
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added_tokens(words, settings, &special),
            "normalizer": { "type": "BertNormalizer", "clean_text": true, "lowercase": lowercase,
                "handle_chinese_chars": chinese, "strip_accents": accents },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": { "type": "TemplateProcessing", "single": single, "pair": pair,
                "special_tokens": {
                    &cls: { "id": &cls, "ids": [cls_number], "tokens": [&cls] },
                    &sep: { "id": &sep, "ids": [sep_number], "tokens": [&sep] },
                } },
            "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
            "model": { "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": &words.numbers },
        })
    }

    fn roberta(&mut self, words: &Vocabulary, merges: &[Value], settings: &Settings) -> Value {
        self.check_class(settings, &["RobertaTokenizer"]);
        let prefix_space = self.flag(settings, "add_prefix_space", Some(false));
        let (cls, cls_number) = self.needed(words, settings, ("cls_token", "<s>"));
        let (sep, sep_number) = self.needed(words, settings, ("sep_token", "</s>"));
        let special = [
            ("bos_token", "<s>"),
            ("eos_token", "</s>"),
            ("unk_token", "<unk>"),
            ("sep_token", "</s>"),
            ("pad_token", "<pad>"),
            ("cls_token", "<s>"),
            ("mask_token", "<mask>"),
        ];
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added_tokens(words, settings, &special),
            "normalizer": null,
            "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": prefix_space,
                "trim_offsets": true, "use_regex": true },
            "post_processor": { "type": "RobertaProcessing", "sep": [sep, sep_number],
                "cls": [cls, cls_number], "trim_offsets": true, "add_prefix_space": prefix_space },
            "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                "use_regex": true },
            "model": { "type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
                "byte_fallback": false, "ignore_merges": false, "vocab": &words.numbers,
                "merges": merges },
        })
    }
}

/// Returns text and number of a special token.
fn special_token(
    words: &Vocabulary,
    settings: &Settings,
    (key, default): (&str, &str),
) -> Option<(String, u32)> {
    let token = settings.keys.get(key).and_then(content).unwrap_or(default);
    let mut added = settings.added.iter();
    let added = added.find(|(_, added)| content(added) == Some(token)).map(|(number, _)| *number);
    let number = words.numbers.get(token).copied().or(added);
    number.map(|number| (token.to_owned(), number))
}

/// Returns the tokens that are found in a text before it is split: special ones and added ones.
fn added_tokens(words: &Vocabulary, settings: &Settings, special: &[(&str, &str)]) -> Vec<Value> {
    let mut tokens: BTreeMap<u32, Value> = BTreeMap::new();
    for (number, token) in &settings.added {
        if let Some(text) = content(token) {
            // Tokens added by number alone are ordinary words to transformers.
            tokens.insert(*number, added_token(*number, text, token, false));
        }
    }
    for token in special {
        let Some((text, number)) = special_token(words, settings, *token) else { continue };
        let said = settings.added.get(&number).or(settings.keys.get(token.0));
        let plain = json!({ "lstrip": token.1 == "<mask>" });
        let said = said.filter(|said| said.is_object()).unwrap_or(&plain);
        tokens.insert(number, added_token(number, &text, said, true));
    }
    tokens.into_values().collect()
}

/// Returns the text of a token, which may stand alone or with its treatment.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

fn added_token(number: u32, text: &str, said: &Value, special: bool) -> Value {
    let flag =
        |name: &str, default: bool| said.get(name).and_then(Value::as_bool).unwrap_or(default);
    let special = flag("special", special);
    json!({ "id": number, "content": text, "single_word": flag("single_word", false),
        "lstrip": flag("lstrip", false), "rstrip": flag("rstrip", false),
        "normalized": flag("normalized", !special), "special": special })
}

#[cfg(test)]
mod tests;

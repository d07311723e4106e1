//! A trained model as a folder that Hugging Face's `from_pretrained` opens: complete or absent.
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors`, `config.json` | as the attempt kept them |
//! | `tokenizer.json` | the model's, without padding and truncation of its own |
//! | `tokenizer_config.json`, `special_tokens_map.json` | class, longest sequence, special tokens |
//! | `vocab.txt` | of a WordPiece tokenizer |
//! | `README.md`, `converge.json` | where it comes from, for people and for programs |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use converge_bert::BertConfig;
use converge_core::problem::Problem;
use serde_json::{Map, Value, json};

use crate::device;
use crate::durable::{self, Sync};
use crate::regular_file;
use crate::source::unreadable;
use crate::trained::{Head, TrainedModel};

/// A folder to make of a trained model.
#[derive(Debug, Clone)]
pub struct Package {
    /// The model's folder.
    pub model: PathBuf,
    /// The folder to make.
    pub directory: PathBuf,
    /// Whether an earlier model there is replaced.
    pub replace: bool,
    /// The model card.
    pub card: String,
    /// What becomes `converge.json`; the hash of the weights is added.
    pub description: Value,
}

/// A folder that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// SHA-256 of the weights.
    pub weights: String,
    /// Its size. Unit: bytes.
    pub bytes: u64,
}

/// Makes the folder.
///
/// # Durability
/// When this returns, a crash of the machine loses nothing of it. Whoever looks meanwhile sees what was there before,
/// or all of it.
///
/// # Errors
/// Every problem; what was there is then as it was.
pub fn save(package: &Package) -> Result<Saved, Vec<Problem>> {
    let Package { model, directory, replace, .. } = package;
    // What cannot be opened is not worth keeping.
    TrainedModel::open(model, None, &device::name_for_checking())?;
    let in_the_way = look(directory, *replace).map_err(|problem| vec![problem])?;
    let failed = |error: io::Error| {
        let message = format!("cannot be written: {error}");
        vec![Problem::new(directory.to_string_lossy(), message)]
    };
    let aside = durable::beside(directory);
    let made = files(package, &aside).and_then(|saved| {
        let placed = place(&aside, directory, in_the_way).map_err(failed);
        placed.map(|()| saved)
    });
    if made.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&aside);
    }
    made
}

/// Returns whether something is to be replaced.
fn look(directory: &Path, replace: bool) -> Result<bool, Problem> {
    let place = directory.to_string_lossy();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(Problem::new(place, format!("is no folder to write to: {error}")));
        }
    };
    if entries.count() == 0 {
        return Ok(true);
    }
    let is_model =
        ["config.json", "model.safetensors"].iter().all(|name| directory.join(name).is_file());
    match (replace, is_model) {
        (true, true) => Ok(true),
        (true, false) => Err(Problem::new(place, "is not empty and holds no model")
            .hint("what is in it would be lost: name another folder, or empty it yourself")),
        (false, true) => Err(Problem::new(place, "holds a model already")
            .hint("--force replaces it; or name another folder")),
        (false, false) => Err(Problem::new(place, "is not empty").hint("name another folder")),
    }
}

/// Moves the new folder to its place.
fn place(aside: &Path, directory: &Path, in_the_way: bool) -> io::Result<()> {
    if in_the_way {
        let old = durable::beside(directory);
        fs::rename(directory, &old)?;
        if let Err(error) = fs::rename(aside, directory) {
            fs::rename(&old, directory)?;
            return Err(error);
        }
        fs::remove_dir_all(&old)?;
    } else {
        fs::rename(aside, directory)?;
    }
    directory.parent().map_or(Ok(()), durable::sync_directory)
}

fn files(package: &Package, aside: &Path) -> Result<Saved, Vec<Problem>> {
    let Package { model, card, description, .. } = package;
    let mut problems = Vec::new();
    let mut read = |name: &str| {
        let path = model.join(name);
        let content = regular_file::read(&path);
        content.map_err(|error| problems.push(unreadable(&path, &error))).unwrap_or_default()
    };
    let (config, tokenizer) = (read("config.json"), read("tokenizer.json"));
    if !problems.is_empty() {
        return Err(problems);
    }
    let config = String::from_utf8_lossy(&config).into_owned();
    let unusable = |name: &str| {
        let place = model.join(name).to_string_lossy().into_owned();
        vec![Problem::new(place, "is not what converge wrote")]
    };
    let head = Head::read(&config).ok_or_else(|| unusable("config.json"))?;
    let shape = BertConfig::from_json(&config).map_err(|_| unusable("config.json"))?;
    let kind = model_type(&config);
    let tokenizer: Value =
        serde_json::from_slice(&tokenizer).map_err(|_| unusable("tokenizer.json"))?;
    let Tokenizer { json, settings, special, vocabulary } =
        Tokenizer::new(tokenizer, &kind, head.max_length, shape.pad_token_id);

    let place = aside.to_string_lossy().into_owned();
    let failed =
        |error: io::Error| vec![Problem::new(&place, format!("cannot be written: {error}"))];
    fs::create_dir_all(aside).map_err(failed)?;
    let mut bytes = 0;
    let mut write = |name: &str, content: &[u8]| -> Result<(), Vec<Problem>> {
        bytes += content.len() as u64;
        let written =
            durable::write(&aside.join(name), Sync::Yes, |writer| writer.write_all(content));
        written.map(drop).map_err(failed)
    };
    let pretty = |value: &Value| {
        let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.push('\n');
        text.into_bytes()
    };
    write("config.json", config.as_bytes())?;
    write("tokenizer.json", &json.to_string().into_bytes())?;
    write("tokenizer_config.json", &pretty(&settings))?;
    write("special_tokens_map.json", &pretty(&special))?;
    if let Some(vocabulary) = vocabulary {
        write("vocab.txt", vocabulary.as_bytes())?;
    }
    write("README.md", card.as_bytes())?;
    let from = model.join("model.safetensors");
    let weights = durable::write(&aside.join("model.safetensors"), Sync::Yes, |mut writer| {
        bytes += io::copy(&mut fs::File::open(&from)?, &mut writer)?;
        Ok(())
    })
    .map_err(failed)?;
    let mut description = description.clone();
    description["hashes"]["weights"] = weights.clone().into();
    // Last: a folder with it is whole.
    let description = pretty(&description);
    bytes += description.len() as u64;
    durable::write(&aside.join("converge.json"), Sync::Yes, |writer| {
        writer.write_all(&description)
    })
    .and_then(|_| durable::sync_directory(aside))
    .map_err(failed)?;
    Ok(Saved { weights, bytes })
}

fn model_type(config: &str) -> String {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    config.get("model_type").and_then(Value::as_str).unwrap_or("bert").to_owned()
}

/// The files of a tokenizer.
struct Tokenizer {
    json: Value,
    settings: Value,
    special: Value,
    vocabulary: Option<String>,
}

/// Special tokens by what they are for, under the names that BERT and RoBERTa give them.
const SPECIAL: [(&str, [&str; 2]); 5] = [
    ("unk_token", ["[UNK]", "<unk>"]),
    ("sep_token", ["[SEP]", "</s>"]),
    ("pad_token", ["[PAD]", "<pad>"]),
    ("cls_token", ["[CLS]", "<s>"]),
    ("mask_token", ["[MASK]", "<mask>"]),
];

impl Tokenizer {
    /// Makes the files that stand beside a `tokenizer.json`.
    ///
    /// The class is the general one: it takes the file as it stands, where those named after a model would build
    /// another tokenizer of its vocabulary.
    fn new(mut json: Value, model_type: &str, max_length: usize, padding: usize) -> Self {
        // How long and how wide is said by whoever calls it; ours cut to `max_length` and pad to the longest.
        json["truncation"] = Value::Null;
        json["padding"] = Value::Null;
        let tokens = tokens(&json);
        let mut special = Map::new();
        for (role, names) in SPECIAL {
            let name = names.into_iter().find(|name| tokens.iter().any(|(token, _)| token == name));
            special.extend(name.map(|name| (role.to_owned(), json!(name))));
        }
        if let Some((token, _)) = tokens.iter().find(|(_, id)| *id == padding) {
            special.insert("pad_token".to_owned(), json!(token));
        }
        let mut inputs = vec!["input_ids", "token_type_ids", "attention_mask"];
        if model_type != "bert" {
            inputs.retain(|name| *name != "token_type_ids");
        }
        let mut settings = special.clone();
        settings.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
        settings.insert("model_max_length".to_owned(), json!(max_length));
        settings.insert("model_input_names".to_owned(), json!(inputs));
        settings.insert("padding_side".to_owned(), json!("right"));
        settings.insert("truncation_side".to_owned(), json!("right"));
        let is_word_piece = json["model"]["type"] == "WordPiece";
        let vocabulary = is_word_piece.then(|| {
            let mut ordered = tokens;
            ordered.sort_by_key(|(_, id)| *id);
            ordered.into_iter().fold(String::new(), |text, (token, _)| text + &token + "\n")
        });
        Self { json, settings: settings.into(), special: special.into(), vocabulary }
    }
}

/// Returns the tokens of a `tokenizer.json` with their numbers, each once.
fn tokens(json: &Value) -> Vec<(String, usize)> {
    let number = |value: &Value| value.as_u64().and_then(|id| usize::try_from(id).ok());
    let vocabulary = json["model"]["vocab"].as_object().into_iter().flatten();
    let mut tokens: Vec<(String, usize)> =
        vocabulary.filter_map(|(token, id)| Some((token.clone(), number(id)?))).collect();
    let known: std::collections::BTreeSet<usize> = tokens.iter().map(|(_, id)| *id).collect();
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        if let (Some(token), Some(id)) = (added["content"].as_str(), number(&added["id"]))
            && !known.contains(&id)
        {
            tokens.push((token.to_owned(), id));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_things_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let [new, empty, other, model] =
            ["new", "empty", "other", "model"].map(|name| directory.path().join(name));
        for folder in [&empty, &other, &model] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(other.join("thesis.tex"), "x").unwrap();
        fs::write(model.join("config.json"), "{}").unwrap();
        fs::write(model.join("model.safetensors"), "x").unwrap();
        for replace in [false, true] {
            assert_eq!(look(&new, replace), Ok(false));
            assert_eq!(look(&empty, replace), Ok(true));
            assert!(look(&other, replace).is_err());
            assert_eq!(look(&model, replace).is_ok(), replace);
        }
    }

    #[test]
    fn files_beside_the_tokenizer_name_its_special_tokens() {
        let json = json!({
            "truncation": { "max_length": 128 }, "padding": { "strategy": "BatchLongest" },
            "added_tokens": [{ "id": 0, "content": "[PAD]" }, { "id": 9, "content": "[NEW]" }],
            "model": { "type": "WordPiece", "vocab": { "b": 3, "[PAD]": 0, "[UNK]": 1, "[CLS]": 2 } },
        });
        let made = Tokenizer::new(json, "distilbert", 17, 0);
        assert_eq!(made.vocabulary.as_deref(), Some("[PAD]\n[UNK]\n[CLS]\nb\n[NEW]\n"));
        assert_eq!(made.json["truncation"], Value::Null);
        assert_eq!(
            made.special,
            json!({ "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]" })
        );
        assert_eq!(made.settings["model_max_length"], 17);
        assert_eq!(made.settings["model_input_names"], json!(["input_ids", "attention_mask"]));
    }
}

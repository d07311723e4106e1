//! Which files of a published model are used, of those that are there.
//!
//! | what | the first of |
//! |---|---|
//! | configuration | `config.json` |
//! | tokenizer | `tokenizer.json`; `vocab.txt`; `vocab.json` with `merges.txt` |
//! | weights | `model.safetensors`; the files of `model.safetensors.index.json`; `pytorch_model.bin`; the files of `pytorch_model.bin.index.json` |
//!
//! # Source
//! The order of weights is that of `PreTrainedModel.from_pretrained` in transformers.

use std::path::{Path, PathBuf};

use converge_bert::weights::files_of_index;
use converge_bert::{WeightFiles, WeightFormat};
use converge_core::problem::Problem;

use crate::regular_file;

/// Files of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelFiles {
    pub(crate) config: PathBuf,
    pub(crate) tokenizer: TokenizerFiles,
    pub(crate) weights: WeightFiles,
    /// The index that names the files of the weights, where there is one.
    pub(crate) index: Option<PathBuf>,
}

/// Files that a tokenizer is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenizerFiles {
    /// `tokenizer.json`.
    Whole(PathBuf),
    /// BERT's: `vocab.txt`.
    WordPieces { vocabulary: PathBuf, settings: TokenizerSettings },
    /// RoBERTa's: `vocab.json`, `merges.txt`.
    BytePairs { vocabulary: PathBuf, merges: PathBuf, settings: TokenizerSettings },
}

impl TokenizerFiles {
    /// Returns the file that the tokens are in.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Whole(path) => path,
            Self::WordPieces { vocabulary, .. } | Self::BytePairs { vocabulary, .. } => vocabulary,
        }
    }
}

/// Files beside a vocabulary that say how it is used; each may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenizerSettings {
    /// `tokenizer_config.json`.
    pub(crate) config: Option<PathBuf>,
    /// `special_tokens_map.json`.
    pub(crate) special_tokens: Option<PathBuf>,
    /// `added_tokens.json`.
    pub(crate) added_tokens: Option<PathBuf>,
}

/// Where files are looked for.
pub(crate) trait Folder {
    /// Returns where a file lies, if it is there.
    ///
    /// # Errors
    /// Says why that could not be found out.
    fn find(&mut self, name: &str) -> Result<Option<PathBuf>, Problem>;

    /// Names a file for people.
    fn place(&self, name: &str) -> String;
}

/// A folder on this machine.
impl Folder for &Path {
    fn find(&mut self, name: &str) -> Result<Option<PathBuf>, Problem> {
        let path = self.join(name);
        Ok(path.exists().then_some(path))
    }

    fn place(&self, name: &str) -> String {
        self.join(name).to_string_lossy().into_owned()
    }
}

impl ModelFiles {
    /// Chooses the files of a model.
    ///
    /// # Errors
    /// Everything that is missing.
    pub(crate) fn of(folder: &mut dyn Folder) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let config = needed(folder, "config.json", &mut problems);
        if config.is_none() && !problems.iter().all(is_absence) {
            // Where one file cannot be had, others only fail likewise, slowly.
            return Err(problems);
        }
        let tokenizer = tokenizer(folder).map_err(|problem| problems.push(problem)).ok();
        let weights = weights(folder).map_err(|found| problems.extend(found)).ok();
        match (config, tokenizer, weights) {
            (Some(config), Some(tokenizer), Some((weights, index))) => {
                Ok(Self { config, tokenizer, weights, index })
            }
            _ => Err(problems),
        }
    }
}

const ABSENT: &str = "does not exist";

/// Says whether a problem is that a file is not there.
pub(crate) fn is_absence(problem: &Problem) -> bool {
    problem.message == ABSENT
}

fn absent(folder: &dyn Folder, name: &str) -> Problem {
    Problem::new(folder.place(name), ABSENT)
}

fn needed(folder: &mut dyn Folder, name: &str, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    match folder.find(name) {
        Ok(Some(path)) => return Some(path),
        Ok(None) => problems.push(absent(folder, name)),
        Err(problem) => problems.push(problem),
    }
    None
}

fn tokenizer(folder: &mut dyn Folder) -> Result<TokenizerFiles, Problem> {
    if let Some(path) = folder.find("tokenizer.json")? {
        return Ok(TokenizerFiles::Whole(path));
    }
    if let Some(vocabulary) = folder.find("vocab.txt")? {
        return Ok(TokenizerFiles::WordPieces { vocabulary, settings: settings(folder)? });
    }
    if let Some(vocabulary) = folder.find("vocab.json")? {
        return match folder.find("merges.txt")? {
            Some(merges) => {
                let settings = settings(folder)?;
                Ok(TokenizerFiles::BytePairs { vocabulary, merges, settings })
            }
            None => Err(absent(folder, "merges.txt").hint("it goes with vocab.json")),
        };
    }
    Err(absent(folder, "tokenizer.json").hint(
        "nor do vocab.txt and vocab.json; of other files make it with \
         `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`",
    ))
}

fn settings(folder: &mut dyn Folder) -> Result<TokenizerSettings, Problem> {
    Ok(TokenizerSettings {
        config: folder.find("tokenizer_config.json")?,
        special_tokens: folder.find("special_tokens_map.json")?,
        added_tokens: folder.find("added_tokens.json")?,
    })
}

fn weights(folder: &mut dyn Folder) -> Result<(WeightFiles, Option<PathBuf>), Vec<Problem>> {
    let one = |problem| vec![problem];
    for (format, name) in [
        (WeightFormat::SafeTensors, "model.safetensors"),
        (WeightFormat::PyTorch, "pytorch_model.bin"),
    ] {
        if let Some(path) = folder.find(name).map_err(one)? {
            return Ok((WeightFiles { format, paths: vec![path] }, None));
        }
        let name = format!("{name}.index.json");
        if let Some(index) = folder.find(&name).map_err(one)? {
            let text = regular_file::read(&index);
            let listed = text.map_err(|error| format!("cannot be read: {error}"));
            let listed = listed.and_then(|text| files_of_index(&String::from_utf8_lossy(&text)));
            let listed =
                listed.map_err(|message| vec![Problem::new(folder.place(&name), message)])?;
            let (mut paths, mut problems) = (Vec::new(), Vec::new());
            for part in listed {
                paths.extend(needed(folder, &part, &mut problems));
            }
            if !problems.is_empty() {
                let hint = format!("{name} lists it");
                return Err(problems.into_iter().map(|problem| problem.hint(&hint)).collect());
            }
            return Ok((WeightFiles { format, paths }, Some(index)));
        }
    }
    Err(vec![absent(folder, "model.safetensors").hint(
        "nor does pytorch_model.bin; of other files make it with \
         `AutoModel.from_pretrained(DIR).save_pretrained(DIR)`",
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let content = if file.ends_with("index.json") {
                r#"{"weight_map": {"a": "part-2.x", "b": "part-1.x"}}"#
            } else {
                ""
            };
            std::fs::write(directory.path().join(file), content).unwrap();
        }
        directory
    }

    fn chosen(files: &[&str]) -> Vec<String> {
        let directory = folder(files);
        let files = ModelFiles::of(&mut directory.path()).unwrap();
        let tokenizer = match files.tokenizer {
            TokenizerFiles::Whole(path) => vec![path],
            TokenizerFiles::WordPieces { vocabulary, settings } => {
                std::iter::once(vocabulary).chain(settings.config).collect()
            }
            TokenizerFiles::BytePairs { vocabulary, merges, .. } => vec![vocabulary, merges],
        };
        let paths = [tokenizer, files.weights.paths].concat();
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_first_that_is_there_is_used() {
        let all = [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
            "vocab.json",
            "merges.txt",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "part-1.x",
            "part-2.x",
        ];
        let without = |gone: &[&str]| {
            let left: Vec<&str> = all.into_iter().filter(|name| !gone.contains(name)).collect();
            chosen(&left)
        };
        assert_eq!(without(&[]), ["tokenizer.json", "model.safetensors"]);
        assert_eq!(
            without(&["tokenizer.json", "model.safetensors"]),
            ["vocab.txt", "tokenizer_config.json", "part-1.x", "part-2.x"]
        );
        let gone =
            ["tokenizer.json", "vocab.txt", "model.safetensors", "model.safetensors.index.json"];
        assert_eq!(without(&gone), ["vocab.json", "merges.txt", "pytorch_model.bin"]);
        let gone = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];
        assert_eq!(without(&gone), ["tokenizer.json", "part-1.x", "part-2.x"]);
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        let said = |files: &[&str]| -> Vec<String> {
            let directory = folder(files);
            let problems = ModelFiles::of(&mut directory.path()).unwrap_err();
            let name =
                |place: &str| Path::new(place).file_name().unwrap().to_string_lossy().into_owned();
            problems.iter().map(|problem| name(&problem.place)).collect()
        };
        assert_eq!(said(&[]), ["config.json", "tokenizer.json", "model.safetensors"]);
        assert_eq!(
            said(&["vocab.json", "model.safetensors.index.json"]),
            ["config.json", "merges.txt", "part-1.x", "part-2.x"]
        );
    }
}

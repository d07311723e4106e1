//! The index of weights in several files: `model.safetensors.index.json`, `pytorch_model.bin.index.json`.

use std::collections::BTreeSet;

use serde_json::Value;

/// Files that an index may list: far more than any model has.
const MOST_FILES: usize = 1000;

/// Returns the names of the files that an index lists, each once.
///
/// An index may be a stranger's: the names lie beside it, and lead nowhere else.
///
/// # Errors
/// Says what is wrong with the index.
pub fn files_of_index(text: &str) -> Result<Vec<String>, String> {
    let index: Value =
        serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))?;
    let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
        return Err("has no `weight_map`".to_owned());
    };
    let mut files = BTreeSet::new();
    for file in map.values() {
        let Some(file) = file.as_str().filter(|file| is_plain(file)) else {
            return Err(format!("lists {file}, which is not the plain name of a file"));
        };
        files.insert(file.to_owned());
    }
    match files.len() {
        0 => Err("lists no files".to_owned()),
        count if count > MOST_FILES => Err(format!("lists {count} files, more than {MOST_FILES}")),
        _ => Ok(files.into_iter().collect()),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_once_and_lie_beside_the_index() {
        let text = r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "model-2.bin", "b": "model-1.bin", "c": "model-2.bin"}}"#;
        assert_eq!(files_of_index(text).unwrap(), ["model-1.bin", "model-2.bin"]);
        for (name, wrong) in [
            ("../x.bin", "lists \"../x.bin\", which is not the plain name of a file"),
            (".x", "lists \".x\", which is not the plain name of a file"),
            ("a/b", "lists \"a/b\", which is not the plain name of a file"),
            ("", "lists \"\", which is not the plain name of a file"),
        ] {
            let text = format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#);
            assert_eq!(files_of_index(&text).unwrap_err(), wrong);
        }
        assert_eq!(files_of_index("{}").unwrap_err(), "has no `weight_map`");
        assert_eq!(files_of_index(r#"{"weight_map": {}}"#).unwrap_err(), "lists no files");
        assert!(files_of_index("[").unwrap_err().starts_with("is not a JSON object"));
    }
}

//! A sweep file with its overrides, read and made independent of the working directory.

use std::path::Path;

use converge_core::key::{Key, Kind};
use converge_core::problem::Problem;
use converge_core::search_space::Domain;
use converge_core::settings::Settings;
use converge_core::sweep::Sweep;
use converge_core::sweep_file::{Layer, base};
use converge_core::value::Value;

use crate::budget::quoted;
use crate::home::working_directory;
use crate::report::Report;

/// Larger than any sweep file. Unit: bytes.
const MOST_BYTES: u64 = 16 << 20;
/// Start of the override that names another worker program.
const WORKER: &str = "run.worker=";

/// A sweep and where it came from.
#[derive(Debug)]
pub(crate) struct SweepSource {
    /// The sweep; all paths absolute.
    pub(crate) sweep: Sweep,
    /// The file, absolute.
    pub(crate) path: String,
    /// Its text, with those of the files that it extends.
    pub(crate) text: String,
    /// `KEY=VALUE` as given.
    pub(crate) overrides: Vec<String>,
}

impl SweepSource {
    /// Returns file and overrides as words of a command, quoted: without them it would be about another sweep.
    pub(crate) fn words(&self) -> String {
        self.joined(|_| true)
    }

    /// The same but for the name, for a sweep that is to have another one.
    pub(crate) fn words_without_name(&self) -> String {
        self.joined(|text| text.split('=').next().is_none_or(|key| key.trim() != "sweep.name"))
    }

    fn joined(&self, kept: impl Fn(&str) -> bool) -> String {
        let overrides = self.overrides.iter().filter(|text| kept(text));
        let words = [&self.path].into_iter().chain(overrides);
        words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Reads a sweep file.
pub(crate) fn read(
    file: &Path,
    overrides: &[String],
    name: Option<&str>,
) -> Result<SweepSource, Report> {
    let shown = file.display().to_string();
    let layers = layers(file)?;
    let named_by_user = overrides.iter().any(|text| text.trim_start().starts_with(WORKER));
    let mut overrides = overrides.to_vec();
    overrides.extend(name.map(|name| format!("sweep.name={name}")));
    let texts: Vec<Layer<'_>> = layers.iter().map(|(file, text)| Layer { file, text }).collect();
    let mut sweep = converge_core::sweep_file::read_layers(&texts, &overrides)
        .map_err(|problems| Report::problems(&problems))?;
    if let (Some(program), false) = (&sweep.run.worker, named_by_user) {
        return Err(foreign_program(&shown, program));
    }
    let directory = working_directory()?;
    make_absolute(&mut sweep, &directory);
    let path = directory.join(file).display().to_string();
    Ok(SweepSource { sweep, path, text: together(&layers), overrides })
}

/// Makes a sweep of a text that is not written yet.
pub(crate) fn unwritten(text: &str, file: &str) -> Result<Sweep, Report> {
    let mut sweep = converge_core::sweep_file::read(text, file, &[])
        .map_err(|problems| Report::problems(&problems))?;
    make_absolute(&mut sweep, &working_directory()?);
    Ok(sweep)
}

/// Reads a file, what it extends, and so on: name and text of each, in this order.
fn layers(file: &Path) -> Result<Vec<(String, String)>, Report> {
    let (mut layers, mut seen) = (Vec::new(), Vec::new());
    let mut next = Some((file.to_path_buf(), None));
    while let Some((path, told_by)) = next.take() {
        let shown = path.display().to_string();
        let text = read_text(&path).map_err(|reason| match &told_by {
            None => Report::usage(
                format!("cannot read the sweep file `{shown}`: {reason}"),
                "the repository's own are in sweeps/; `converge init` writes one for your data",
            ),
            Some(place) => Report::problems(&[Problem::new(
                place,
                format!("`extends`: cannot read `{shown}`: {reason}"),
            )
            .hint("the path is relative to the file that says it")]),
        })?;
        // Under one name, however it is reached.
        let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if seen.contains(&real) {
            let place = told_by.unwrap_or_default();
            return Err(Report::problems(&[Problem::new(
                place,
                format!("`extends`: `{shown}` extends itself, by way of other files or straight"),
            )
            .hint("a base must not lead back to what extends it")]));
        }
        seen.push(real);
        let base = base(Layer { file: &shown, text: &text })
            .map_err(|problem| Report::problems(&[problem]))?;
        next = base
            .map(|base| (path.parent().unwrap_or(Path::new("")).join(base.path), Some(base.place)));
        layers.push((shown, text));
    }
    Ok(layers)
}

/// Reads a text; what names it may be a stranger's file, so that it must be a regular file of a sane size.
fn read_text(path: &Path) -> Result<String, String> {
    let facts = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !facts.is_file() {
        return Err("it is not a regular file".into());
    }
    if facts.len() > MOST_BYTES {
        return Err("it is larger than any sweep file".into());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text; a sweep file is TOML".into())
}

/// Returns the text that is stored: that of the file, and behind it those of the files that it stands on.
fn together(layers: &[(String, String)]) -> String {
    match layers {
        [(_, text)] => text.clone(),
        _ => layers.iter().map(|(file, text)| format!("# ---- {file}\n{text}\n")).collect(),
    }
}

/// A sweep file may be a stranger's: it names data and numbers, and never a program to run.
fn foreign_program(file: &str, program: &str) -> Report {
    Report::usage(
        format!("`{file}` names a program to run ([run] `worker`), and a sweep file must not"),
        format!("if you trust it, name it yourself: converge run {file} run.worker={program}"),
    )
}

fn make_absolute(sweep: &mut Sweep, directory: &Path) {
    let Settings { model, data, .. } = &mut sweep.settings;
    let fixed = [&mut model.path, &mut data.validation, &mut data.test];
    for path in fixed.into_iter().flatten().chain([&mut data.train]) {
        *path = absolute(path, directory);
    }
    if let Some(worker) = &mut sweep.run.worker {
        *worker = absolute(worker, directory);
    }
    let is_path = |name: &str| Key::find(name).is_some_and(|key| matches!(key.kind, Kind::Path));
    let rewrite = |value: &mut Value| {
        if let Value::Text(path) = value {
            *path = absolute(path, directory);
        }
    };
    for parameter in &mut sweep.parameters {
        for case in &mut parameter.cases {
            let conditions = case.when.iter_mut().filter(|(name, _)| is_path(name));
            conditions.flat_map(|(_, values)| values).for_each(rewrite);
            if let (true, Domain::Values(values)) = (is_path(&parameter.name), &mut case.domain) {
                values.iter_mut().for_each(rewrite);
            }
        }
    }
    for entry in &mut sweep.enqueue {
        entry.iter_mut().filter(|(name, _)| is_path(name)).for_each(|(_, value)| rewrite(value));
    }
    for constraint in &mut sweep.constraints {
        constraint.map_paths(&|path| absolute(path, directory));
    }
}

/// `hf:org/name` and `none` are no paths.
fn absolute(path: &str, directory: &Path) -> String {
    if path.is_empty() || path == "none" || path.starts_with("hf:") {
        return path.to_string();
    }
    // Without `.`, so that one file has one spelling.
    directory.join(path).components().collect::<std::path::PathBuf>().display().to_string()
}

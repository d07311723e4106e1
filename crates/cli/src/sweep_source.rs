//! A sweep file with its overrides, read and made independent of the working directory.

use std::path::Path;

use converge_core::key::{Key, Kind};
use converge_core::search_space::Domain;
use converge_core::settings::Settings;
use converge_core::sweep::Sweep;
use converge_core::value::Value;

use crate::home::working_directory;
use crate::report::Report;

/// Start of the override that names another worker program.
const WORKER: &str = "run.worker=";

/// A sweep and where it came from.
#[derive(Debug)]
pub(crate) struct SweepSource {
    /// The sweep; all paths absolute.
    pub(crate) sweep: Sweep,
    /// The file, absolute.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
    /// `KEY=VALUE` as given.
    pub(crate) overrides: Vec<String>,
}

/// Reads a sweep file.
pub(crate) fn read(
    file: &Path,
    overrides: &[String],
    name: Option<&str>,
) -> Result<SweepSource, Report> {
    let shown = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| {
        Report::usage(
            format!("cannot read the sweep file `{shown}`: {error}"),
            "the repository's own are in sweeps/",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Report::usage(format!("`{shown}` is not UTF-8 text"), "a sweep file is TOML")
    })?;
    let named_by_user = overrides.iter().any(|text| text.trim_start().starts_with(WORKER));
    let mut overrides = overrides.to_vec();
    overrides.extend(name.map(|name| format!("sweep.name={name}")));
    let mut sweep = converge_core::sweep_file::read(&text, &shown, &overrides)
        .map_err(|problems| Report::problems(&problems))?;
    if let (Some(program), false) = (&sweep.run.worker, named_by_user) {
        return Err(foreign_program(&shown, program));
    }
    let directory = working_directory()?;
    make_absolute(&mut sweep, &directory);
    let path = directory.join(file).display().to_string();
    Ok(SweepSource { sweep, path, text, overrides })
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
    for parameter in &mut sweep.parameters {
        if !Key::find(&parameter.name).is_some_and(|key| matches!(key.kind, Kind::Path)) {
            continue;
        }
        for case in &mut parameter.cases {
            let Domain::Values(values) = &mut case.domain else { continue };
            for value in values {
                if let Value::Text(path) = value {
                    *path = absolute(path, directory);
                }
            }
        }
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

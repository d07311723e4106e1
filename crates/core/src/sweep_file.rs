//! Reads a sweep file: TOML text and overrides in, a [`Sweep`] or all its problems out.
//!
//! In reading order: `document` (TOML with places), `table` (known keys, typed reads), `overrides`
//! (`KEY=VALUE` from the command line), `parameters` (`[parameters]`), `sections` (all other tables).

mod document;
mod overrides;
mod parameters;
mod sections;
mod table;

use crate::problem::Problem;
use crate::sweep::Sweep;

/// Reads a sweep file with overrides in the form `learning_rate=1e-5,2e-5`.
///
/// `file` names the text in places. Paths are returned as written.
///
/// # Errors
/// All problems at once, each with its place.
pub fn read(text: &str, file: &str, overrides: &[String]) -> Result<Sweep, Vec<Problem>> {
    let (mut root, mut problems) = document::parse(text, file);
    if !problems.is_empty() {
        return Err(problems);
    }
    for text in overrides {
        if let Err(problem) = overrides::apply(&mut root, text) {
            problems.push(problem);
        }
    }
    let sweep = sections::read_sweep(root, file, &mut problems);
    match sweep {
        Some(sweep) if problems.is_empty() => Ok(sweep),
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests;

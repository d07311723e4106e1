//! Reads a sweep file: TOML text and overrides in, a [`Sweep`] or all its problems out.
//!
//! In reading order: `document` (TOML with places), `layers` (a file over its base), `table` (known keys, typed reads),
//! `overrides` (`KEY=VALUE` from the command line), `parameters` (`[parameters]`), `enqueue` and `constraints` (what runs
//! first, what does not run), `early_stop`, `sections` (all other tables). [`section_key`] lists the keys of those, [`schema`] and
//! [`mod@reference`] write down what can be written.

mod constraints;
mod document;
mod early_stop;
mod enqueue;
mod layers;
mod overrides;
mod parameters;
pub mod reference;
pub mod schema;
pub mod section_key;
mod sections;
mod table;

pub use layers::{Base, Layer, base};

use crate::problem::Problem;
use crate::sweep::Sweep;

/// Tables of a sweep file.
const SECTIONS: [&str; 9] =
    ["sweep", "parameters", "train", "model", "data", "early_stop", "run", "budget", "failure"];

/// Reads a sweep file with overrides in the form `learning_rate=1e-5,2e-5`.
///
/// `file` names the text in places. Paths are returned as written.
///
/// # Errors
/// All problems at once, each with its place.
pub fn read(text: &str, file: &str, overrides: &[String]) -> Result<Sweep, Vec<Problem>> {
    read_layers(&[Layer { file, text }], overrides)
}

/// Reads a sweep file that stands on others: each layer extends the next one.
///
/// # Errors
/// All problems at once, each with its place in the file where it stands.
pub fn read_layers(layers: &[Layer<'_>], overrides: &[String]) -> Result<Sweep, Vec<Problem>> {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for layer in layers {
        let (root, found) = document::parse(layer.text, layer.file);
        documents.push(root);
        problems.extend(found);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let missing = documents.last().and_then(|root| root.iter().find(|(name, _)| name == "extends"));
    if let Some((_, node)) = missing {
        return Err(vec![Problem::new(&node.place, "what it `extends` is not at hand")]);
    }
    let mut root = document::Root::new();
    for over in documents.into_iter().rev() {
        layers::lay_over(&mut root, over);
    }
    for text in overrides {
        if let Err(problem) = overrides::apply(&mut root, text) {
            problems.push(problem);
        }
    }
    let file = layers.first().map_or("", |layer| layer.file);
    let sweep = sections::read_sweep(root, file, &mut problems);
    match sweep {
        Some(sweep) if problems.is_empty() => Ok(sweep),
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests;

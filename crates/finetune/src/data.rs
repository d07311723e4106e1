//! From files of texts and labels to splits of token numbers.
//!
//! In reading order: [`table`] reads a file, [`labels`] puts its classes in order, [`tokens`] makes
//! numbers of its texts, [`cache`] keeps those on disk, [`split`] draws training, validation and
//! test, and [`dataset`] joins all of it; [`bag_of_words`] tells what words alone say.

pub(crate) mod bag_of_words;
pub(crate) mod cache;
pub(crate) mod dataset;
pub(crate) mod inspection;
pub(crate) mod labels;
pub(crate) mod split;
pub(crate) mod table;
pub(crate) mod tokens;

#[cfg(test)]
mod strangers;

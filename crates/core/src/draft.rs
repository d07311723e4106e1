//! A first sweep over a data file: which columns hold what, and a file that says why it is as it is.

mod columns;
mod text;

pub use columns::{Picked, Roles, Wishes, roles};
pub use text::{Draft, Grid, draft, task_words};
pub(crate) use text::{one_line, quoted};

#[cfg(test)]
mod tests;

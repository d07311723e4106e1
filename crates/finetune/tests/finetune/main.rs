//! A fine-tune as the worker sees it: through the public interface, on real files.
#![allow(clippy::unwrap_used)] // Of helpers too, which clippy does not take for tests.

mod architectures;
mod exactness;
mod precision;
mod problems;
mod support;
mod tasks;
mod training;

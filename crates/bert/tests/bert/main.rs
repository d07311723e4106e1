//! The model against the reference, as other crates see it. One binary, because linking is dear.

// Clippy allows them in functions marked `#[test]` but not in what those call.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod files;
mod golden;
mod loading;
mod minilm;
mod reference;
mod strangers;
mod training_mode;

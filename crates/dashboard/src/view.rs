//! What is shown, as plain values.

pub mod pace;
pub mod progress;
pub mod standing;

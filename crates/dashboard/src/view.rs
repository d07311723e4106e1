//! What is shown, as plain values.

pub mod pace;
pub mod progress;
pub mod standing;
pub mod watch;
pub mod watch_curve;
pub mod watch_state;

//! Views as text for a terminal.

pub mod escaped;
pub mod number;
pub mod plot;
pub mod progress;
pub mod progress_line;
pub mod style;
pub mod table;

mod canvas;
mod ticks;

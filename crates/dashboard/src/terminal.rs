//! Views as text for a terminal.

pub mod diagnosis;
pub mod escaped;
pub mod explanation;
pub mod heat_map;
pub mod number;
pub mod plot;
pub mod progress;
pub mod progress_line;
pub mod sparkline;
pub mod style;
pub mod table;
pub mod watch;

mod canvas;
mod ticks;
mod wrapped;

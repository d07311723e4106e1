//! Read-only views of sweeps: [`view`] holds what is shown, [`terminal`] turns it into text.
//!
//! `view` is pure: no clock, no printing; the time is a field or an argument.
//! Only [`terminal::progress`] writes, and a failure to write never disturbs a sweep.

pub mod terminal;
pub mod view;

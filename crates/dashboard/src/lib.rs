//! Read-only views of sweeps: [`view`] holds what is shown, [`terminal`] turns it into text, [`web`] into a page.
//!
//! `view` is pure: no clock, no printing; the time is a field or an argument.
//! Only [`terminal::progress`] writes, and a failure to write never disturbs a sweep. Only [`web`] reads a database; it
//! decides nothing, and what changes something is done by the program around it.

pub mod terminal;
pub mod view;
pub mod web;

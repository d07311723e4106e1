//! Vocabulary and decisions of converge: no I/O, no clock, no environment, no global generator.
//!
//! In reading order: what a user writes ([`settings`], [`objective`]), what is found out about it
//! ([`problem`], [`facts`]), what a training records ([`metric`]), and how it can end ([`failure`]).

pub mod facts;
pub mod failure;
pub mod ids;
pub mod metric;
pub mod objective;
pub mod problem;
pub mod seed;
pub mod settings;
pub mod steps;

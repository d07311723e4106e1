//! Vocabulary and decisions of converge: no I/O, no clock, no environment, no global generator.
//!
//! In reading order: what a user writes ([`settings`], [`objective`]), what is found out about it
//! ([`problem`], [`facts`]), what a training records ([`metric`]), and how it can end ([`failure`]).

pub mod baseline;
pub mod budget;
pub mod constraint;
pub mod cost;
pub mod draft;
pub mod early_stop;
pub mod effects;
pub mod equivalent;
pub mod extension;
pub mod facts;
pub mod failure;
pub mod fingerprint;
pub mod fit;
pub mod growth;
pub mod ids;
pub mod inspection;
pub mod items;
pub mod key;
pub mod machine;
pub mod materialise;
pub mod metric;
pub mod micro_batches;
pub mod next;
pub mod objective;
pub mod packed;
pub mod placement;
pub mod probe;
pub mod problem;
pub mod ramp;
pub mod ranking;
pub mod refit;
pub mod resumption;
pub mod sampler;
pub mod script;
pub mod search_space;
pub mod seed;
pub mod settings;
pub mod statistics;
pub mod steps;
pub mod sweep;
pub mod sweep_file;
pub mod task;
pub mod trial;
pub mod value;

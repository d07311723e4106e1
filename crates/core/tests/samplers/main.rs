//! Samplers from outside: against Optuna, and as functions of nothing but seed and history.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "regrets are told")]

mod functions;
mod properties;
mod regret;

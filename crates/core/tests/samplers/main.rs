//! Samplers from outside: against Optuna, and as functions of nothing but seed and history.

mod functions;
mod properties;
mod regret;

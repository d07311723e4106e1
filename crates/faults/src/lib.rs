//! Deaths and defects on demand, for the tests of durability alone.
//!
//! A *fail point* is a place before or after something durable: a commit, a frame, a sync, a rename. With the feature
//! `enabled` a process kills itself, as `kill -9` would, when it reaches the one that its environment names. A *mutant*
//! is a known defect that a test switches on to prove that it would be noticed. Without the feature both are nothing.

mod mutant;
mod point;

pub use mutant::{Mutant, is_on, switch_on};
pub use point::{POINT_VARIABLE, point};

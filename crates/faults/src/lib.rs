//! Deaths and defects on demand, for the tests of durability alone.
//!
//! A *fail point* is a place before or after something durable: a commit, a frame, a sync, a rename. With the feature
//! `enabled` a process kills itself, as `kill -9` would, when it reaches the one that its environment names. The *disk*
//! notes what was synced, so that a test can take away what a power cut would. A *mutant* is a known defect that a test
//! switches on to prove that it would be noticed. Without the feature all three are nothing.

pub mod disk;
mod mutant;
mod point;

pub use mutant::{Mutant, is_on, switch_on};
pub use point::{ALL, ONCE_VARIABLE, POINT_VARIABLE, SIGNAL_VARIABLE, point, point_after};

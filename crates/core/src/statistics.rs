//! How sure a comparison of trials is: intervals, ties, and what choosing the best of many does to its value.
//!
//! All of it is a pure function of results and a seed. `docs/statistics.md` says what each number means, where its
//! formula comes from and how it did in simulations with known truth; [`standing`](standing::standing) is what `best` shows.

pub mod chosen;
pub mod contenders;
pub mod covariance;
pub mod distributions;
pub mod draws;
mod evaluations;
pub mod paired;
pub mod scale;
pub mod seeds;
pub mod standing;

pub use standing::{Interval, Share};

use distributions::{normal_quantile, student_quantile};

/// Returns how much wider an interval is that Student's distribution asks for than the normal one's.
fn small_sample(degrees: f64, chance: f64) -> f64 {
    student_quantile(chance, degrees) / normal_quantile(chance)
}

//! How sure a comparison of trials is: intervals, ties, and what choosing the best of many does to its value.
//!
//! All of it is a pure function of results and a seed. `docs/statistics.md` says what each number means, where its
//! formula comes from and how it did in simulations with known truth; [`standing`](standing::standing) is what `best` shows.

pub mod standing;

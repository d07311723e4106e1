//! Why a trial did not converge.
//!
//! In reading order: a [`Record`](record::Record) is what is known of a trial, [`chance`] what a model would get that
//! has learnt nothing, [`signals`] the numbers that tell causes apart, [`cause`] the catalogue of what can be wrong,
//! [`rules`] which signals speak for which cause, [`siblings`] what other trials of the sweep prove, and
//! [`diagnosis`] puts it together. [`lint`] needs no curves, [`overview`] looks at a whole sweep.
//!
//! `docs/diagnosis.md` says the same for users, with what it gets right and wrong.

pub mod cause;
pub mod chance;
pub mod curve;
pub mod diagnosis;
pub mod lint;
pub mod overview;
pub mod record;
pub mod rules;
pub mod siblings;
pub mod signals;
pub mod standing;
pub mod thresholds;

#[cfg(test)]
mod made_up;

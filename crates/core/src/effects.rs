//! What mattered in a sweep: which parameters moved the objective, how sure that is, and what to try next.
//!
//! In reading order: [`candidate`] (what is known of each configuration), [`variance`] (a full grid taken apart:
//! [`factorial`], `share_interval`), [`importance`] (any other sweep: [`ped_anova`], `parzen`), [`ladder`] (what came of
//! each value), [`edge`], [`expected_best`], [`sensitivity`], [`heat_map`], and [`explanation`], which has all of it.

pub mod candidate;
pub mod constant;
mod distribution;
mod draws;
pub mod edge;
pub mod expected_best;
pub mod explanation;
pub mod factorial;
pub mod heat_map;
pub mod importance;
pub mod ladder;
mod parzen;
pub mod ped_anova;
pub mod sensitivity;
mod share_interval;
pub mod variance;

#[cfg(test)]
mod tests;

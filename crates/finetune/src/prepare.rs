//! What is found out about model and data before the first trial.

use std::path::PathBuf;

use converge_core::facts::Facts;
use converge_core::problem::Problem;
use converge_core::seed::Seed;
use converge_core::settings::Settings;

/// The settings that a sweep is going to use.
#[derive(Debug, Clone)]
pub struct PrepareRequest {
    /// One for each combination of model and data settings.
    pub cases: Vec<Settings>,
    /// [`TrialSeeds::split`](converge_core::seed::TrialSeeds) of the sweep.
    pub split_seed: Seed,
    /// Where tokenised data is kept between trials.
    pub cache_directory: PathBuf,
    /// A name out of [`devices`](crate::devices).
    pub device: String,
}

/// Validates model and data of every case, tokenises into the cache, and returns the facts of each
/// case in order.
///
/// # Errors
/// Every problem of every case, each once.
pub fn prepare(request: &PrepareRequest) -> Result<Vec<Facts>, Vec<Problem>> {
    let _ = request;
    Err(vec![Problem::new("", "prepare is not written yet")])
}

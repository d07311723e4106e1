//! The loop.

use crate::job::{Ending, FineTuneError, Job, Observer};

/// Runs one fine-tune to its end, or until the observer stops it.
///
/// # Errors
/// [`FineTuneError`], whose class decides about a retry.
pub fn fine_tune(job: &Job, observer: &mut dyn Observer) -> Result<Ending, FineTuneError> {
    let _ = (job, observer);
    Err(FineTuneError::config("fine_tune is not written yet"))
}

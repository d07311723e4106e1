//! What a sweep's state is called, given whether anybody works on it.

use converge_store::{SweepState, SweepSummary};

/// Returns where a sweep stands. One that says `running` or `paused` while nobody holds the home was killed.
pub fn standing(sweep: &SweepSummary, held: bool) -> &'static str {
    match sweep.state {
        SweepState::Finished => "finished",
        SweepState::Interrupted => "interrupted",
        SweepState::Running if held => "running",
        SweepState::Paused if held && sweep.trials.running > 0 => "pausing",
        SweepState::Paused if held => "paused",
        SweepState::Running | SweepState::Paused => "killed",
    }
}

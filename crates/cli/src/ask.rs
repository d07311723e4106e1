//! Asking the scheduler that holds a home, and waiting for its answer.

use std::time::{Duration, Instant};

use converge_scheduler::home::Home;
use converge_scheduler::requests::{Request, Requests};

use crate::report::Report;

/// How long workers may take to checkpoint before this command says that they are still busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often is looked for the answer.
const LOOK: Duration = Duration::from_millis(20);

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is carried out.
    Done,
    /// The scheduler ended before; the request is taken back.
    Gone,
    /// It is still to be done; the request stays.
    Waiting,
}

/// Asks the scheduler with this process id.
pub(crate) fn ask(home: &Home, scheduler: u32, request: &Request) -> Result<Answer, Report> {
    let requests = Requests::of(home);
    let name = requests.put(request)?;
    let asked = Instant::now();
    while requests.is_waiting(&name) {
        if home.holder() != Some(scheduler) {
            // It may have been carried out last of all.
            if !requests.is_waiting(&name) {
                break;
            }
            requests.remove(&name);
            return Ok(Answer::Gone);
        }
        if asked.elapsed() > PATIENCE {
            return Ok(Answer::Waiting);
        }
        std::thread::sleep(LOOK);
    }
    Ok(Answer::Done)
}

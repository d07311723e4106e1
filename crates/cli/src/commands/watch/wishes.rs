//! What a watcher asks of the scheduler, by the ways of `stop`, `pause` and `cancel`, and what came of it.

use std::path::Path;

use converge_dashboard::terminal::number::plural;
use converge_dashboard::view::watch::Watched;
use converge_dashboard::view::watch_state::Wish;
use converge_scheduler::home::Home;
use converge_scheduler::launcher::local::terminate;
use converge_scheduler::requests::{Request, Requests};

/// Requests of this watcher that are not answered yet.
pub(super) struct Wishes<'home> {
    home: &'home Home,
    waiting: Vec<Waiting>,
}

struct Waiting {
    name: String,
    scheduler: u32,
    /// What is said once it is carried out.
    done: String,
}

impl<'home> Wishes<'home> {
    pub(super) fn of(home: &'home Home) -> Self {
        Self { home, waiting: Vec::new() }
    }

    /// Asks, and returns what there is to say about it. Nothing is waited for.
    pub(super) fn carry_out(&mut self, wish: &Wish, watched: &Watched) -> String {
        // Between question and answer the scheduler may have ended.
        let scheduler = self.home.holder().filter(|pid| watched.sweep.scheduler == Some(*pid));
        let Some(scheduler) = scheduler else {
            return "the scheduler has ended: nothing was asked".into();
        };
        let (request, asked, done) = match wish {
            Wish::Stop => {
                return match terminate(scheduler) {
                    Ok(()) => format!(
                        "pid {scheduler} was asked to stop: its workers checkpoint and leave"
                    ),
                    Err(error) => format!("cannot ask pid {scheduler} to stop: {error}"),
                };
            }
            Wish::Pause => (Request::Pause { scheduler }, "pausing".into(), "paused".to_owned()),
            Wish::Unpause => {
                (Request::Unpause { scheduler }, "going on".into(), "it goes on".to_owned())
            }
            Wish::Cancel(numbers) => {
                let sweep = watched.sweep.name.clone();
                let trials = plural(numbers.len() as u64, "trial");
                let request = Request::Cancel { sweep, trials: numbers.clone() };
                (
                    request,
                    format!("cancelling {trials}"),
                    format!("{trials} cancelled, or ended before"),
                )
            }
            Wish::Quit | Wish::Suspend | Wish::Redraw => return String::new(),
        };
        match Requests::of(self.home).put(&request) {
            Ok(name) => {
                self.waiting.push(Waiting { name, scheduler, done });
                format!("{asked} ...")
            }
            Err(error) => cannot_ask(self.home.root(), &error),
        }
    }

    /// Returns what came of a request since the last call.
    pub(super) fn look(&mut self) -> Option<String> {
        let requests = Requests::of(self.home);
        let answered = self.waiting.iter().position(|waiting| {
            !requests.is_waiting(&waiting.name) || self.home.holder() != Some(waiting.scheduler)
        })?;
        let waiting = self.waiting.remove(answered);
        if requests.is_waiting(&waiting.name) {
            requests.remove(&waiting.name);
            return Some(
                "the scheduler ended before it was done; the request is taken back".into(),
            );
        }
        Some(waiting.done)
    }
}

fn cannot_ask(home: &Path, error: &std::io::Error) -> String {
    format!("cannot ask: nothing can be written to `{}`: {error}", home.display())
}

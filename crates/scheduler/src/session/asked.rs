//! Requests of other commands, as the session takes them up.

use std::collections::BTreeSet;

use super::{Session, SessionError};
use crate::cancellation;
use crate::reactor::Event;
use crate::requests::Request;

impl Session {
    /// Turns new requests into events. Trials of other sweeps are cancelled at once: nothing of them runs.
    pub(super) fn ask(&mut self) -> Result<Vec<Event>, SessionError> {
        let mut events = Vec::new();
        for (name, request) in self.requests.waiting() {
            if self.asked.contains(&name) {
                continue;
            }
            let own = std::process::id();
            let event = match request {
                Request::Cancel { sweep, trials } => {
                    match self.store.read().sweep_named(&sweep)? {
                        Some(summary) if summary.id == self.reactor.sweep() => {
                            let chosen: BTreeSet<u64> = trials.into_iter().collect();
                            let ids = self
                                .reactor
                                .trials()
                                .filter(|(_, trial)| chosen.contains(&trial.number));
                            let trials = ids.map(|(id, _)| *id).collect();
                            Some(Event::Cancel { request: name.clone(), trials })
                        }
                        Some(summary) => {
                            let (home, store) = (&self.home, &mut self.store);
                            cancellation::cancel(home, store, &summary, &trials)?;
                            None
                        }
                        None => None,
                    }
                }
                Request::Pause { scheduler } if scheduler == own => {
                    Some(Event::Pause { request: name.clone() })
                }
                Request::Unpause { scheduler } if scheduler == own => {
                    Some(Event::Unpause { request: name.clone() })
                }
                // For a scheduler that is gone.
                Request::Pause { .. } | Request::Unpause { .. } => None,
            };
            match event {
                Some(event) => {
                    self.asked.insert(name);
                    events.push(event);
                }
                None => self.requests.remove(&name),
            }
        }
        Ok(events)
    }
}

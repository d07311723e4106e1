//! One round: decide, commit, act, until nothing follows.
//!
//! That nothing is lost rests on this order, so the session and the simulation of the tests share it.

use converge_store::Change;

use crate::reactor::{Action, Decisions, Ending, Event};

/// Who carries a round out: decides, stores, acts.
pub trait Carrier {
    /// Why a round was cut short.
    type Error;

    /// Decides on an event.
    ///
    /// # Errors
    /// Where the state contradicts itself.
    fn decide(&mut self, event: Event) -> Result<Decisions, Self::Error>;

    /// Stores changes as one transaction; nothing for none.
    ///
    /// # Errors
    /// Where they cannot be stored; nothing of them is.
    fn commit(&mut self, changes: &[Change]) -> Result<(), Self::Error>;

    /// Carries an action out and returns the event that it causes.
    ///
    /// # Errors
    /// Where nothing can go on.
    fn act(&mut self, action: Action) -> Result<Option<Event>, Self::Error>;
}

/// Decides on events and on those that its own actions cause; returns how the session ended, if it did.
///
/// # Errors
/// The carrier's; what was committed stays so.
pub fn round<C: Carrier>(
    carrier: &mut C,
    mut events: Vec<Event>,
) -> Result<Option<Ending>, C::Error> {
    while !events.is_empty() {
        let mut decisions = Decisions::default();
        for event in events.drain(..) {
            let further = carrier.decide(event)?;
            decisions.changes.extend(further.changes);
            decisions.actions.extend(further.actions);
        }
        carrier.commit(&decisions.changes)?;
        for action in decisions.actions {
            if let Action::Finish(ending) = action {
                return Ok(Some(ending));
            }
            events.extend(carrier.act(action)?);
        }
    }
    Ok(None)
}

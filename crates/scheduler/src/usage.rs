//! How long the scheduler has worked on a sweep, sessions that were killed included.
//!
//! A killed session has written no end. Its workers outlive it by seconds, beat every 15 s and write every step, so
//! the time of their last word, which the file system keeps, is taken for its end.

use std::time::UNIX_EPOCH;

use converge_core::budget::Usage;
use converge_core::ids::SweepId;
use converge_store::{OpenSession, QueryError, Reader, SessionError, Store};

use crate::clock;
use crate::home::Home;

/// Exit of a session that did not live to tell it.
const KILLED: &str = "killed";

/// Sessions of dead schedulers cannot be ended.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The store cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store cannot be written.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Gives the sessions of dead schedulers their end. The caller holds the home, so no other scheduler is alive.
///
/// # Errors
/// [`UsageError`].
pub fn end_killed_sessions(home: &Home, store: &mut Store) -> Result<(), UsageError> {
    for session in store.read().open_sessions()? {
        store.close_session(session.id, KILLED, last_word(home, &session))?;
    }
    Ok(())
}

/// Returns what a sweep has used so far; an open session counts up to now, or up to its last word where no
/// scheduler is `alive`.
///
/// # Errors
/// Where the store cannot be read.
pub fn usage(
    home: &Home,
    reader: &Reader,
    sweep: SweepId,
    alive: bool,
) -> Result<Usage, QueryError> {
    Ok(Usage { wall_ms: wall_ms(home, reader, sweep, alive)?, steps: reader.steps_done(sweep)? })
}

/// The part of [`usage`] that reads no attempts.
///
/// # Errors
/// Where the store cannot be read.
pub fn wall_ms(
    home: &Home,
    reader: &Reader,
    sweep: SweepId,
    alive: bool,
) -> Result<u64, QueryError> {
    let mut total = reader.closed_wall_ms(sweep)?;
    let open = reader.open_sessions()?;
    for (place, session) in open.iter().enumerate() {
        // Of several without an end only the newest can be the living one's.
        let lives = alive && place + 1 == open.len();
        let end = if lives { clock::unix_ms() } else { last_word(home, session) };
        if session.sweep == sweep {
            total += u64::try_from(end - session.started_at_ms).unwrap_or(0);
        }
    }
    Ok(total)
}

/// Returns when the workers of a session last wrote, or its beginning where nothing is left of them.
fn last_word(home: &Home, session: &OpenSession) -> i64 {
    let written = |directory: &String| {
        let log = home.root().join(directory).join("up.log");
        let time = std::fs::metadata(log).and_then(|log| log.modified()).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    };
    let last = session.directories.iter().filter_map(written).max();
    // A file of tomorrow tells of a clock that was set back, not of time that has passed.
    last.unwrap_or(0).min(clock::unix_ms()).max(session.started_at_ms)
}

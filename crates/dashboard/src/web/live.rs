//! What changes, as server-sent events: each connection has a thread that looks whether the database was written to, and
//! tells what is different from what it told last.
//!
//! `GET /api/v1/events` tells of all sweeps, `?sweep=N` of one with its trials, `?sweep=N&trial=N` of one trial. Events:
//! `home` (scheduler), `sweep` (where one stands), `trials` (rows that changed), `trial` (that one), `lost` (the database
//! cannot be read now). Whoever reconnects compares the first `marker` with that of the rows it has.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use converge_core::ids::SweepId;
use converge_core::trial::TrialState;
use converge_store::{Reader, TrialRecord, TrialsMarker};
use futures_core::Stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::readers::Identity;
use super::reply::Refused;
use super::state::{Shared, State};
use super::sweeps::summary;
use super::trials::{marker_word, row};

/// How often is looked whether the database was written to.
const LOOK: Duration = Duration::from_millis(300);
/// How often is looked whether the scheduler still holds the home. It takes the lock for a moment where nobody has it.
const LOOK_FOR_SCHEDULER: Duration = Duration::from_secs(2);
/// Connections at once; a browser has one a page.
const MOST_CONNECTIONS: usize = 64;
/// Events that wait for a slow browser.
const WAITING: usize = 16;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

#[derive(Deserialize)]
pub(super) struct Of {
    sweep: Option<i64>,
    trial: Option<u64>,
}

/// `GET /api/v1/events?sweep=&trial=`
pub(super) async fn events(
    shared: Shared,
    of: Result<Query<Of>, QueryRejection>,
) -> Result<Sse<KeepAliveStream<Events>>, Refused> {
    let Query(of) = of?;
    if CONNECTIONS.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        return Err(Refused::busy(format!("{MOST_CONNECTIONS} pages are open already")));
    }
    let (sender, receiver) = channel(WAITING);
    let teller = Teller { state: shared.0, of, sender, told: HashMap::new(), trials: None };
    tokio::task::spawn_blocking(move || {
        teller.run();
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(10));
    Ok(Sse::new(Events(receiver)).keep_alive(keep_alive))
}

/// The events of one connection.
pub(super) struct Events(Receiver<Event>);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

/// The browser is gone.
struct Gone;

/// The thread behind a connection.
struct Teller {
    state: Arc<State>,
    of: Of,
    sender: Sender<Event>,
    /// What was told last, by what it is about.
    told: HashMap<String, String>,
    trials: Option<Told>,
}

/// Rows as they were told last.
struct Told {
    marker: TrialsMarker,
    rows: HashMap<u64, TrialRecord>,
}

impl Teller {
    fn run(mut self) {
        let mut open: Option<(Identity, Reader)> = None;
        let mut version = None;
        let mut scheduler = (None, None::<Instant>);
        while !self.sender.is_closed() {
            if open.as_ref().is_none_or(|(identity, _)| !self.state.readers.is_current(*identity)) {
                version = None;
                open = self.state.readers.open().ok();
            }
            let due = scheduler.1.is_none_or(|looked| looked.elapsed() >= LOOK_FOR_SCHEDULER);
            let before = scheduler.0;
            if due {
                scheduler = (self.state.operator.scheduler(), Some(Instant::now()));
            }
            let told = match &open {
                None => self.tell(
                    "lost",
                    "lost",
                    &json!({ "message": "the database cannot be read now" }),
                ),
                Some((_, reader)) => match reader.data_version() {
                    Ok(now) if version == Some(now) && before == scheduler.0 => Ok(()),
                    Ok(now) => {
                        // Who took over or went has just written or died: the rest is told with it.
                        version = Some(now);
                        self.look(reader, scheduler.0)
                    }
                    Err(error) => {
                        tracing::debug!(%error, "cannot look at the database");
                        open = None;
                        Ok(())
                    }
                },
            };
            if told.is_err() {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells what is different since the last look. What cannot be read now is told at the next one.
    fn look(&mut self, reader: &Reader, scheduler: Option<u32>) -> Result<(), Gone> {
        self.told.remove("lost");
        self.tell("home", "home", &json!({ "scheduler_pid": scheduler }))?;
        let sweeps = match self.of.sweep {
            Some(sweep) => {
                reader.sweep_summary(SweepId(sweep)).map(|sweep| sweep.into_iter().collect())
            }
            None => reader.sweeps(),
        };
        for sweep in sweeps.unwrap_or_default() {
            if let Ok(summary) = summary(reader, &sweep, scheduler) {
                self.tell("sweep", &format!("sweep {}", sweep.id), &summary)?;
            }
        }
        match (self.of.sweep, self.of.trial) {
            (Some(sweep), Some(trial)) => self.trial(reader, SweepId(sweep), trial),
            (Some(sweep), None) => self.trials(reader, SweepId(sweep)),
            (None, _) => Ok(()),
        }
    }

    fn trial(&mut self, reader: &Reader, sweep: SweepId, number: u64) -> Result<(), Gone> {
        match reader.trials_numbered(sweep, &[number]) {
            Ok(trials) => {
                trials.iter().try_for_each(|trial| self.tell("trial", "trial", &json!(row(trial))))
            }
            Err(_) => Ok(()),
        }
    }

    /// Tells which rows changed. As long as nothing begins or ends, only those that run are read.
    fn trials(&mut self, reader: &Reader, sweep: SweepId) -> Result<(), Gone> {
        let Ok(marker) = reader.trials_marker(sweep) else { return Ok(()) };
        let same = self.trials.as_ref().is_some_and(|told| told.marker == marker);
        let found = if same {
            let running: Vec<u64> = marker.running.iter().map(|(number, _)| *number).collect();
            reader.trials_numbered(sweep, &running)
        } else {
            reader.trials(sweep)
        };
        let Ok(found) = found else { return Ok(()) };
        let word = marker_word(&marker);
        let first = self.trials.is_none();
        let told = self
            .trials
            .get_or_insert_with(|| Told { marker: marker.clone(), rows: HashMap::new() });
        told.marker = marker;
        let changed: Vec<TrialRecord> =
            found.into_iter().filter(|trial| told.rows.get(&trial.number) != Some(trial)).collect();
        // At first the browser has asked for all rows itself, at about the same time; those that run have moved since.
        let rows: Vec<_> = changed
            .iter()
            .filter(|trial| !first || matches!(trial.state, TrialState::Running(_)))
            .map(row)
            .collect();
        if !first && rows.is_empty() && same {
            return Ok(());
        }
        let event = json!({ "marker": word, "rows": rows });
        for trial in changed {
            told.rows.insert(trial.number, trial);
        }
        self.send("trials", &event.to_string())
    }

    /// Tells something about `subject`, unless it was told before.
    fn tell(&mut self, event: &str, subject: &str, value: &serde_json::Value) -> Result<(), Gone> {
        let text = value.to_string();
        if self.told.get(subject) == Some(&text) {
            return Ok(());
        }
        self.send(event, &text)?;
        self.told.insert(subject.to_owned(), text);
        Ok(())
    }

    fn send(&self, event: &str, text: &str) -> Result<(), Gone> {
        self.sender.blocking_send(Event::default().event(event).data(text)).map_err(|_| Gone)
    }
}

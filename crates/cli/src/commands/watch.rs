//! `converge watch`: a sweep on the whole screen.
//!
//! It reads and asks, and does nothing itself: [`feed`] reads what is visible, [`crate::commands`]'s requests carry out
//! what a key asks for. The home is never locked.

mod feed;
mod screen;
mod wishes;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use converge_dashboard::terminal::watch::{draw, fits, snapshot};
use converge_dashboard::view::watch::Watched;
use converge_dashboard::view::watch_state::{WatchState, Wish};
use converge_scheduler::home::Home;
use serde_json::json;

use crate::arguments::WatchArguments;
use crate::commands::curve;
use crate::exit_code::ExitCode;
use crate::output;
use crate::report::Report;
use feed::Feed;
use screen::{Event, Screen};
use wishes::Wishes;

/// Between two looks at a database that changes.
const LOOK: Duration = Duration::from_millis(250);
/// Between two frames while curves are still being read.
const CATCH_UP: Duration = Duration::from_millis(30);
/// Clocks go on without any change in the database.
const CLOCK: Duration = Duration::from_secs(1);
/// Trials of a snapshot.
const ROWS: u64 = 20;
/// Width of a snapshot that goes to no terminal.
const WIDTH: usize = 100;

/// Runs the command.
pub(crate) fn run(arguments: &WatchArguments, home: &Home) -> Result<ExitCode, Report> {
    let mut feed = Feed::open(home, arguments.sweep.as_deref())?;
    if arguments.once || arguments.json || !is_screen() {
        return once(&mut feed, arguments.json);
    }
    let mut screen = Screen::enter()?;
    let watched = watch(&mut screen, &mut feed, home);
    // Whoever closes the terminal leaves, even where a frame was being drawn: that there is nowhere to draw is no failure.
    // ratatui would complain, when dropped, to a standard error that is closed as well, and panic.
    if screen::is_closed(0) {
        std::mem::forget(screen);
        return Ok(ExitCode::Done);
    }
    drop(screen);
    watched.map(|()| ExitCode::Done)
}

fn is_screen() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|value| value.is_empty() || value == "dumb");
    std::io::stdout().is_terminal() && !dumb
}

/// Prints where the sweep stands, and the first of its trials.
fn once(feed: &mut Feed<'_>, as_json: bool) -> Result<ExitCode, Report> {
    let mut state = feed.start()?;
    state.fits = ROWS;
    let mut watched = feed.read(&state)?;
    while feed.is_behind() {
        watched = feed.read(&state)?;
    }
    if as_json {
        output::json(&json_of(&watched))?;
    } else {
        let width = output::width().unwrap_or(WIDTH).clamp(60, 200);
        output::data(&snapshot(&watched, &mut state, u16::try_from(width).unwrap_or(100)));
    }
    Ok(ExitCode::Done)
}

/// Shows the sweep until the watcher leaves.
fn watch(screen: &mut Screen, feed: &mut Feed<'_>, home: &Home) -> Result<(), Report> {
    let style = output::stdout_style();
    let mut state = feed.start()?;
    let mut wishes = Wishes::of(home);
    let mut watched = feed.read(&state)?;
    let mut read_at = Instant::now();
    let mut stale = true;
    loop {
        if stale {
            // How many trials fit depends on the header, and the header on what was read: the second pass settles it.
            for _ in 0..2 {
                let (width, height) = screen.size();
                let window = state.window();
                state.fit(fits(width, height, &watched), watched.listed);
                if window != state.window() {
                    watched = read(feed, &mut state, watched);
                }
            }
            state.follow(&watched);
            screen.draw(|buffer| draw(buffer, &watched, &mut state, style))?;
            stale = false;
        }
        let pause = if feed.is_behind() { CATCH_UP } else { LOOK };
        match screen.wait(pause)? {
            Event::Key(key) => {
                match state.press(key, &watched) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Suspend) => screen.suspend()?,
                    Some(Wish::Redraw) => screen.clear()?,
                    Some(wish) => state.notice = Some(wishes.carry_out(&wish, &watched)),
                    None => {}
                }
                watched = read(feed, &mut state, watched);
                (read_at, stale) = (Instant::now(), true);
            }
            Event::Leave => return Ok(()),
            Event::Resized => stale = true,
            Event::Suspended => {
                screen.suspend()?;
                stale = true;
            }
            Event::Nothing => {}
        }
        if let Some(notice) = wishes.look() {
            (state.notice, stale) = (Some(notice), true);
        }
        let clock = watched.sweep.state.is_held() && read_at.elapsed() >= CLOCK;
        let changed = read_at.elapsed() >= LOOK && feed.has_changed();
        if feed.is_behind() || clock || changed {
            watched = read(feed, &mut state, watched);
            (read_at, stale) = (Instant::now(), true);
        }
    }
}

/// Reads anew; where that fails, what was read before stays, with a word about it.
fn read(feed: &mut Feed<'_>, state: &mut WatchState, before: Watched) -> Watched {
    match feed.read(state) {
        Ok(watched) => watched,
        Err(report) => {
            let text = report.text();
            state.notice = text.lines().next().map(str::to_owned);
            before
        }
    }
}

fn json_of(watched: &Watched) -> serde_json::Value {
    let sweep = &watched.sweep;
    let trials = &sweep.trials;
    let number = |value: Option<f64>| value.map(curve::number);
    let workers: Vec<_> = sweep
        .workers
        .iter()
        .map(|worker| {
            let trial = worker.trial.as_ref().map(|trial| {
                json!({
                    "trial": trial.number, "attempt": trial.attempt, "step": trial.step,
                    "total_steps": trial.total_steps, "steps_per_second": trial.steps_per_second,
                    "loss": number(trial.loss), "objective": number(trial.objective),
                })
            });
            json!({ "device": worker.device, "running": trial })
        })
        .collect();
    let list: Vec<_> = watched
        .rows
        .iter()
        .map(|row| {
            let trial = &row.trial;
            json!({
                "trial": trial.number, "state": trial.standing.word(), "failure": trial.failure,
                "configuration": trial.configuration, "replicate": trial.replicate, "attempts": trial.attempts,
                "step": trial.last_step, "total_steps": trial.total_steps,
                "objective": number(trial.objective), "loss": number(trial.loss),
            })
        })
        .collect();
    let best = sweep.best.as_ref().map(|best| {
        json!({ "mean": curve::number(best.mean), "trials": best.trials, "configuration": best.configuration })
    });
    json!({
        "name": sweep.name, "state": sweep.state.word(), "scheduler_pid": sweep.scheduler, "objective": sweep.objective,
        "trials": {
            "total": trials.total(), "planned": sweep.planned, "completed": trials.completed, "diverged": trials.diverged,
            "failed": trials.failed, "cancelled": trials.cancelled, "stopped": trials.stopped, "waiting": trials.waiting,
            "running": trials.running, "queued": trials.queued,
        },
        "steps_done": sweep.steps_done, "steps_total": sweep.steps_total, "elapsed_seconds": sweep.elapsed_seconds,
        "best": best, "workers": workers, "list": list,
    })
}

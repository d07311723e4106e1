//! The sweep as a whole: a bar, counts, speed, the best so far, and what each worker does.

use converge_core::metric::name_of;
use converge_store::Standing;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::text::Span;

use super::super::number::{self, count, duration};
use super::super::style::Colour;
use super::ink::{Ink, colour_of, left, right};
use crate::view::watch::{SweepStanding, TrialInHand, WatchedSweep, WatchedWorker};

/// Title, bar, counts, speed, best.
const LINES: u16 = 5;

/// Returns the lines that are taken on a screen of this height.
pub(super) fn height(screen: u16, sweep: &WatchedSweep) -> u16 {
    LINES + workers_shown(screen, sweep)
}

/// Workers are shown where there is room: one line each, and one for those that have none.
fn workers_shown(screen: u16, sweep: &WatchedSweep) -> u16 {
    let workers = u16::try_from(sweep.workers.len()).unwrap_or(u16::MAX);
    match screen {
        ..20 => 0,
        20..40 => workers.min(3),
        _ => workers.min(screen / 4),
    }
}

/// Draws the header and returns the first line below it.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, sweep: &WatchedSweep, ink: &Ink) -> u16 {
    let row = |index: u16| Rect { y: area.y + index, height: 1, ..area };
    ink.ends(buffer, row(0), title(sweep, ink), at_right(sweep, ink));
    ink.line(buffer, row(1), bar(sweep, usize::from(area.width), ink));
    let there = sweep.trials.total();
    let all = match sweep.planned {
        Some(planned) => number::plural(planned.max(there), "trial"),
        None => format!("{} or more", number::plural(there, "trial")),
    };
    ink.ends(buffer, row(2), counts(sweep, area.width, ink), vec![ink.dim(&all)]);
    ink.line(buffer, row(3), speed(sweep, ink));
    ink.line(buffer, row(4), best(sweep, ink));
    let shown = workers_shown(area.height, sweep);
    let all = u16::try_from(sweep.workers.len()).unwrap_or(u16::MAX);
    // The last line is for all those that have none of their own.
    let own = if all > shown { shown.saturating_sub(1) } else { shown };
    for (index, worker) in (0..own).zip(&sweep.workers) {
        ink.line(buffer, row(LINES + index), worker_line(worker, sweep, ink));
    }
    if all > shown && shown > 0 {
        let more = sweep.workers.len() - usize::from(own);
        let text = format!(" and {more} workers more: the running trials are in the list");
        ink.line(buffer, row(LINES + own), vec![ink.dim(&text)]);
    }
    area.y + LINES + shown
}

fn title(sweep: &WatchedSweep, ink: &Ink) -> Vec<Span<'static>> {
    let (sign, colour) = match sweep.state {
        SweepStanding::Running => ("●", Colour::Cyan),
        SweepStanding::Pausing | SweepStanding::Paused => ("‖", Colour::Yellow),
        SweepStanding::Interrupted => ("○", Colour::Yellow),
        SweepStanding::Killed => ("✗", Colour::Red),
        SweepStanding::Finished => ("✓", Colour::Green),
    };
    let sign = if ink.is_unicode() { format!("{sign} ") } else { String::new() };
    let state = format!("{sign}{}", sweep.state.word());
    vec![ink.plain(" "), ink.bold(&sweep.name), ink.plain("  "), ink.paint(colour, &state)]
}

fn at_right(sweep: &WatchedSweep, ink: &Ink) -> Vec<Span<'static>> {
    let hint = match (sweep.state, sweep.scheduler) {
        (SweepStanding::Interrupted | SweepStanding::Killed, None) => {
            format!("go on with `converge resume {}`", sweep.name)
        }
        (state, Some(pid)) if state.is_held() => {
            let workers = number::plural(sweep.workers.len() as u64, "worker");
            format!("{workers}{}pid {pid}", ink.dot())
        }
        _ => String::new(),
    };
    vec![ink.dim(&hint)]
}

fn bar(sweep: &WatchedSweep, width: usize, ink: &Ink) -> Vec<Span<'static>> {
    let share = sweep.share();
    let percent = right(&format!("{:.0} %", (share * 100.0).floor()), 6);
    let length = width.saturating_sub(percent.len() + 2);
    let filled = (share * length as f64).floor() as usize;
    let (full, empty) = if ink.is_unicode() { ("━", "─") } else { ("#", ".") };
    vec![
        ink.plain(" "),
        ink.paint(Colour::Cyan, &full.repeat(filled)),
        ink.dim(&empty.repeat(length - filled)),
        ink.plain(&percent),
    ]
}

fn counts(sweep: &WatchedSweep, width: u16, ink: &Ink) -> Vec<Span<'static>> {
    let trials = &sweep.trials;
    let mut spans = vec![ink.plain(" ")];
    for standing in [
        Standing::Completed,
        Standing::Running,
        Standing::Queued,
        Standing::Waiting,
        Standing::Stopped,
        Standing::Diverged,
        Standing::Failed,
        Standing::Cancelled,
    ] {
        let of = trials.of(standing);
        // Places do not change while a sweep runs, but for what is rare.
        let always = matches!(standing, Standing::Completed | Standing::Running | Standing::Queued);
        if of == 0 && !always {
            continue;
        }
        let sign = if width < 76 { String::new() } else { format!("{} ", ink.sign(standing)) };
        let digits = count(trials.total()).len();
        let number = if always { right(&count(of), digits) } else { count(of) };
        let text = format!("{sign}{number} {}  ", standing.word());
        spans.push(ink.paint(if of == 0 { Colour::Dim } else { colour_of(standing) }, &text));
    }
    spans
}

fn speed(sweep: &WatchedSweep, ink: &Ink) -> Vec<Span<'static>> {
    let dot = ink.dot();
    let elapsed = duration(sweep.elapsed_seconds.floor());
    if sweep.state == SweepStanding::Finished {
        let text = format!(" took {elapsed}{dot}{} steps", count(sweep.steps_done));
        return vec![ink.plain(&text)];
    }
    // What matters least comes last: it goes first on a narrow screen.
    let mut text = format!(" {elapsed} so far");
    if sweep.state == SweepStanding::Running {
        text += &match (sweep.steps_per_second, sweep.seconds_left()) {
            (Some(rate), Some(left)) => {
                let left = if left < 10.0 { format!("{} s", left.ceil()) } else { duration(left) };
                format!("{dot}about {left} left{dot}{} steps/s", rate_text(rate))
            }
            _ => String::new(),
        };
    }
    text += &format!("{dot}{}/{} steps", count(sweep.steps_done), count(sweep.steps_total));
    vec![ink.plain(&text)]
}

fn best(sweep: &WatchedSweep, ink: &Ink) -> Vec<Span<'static>> {
    let metric = &sweep.objective.metric;
    let Some(best) = &sweep.best else {
        return vec![ink.dim(&format!(" best {metric}: no trial is completed yet"))];
    };
    let (dot, value) = (ink.dot(), number::of_metric(metric, best.mean));
    let trials = match best.trials[..] {
        [one] => format!("{dot}trial {one}{dot}"),
        [] => dot.to_string(),
        _ => {
            let numbers: Vec<String> = best.trials.iter().map(u64::to_string).collect();
            format!(" mean of trials {}{dot}", numbers.join(", "))
        }
    };
    vec![
        ink.plain(&format!(" best {metric} ")),
        ink.paint(Colour::Green, &value),
        ink.plain(&trials),
        ink.dim(&best.configuration),
    ]
}

fn worker_line(worker: &WatchedWorker, sweep: &WatchedSweep, ink: &Ink) -> Vec<Span<'static>> {
    let devices = sweep.workers.iter().map(|worker| worker.device.len()).max().unwrap_or(0);
    let device = left(&worker.device, devices.min(16));
    let Some(trial) = &worker.trial else {
        return vec![ink.dim(&format!(" {device}  starts, or waits for a trial"))];
    };
    let TrialInHand { number, attempt, step, total_steps, steps_per_second, .. } = trial;
    let share = *step as f64 / (*total_steps).max(1) as f64;
    let digits = sweep.trials.total().to_string().len();
    let most = sweep.workers.iter().filter_map(|worker| worker.trial.as_ref());
    let most = most.map(|trial| trial.total_steps.to_string().len()).max().unwrap_or(1);
    let steps = right(&format!("{step}/{total_steps}"), 2 * most + 1);
    let rate = steps_per_second.map_or("-".into(), rate_text);
    let loss = trial.loss.map_or("-".into(), |loss| number::of_metric("train/loss", loss));
    let metric = &sweep.objective.metric;
    let value = trial.objective.map_or("-".into(), |value| number::of_metric(metric, value));
    let again = if *attempt > 1 { format!("  attempt {attempt}") } else { String::new() };
    let filled = (share.min(1.0) * 8.0).floor() as usize;
    let (full, empty) = if ink.is_unicode() { ("━", "─") } else { ("#", ".") };
    vec![
        ink.dim(&format!(" {device}  ")),
        ink.plain(&format!("trial {:<digits$} ", number)),
        ink.paint(Colour::Cyan, &full.repeat(filled)),
        ink.dim(&empty.repeat(8 - filled)),
        ink.plain(&format!(
            " {steps} {} steps/s  loss {}  {} {}{again}",
            right(&rate, 4),
            left(&loss, 6),
            name_of(metric),
            value
        )),
    ]
}

/// Returns a speed in few characters.
pub(super) fn rate_text(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

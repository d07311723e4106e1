//! Gives a home the past of a long sweep, through the store's own batches: for `scripts/bench/scale`.
//!
//! `cargo run --release -p converge-store --example populate DATABASE LEAVE [STEPS]`: finishes all trials of the latest
//! sweep that wait, but for the last LEAVE of them. Each has one attempt of STEPS steps (24: 100 observations); of a
//! hundred, two diverge.

use std::io::Write;
use std::time::Instant;

use converge_core::ids::AttemptId;
use converge_core::seed::Seed;
use converge_core::trial::{AttemptEnding, TrialState};
use converge_store::{Change, NewSession, Store, SweepState, TrialRecord};

/// Steps of each attempt, with four metrics each: a hundred observations in all, with those of the evaluations.
const STEPS: u64 = 24;
/// Steps from one evaluation to the next; each has two metrics.
const EVALUATED: u64 = 12;
const TRIALS_PER_BATCH: usize = 50;
/// Milliseconds between two things that happen.
const PACE_MS: i64 = 20;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let usage = "usage: populate DATABASE LEAVE [STEPS]";
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next().ok_or(usage)?;
    let leave: usize =
        arguments.next().and_then(|leave| leave.to_str()?.parse().ok()).ok_or(usage)?;
    let steps = match arguments.next() {
        Some(steps) => steps.to_str().and_then(|steps| steps.parse().ok()).ok_or(usage)?,
        None => STEPS,
    };
    let begun = Instant::now();
    let mut store = Store::create_or_open(&path)?;
    let summary = store.read().latest_sweep()?.ok_or("the home has no sweep")?;
    let record = store.read().sweep(summary.id)?.ok_or("the home has no sweep")?;
    let mut now_ms = record.created_at_ms;
    let session = NewSession {
        sweep: record.id,
        pid: std::process::id(),
        boot_id: "populate".into(),
        host: "populate".into(),
        version: record.version.clone(),
        machine: Default::default(),
    };
    let session = store.open_session(&session, now_ms)?;
    let worker = store.new_worker(session, "scripted", |id| format!("workers/{id}"), now_ms)?;
    let chosen = record.open_trials.len().saturating_sub(leave);
    let mut attempt = record.next_attempt_id;
    let mut down_seq = 1;
    for trials in record.open_trials[..chosen].chunks(TRIALS_PER_BATCH) {
        let mut changes = Vec::new();
        for trial in trials {
            changes.push(Change::Leased {
                attempt,
                trial: trial.id,
                number: trial.attempts + 1,
                worker,
                from_step: 0,
                directory: format!("attempts/{attempt}"),
                down_seq,
                accumulation_factor: 1,
            });
            changes.extend(life(trial, attempt, &record.objective.metric, down_seq, steps));
            attempt = AttemptId(attempt.0 + 1);
            down_seq += 1;
        }
        now_ms += PACE_MS;
        store.apply(&changes, now_ms)?;
    }
    let last = [
        Change::WorkerEnded { worker, exit: "exit code 0".into() },
        Change::SweepState { sweep: record.id, state: SweepState::Interrupted },
    ];
    store.apply(&last, now_ms)?;
    store.close_session(session, "interrupted", now_ms)?;
    writeln!(
        std::io::stdout(),
        "{chosen} trials, {} observations, {:.1} s",
        chosen as u64 * (4 * steps + 2 * (steps / EVALUATED)),
        begun.elapsed().as_secs_f64()
    )?;
    Ok(())
}

/// Returns what an attempt tells from its start to its end.
fn life(
    trial: &TrialRecord,
    attempt: AttemptId,
    objective: &str,
    seq: u64,
    steps: u64,
) -> Vec<Change> {
    let luck = |name: &str| Seed(7).draw(trial.number, name);
    let diverges = luck("diverges") < 0.02;
    let quality = luck("quality");
    let mut changes = vec![Change::Started { attempt }];
    for step in 1..=steps {
        let progress = step as f64 / steps as f64;
        let loss = 0.7 - 0.5 * quality * progress;
        let ends_here = diverges && step == steps;
        let mut metrics = vec![
            ("train/loss".to_owned(), if ends_here { f64::NAN } else { loss }),
            ("train/learning_rate".to_owned(), 2e-5 * (1.0 - progress)),
            ("train/gradient_norm".to_owned(), 1.0 + luck("norm") * progress),
            ("train/seconds".to_owned(), 0.3 + 0.01 * luck("seconds")),
        ];
        if step.is_multiple_of(EVALUATED) {
            // Of 512 examples: many trials share a value, as they do in earnest.
            let right = (512.0 * (0.5 + 0.45 * quality * progress)).round();
            metrics.push((objective.to_owned(), right / 512.0));
            metrics.push(("validation/loss".to_owned(), loss + 0.05));
        }
        changes.push(Change::Observed {
            attempt,
            step,
            seq: seq * 100_000 + step,
            metrics,
            items: None,
        });
    }
    let (ending, state) = if diverges {
        let quantity = "train/loss".to_owned();
        (AttemptEnding::Diverged { step: steps, quantity }, TrialState::Diverged)
    } else {
        (AttemptEnding::Completed, TrialState::Completed)
    };
    changes.push(Change::AttemptEnded {
        attempt,
        ending,
        last_step: steps,
        closed_seq: seq * 100_000 + steps + 1,
        best: None,
        peak_memory_bytes: Some(1 << 30),
    });
    changes.push(Change::TrialState { trial: trial.id, state });
    changes
}

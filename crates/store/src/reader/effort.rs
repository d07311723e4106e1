//! What is asked most takes no longer for a thousand final trials than for a hundred. SQLite has no statistics here, and
//! would often choose to read them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::QueryError;
use crate::home::Home;
use crate::reader::watched::{TrialOrder, TrialWindow};
use crate::store::Store;

/// Returns the instructions that SQLite carries out for a question.
fn instructions(home: &mut Home, ask: impl FnOnce(&Store) -> Result<(), QueryError>) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&done);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    home.store.reader.connection_mut().progress_handler(1, Some(count)).unwrap();
    ask(&home.store).unwrap();
    home.store.reader.connection_mut().progress_handler(1, None::<fn() -> bool>).unwrap();
    done.load(Ordering::Relaxed)
}

/// Returns the instructions for each frequent question, in a home with so many final trials and four others.
fn questions(trials: u64) -> Vec<(&'static str, u64)> {
    let mut home = Home::new(trials + 4);
    for trial in 1..=trials as i64 {
        home.complete(trial, &[trial as f64]);
    }
    let sweep = home.sweep;
    let objective = home.store.read().sweep(sweep).unwrap().unwrap().objective;
    let mut asked = Vec::new();
    let mut ask = |what, question: &dyn Fn(&Store) -> Result<(), QueryError>| {
        asked.push((what, instructions(&mut home, question)));
    };
    ask("sweeps", &|store| store.read().sweeps().map(drop));
    ask("the latest sweep", &|store| store.read().latest_sweep().map(drop));
    ask("the running trials", &|store| store.read().running_trials(sweep).map(drop));
    ask("the sweep to go on with", &|store| store.read().sweep(sweep).map(drop));
    ask("old workers", &|store| store.read().open_workers().map(drop));
    ask("the best", &|store| store.read().best_ranking(sweep, &objective, 10).map(drop));
    ask("weights", &|store| store.read().kept_weights(sweep).map(drop));
    ask("checkpoints", &|store| store.read().uncleaned(sweep).map(drop));
    for order in [TrialOrder::Standing, TrialOrder::Rank, TrialOrder::Number] {
        let window = TrialWindow { order, reversed: false, only: None, offset: 0, count: 20 };
        ask("what is watched", &|store| store.read().watched_trials(sweep, &window).map(drop));
    }
    ask("the steps of the sweep", &|store| store.read().sweep_steps(sweep).map(drop));
    ask("one trial", &|store| store.read().trial(sweep, 3).map(drop));
    asked
}

#[test]
fn no_frequent_question_reads_every_trial() {
    let (few, many) = (questions(40), questions(400));
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 0 && many < few + 200, "{what}: {few} instructions, then {many}");
    }
}

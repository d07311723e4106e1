//! Seeded simulation: real reactor, store, recovery and protocol on a simulated machine where everything goes wrong.
//!
//! One seed is one history: a sweep whose scheduler dies between any two writes, whose workers are killed, stopped and
//! come back, whose logs are torn, repeated, late and full of NULs, whose disk is full or fails, whose clocks jump and
//! whose pids are given again. After every round the checker holds the database to the logs; at the end every trial is
//! final once, and its curves are those of an undisturbed run.
//!
//! - [`history`] is where to begin reading: turns and faults. [`faults`] lists them.
//! - [`scheduler`] drives the real code; [`worker`] plays the scripts; [`machine`] is clocks, disk and processes.
//! - [`checker`] says what must hold, [`audit`] checks the whole database, [`ledger`] reads logs without the real reader.
//!
//! - [`growth`] does the same to sweeps that get trials while they run.
//!
//! A failing seed is named with the command that repeats it and tells its story:
//!
//! ```text
//! SEED=123 cargo nextest run --release -p converge-tests --test simulation one_seed
//! ```
//!
//! - [`early_stop`] plays sweeps whose trials wait at rungs, and holds every promotion to an undisturbed run.
//!
//! `SIMULATION_SEEDS=a..b` plays those seeds and not the fixed ones; `SIMULATION_MINUTES=m` plays fresh ones for so
//! long. Both are split over the four tests whose names begin with `nothing_is_lost`. `CONVERGE_MUTANT` switches a known
//! defect on, which then has to be found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "figures, shown where somebody asks for them")]

mod audit;
mod checker;
mod clock;
mod dice;
mod disk;
mod early_stop;
mod faults;
mod growth;
mod history;
mod ledger;
mod machine;
mod mutants;
mod processes;
mod scheduler;
mod sweep;
mod worker;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use history::{Manner, Played, disturbed, undisturbed};
use sweep::Sweep;

/// Histories of a run without other wishes.
const HISTORIES: u64 = 20_000;
/// Tests that they are split over, so that all processors work.
const PARTS: u64 = 4;
/// One history in so many is played twice.
const TWICE: u64 = 64;

/// The sweeps, and what becomes of them when nothing goes wrong.
struct Simulation(Vec<(Sweep, Played)>);

impl Simulation {
    fn new() -> Self {
        Self::of(Sweep::all())
    }

    fn of(sweeps: Vec<Sweep>) -> Self {
        let undisturbed = |sweep: Sweep| {
            let played = undisturbed(&sweep).unwrap_or_else(|violation| panic!("{violation:?}"));
            (sweep, played)
        };
        Self(sweeps.into_iter().map(undisturbed).collect())
    }

    /// Plays a seed; returns its turns, or what is wrong.
    fn play(&self, seed: u64, story: bool) -> Result<u64, String> {
        let (sweep, reference) = &self.0[usize::try_from(seed % self.0.len() as u64).unwrap()];
        let twice = seed.is_multiple_of(TWICE);
        let manner = Manner { decisions: twice, story, steady: false };
        let told = |violation: history::Violation| {
            format!(
                "seed {seed}, turn {}: {}\n{}\n\
                 repeat it: SEED={seed} cargo nextest run --release -p converge-tests --test simulation one_seed",
                violation.turn,
                violation.what,
                violation.story.join("\n")
            )
        };
        let played = disturbed(sweep, seed, manner).map_err(told)?;
        for (id, outcome) in &played.outcomes {
            let expected = &reference.outcomes[id];
            if outcome.state != "failed" && outcome != expected {
                return Err(format!(
                    "seed {seed}: trial {id} is {outcome:?}, undisturbed {expected:?}"
                ));
            }
        }
        if played.rungs != reference.rungs {
            let (found, expected) = (played.rungs.join("\n"), reference.rungs.join("\n"));
            return Err(format!("seed {seed}: rungs\n{found}\nundisturbed\n{expected}"));
        }
        if twice {
            let manner = Manner { steady: true, ..manner };
            let again = disturbed(sweep, seed, manner).map_err(told)?;
            if again.decisions != played.decisions || again.outcomes != played.outcomes {
                return Err(format!("seed {seed}: the time of day changed what was decided"));
            }
        }
        Ok(played.turns)
    }
}

/// Plays the seeds of a part: the fixed ones, those that the environment names, or fresh ones for a time.
fn play_part(part: u64) {
    let simulation = Simulation::new();
    let started = Instant::now();
    let (mut histories, mut turns) = (0, 0);
    let mut play = |seed| {
        turns += simulation.play(seed, false).unwrap_or_else(|wrong| panic!("{wrong}"));
        histories += 1;
    };
    if let Ok(minutes) = std::env::var("SIMULATION_MINUTES") {
        // The parts run side by side on as many processors as there are, one after the other beyond that.
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let share = (processors / PARTS as f64).min(1.0);
        let end = Duration::from_secs_f64(minutes.parse::<f64>().unwrap() * 60.0 * share);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let first = u64::try_from(now).unwrap() * 1_000_000 * PARTS + part;
        let seeds = (0..).map(|index| first + index * PARTS);
        seeds.take_while(|_| started.elapsed() < end).for_each(&mut play);
    } else {
        let (first, end) = named_seeds().unwrap_or((0, HISTORIES));
        (first..end).filter(|seed| seed % PARTS == part).for_each(&mut play);
    }
    println!("{histories} histories of {turns} turns in {:?}, 0 violations", started.elapsed());
}

/// Returns the seeds that the environment names: the first, and the one after the last.
fn named_seeds() -> Option<(u64, u64)> {
    let named = std::env::var("SIMULATION_SEEDS").ok()?;
    let (first, end) = named.split_once("..").unwrap();
    Some((first.parse().unwrap(), end.parse().unwrap()))
}

#[test]
fn nothing_is_lost_in_histories_0_4_8() {
    play_part(0);
}

#[test]
fn nothing_is_lost_in_histories_1_5_9() {
    play_part(1);
}

#[test]
fn nothing_is_lost_in_histories_2_6_10() {
    play_part(2);
}

#[test]
fn nothing_is_lost_in_histories_3_7_11() {
    play_part(3);
}

#[test]
fn one_seed() {
    let seed = std::env::var("SEED").map_or(0, |seed| seed.parse().unwrap());
    let turns = Simulation::new().play(seed, true).unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("seed {seed}: {turns} turns, 0 violations");
}

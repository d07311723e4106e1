//! Known defects, which the simulation must find: a checker that misses them would miss others.
//!
//! A defect is switched on for a whole process, so each is played in a process of its own: this test binary again.

use std::process::Command;

use converge_faults::Mutant;

/// Seeds within which each mutant is found.
const SEEDS: u64 = 400;

/// Plays the first seeds with or without a defect; returns whether all were sound, and what was told.
fn first_seeds(mutant: Option<Mutant>) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["mutants::seeds_in_a_row", "--exact", "--nocapture"]);
    command.env("SIMULATION_SEEDS", format!("0..{SEEDS}"));
    match mutant {
        Some(mutant) => command.env("CONVERGE_MUTANT", mutant.word()),
        None => command.env_remove("CONVERGE_MUTANT"),
    };
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[track_caller]
fn is_found(mutant: Mutant, by: &[&str]) {
    let (sound, told) = first_seeds(Some(mutant));
    assert!(!sound, "{} survives {SEEDS} seeds: {told}", mutant.word());
    assert!(told.contains("repeat it: SEED="), "{told}");
    assert!(
        by.iter().any(|words| told.contains(words)),
        "{} is found by accident: {told}",
        mutant.word()
    );
    let found = told.lines().find(|line| line.contains("seed ")).unwrap_or_default();
    println!("{}: {found}", mutant.word());
}

/// What the others play: alone it plays no seed but those that the environment names.
#[test]
fn seeds_in_a_row() {
    let simulation = crate::Simulation::new();
    let (first, end) = crate::named_seeds().unwrap_or((0, 1));
    for seed in first..end {
        simulation.play(seed, false).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

#[test]
fn an_offset_that_is_stored_apart_from_its_rows_is_found() {
    is_found(Mutant::OffsetApart, &["rows: lost", "last step", "stored"]);
}

#[test]
fn frames_that_pass_the_fence_are_found() {
    is_found(
        Mutant::NoFence,
        &["rows: lost", "changed after its end", "checkpoints", "stale frames"],
    );
}

#[test]
fn a_point_of_the_grid_that_is_there_twice_is_found() {
    is_found(Mutant::NoUniqueGrid, &["point of the grid that is there twice"]);
}

#[test]
fn without_a_defect_the_same_seeds_are_sound() {
    let (sound, told) = first_seeds(None);
    assert!(sound, "{told}");
}

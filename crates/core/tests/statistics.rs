//! The statistics of `best` on simulated sweeps whose truth is known: `docs/statistics.md` has the figures.

#[path = "statistics/reference.rs"]
mod reference;
#[path = "statistics/simulation.rs"]
mod simulation;

#[test]
#[ignore = "minutes; prints the table of docs/statistics.md"]
fn print_the_table() {
    let wanted = std::env::var("SWEEPS").ok().and_then(|number| number.parse().ok());
    let only = std::env::var("ONLY").unwrap_or_default();
    for (name, scenario) in simulation::scenarios() {
        if !name.contains(&only) {
            continue;
        }
        let found = scenario.run(wanted.unwrap_or(2000));
        println!("{name:34} {found}");
    }
}

//! The binary `converge`: what is written on the command line becomes calls of the other crates.
//!
//! In reading order: `arguments` (what can be written), `commands` (one file each), `sweep_source` (a sweep file
//! with its overrides), `drive` (what `run` and `resume` share), `display` (progress), `report` and `exit_code`.

mod arguments;
mod capacity;
mod commands;
mod device;
mod display;
mod drive;
mod exit_code;
mod home;
mod output;
mod report;
mod selector;
mod sweep_source;

use clap::Parser as _;
use nix::sys::stat::{Mode, umask};

use arguments::{Arguments, Command};
use exit_code::ExitCode;
use report::Report;

/// A fifth of a training step was page faults under glibc's malloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Data, labels and weights are nobody else's business, whichever library writes them.
    umask(Mode::from_bits_truncate(0o077));
    let arguments = Arguments::parse();
    // A worker has its own log and its own way to end.
    if let Command::Worker(worker) = &arguments.command {
        return commands::worker::run(worker);
    }
    start_log(arguments.global.verbose);
    match run(&arguments) {
        Ok(code) => code.into(),
        Err(report) => {
            output::talk(&report.text());
            report.exit.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Report> {
    let home = home::find(arguments.global.home.as_deref())?;
    match &arguments.command {
        Command::Plan(plan) => commands::plan::run(plan, &home),
        Command::Run(run) => commands::run::run(run, &home),
        Command::Resume(resume) => commands::resume::run(resume, &home),
        Command::Status(status) => commands::status::run(status, &home),
        Command::Stop => commands::stop::run(&home),
        Command::Best(best) => commands::best::run(best, &home),
        Command::Trials(trials) => commands::trials::run(trials, &home),
        Command::Show(show) => commands::show::run(show, &home),
        Command::Curve(curve) => commands::curve::run(curve, &home),
        Command::Export(export) => commands::export::run(export, &home),
        Command::Gc(gc) => commands::gc::run(gc, &home),
        Command::Repair(repair) => commands::repair::run(repair, &home),
        Command::Rebuild(rebuild) => commands::rebuild::run(rebuild, &home),
        Command::Doctor(doctor) => commands::doctor::run(doctor, &home),
        Command::Worker(_) => Ok(ExitCode::Done),
    }
}

fn start_log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose).min(3)];
    let filter = tracing_subscriber::EnvFilter::try_from_env("CONVERGE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}

//! The binary `converge`: what is written on the command line becomes calls of the other crates.
//!
//! In reading order: `arguments` (what can be written), `commands` (one file each), `sweep_source` (a sweep file
//! with its overrides), `drive` (what `run` and `resume` share), `stored` (a sweep taken up again), `ask` (what others ask of a running scheduler),
//! `winner`, `question`, `card` and `trainer` (a trained model: which, asked, described, and as a script),
//! `display` (progress), `operator` (what the page of `serve` may do), `report` and `exit_code`.

mod arguments;
mod ask;
mod budget;
mod capacity;
mod card;
mod commands;
mod cost;
mod costing;
mod device;
mod display;
mod drive;
mod exit_code;
mod forecast;
mod home;
mod operator;
mod output;
mod question;
mod ramp_report;
mod records;
mod report;
mod selector;
mod standing;
mod stored;
mod sweep_source;
mod trainer;
mod winner;

use std::io::IsTerminal as _;

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
    block_stray_signals();
    // Log lines would stand across a screen; where they go to a file they are welcome.
    let is_screen =
        matches!(arguments.command, Command::Watch(_)) && std::io::stderr().is_terminal();
    if !is_screen {
        start_log(arguments.global.verbose);
    }
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
        Command::Init(init) => commands::init::run(init, &home),
        Command::Schema => commands::schema::run(),
        Command::Completions(completions) => commands::completions::run(completions),
        Command::Manual(manual) => commands::manual::run(manual),
        Command::Plan(plan) => commands::plan::run(plan, &home),
        Command::Next(next) => commands::next::run(next, &home),
        Command::Probe(probe) => commands::probe::run(probe, &home),
        Command::Run(run) => commands::run::run(run, &home),
        Command::Resume(resume) => commands::resume::run(resume, &home),
        Command::Extend(extend) => commands::extend::run(extend, &home),
        Command::Status(status) => commands::status::run(status, &home),
        Command::Stop => commands::stop::run(&home),
        Command::Pause => commands::pause::run(&home),
        Command::Cancel(cancel) => commands::cancel::run(cancel, &home),
        Command::Watch(watch) => commands::watch::run(watch, &home),
        Command::Best(best) => commands::best::run(best, &home),
        Command::Explain(explain) => commands::explain::run(explain, &home),
        Command::Why(why) => commands::why::run(why, &home),
        Command::Compare(compare) => commands::compare::run(compare, &home),
        Command::Trials(trials) => commands::trials::run(trials, &home),
        Command::Show(show) => commands::show::run(show, &home),
        Command::Curve(curve) => commands::curve::run(curve, &home),
        Command::Serve(serve) => commands::serve::run(serve, &home),
        Command::Export(export) => commands::export::run(export, &home),
        Command::Save(save) => commands::save::run(save, &home),
        Command::Predict(predict) => commands::predict::run(predict, &home),
        Command::Evaluate(evaluate) => commands::evaluate::run(evaluate, &home),
        Command::Refit(refit) => commands::refit::run(refit, &home),
        Command::Gc(gc) => commands::gc::run(gc, &home),
        Command::Repair(repair) => commands::repair::run(repair, &home),
        Command::Rebuild(rebuild) => commands::rebuild::run(rebuild, &home),
        Command::Doctor(doctor) => commands::doctor::run(doctor, &home),
        Command::Worker(_) => Ok(ExitCode::Done),
    }
}

/// SIGUSR1 and SIGUSR2 mean nothing here, and must not end a scheduler by accident: other programs reload or rotate
/// logs on them. To be called before there are other threads; workers start with no signal blocked.
fn block_stray_signals() {
    use nix::sys::signal::{SigSet, Signal};
    if let Err(error) = SigSet::from_iter([Signal::SIGUSR1, Signal::SIGUSR2]).thread_block() {
        output::talk(&format!("warning: cannot block stray signals: {error}\n"));
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

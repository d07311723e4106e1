//! `converge worker`: the process that trains.

use crate::arguments::WorkerArguments;

/// Runs the worker until it is told to leave.
#[cfg(feature = "embedded-worker")]
pub(crate) fn run(arguments: &WorkerArguments) -> std::process::ExitCode {
    converge_worker::run(converge_worker::Arguments {
        directory: arguments.directory.clone(),
        device: arguments.device.clone(),
        threads: arguments.threads,
    })
}

/// This binary was built without a worker.
#[cfg(not(feature = "embedded-worker"))]
pub(crate) fn run(_arguments: &WorkerArguments) -> std::process::ExitCode {
    crate::output::talk("error: this converge was built without its worker\n");
    crate::exit_code::ExitCode::Usage.into()
}

//! `converge worker`: the process that trains.

use crate::arguments::WorkerArguments;

/// Runs the worker until it is told to leave, or has answered.
#[cfg(feature = "embedded-worker")]
pub(crate) fn run(arguments: &WorkerArguments) -> std::process::ExitCode {
    let WorkerArguments { directory, device, threads, .. } = arguments.clone();
    match directory {
        Some(directory) => {
            converge_worker::run(converge_worker::Arguments { directory, device, threads })
        }
        None => converge_worker::infer(&device, threads),
    }
}

/// This binary was built without a worker.
#[cfg(not(feature = "embedded-worker"))]
pub(crate) fn run(_arguments: &WorkerArguments) -> std::process::ExitCode {
    crate::output::talk("error: this converge was built without its worker\n");
    crate::exit_code::ExitCode::Usage.into()
}

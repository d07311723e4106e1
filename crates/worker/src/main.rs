//! The binary `converge-worker`: the worker of one device, started by `converge`.

use std::io::Write;
use std::process::ExitCode;

use converge_worker::{Calling, DeviceInfo};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments == ["--devices"] {
        return list_devices();
    }
    match Calling::parse(arguments) {
        Ok(Calling::Train(arguments)) => converge_worker::run(arguments),
        Ok(Calling::Infer { device, threads }) => converge_worker::infer(&device, threads),
        Err(error) => {
            let usage =
                "converge-worker (--directory DIR | --infer) --device NAME --threads N | --devices";
            let _ = writeln!(std::io::stderr(), "error: {error}\nusage: {usage}");
            ExitCode::from(USAGE)
        }
    }
}

/// Prints the devices of this build: name, presence, description; separated by tabs.
fn list_devices() -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    for device in converge_worker::devices() {
        let DeviceInfo { name, description, presence } = device;
        if writeln!(stdout, "{name}\t{}\t{description}", presence.word()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! From a device name to the worker program that serves it.

use converge_core::sweep::RunSettings;
use converge_scheduler::launcher::Program;
use converge_scheduler::trials::SCRIPTED;

use crate::report::Report;

/// Devices that the worker inside this binary serves.
pub(crate) const EMBEDDED: &[&str] =
    if cfg!(feature = "embedded-worker") { &["cpu", SCRIPTED] } else { &[] };

/// Returns the device's name with `auto` resolved, and the program that serves it.
pub(crate) fn resolve(run: &RunSettings) -> Result<(String, Program), Report> {
    // The only device that this version builds in; GPUs come before it in the order once they are there.
    let device = if run.device == "auto" { "cpu" } else { run.device.as_str() };
    let own = std::env::current_exe()?;
    if let Some(path) = &run.worker {
        if !std::path::Path::new(path).is_file() {
            return Err(Report::usage(
                format!("[run] `worker`: there is no program `{path}`"),
                "name a converge-worker, or leave the key out",
            ));
        }
        return Ok((device.to_string(), Program { path: path.into(), arguments: Vec::new() }));
    }
    if EMBEDDED.contains(&device) {
        return Ok((device.to_string(), Program { path: own, arguments: vec!["worker".into()] }));
    }
    let family = device.split([':', '-']).next().unwrap_or(device);
    let beside = own.with_file_name(match family {
        "cpu" | SCRIPTED => "converge-worker".to_string(),
        other => format!("converge-worker-{other}"),
    });
    if beside.is_file() {
        return Ok((device.to_string(), Program { path: beside, arguments: Vec::new() }));
    }
    Err(Report::usage(
        format!(
            "device `{device}` is not built into this converge, and there is no `{}`",
            beside.display()
        ),
        format!("use device = \"auto\" or \"cpu\"; devices here: {}", EMBEDDED.join(", ")),
    ))
}

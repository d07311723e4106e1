//! `converge doctor`: devices, disk, database and downloads, looked at without changing anything.

use std::path::Path;

use converge_core::placement::{Offer, Presence};
use converge_dashboard::terminal::number::bytes;
use converge_scheduler::home::Home;
use converge_scheduler::machine;
use converge_scheduler::repair::examine;
use converge_store::{ReadError, Reader};
use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::arguments::DoctorArguments;
use crate::device::{self, EMBEDDED};
use crate::exit_code::ExitCode;
use crate::report::Report;
use crate::{commands, drive, home as homes, output};

/// Below this a checkpoint of a BERT-base does not fit.
const LITTLE_DISK: u64 = 2 << 30;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Runs the command.
pub(crate) fn run(arguments: &DoctorArguments, home: &Home) -> Result<ExitCode, Report> {
    if let Some(file) = &arguments.measure {
        return commands::measure::run(file, arguments, home);
    }
    let directory = homes::working_directory()?;
    let checks = [
        version(),
        device_check(),
        cores(),
        home_check(home),
        disk(home),
        database(home),
        files(home),
        asset(&directory, "model", "models/minilm/model.safetensors"),
        asset(&directory, "data", "data/movie_reviews.tsv"),
    ];
    if arguments.json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            let mark = if check.ok { "ok  " } else { "look" };
            output::data(&format!("{mark}  {:<10} {}\n", check.what, check.found));
            if let Some(hint) = &check.hint {
                output::data(&format!("                 hint: {hint}\n"));
            }
        }
    }
    // Only a damaged database is an error: everything else may be just what the user wants.
    let damaged = checks.iter().any(|check| check.what == "database" && !check.ok);
    Ok(if damaged { ExitCode::Failure } else { ExitCode::Done })
}

fn check(what: &'static str, ok: bool, found: impl Into<String>) -> Check {
    Check { what, ok, found: found.into(), hint: None }
}

fn version() -> Check {
    let profile = if cfg!(debug_assertions) {
        "debug build: training is many times slower"
    } else {
        "release build"
    };
    check("converge", !cfg!(debug_assertions), format!("{} ({profile})", drive::VERSION))
}

fn device_check() -> Check {
    let mut found =
        if EMBEDDED.is_empty() { "none built in".to_string() } else { EMBEDDED.join(", ") };
    let (mut ok, mut serves_cuda) = (!EMBEDDED.is_empty(), false);
    for program in device::beside() {
        found += &match &program.offers {
            Ok(offers) => {
                let present = |offer: &Offer| offer.presence == Presence::Present;
                serves_cuda |=
                    offers.iter().any(|offer| present(offer) && offer.device.starts_with("cuda"));
                ok |= offers.iter().any(present);
                let told: Vec<String> = offers.iter().map(device::told).collect();
                format!("; by {}: {}", program.name, told.join(", "))
            }
            Err(error) => {
                ok = false;
                format!("; {error}")
            }
        };
    }
    let idle = device::nvidia_is_visible() && !serves_cuda;
    if idle {
        found += "; an NVIDIA GPU is visible, and no worker here trains on it";
    }
    let mut check = check("devices", ok && !idle, found);
    check.hint = idle.then(|| device::how_to_build("cuda"));
    check
}

fn cores() -> Check {
    let facts = machine::facts();
    let look = machine::look();
    let model = facts.get("cpu_model").map_or(String::new(), |model| format!(" ({model})"));
    let vectors: Vec<&str> = [
        ("avx2", cpu_has("avx2")),
        ("avx512f", cpu_has("avx512f")),
        ("neon", cfg!(target_arch = "aarch64")),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect();
    let found = format!(
        "{} cores{model}, {}; {} free",
        look.cores,
        vectors.join(" "),
        bytes(look.free_memory)
    );
    check("machine", true, found)
}

#[cfg(target_arch = "x86_64")]
fn cpu_has(feature: &str) -> bool {
    match feature {
        "avx2" => std::arch::is_x86_feature_detected!("avx2"),
        "avx512f" => std::arch::is_x86_feature_detected!("avx512f"),
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has(_feature: &str) -> bool {
    false
}

fn home_check(home: &Home) -> Check {
    let root = home.root().display();
    match (home.root().is_dir(), home.holder()) {
        (false, _) => check("home", true, format!("{root} (made by the first `run`)")),
        (true, None) => check("home", true, format!("{root}")),
        (true, Some(pid)) => check("home", true, format!("{root}, in use by pid {pid}")),
    }
}

fn disk(home: &Home) -> Check {
    let existing = home.root().ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match statvfs(existing) {
        Ok(found) => {
            let free = found.blocks_available().saturating_mul(found.fragment_size());
            let mut result = check(
                "disk",
                free >= LITTLE_DISK,
                format!("{} free at {}", bytes(free), existing.display()),
            );
            if !result.ok {
                result.hint = Some("`converge plan` says how much a sweep needs".into());
            }
            result
        }
        Err(error) => check("disk", false, error.to_string()),
    }
}

fn database(home: &Home) -> Check {
    let path = home.database();
    let sqlite = converge_store::sqlite_version();
    match Reader::open(&path) {
        Err(ReadError::Missing { .. }) => {
            check("database", true, format!("none yet (SQLite {sqlite})"))
        }
        Err(error) => Check {
            hint: Some(commands::repair::REBUILD.into()),
            ..check("database", false, error.to_string())
        },
        Ok(reader) => match reader.integrity() {
            Ok(problems) if problems.is_empty() => {
                let sweeps = reader.sweeps().map_or(0, |sweeps| sweeps.len());
                check("database", true, format!("sound, {sweeps} sweeps (SQLite {sqlite})"))
            }
            Ok(problems) => check("database", false, problems.join("; ")),
            Err(error) => check("database", false, error.to_string()),
        },
    }
}

/// What `repair` would do, but for what takes a pass over all curves.
fn files(home: &Home) -> Check {
    let Ok(reader) = Reader::open(home.database()) else {
        return check("files", true, "none yet, or none that a database names");
    };
    match examine(home, &reader, false) {
        Ok(findings) if findings.is_empty() => check("files", true, "as the database says"),
        Ok(findings) => {
            let first = findings.first().map_or(String::new(), |one| one.message.clone());
            let more = match findings.len() - 1 {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let hint = "`converge repair` lists all, `converge repair --yes` mends what it can";
            Check { hint: Some(hint.into()), ..check("files", false, format!("{first}{more}")) }
        }
        Err(error) => check("files", false, error.to_string()),
    }
}

fn asset(directory: &Path, what: &'static str, path: &str) -> Check {
    match std::fs::metadata(directory.join(path)) {
        Ok(found) => check(what, true, format!("{path}, {}", bytes(found.len()))),
        Err(_) => Check {
            hint: Some("`scripts/fetch` gets it; sweeps/smoke.toml needs no download".into()),
            ..check(what, false, format!("{path} is not here"))
        },
    }
}

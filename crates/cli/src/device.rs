//! From a device name to the worker program that serves it, and the places of its workers.

use std::path::{Path, PathBuf};

use converge_core::machine::Gpus;
use converge_core::placement::{
    Offer, Place, Presence, family, is_accelerator, kernel_caches, kernel_configuration, places,
    preferred,
};
use converge_core::sweep::RunSettings;
use converge_scheduler::home::Home;
use converge_scheduler::launcher::Program;
use converge_scheduler::launcher::local::{OffersError, offers};
use converge_scheduler::trials::SCRIPTED;

use crate::report::Report;

/// Devices that the worker inside this binary serves.
pub(crate) const EMBEDDED: &[&str] =
    if cfg!(feature = "embedded-worker") { &["cpu", SCRIPTED] } else { &[] };

/// Worker programs that may lie beside `converge`, with the families of devices that each serves.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("converge-worker-cuda", &["cuda-native"]),
    ("converge-worker-libtorch", &["cuda", "libtorch"]),
    ("converge-worker-wgpu", &["wgpu"]),
    ("converge-worker", &["cpu", SCRIPTED]),
];

/// Where a sweep runs.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// The device's name, `auto` resolved.
    pub(crate) device: String,
    /// Serves it.
    pub(crate) program: Program,
    /// Places of workers.
    pub(crate) places: Vec<Place>,
    /// Set where workers compute on GPUs.
    pub(crate) gpus: Option<Gpus>,
    /// What the user should know before hours are spent.
    pub(crate) warnings: Vec<String>,
}

impl Chosen {
    /// Lets drivers and Burn keep compiled kernels in the home, where the user has not said another place.
    pub(crate) fn with_kernel_caches(mut self, home: &Home) -> Result<Self, Report> {
        let directory = home.cache().join("kernels");
        // Found from the workers' folders, upwards.
        let file = home.root().join("cubecl.toml");
        if let Some(text) = kernel_configuration(&self.device, &directory.to_string_lossy())
            && !file.exists()
        {
            std::fs::create_dir_all(&directory)?;
            std::fs::write(file, text)?;
        }
        for (name, value) in kernel_caches(&self.device, &directory.to_string_lossy()) {
            if std::env::var_os(&name).is_some() {
                continue;
            }
            std::fs::create_dir_all(&directory)?;
            for place in &mut self.places {
                place.environment.push((name.clone(), value.clone()));
            }
        }
        Ok(self)
    }
}

/// A worker program beside `converge`, and what it says of itself.
pub(crate) struct Found {
    /// File name.
    pub(crate) name: &'static str,
    path: PathBuf,
    /// Its devices, or why it does not run.
    pub(crate) offers: Result<Vec<Offer>, OffersError>,
}

/// Returns where a sweep runs.
pub(crate) fn resolve(run: &RunSettings) -> Result<Chosen, Report> {
    let own = std::env::current_exe()?;
    if let Some(path) = &run.worker {
        return resolve_in(path, run);
    }
    if run.device == "auto" {
        return resolve_auto(own, run);
    }
    if EMBEDDED.contains(&run.device.as_str()) {
        return Ok(chosen(&run.device, embedded(own), &[], run));
    }
    let family = family(&run.device);
    let Some((name, _)) = PROGRAMS.iter().find(|(_, families)| families.contains(&family)) else {
        let known: Vec<&str> =
            PROGRAMS.iter().flat_map(|(_, families)| families.iter().copied()).collect();
        return Err(Report::usage(
            format!("there is no device `{}`", run.device),
            format!(
                "use \"auto\", or one of {}; `converge doctor` shows which are here",
                known.join(", ")
            ),
        ));
    };
    let path = own.with_file_name(name);
    if !path.is_file() {
        return Err(Report::usage(
            format!(
                "device `{}` is not built into this converge, and there is no `{}`",
                run.device,
                path.display()
            ),
            format!("{}; `converge doctor` shows what is here", how_to_build(family)),
        ));
    }
    let program = Program { path, arguments: Vec::new() };
    let offers = offers(&program).map_err(|error| unusable(&error, family))?;
    Ok(chosen(&run.device, program, &offers, run))
}

/// `[run] worker`: a program of the user's choice.
fn resolve_in(path: &str, run: &RunSettings) -> Result<Chosen, Report> {
    if !Path::new(path).is_file() {
        return Err(Report::usage(
            format!("[run] `worker`: there is no program `{path}`"),
            "name a converge-worker, or leave the key out",
        ));
    }
    let program = Program { path: path.into(), arguments: Vec::new() };
    if run.device == SCRIPTED {
        return Ok(chosen(SCRIPTED, program, &[], run));
    }
    let offers = offers(&program).map_err(|error| unusable(&error, family(&run.device)))?;
    if run.device != "auto" {
        return Ok(chosen(&run.device, program, &offers, run));
    }
    let Some(device) = preferred(&offers) else {
        let has: Vec<String> = offers.iter().map(told).collect();
        return Err(Report::usage(
            format!("[run] `worker`: `{path}` has no device that is here"),
            format!("name one of those that it has as `device`: {}", has.join(", ")),
        ));
    };
    Ok(chosen(device, program, &offers, run))
}

fn resolve_auto(own: PathBuf, run: &RunSettings) -> Result<Chosen, Report> {
    let found = beside();
    let mut all: Vec<Offer> = EMBEDDED
        .iter()
        .filter(|device| **device != SCRIPTED)
        .map(|device| Offer {
            device: (*device).into(),
            presence: Presence::Present,
            description: String::new(),
        })
        .collect();
    let mut broken = Vec::new();
    for program in &found {
        match &program.offers {
            Ok(offers) => all.extend(offers.iter().cloned()),
            Err(error) => broken.push(error.to_string()),
        }
    }
    let Some(device) = preferred(&all).map(str::to_string) else {
        return Err(Report::usage(
            "this converge has no device: none is built in, and no worker program beside it has one",
            how_to_build("libtorch"),
        ));
    };
    let serves = |program: &&Found| {
        program.offers.as_ref().is_ok_and(|offers| preferred(offers) == Some(&device))
    };
    let mut result = match found.iter().find(serves) {
        Some(program) if !EMBEDDED.contains(&device.as_str()) => {
            let offers = program.offers.as_deref().unwrap_or_default();
            let path = program.path.clone();
            chosen(&device, Program { path, arguments: Vec::new() }, offers, run)
        }
        _ => chosen(&device, embedded(own), &[], run),
    };
    result
        .warnings
        .extend(broken.into_iter().map(|error| format!("{error}\ntraining on {device}")));
    Ok(result)
}

fn embedded(own: PathBuf) -> Program {
    Program { path: own, arguments: vec!["worker".into()] }
}

fn chosen(device: &str, program: Program, offers: &[Offer], run: &RunSettings) -> Chosen {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let places = places(device, offers, visible.as_deref());
    let gpus = is_accelerator(device)
        .then_some(Gpus { count: places.len() as u64, workers_per_gpu: run.workers_per_gpu });
    let warnings = processor_warning(device, nvidia_is_visible()).into_iter().collect();
    Chosen { device: device.into(), program, places, gpus, warnings }
}

/// Returns what to say of a training on the processor while an NVIDIA GPU could do it.
fn processor_warning(device: &str, nvidia: bool) -> Option<String> {
    let idle = nvidia && matches!(device, "cpu" | "libtorch");
    idle.then(|| {
        format!(
            "an NVIDIA GPU is visible, and this sweep trains on the processor ({device})\n\
             hint: {}; `device = \"cpu\"` with CUDA_VISIBLE_DEVICES= empty says that it is meant so",
            how_to_build("cuda")
        )
    })
}

/// Returns whether the machine has an NVIDIA GPU that this process may use.
pub(crate) fn nvidia_is_visible() -> bool {
    let hidden = std::env::var("CUDA_VISIBLE_DEVICES")
        .is_ok_and(|visible| visible.trim().is_empty() || visible.trim().starts_with('-'));
    // The second: Windows's subsystem for Linux, whose driver has no device file of its own.
    let there =
        ["/dev/nvidia0", "/usr/lib/wsl/lib/nvidia-smi"].map(|path| Path::new(path).exists());
    !hidden && there.contains(&true)
}

/// Looks for worker programs beside this one, and asks each for its devices.
pub(crate) fn beside() -> Vec<Found> {
    let Ok(own) = std::env::current_exe() else { return Vec::new() };
    PROGRAMS
        .iter()
        .map(|(name, _)| (*name, own.with_file_name(name)))
        .filter(|(_, path)| path.is_file())
        .map(|(name, path)| {
            let offers = offers(&Program { path: path.clone(), arguments: Vec::new() });
            Found { name, path, offers }
        })
        .collect()
}

/// Returns a device as `doctor` and errors name it.
pub(crate) fn told(offer: &Offer) -> String {
    match offer.presence {
        Presence::Present => offer.device.clone(),
        Presence::Software => format!("{} (software, used only when named)", offer.device),
        Presence::Absent => format!("{} (not here)", offer.device),
    }
}

fn unusable(error: &OffersError, family: &str) -> Report {
    let report = Report::error(error).exit(crate::exit_code::ExitCode::Usage);
    let library = error.to_string().contains("shared librar");
    report.hint(match family {
        "cuda" | "libtorch" if library => {
            "PyTorch's libraries are not where the worker was built with them: run scripts/setup-libtorch again, \
             or put the folder of libtorch_cpu.so (`torch/lib` of the Python package) on LD_LIBRARY_PATH"
                .to_string()
        }
        _ if library => "install the library that it names, or build the worker on this machine".into(),
        family => how_to_build(family),
    })
}

/// Says how one gets a worker of a family.
pub(crate) fn how_to_build(family: &str) -> String {
    match family {
        "cuda" | "libtorch" => {
            "scripts/setup-libtorch gets PyTorch's libraries and builds converge-worker-libtorch".into()
        }
        "wgpu" => "scripts/setup-wgpu builds converge-worker-wgpu".into(),
        "cuda-native" => {
            "build it where CUDA's toolkit is: cargo build --release -p converge-worker --no-default-features \
             --features cuda, and install it as converge-worker-cuda beside converge"
                .into()
        }
        _ => "use device = \"auto\" or \"cpu\"".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_gpu_is_worth_a_warning_that_says_what_to_build() {
        let warning = processor_warning("cpu", true).unwrap();
        assert!(warning.contains("setup-libtorch"), "{warning}");
        assert!(processor_warning("libtorch", true).is_some());
        assert_eq!(processor_warning("cpu", false), None);
        assert_eq!(processor_warning("cuda", true), None);
        assert_eq!(processor_warning("scripted", true), None);
    }

    #[test]
    fn every_family_has_a_program_that_can_be_built() {
        for (name, families) in PROGRAMS {
            assert!(name.starts_with("converge-worker"));
            for family in families {
                assert!(!how_to_build(family).is_empty());
            }
        }
    }
}

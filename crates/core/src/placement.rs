//! Which device `auto` means, and which accelerator each worker gets.

/// A device that some worker program offers, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name in `[run] device`, numbered where there may be several: `cuda:1`.
    pub device: String,
    /// Whether it is there.
    pub presence: Presence,
    /// What it is, for people.
    pub description: String,
}

/// Whether a device is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Present,
    /// A processor plays it: used only when named.
    Software,
    /// It is not.
    Absent,
}

impl Presence {
    /// Returns the presence that a worker program wrote as a word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "present" => Some(Self::Present),
            "software" => Some(Self::Software),
            "absent" => Some(Self::Absent),
            _ => None,
        }
    }
}

/// Families of devices, the one that `auto` prefers first.
const PREFERENCE: [&str; 5] = ["cuda-native", "cuda", "wgpu", "cpu", "libtorch"];

/// Variable that hides all GPUs of a machine but those it names.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// Returns a device's name without its number: `cuda` of `cuda:1`.
pub fn family(device: &str) -> &str {
    device.split_once(':').map_or(device, |(family, _)| family)
}

/// Returns whether a worker on the device computes elsewhere than on the processor's cores.
pub fn is_accelerator(device: &str) -> bool {
    matches!(family(device), "cuda" | "cuda-native" | "wgpu")
}

/// Returns the device that `auto` means: the first family of which one is there, and not played by a processor.
pub fn preferred<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Option<&'a str> {
    let rank = |device: &str| PREFERENCE.iter().position(|known| *known == device);
    offers
        .into_iter()
        .filter(|offer| offer.presence == Presence::Present)
        .filter_map(|offer| Some((rank(family(&offer.device))?, family(&offer.device))))
        .min()
        .map(|(_, family)| family)
}

/// Where a worker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The device's name, for the record.
    pub device: String,
    /// The name that the worker is given.
    pub argument: String,
    /// What is set in its environment, so that it sees its own GPU alone.
    pub environment: Vec<(String, String)>,
}

impl Place {
    /// Returns the place of workers that need nothing set.
    pub fn plain(device: &str) -> Self {
        Self { device: device.into(), argument: device.into(), environment: Vec::new() }
    }
}

/// Returns the places of a device: `cuda` is every visible GPU, `cuda:1` the second of them, all else one place.
///
/// `offers` are those of the worker program; `visible` is `CUDA_VISIBLE_DEVICES` as the scheduler has it. A GPU that
/// is not there gets a place without a number of its own, and the worker says what is missing.
pub fn places(device: &str, offers: &[Offer], visible: Option<&str>) -> Vec<Place> {
    let family = family(device);
    if !matches!(family, "cuda" | "cuda-native") {
        return vec![Place::plain(device)];
    }
    let present = offers.iter().filter(|offer| offer.presence == Presence::Present);
    let gpus = present.filter(|offer| offer.device.strip_prefix(family).is_some_and(is_number));
    // The numbers that programs see count the entries of the variable, which may be numbers or ids of hardware.
    let entries: Vec<&str> = visible.into_iter().flat_map(|list| list.split(',')).collect();
    let places: Vec<Place> = (0..gpus.count())
        .map(|index| Place {
            device: format!("{family}:{index}"),
            argument: family.into(),
            environment: vec![(
                VISIBLE.into(),
                entries.get(index).map_or(index.to_string(), |entry| entry.trim().into()),
            )],
        })
        .filter(|place| device == family || device == place.device)
        .collect();
    if places.is_empty() { vec![Place::plain(device)] } else { places }
}

/// Returns what makes a GPU's driver keep compiled kernels in `directory`: without them the first steps of every
/// worker would wait for the compiler.
pub fn kernel_caches(device: &str, directory: &str) -> Vec<(String, String)> {
    let variables: &[&str] = match family(device) {
        // Mesa's (AMD, Intel, software) and NVIDIA's.
        "wgpu" => &["MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"],
        "cuda" | "cuda-native" => &["CUDA_CACHE_PATH"],
        _ => &[],
    };
    variables.iter().map(|name| ((*name).into(), directory.into())).collect()
}

/// Returns what the library that compiles Burn's own kernels reads of its `cubecl.toml`, for devices that it serves: compiled
/// kernels, and which of them were fastest, stay in `directory`.
pub fn kernel_configuration(device: &str, directory: &str) -> Option<String> {
    let directory = toml::Value::String(directory.into());
    matches!(family(device), "wgpu" | "cuda-native").then(|| {
        format!(
            "[environment]\npath = {{ directory = {directory} }}\n\n[compilation]\ncache = true\n"
        )
    })
}

fn is_number(rest: &str) -> bool {
    rest.strip_prefix(':').is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Returns the place with the fewest workers, the first of several; `taken` are the places of those that run.
pub fn emptiest(places: usize, taken: impl IntoIterator<Item = usize>) -> usize {
    let mut workers = vec![0_u64; places.max(1)];
    for place in taken {
        if let Some(count) = workers.get_mut(place) {
            *count += 1;
        }
    }
    (0..workers.len()).min_by_key(|place| workers[*place]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(device: &str, presence: Presence) -> Offer {
        Offer { device: device.into(), presence, description: String::new() }
    }

    fn gpus(count: u64) -> Vec<Offer> {
        let gpus = (0..count).map(|index| offer(&format!("cuda:{index}"), Presence::Present));
        gpus.chain([offer("libtorch", Presence::Present)]).collect()
    }

    #[test]
    fn auto_takes_gpus_before_processors_and_never_a_played_one() {
        use Presence::{Absent, Present, Software};
        let cpu = offer("cpu", Present);
        let libtorch = [offer("cuda", Absent), offer("libtorch", Present)];
        assert_eq!(preferred([&libtorch[0], &libtorch[1], &cpu]), Some("cpu"));
        assert_eq!(preferred(&libtorch), Some("libtorch"));
        assert_eq!(preferred([&offer("wgpu:0", Software), &cpu]), Some("cpu"));
        assert_eq!(preferred([&offer("wgpu:0", Present), &cpu]), Some("wgpu"));
        let all = [offer("wgpu:0", Present), cpu, offer("cuda:0", Present)];
        assert_eq!(preferred(&all), Some("cuda"));
        assert_eq!(
            preferred(all.iter().chain([&offer("cuda-native:0", Present)])),
            Some("cuda-native")
        );
        assert_eq!(preferred([&offer("abacus", Present)]), None);
    }

    #[test]
    fn every_visible_gpu_is_a_place_of_its_own() {
        let found = places("cuda", &gpus(3), None);
        let names: Vec<&str> = found.iter().map(|place| place.device.as_str()).collect();
        assert_eq!(names, ["cuda:0", "cuda:1", "cuda:2"]);
        assert!(found.iter().all(|place| place.argument == "cuda"));
        assert_eq!(found[2].environment, [(VISIBLE.to_string(), "2".to_string())]);
        let one = places("cuda:1", &gpus(3), None);
        assert_eq!(one, [found[1].clone()]);
    }

    #[test]
    fn a_list_of_visible_gpus_is_divided_and_not_widened() {
        let found = places("cuda", &gpus(2), Some("3, GPU-5d1c"));
        let visible: Vec<&str> =
            found.iter().map(|place| place.environment[0].1.as_str()).collect();
        assert_eq!(visible, ["3", "GPU-5d1c"]);
        assert_eq!(places("cuda:1", &gpus(2), Some("3,7"))[0].environment[0].1, "7");
    }

    #[test]
    fn only_gpus_keep_compiled_kernels() {
        assert_eq!(kernel_caches("cpu", "/c"), []);
        let cuda = kernel_caches("cuda:1", "/c");
        assert_eq!(cuda, [("CUDA_CACHE_PATH".to_string(), "/c".to_string())]);
        assert_eq!(kernel_caches("wgpu", "/c").len(), 2);
        assert_eq!(kernel_configuration("cuda", "/c"), None);
        let written = kernel_configuration("wgpu:1", "/with \"quotes\"").unwrap();
        let read: toml::Table = written.parse().unwrap();
        assert_eq!(read["environment"]["path"]["directory"].as_str(), Some("/with \"quotes\""));
    }

    #[test]
    fn what_is_not_there_is_left_to_the_worker_to_refuse() {
        assert_eq!(places("cuda", &gpus(0), None), [Place::plain("cuda")]);
        assert_eq!(places("cuda:4", &gpus(2), None), [Place::plain("cuda:4")]);
        assert_eq!(places("wgpu:1", &[], None), [Place::plain("wgpu:1")]);
        assert_eq!(places("cpu", &gpus(2), None), [Place::plain("cpu")]);
    }

    #[test]
    fn workers_spread_evenly_and_a_new_one_takes_the_place_of_the_lost() {
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(emptiest(3, taken.iter().copied()));
        }
        assert_eq!(taken, [0, 1, 2, 0, 1, 2]);
        taken.remove(4);
        assert_eq!(emptiest(3, taken), 1);
        assert_eq!(emptiest(1, [0, 0]), 0);
        assert_eq!(emptiest(0, []), 0);
    }
}

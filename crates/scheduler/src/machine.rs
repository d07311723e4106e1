//! What this machine offers: cores by affinity and cgroup, memory by kernel and cgroup.

use std::collections::BTreeMap;
use std::path::Path;

use converge_core::machine::Machine;

/// Looks at the machine.
pub fn look() -> Machine {
    // The standard library honours affinity and cgroup quotas.
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let free = available_memory().unwrap_or(u64::MAX);
    Machine { cores, free_memory: free.min(cgroup_memory().unwrap_or(u64::MAX)) }
}

/// Returns facts of the machine for the record, by name.
pub fn facts() -> BTreeMap<String, String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')))
        .map(|(_, name)| name.trim().to_string());
    let machine = look();
    let mut facts = BTreeMap::from([
        ("cores".to_string(), machine.cores.to_string()),
        ("free_memory_bytes".to_string(), machine.free_memory.to_string()),
        ("kernel".to_string(), read("/proc/sys/kernel/osrelease").trim().to_string()),
    ]);
    facts.extend(model.map(|model| ("cpu_model".to_string(), model)));
    facts
}

/// Returns the name of this host.
pub fn host() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Returns what the cgroup (version 2) still allows.
fn cgroup_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new("/sys/fs/cgroup").join(own);
    let limit = |folder: &Path| {
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok()
        };
        Some(read("memory.max")?.saturating_sub(read("memory.current")?))
    };
    // A limit anywhere above binds as well.
    folder
        .ancestors()
        .take_while(|above| above.starts_with("/sys/fs/cgroup"))
        .filter_map(limit)
        .min()
}

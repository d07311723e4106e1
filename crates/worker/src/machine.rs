//! Facts about the machine and about this process.

use std::collections::BTreeMap;

/// Prefixes of the CPU features that change which kernels are chosen, and so the last bits of a sum.
const FEATURES: [&str; 12] =
    ["amx", "asimd", "avx", "bf16", "bmi", "f16c", "fma", "fphp", "i8mm", "neon", "sse4", "sve"];

/// Returns the facts of [`Up::Born`](converge_protocol::message::Up::Born); one that cannot be found
/// out is left out.
pub(crate) fn facts() -> BTreeMap<String, String> {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |path: &str| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
    let facts = [
        ("architecture", Some(std::env::consts::ARCH.to_owned())),
        ("os", Some(std::env::consts::OS.to_owned())),
        ("cpu_model", cpu_field(&cpu_info, &["model name", "Model"]).map(str::to_owned)),
        ("cpu_features", cpu_field(&cpu_info, &["flags", "Features"]).map(decisive_features)),
        ("kernel", line("/proc/sys/kernel/osrelease")),
        ("hostname", line("/proc/sys/kernel/hostname")),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the first value of the first of `names` that `/proc/cpuinfo` has.
fn cpu_field<'a>(cpu_info: &'a str, names: &[&str]) -> Option<&'a str> {
    let fields: Vec<(&str, &str)> = cpu_info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    names
        .iter()
        .find_map(|wanted| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value))
}

fn decisive_features(all: &str) -> String {
    let mut decisive: Vec<&str> = all
        .split_whitespace()
        .filter(|feature| FEATURES.iter().any(|prefix| feature.starts_with(prefix)))
        .collect();
    decisive.sort_unstable();
    decisive.dedup();
    decisive.join(" ")
}

/// Lets [`peak_memory_bytes`] begin anew, where the system can.
pub(crate) fn reset_peak_memory() {
    // Linux: 5 resets the high-water mark only. Elsewhere, or forbidden: the peak stays the process's.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Returns the largest resident set since [`reset_peak_memory`].
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    // Not getrusage first: its maximum survives exec, so a worker would inherit its scheduler's.
    let status = std::fs::read_to_string("/proc/self/status").ok();
    if let Some(peak) = status.as_deref().and_then(high_water_bytes) {
        return Some(peak);
    }
    use nix::sys::resource::{UsageWho, getrusage};
    let maximum = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    Some(u64::try_from(maximum).ok()? * unit)
}

fn high_water_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpu_speaks_for_all() {
        let info = "processor\t: 0\nmodel name\t: A CPU: fast\nflags\t\t: fpu sse4_2 avx2 avx2 ht fma\n\
                    processor\t: 1\nmodel name\t: Another\n";
        assert_eq!(cpu_field(info, &["model name"]), Some("A CPU: fast"));
        assert_eq!(decisive_features(cpu_field(info, &["flags"]).unwrap()), "avx2 fma sse4_2");
        assert_eq!(cpu_field("", &["flags"]), None);
    }

    #[test]
    fn the_high_water_mark_is_read_in_kibibytes() {
        assert_eq!(high_water_bytes("VmPeak:\t 9 kB\nVmHWM:\t   2048 kB\n"), Some(2 << 20));
        assert_eq!(high_water_bytes("VmHWM: none"), None);
    }
}

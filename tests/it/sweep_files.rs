//! The sweep files of this repository.

use converge_core::sampler::sample;
use converge_core::sweep_file::read;

/// File and number of configurations.
const FILES: &[(&str, usize)] = &[
    ("bench_grid.toml", 12),
    ("movie_reviews_grid.toml", 24),
    ("movie_reviews_random.toml", 12),
    ("quickstart.toml", 6),
    ("smoke.toml", 6),
];

#[test]
fn every_sweep_file_reads_and_has_as_many_configurations_as_it_says() {
    let folder = converge_tests::repository().join("sweeps");
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    found.sort();
    assert_eq!(found, FILES.iter().map(|(name, _)| (*name).to_string()).collect::<Vec<_>>());
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for (name, configurations) in FILES {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let sweep = read(&text, name, &[]).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(sample(&sweep).configurations.len(), *configurations, "{name}");
        assert!(text.starts_with("# Question:"), "{name} opens with its question");
        assert!(readme.contains(name), "{name} stands in sweeps/README.md");
    }
}

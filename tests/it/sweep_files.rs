//! The sweep files of this repository.

use converge_core::sampler::sample;
use converge_core::sweep_file::{Layer, read_layers};
use converge_tests::{Sandbox, repository};

/// File and number of configurations.
const FILES: &[(&str, usize)] = &[
    ("bench_grid.toml", 12),
    ("movie_reviews_grid.toml", 24),
    ("movie_reviews_random.toml", 12),
    ("movie_reviews_sobol.toml", 16),
    ("quickstart.toml", 6),
    ("smoke.toml", 6),
    ("why_learning_rate.toml", 1),
    ("why_learning_rate_mended.toml", 8),
    ("why_sgd.toml", 1),
    ("why_sgd_mended.toml", 8),
    ("why_two_texts.toml", 1),
    ("why_two_texts_mended.toml", 3),
];

/// The same of the published recipes.
const RECIPES: &[(&str, usize)] = &[
    ("recipes/devlin.toml", 18),
    ("recipes/mosbach.toml", 3),
    ("recipes/small_bert.toml", 20),
    ("recipes/zhang.toml", 10),
];

#[test]
fn every_sweep_file_reads_and_has_as_many_configurations_as_it_says() {
    let folder = repository().join("sweeps");
    let mut found: Vec<String> = Vec::new();
    for part in ["", "recipes/"] {
        let names = std::fs::read_dir(folder.join(part)).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        found.extend(
            names.filter(|name| name.ends_with(".toml")).map(|name| format!("{part}{name}")),
        );
    }
    found.sort();
    let listed = || FILES.iter().chain(RECIPES);
    let mut names: Vec<String> = listed().map(|(name, _)| (*name).to_string()).collect();
    names.sort();
    assert_eq!(found, names);
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for (name, configurations) in listed() {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let base = name.strip_suffix("_mended.toml").map(|base| format!("{base}.toml"));
        let base = base.map(|name| (std::fs::read_to_string(folder.join(&name)).unwrap(), name));
        let mut layers = vec![Layer { file: name, text: &text }];
        layers.extend(base.iter().map(|(text, file)| Layer { file, text }));
        let sweep = read_layers(&layers, &[]).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(sample(&sweep).configurations.len(), *configurations, "{name}");
        assert!(text.starts_with("# Question:"), "{name} opens with its question");
        assert!(readme.contains(name), "{name} stands in sweeps/README.md");
    }
}

#[test]
fn every_recipe_can_be_planned_with_the_pretrained_model() {
    let root = repository();
    if !root.join("models/minilm/model.safetensors").is_file()
        || !root.join("data/movie_reviews.tsv").is_file()
    {
        println!("skipped: `scripts/fetch` gets the model and the film reviews");
        return;
    }
    let sandbox = Sandbox::new();
    for (name, configurations) in RECIPES {
        let file = root.join("sweeps").join(name);
        let mut command = sandbox.command(&["plan", &file.to_string_lossy(), "--json"]);
        let plan = converge_tests::Output::of(command.current_dir(&root)).expect_code(0).json();
        let replicates = plan["sweep"]["replicates"].as_u64().unwrap() as usize;
        let trials = plan["trials"].as_array().unwrap();
        assert_eq!(trials.len(), configurations * replicates, "{name}");
        assert_eq!(plan["facts"][0]["train"]["examples"], 1000, "{name}");
        assert_eq!(plan["facts"][0]["task"], "classes", "{name}");
    }
}

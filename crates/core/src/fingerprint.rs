//! What makes two trials, or two sweeps, the same experiment.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::objective::Objective;
use crate::seed::Seed;
use crate::settings::Settings;
use crate::sweep::Sweep;

/// Raised when training computes something else for the same settings.
const FORMAT: u64 = 1;

/// Returns the fingerprint of a configuration: SHA-256 (hex) over everything that decides its results.
///
/// Settings that the chosen optimizer does not read, and paths whose content is hashed, do not count.
pub fn fingerprint(
    settings: &Settings,
    content_hashes: &BTreeMap<String, String>,
    seed: Seed,
    objective: &Objective,
) -> String {
    hash(&json!({
        "format": FORMAT,
        "settings": canonical(settings),
        "content": content_hashes,
        "seed": seed,
        "objective": objective,
    }))
}

/// Returns the part of a sweep that makes it this sweep, for comparison and for showing differences.
pub fn identity(sweep: &Sweep) -> Value {
    let mut identity = json!({
        "sweep": {
            "method": sweep.method,
            "seed": sweep.seed,
            "replicates": sweep.replicates,
            "objective": sweep.objective,
            "max_trials": sweep.budget.max_trials.filter(|_| sweep.method.draws()),
        },
        "parameters": sweep.parameters.iter().map(|p| (p.name.clone(), json!(p.cases))).collect::<serde_json::Map<_, _>>(),
        "parameter order": sweep.parameters.iter().map(|p| p.name.clone()).collect::<Vec<_>>(),
        "train": sweep.settings.train,
        "model": sweep.settings.model,
        "data": sweep.settings.data,
    });
    if sweep.racing {
        identity["sweep"]["racing"] = json!(true);
        identity["sweep"]["max_replicates"] = json!(sweep.max_replicates);
    }
    if sweep.method.is_adaptive() {
        identity["sweep"]["ahead"] = json!(sweep.ahead);
    }
    // Left out where there are none, so that sweeps from before they could be written stay what they are.
    if !sweep.enqueue.is_empty() {
        identity["enqueue"] = json!(sweep.enqueue);
    }
    if !sweep.constraints.is_empty() {
        identity["constraints"] = json!(sweep.constraints);
    }
    if !sweep.early_stop.is_off() {
        identity["early_stop"] = json!(sweep.early_stop);
    }
    identity
}

/// Returns the hash of a sweep's identity, contents included.
pub fn identity_hash(sweep: &Sweep, facts: &[crate::facts::Facts]) -> String {
    let contents: Vec<_> = facts.iter().map(|facts| &facts.content_hashes).collect();
    hash(&json!({ "identity": identity(sweep), "content": contents }))
}

/// One difference between two identities.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted place.
    pub key: String,
    /// What stood there.
    pub old: String,
    /// What stands there now.
    pub new: String,
}

/// Returns where two identities differ, in the order of the keys.
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    flatten("", old, &mut left);
    flatten("", new, &mut right);
    let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).cloned().collect();
    let shown = |side: &BTreeMap<String, String>, key: &str| {
        side.get(key).cloned().unwrap_or_else(|| "(none)".into())
    };
    keys.into_iter()
        .map(|key| Difference { old: shown(&left, &key), new: shown(&right, &key), key })
        .filter(|difference| difference.old != difference.new)
        .collect()
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let place = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&place, value, into);
            }
        }
        Value::Null => {}
        other => {
            into.insert(prefix.to_string(), other.to_string());
        }
    }
}

/// Drops what does not decide the result.
fn canonical(settings: &Settings) -> Value {
    use crate::settings::Optimizer::{AdaGrad, Adam, AdamW, RmsProp, Sgd};
    let mut document = json!(settings);
    let mut drop = |section: &str, keys: &[&str]| {
        for key in keys {
            if let Some(entries) = document[section].as_object_mut() {
                entries.remove(*key);
            }
        }
    };
    match settings.train.optimizer {
        AdamW | Adam => drop("train", &["momentum"]),
        Sgd => drop("train", &["beta1", "beta2", "epsilon"]),
        RmsProp | AdaGrad => drop("train", &["momentum", "beta1", "beta2"]),
    }
    if settings.train.warmup_steps.is_some() {
        drop("train", &["warmup_ratio"]);
    }
    drop("train", &["dropout", "hidden_dropout", "attention_dropout", "classifier_dropout"]);
    drop("model", &["path"]);
    drop("data", &["train", "test"]);
    if settings.data.validation.as_deref() != Some("none") {
        drop("data", &["validation"]);
    }
    document["train"]["dropouts"] = json!(settings.train.dropouts());
    document
}

/// SHA-256 over JSON with sorted keys and no white space.
fn hash(document: &Value) -> String {
    let mut text = String::new();
    write_sorted(document, &mut text);
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sorts keys itself: whether serde_json's maps are sorted depends on a feature that any crate can switch on.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            text.push('{');
            for (key, value) in sorted {
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Sweep {
        let text = format!(
            "[sweep]\nname = \"x\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n{text}"
        );
        crate::sweep_file::read(&text, "s.toml", &[]).unwrap()
    }

    fn print(text: &str) -> String {
        let sweep = sweep(text);
        fingerprint(&sweep.settings, &BTreeMap::new(), sweep.seed, &sweep.objective)
    }

    #[test]
    fn what_the_optimizer_does_not_read_does_not_count() {
        assert_eq!(print("[train]\nmomentum = 0.9"), print(""));
        assert_eq!(
            print("[train]\noptimizer = \"sgd\"\nbeta1 = 0.8"),
            print("[train]\noptimizer = \"sgd\"")
        );
        assert_ne!(print("[train]\nbeta1 = 0.8"), print(""));
        assert_eq!(
            print("[train]\ndropout = 0.2"),
            print(
                "[train]\nhidden_dropout = 0.2\nattention_dropout = 0.2\nclassifier_dropout = 0.2"
            )
        );
    }

    #[test]
    fn a_key_that_came_later_does_not_count_while_it_has_its_default() {
        let written = "[train]\nprecision = \"float32\"\nreinit_layers = 0\nreinit_pooler = false\n\
                       layerwise_decay = 1\nsampling = \"shuffle\"";
        assert_eq!(print(written), print(""));
        for other in [
            "head_init_std = 0.02",
            "reinit_layers = 1",
            "reinit_pooler = true",
            "layerwise_decay = 0.9",
            "head_learning_rate = 1e-3",
            "sampling = \"balanced\"",
        ] {
            assert_ne!(print(&format!("[train]\n{other}")), print(""), "{other}");
        }
        // Of a sweep that was stored before any of them was there.
        assert_eq!(print(""), "291730fa359067c95639d3c182309bc351e077e06d62a2ecf0a65ed1e1c952c6");
    }

    #[test]
    fn the_content_counts_and_not_its_path() {
        let sweep = sweep("");
        let with = |path: &str, hash: &str| {
            let mut settings = sweep.settings.clone();
            settings.data.train = path.into();
            let hashes = BTreeMap::from([("train".to_string(), hash.to_string())]);
            fingerprint(&settings, &hashes, sweep.seed, &sweep.objective)
        };
        assert_eq!(with("/a", "1"), with("/b", "1"));
        assert_ne!(with("/a", "1"), with("/a", "2"));
    }

    #[test]
    fn differences_name_their_key() {
        let old = identity(&sweep("[parameters]\nbatch_size = { values = [16] }"));
        let new = identity(&sweep(
            "[parameters]\nbatch_size = { values = [16, 32] }\n[train]\nepochs = 4",
        ));
        let keys: Vec<_> =
            differences(&old, &new).into_iter().map(|d| (d.key, d.old, d.new)).collect();
        assert_eq!(keys[1], ("train.epochs".into(), "3".into(), "4".into()));
        assert!(keys[0].0.starts_with("parameters.batch_size"), "{keys:?}");
        assert!(differences(&old, &old).is_empty());
    }
}

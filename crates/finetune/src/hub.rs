//! The Hugging Face hub: its cache on this machine first, the network for what is missing there.

use std::path::PathBuf;

use converge_core::problem::Problem;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

/// Where models come from and where they are kept.
pub(crate) struct Hub {
    cache: Cache,
    endpoint: Option<String>,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    /// Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`.
    ///
    /// # Source
    /// <https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>
    pub(crate) fn from_environment() -> Self {
        let given = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let cache = given("HF_HUB_CACHE")
            .map_or_else(Cache::from_env, |directory| Cache::new(PathBuf::from(directory)));
        let offline = given("HF_HUB_OFFLINE").is_some_and(|value| {
            ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
        });
        Self {
            token: given("HF_TOKEN").or(cache.token()),
            cache,
            endpoint: given("HF_ENDPOINT"),
            offline,
        }
    }

    /// Returns where the files of a model (`org/name`, or `org/name@revision`) lie, fetching those
    /// that are not in the cache.
    ///
    /// # Errors
    /// A problem for each file that cannot be had.
    pub(crate) fn fetch<const N: usize>(
        &self,
        name: &str,
        files: [&str; N],
    ) -> Result<[PathBuf; N], Vec<Problem>> {
        let place = format!("hf:{name}");
        let repo = repository(name).ok_or_else(|| {
            vec![Problem::new(&place, "is not the name of a model").hint("write `hf:org/name`")]
        })?;
        let cached = self.cache.repo(repo.clone());
        let found = files.map(|file| cached.get(file));
        let missing: Vec<&str> = files
            .iter()
            .zip(&found)
            .filter(|(_, path)| path.is_none())
            .map(|(file, _)| *file)
            .collect();
        if self.offline && !missing.is_empty() {
            let cache = self.cache.path().display();
            let message = format!(
                "HF_HUB_OFFLINE is set and the cache `{cache}` lacks {}",
                missing.join(", ")
            );
            let problem = Problem::new(place, message)
                .hint("fetch the model once without HF_HUB_OFFLINE, or give a directory");
            return Err(vec![problem]);
        }
        if missing.is_empty() {
            return Ok(found.map(Option::unwrap_or_default));
        }
        self.download(&place, repo, files)
    }

    fn download<const N: usize>(
        &self,
        place: &str,
        repo: Repo,
        files: [&str; N],
    ) -> Result<[PathBuf; N], Vec<Problem>> {
        let mut builder = ApiBuilder::from_cache(self.cache.clone())
            .with_progress(false)
            .with_retries(2)
            .with_token(self.token.clone());
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        let endpoint = self.endpoint.as_deref().unwrap_or("https://huggingface.co");
        let api = builder.build().map_err(|error| vec![unfetched(place, endpoint, "", &error)])?;
        let api = api.repo(repo);
        let mut problems = Vec::new();
        let paths = files.map(|file| {
            // After a failure to connect the others would only fail likewise, slowly.
            if !problems.is_empty() {
                return PathBuf::new();
            }
            tracing::info!(model = place, file, "fetching from {endpoint}");
            api.get(file).unwrap_or_else(|error| {
                problems.push(unfetched(place, endpoint, file, &error));
                PathBuf::new()
            })
        });
        if problems.is_empty() { Ok(paths) } else { Err(problems) }
    }
}

fn repository(name: &str) -> Option<Repo> {
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    // The names become parts of paths.
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let parts: Vec<&str> = name.split('/').collect();
    let valid = (1..=2).contains(&parts.len()) && parts.into_iter().all(plain);
    let revision_valid = revision.split('/').all(plain);
    (valid && revision_valid)
        .then(|| Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned()))
}

fn unfetched(place: &str, endpoint: &str, file: &str, error: &ApiError) -> Problem {
    let said = error.to_string();
    let problem = Problem::new(place, format!("cannot fetch {file} from {endpoint}: {said}"));
    let absent = said.contains("404");
    let forbidden = said.contains("401") || said.contains("403");
    match (absent, forbidden, file) {
        (true, _, "tokenizer.json" | "model.safetensors") => problem
            .hint("the model lacks this file: convert it with transformers and give its directory"),
        (true, ..) => problem.hint("check the name of the model"),
        (_, true, _) => problem.hint("the model may need a token: set HF_TOKEN"),
        _ => problem.hint(
            "without a way to the hub, copy the model here and give its directory, or set \
             HF_ENDPOINT to a mirror",
        ),
    }
}

#[cfg(test)]
mod tests;

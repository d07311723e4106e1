//! The Hugging Face hub: its cache on this machine first, the network for what is missing there.

use std::path::PathBuf;

use converge_core::problem::Problem;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::model_files::{Folder, ModelFiles, is_absence};

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

    /// Returns the files of a model (`org/name`, or `org/name@revision`), fetching those that are not in the cache.
    ///
    /// The network is asked only where the cache has no complete set.
    ///
    /// # Errors
    /// A problem for each file that cannot be had.
    pub(crate) fn fetch(&self, name: &str) -> Result<ModelFiles, Vec<Problem>> {
        let place = format!("hf:{name}");
        let repo = repository(name).ok_or_else(|| {
            vec![Problem::new(&place, "is not the name of a model").hint("write `hf:org/name`")]
        })?;
        let mut cached = Cached { repo: self.cache.repo(repo.clone()), place: place.clone() };
        let lacking = match ModelFiles::of(&mut cached) {
            Ok(files) => return Ok(files),
            Err(lacking) => lacking,
        };
        if self.offline {
            let cache = self.cache.path().display();
            let start = format!("{place}/");
            let names: Vec<&str> =
                lacking.iter().map(|p| p.place.strip_prefix(&start).unwrap_or(&p.place)).collect();
            let message =
                format!("HF_HUB_OFFLINE is set and the cache `{cache}` lacks {}", names.join(", "));
            let problem = Problem::new(place, message)
                .hint("fetch the model once without HF_HUB_OFFLINE, or give a directory");
            return Err(vec![problem]);
        }
        self.download(place, repo)
    }

    fn download(&self, place: String, repo: Repo) -> Result<ModelFiles, Vec<Problem>> {
        let mut builder = ApiBuilder::from_cache(self.cache.clone())
            .with_progress(false)
            .with_retries(2)
            .with_token(self.token.clone());
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        let endpoint = self.endpoint.clone().unwrap_or_else(|| "https://huggingface.co".to_owned());
        let api =
            builder.build().map_err(|error| vec![unfetched(&place, &endpoint, "", &error)])?;
        let mut remote = Remote { repo: api.repo(repo), place, endpoint };
        ModelFiles::of(&mut remote).map_err(|problems| {
            problems.into_iter().map(|problem| remote.of_absence(problem)).collect()
        })
    }
}

/// What the cache has of a model.
struct Cached {
    repo: CacheRepo,
    place: String,
}

impl Folder for Cached {
    fn find(&mut self, name: &str) -> Result<Option<PathBuf>, Problem> {
        Ok(self.repo.get(name))
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }
}

/// What the hub has of a model; what is asked for is fetched.
struct Remote {
    repo: ApiRepo,
    place: String,
    endpoint: String,
}

impl Folder for Remote {
    fn find(&mut self, name: &str) -> Result<Option<PathBuf>, Problem> {
        tracing::info!(model = self.place, file = name, "fetching from {}", self.endpoint);
        match self.repo.get(name) {
            Ok(path) => Ok(Some(path)),
            Err(error) if error.to_string().contains("404") => Ok(None),
            Err(error) => Err(unfetched(&self.place, &self.endpoint, name, &error)),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }
}

impl Remote {
    /// Says of a file that is not there where it is not.
    fn of_absence(&self, problem: Problem) -> Problem {
        if !is_absence(&problem) {
            return problem;
        }
        let name = problem.place.rsplit('/').next().unwrap_or_default();
        let message = format!("{} has no {name}", self.endpoint);
        let found = Problem::new(&self.place, message);
        match problem.hint {
            Some(hint) => found.hint(format!("{hint}, and give its directory")),
            None => found.hint("check the name of the model"),
        }
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
    let forbidden = said.contains("401") || said.contains("403");
    let problem = Problem::new(place, format!("cannot fetch {file} from {endpoint}: {said}"));
    if forbidden {
        return problem.hint("the model may need a token: set HF_TOKEN");
    }
    problem.hint(
        "without a way to the hub, copy the model here and give its directory, or set \
         HF_ENDPOINT to a mirror",
    )
}

#[cfg(test)]
mod tests;

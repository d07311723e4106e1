//! Everything that is needed to go on exactly, in one directory that is complete or absent.
//!
//! | file | content |
//! |---|---|
//! | `weights.safetensors` | every parameter under its Hugging Face name |
//! | `optimizer.safetensors` | every state of the optimizer, `<parameter>.<slot>` |
//! | `best.safetensors` | the best weights so far, if there are any |
//! | `manifest.json` | what belongs together: step, settings, SHA-256 of each file, names of all tensors |
//!
//! Seeds are part of the job and data position is a function of the step, so neither is here. The
//! initial weights, for travel, are made again from the same file or seed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use converge_bert::{BertClassifier, weights};
use converge_core::ramp::Watch;
use converge_faults::{disk, point};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::durable::{self, Sync};
use crate::job::FineTuneError;
use crate::loss_scale::LossScale;
use crate::optimizer::Optimizer;

/// Counted up when something changes that an older checkpoint lacks.
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const BEST: &str = "best.safetensors";

/// Where a training stands, but for weights and optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Steps done.
    pub(crate) step: u64,
    /// The best evaluation so far.
    pub(crate) best: Option<Best>,
    /// Metrics of the last step while its evaluation is still to be done.
    pub(crate) unreported: Vec<(String, f64)>,
    /// With float16 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss_scale: Option<LossScale>,
    /// On a ramp only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) watch: Option<Watch>,
}

/// The best evaluation so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Best {
    pub(crate) step: u64,
    pub(crate) value: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    /// Hash of settings, seeds, data and model: a checkpoint goes on with its own training only.
    fingerprint: String,
    progress: Progress,
    /// SHA-256 by file name.
    files: BTreeMap<String, String>,
    /// Tensors of `optimizer.safetensors`.
    optimizer_tensors: Vec<String>,
    /// Tensors of `weights.safetensors`.
    weight_tensors: Vec<String>,
}

/// Writes a checkpoint into `attempt_directory` and returns its directory.
///
/// When this returns, a crash of the machine loses nothing of it. `best_weights` gets a second name
/// in the checkpoint; it must never be written in place.
///
/// # Errors
/// Those of the file system; nothing is left behind.
pub(crate) fn write(
    attempt_directory: &Path,
    fingerprint: &str,
    progress: &Progress,
    model: &BertClassifier,
    optimizer: &Optimizer,
    best_weights: &Path,
) -> Result<PathBuf, FineTuneError> {
    let directory = free_name(attempt_directory, progress.step);
    let aside = directory.with_extension("tmp");
    let result = remove_if_there(&aside).and_then(|()| fs::create_dir_all(&aside)).and_then(|()| {
        disk::created(&aside);
        point("checkpoint.begun");
        write_files(&aside, fingerprint, progress, model, optimizer, best_weights)?;
        point("checkpoint.written");
        fs::rename(&aside, &directory)?;
        disk::renamed(&directory);
        point("checkpoint.renamed");
        durable::sync_directory(attempt_directory)?;
        // The attempt's own name: nobody synced it when it was made.
        attempt_directory.parent().map_or(Ok(()), durable::sync_directory)?;
        point("checkpoint.synced");
        Ok(())
    });
    result.map_err(|error| {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&aside);
        FineTuneError::io("write the checkpoint", &directory, error)
    })?;
    Ok(directory)
}

/// Returns a name that no checkpoint has: one that is complete is never taken apart for another of
/// the same step.
fn free_name(attempt_directory: &Path, step: u64) -> PathBuf {
    let first = attempt_directory.join(format!("checkpoint-{step}"));
    let others = (1..).map(|count| attempt_directory.join(format!("checkpoint-{step}-{count}")));
    let mut names = std::iter::once(first.clone()).chain(others);
    names.find(|name| !name.exists()).unwrap_or(first)
}

fn write_files(
    directory: &Path,
    fingerprint: &str,
    progress: &Progress,
    model: &BertClassifier,
    optimizer: &Optimizer,
    best_weights: &Path,
) -> io::Result<()> {
    let mut files = BTreeMap::new();
    let hash = durable::write(&directory.join(WEIGHTS), Sync::Yes, |mut writer| {
        weights::save(model, &mut writer).map_err(|error| error.source)
    })?;
    files.insert(WEIGHTS.to_owned(), hash);
    let hash = durable::write(&directory.join(OPTIMIZER), Sync::Yes, |writer| {
        write_states(writer, model, optimizer)
    })?;
    files.insert(OPTIMIZER.to_owned(), hash);
    if progress.best.is_some() {
        let linked = directory.join(BEST);
        durable::link(best_weights, &linked)?;
        durable::sync_file(&linked)?;
        files.insert(BEST.to_owned(), durable::sha256_of_file(&linked)?);
    }
    let manifest = Manifest {
        version: VERSION,
        fingerprint: fingerprint.to_owned(),
        progress: progress.clone(),
        files,
        weight_tensors: weight_names(model),
        optimizer_tensors: optimizer.states(model.parameters()).map(|(name, _)| name).collect(),
    };
    let manifest = serde_json::to_vec_pretty(&manifest)?;
    durable::write(&directory.join(MANIFEST), Sync::Yes, |writer| writer.write_all(&manifest))?;
    durable::sync_directory(directory)
}

fn weight_names(model: &BertClassifier) -> Vec<String> {
    model.parameters().iter().map(|parameter| parameter.name.clone()).collect()
}

fn write_states(
    writer: &mut dyn Write,
    model: &BertClassifier,
    optimizer: &Optimizer,
) -> io::Result<()> {
    let mut end = 0;
    let infos = optimizer.states(model.parameters()).map(|(name, values)| {
        let start = end;
        end += values.elements() * size_of::<f32>();
        let shape = vec![values.elements()];
        (name, TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) })
    });
    let metadata = Metadata::new(None, infos.collect()).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    // The format asks for data aligned to 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    for (_, values) in optimizer.states(model.parameters()) {
        for chunk in values.into_values().chunks(4096) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
            writer.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// Reads a checkpoint into a model and an optimizer as they are before the first step.
///
/// The best weights, if there are any, get the name `best_weights`.
///
/// # Errors
/// Class data if anything is missing, damaged, of another shape or of another training: nothing is
/// ever initialised silently.
pub(crate) fn read(
    directory: &Path,
    fingerprint: &str,
    model: BertClassifier,
    optimizer: &mut Optimizer,
    best_weights: &Path,
) -> Result<(BertClassifier, Progress), FineTuneError> {
    let unusable = |what: String| {
        let place = directory.display();
        FineTuneError::data(format!("the checkpoint `{place}` is not usable: {what}"))
    };
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path).map_err(|error| unusable(format!("cannot read `{name}`")).because(error))
    };
    let manifest: Manifest = serde_json::from_slice(&read(MANIFEST)?)
        .map_err(|error| unusable(format!("`{MANIFEST}` is damaged")).because(error))?;
    if manifest.version != VERSION {
        let found = manifest.version;
        return Err(unusable(format!("it has format {found}, this program reads {VERSION}")));
    }
    if manifest.fingerprint != fingerprint {
        return Err(unusable("it belongs to other settings, data or model files".to_owned()));
    }
    let checked = |name: &str| {
        let bytes = read(name)?;
        if manifest.files.get(name) != Some(&durable::sha256(&bytes)) {
            return Err(unusable(format!("`{name}` does not match its checksum")));
        }
        Ok(bytes)
    };

    let bytes = checked(WEIGHTS)?;
    let tensors = Tensors::new(WEIGHTS, &bytes, &weight_names(&model), &manifest.weight_tensors)
        .map_err(unusable)?;
    let model = set_weights(model, &tensors).map_err(unusable)?;
    drop(tensors);
    drop(bytes);

    let bytes = checked(OPTIMIZER)?;
    let parameters = model.parameters();
    let names: Vec<String> = optimizer.states(parameters).map(|(name, _)| name).collect();
    let tensors =
        Tensors::new(OPTIMIZER, &bytes, &names, &manifest.optimizer_tensors).map_err(unusable)?;
    optimizer
        .restore(parameters, |name, elements| tensors.values(name, &[elements]))
        .map_err(unusable)?;

    if manifest.progress.best.is_some() {
        checked(BEST)?;
        durable::link(&directory.join(BEST), best_weights)
            .map_err(|error| FineTuneError::io("write", best_weights, error))?;
    }
    Ok((model, manifest.progress))
}

fn set_weights(model: BertClassifier, tensors: &Tensors<'_>) -> Result<BertClassifier, String> {
    let mut result = Ok(());
    let model = model.map_parameters(|parameter, tensor| {
        let values = match tensors.values(&parameter.name, &parameter.checkpoint_shape()) {
            Ok(values) => parameter.from_checkpoint_layout(values),
            Err(error) => {
                result = Err(error);
                return tensor;
            }
        };
        let elements = values.len();
        Tensor::from_data(TensorData::new(values, [elements]), &tensor.device())
    });
    result.map(|()| model)
}

/// Tensors of a file that are exactly the expected ones.
struct Tensors<'a> {
    file: &'static str,
    tensors: SafeTensors<'a>,
}

impl<'a> Tensors<'a> {
    fn new(
        file: &'static str,
        bytes: &'a [u8],
        expected: &[String],
        listed: &[String],
    ) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| format!("`{file}` is no safetensors file ({error})"))?;
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        let found: Vec<String> = tensors.names().into_iter().map(ToString::to_string).collect();
        let expected = sorted(expected);
        for names in [sorted(&found), sorted(listed)] {
            if names != expected {
                let missing = expected.iter().find(|name| !names.contains(name));
                let more = names.iter().find(|name| !expected.contains(name));
                let name = missing.or(more).map_or("", String::as_str);
                let what = if missing.is_some() { "lacks" } else { "has an unexpected" };
                return Err(format!("`{file}` {what} tensor `{name}`"));
            }
        }
        Ok(Self { file, tensors })
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let file = self.file;
        let view = self.tensors.tensor(name);
        let view = view.map_err(|error| format!("`{file}` has no tensor `{name}` ({error})"))?;
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            let found = view.shape();
            return Err(format!(
                "`{name}` in `{file}` is {:?} of shape {found:?}, expected F32 of {shape:?}",
                view.dtype()
            ));
        }
        Ok(view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

/// Removes the checkpoints of an attempt, finished or not, except for `kept`.
///
/// # Errors
/// Those of the file system.
pub(crate) fn remove_others(attempt_directory: &Path, kept: Option<&Path>) -> io::Result<()> {
    for entry in fs::read_dir(attempt_directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("checkpoint-") && Some(path.as_path()) != kept {
            point("checkpoint.removing");
            remove_if_there(&path)?;
            point("checkpoint.removed");
        }
    }
    Ok(())
}

fn remove_if_there(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

//! Published weights in, trained weights out: `model.safetensors` and `pytorch_model.bin` by Hugging Face's names.
//!
//! The mapping from names to fields is the table of [`mapping`](crate::mapping). Around it:
//!
//! - Names come with or without the prefix `bert.`, `distilbert.` or `roberta.`: a `BertModel` saved alone, as by
//!   sentence-transformers, has none.
//! - Old checkpoints, `bert-base-uncased` among them, call the parameters of a `LayerNorm` `gamma`
//!   and `beta` instead of `weight` and `bias`.
//! - Values of type `F32`, `F16` and `BF16` are accepted, and computed with as `f32`.
//! - Weights may be in several files (`model-00001-of-00002.safetensors`), which an index lists.
//! - PyTorch's files are interpreted, never executed: `weights/pytorch.rs` says what is refused before that.
//! - The classification layer is used if it is there in the right shape, otherwise initialised from
//!   the seed. So is a pooler of which nothing is there. Everything else must be there.
//! - Every tensor of the files is either used or listed as ignored, with the reason.
//!
//! Of the files themselves, one tensor at a time is in memory.

mod index;
mod plan;
mod pytorch;
mod stored;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::classifier::BertClassifier;
use crate::config::{BertConfig, ConfigError, Listed};
use crate::initial_values::initial_values;
use crate::options::ClassifierOptions;
use crate::parameters;
pub use index::files_of_index;
use plan::Plan;
use stored::Stored;

/// Files that together hold the weights of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles {
    /// What all of them are.
    pub format: WeightFormat,
    /// One file, or those that an index lists.
    pub paths: Vec<PathBuf>,
}

/// How a file holds tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// `model.safetensors`.
    SafeTensors,
    /// `pytorch_model.bin`.
    PyTorch,
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SafeTensors => "safetensors",
            Self::PyTorch => "PyTorch",
        })
    }
}

/// What became of the files' tensors and of the model's parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// Names, as in the file, of the tensors that are now parameters.
    pub used: Vec<String>,
    /// Names, as in the file, of the others, each with the reason.
    pub ignored: Vec<(String, String)>,
    /// Hugging Face names of the parameters that the file does not provide.
    pub newly_initialised: Vec<String>,
}

/// Reads a model from a `model.safetensors`.
///
/// # Errors
/// As [`load_files`].
pub fn load_file(
    path: &Path,
    config: &BertConfig,
    options: &ClassifierOptions,
    head_seed: u64,
    device: &Device,
) -> Result<(BertClassifier, LoadReport), LoadError> {
    let files = WeightFiles { format: WeightFormat::SafeTensors, paths: vec![path.to_owned()] };
    load_files(&files, config, options, head_seed, device)
}

/// Reads a model from its published files.
///
/// What the files do not provide is initialised from `head_seed`, to the values that
/// [`BertClassifier::new`] gives it for the same seed.
///
/// # Errors
/// [`LoadError::Files`] with every file that cannot be read or is damaged,
/// [`LoadError::Tensors`] with every tensor that is missing or does not fit, and
/// [`LoadError::Config`] if configuration or options are not usable.
pub fn load_files(
    files: &WeightFiles,
    config: &BertConfig,
    options: &ClassifierOptions,
    head_seed: u64,
    device: &Device,
) -> Result<(BertClassifier, LoadReport), LoadError> {
    let config = options.apply_to(config)?;
    let (tensors, bytes) = stored::of_files(files)?;
    build(&tensors, bytes, &config, options, head_seed, device)
}

/// Builds a model from the bytes of a `model.safetensors`, as [`load_files`] does from files.
///
/// # Errors
/// As [`load_files`].
pub fn load(
    bytes: &[u8],
    config: &BertConfig,
    options: &ClassifierOptions,
    head_seed: u64,
    device: &Device,
) -> Result<(BertClassifier, LoadReport), LoadError> {
    let config = options.apply_to(config)?;
    let tensors = stored::of_bytes(bytes)?;
    build(&tensors, bytes.len() as u64, &config, options, head_seed, device)
}

/// Makes the model that `config`, with the options applied, describes.
fn build(
    tensors: &[Stored<'_>],
    bytes: u64,
    config: &BertConfig,
    options: &ClassifierOptions,
    head_seed: u64,
    device: &Device,
) -> Result<(BertClassifier, LoadReport), LoadError> {
    check_size(config, bytes)?;
    let model = BertClassifier::unfilled(config, options, device);
    let mut plan = Plan::new(tensors, config.architecture);
    plan.choose(model.parameters());
    if !plan.problems.is_empty() {
        return Err(LoadError::Tensors { problems: plan.problems });
    }
    let report = plan.report(model.parameters(), config);
    let mut unread = None;
    let model = parameters::fill(model, |parameter| {
        Some(match plan.chosen.get(&parameter.index) {
            Some(found) => match found.values() {
                Ok(values) => parameter.from_checkpoint_layout(values),
                Err(problem) => {
                    unread.get_or_insert(problem);
                    vec![0.0; parameter.elements()]
                }
            },
            None => initial_values(parameter, config, head_seed),
        })
    });
    match unread {
        Some(problem) => Err(LoadError::Files { problems: vec![problem] }),
        None => Ok((model, report)),
    }
}

/// Refuses a configuration whose model would fill the memory, and which the files cannot hold: before it is made.
///
/// A file that only lacks something is told tensor by tensor.
fn check_size(config: &BertConfig, bytes: u64) -> Result<(), ConfigError> {
    const HARMLESS: u64 = 1 << 28;
    let values = config.values();
    if values <= HARMLESS || values / 8 <= bytes {
        return Ok(());
    }
    let message = format!("it describes {values} values, and the weights have {bytes} bytes");
    ConfigError::of(vec![message])
}

/// Writes a model as a `model.safetensors` that [`load`] and Hugging Face's libraries read.
///
/// Values are written as `F32` in the order of the parameter table; equal models give equal bytes.
/// One tensor at a time is copied from the device. Nothing is flushed or synced: the caller owns
/// the file and decides when it counts as written.
///
/// # Errors
/// [`SaveError`] if the writer fails.
pub fn save(model: &BertClassifier, writer: &mut impl Write) -> Result<(), SaveError> {
    let mut end = 0;
    let tensors = model.parameters().iter().map(|parameter| {
        let start = end;
        end += parameter.elements() * size_of::<f32>();
        let shape = parameter.checkpoint_shape();
        (
            parameter.name.clone(),
            TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) },
        )
    });
    // Hugging Face's libraries refuse files that do not name the framework of their layout.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let header = Metadata::new(Some(metadata), tensors.collect())
        .map_err(|error| io::Error::other(error.to_string()))
        .and_then(|metadata| serde_json::to_vec(&metadata).map_err(io::Error::from));
    let mut header = header.map_err(|source| SaveError { source })?;
    // The format asks for data aligned to 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut write = |bytes: &[u8]| writer.write_all(bytes).map_err(|source| SaveError { source });
    write(&(header.len() as u64).to_le_bytes())?;
    write(&header)?;
    let mut result = Ok(());
    model.visit_parameters(|parameter, tensor| {
        if result.is_ok() {
            let bytes = |values: &[f32]| -> Vec<u8> {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            };
            let bytes = parameters::read_values(&tensor, |values| {
                if parameter.is_transposed() {
                    bytes(&parameter.to_checkpoint_layout(values.to_vec()))
                } else {
                    bytes(values)
                }
            });
            result = write(&bytes);
        }
    });
    result
}

/// Why no model could be made of files.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Files cannot be read, or are damaged.
    #[error("{}", Listed(.problems))]
    Files {
        /// One for each such file.
        problems: Vec<FileProblem>,
    },
    /// The model cannot be built, whatever the file holds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Tensors are missing or do not fit.
    #[error("the weights do not fit the configuration: {}", Listed(.problems))]
    Tensors {
        /// All of them, in the order of the parameter table.
        problems: Vec<TensorProblem>,
    },
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error("cannot read the weights `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("the weights{} are not a sound {format} file: {reason}", Named(.path))]
    Corrupt {
        /// The file, if it is one.
        path: Option<PathBuf>,
        /// What it should be.
        format: WeightFormat,
        /// What does not fit.
        reason: String,
    },
}

struct Named<'a>(&'a Option<PathBuf>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, " `{}`", path.display()))
    }
}

/// What is wrong with one tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorProblem {
    /// No file holds it.
    #[error("`{name}` is missing")]
    Missing {
        /// Its Hugging Face name.
        name: String,
    },
    /// Its shape is not the configuration's.
    #[error("`{name}` has shape {found:?}, the configuration gives {expected:?}")]
    Shape {
        /// Its name in the file.
        name: String,
        /// By the configuration, as laid out in a checkpoint.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// Its values are not of a supported type.
    #[error("`{name}` has type {found}; supported: F32, F16, BF16")]
    Type {
        /// Its name in the file.
        name: String,
        /// In the file.
        found: String,
    },
}

/// Why a model could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the weights")]
pub struct SaveError {
    /// What the writer said.
    #[source]
    pub source: io::Error,
}

//! Published weights in, trained weights out: `model.safetensors` by Hugging Face's names.
//!
//! The mapping from names to fields is the table of [`mapping`](crate::mapping). Around it:
//!
//! - Names come with or without the prefix `bert.`: a `BertModel` saved alone, as by
//!   sentence-transformers, has none.
//! - Old checkpoints, `bert-base-uncased` among them, call the parameters of a `LayerNorm` `gamma`
//!   and `beta` instead of `weight` and `bias`.
//! - Values of type `F32`, `F16` and `BF16` are accepted, and computed with as `f32`.
//! - The classification layer is used if it is there in the right shape, otherwise initialised from
//!   the seed. So is a pooler of which nothing is there. Everything else must be there.
//! - Every tensor of the file is either used or listed as ignored, with the reason.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::classifier::BertClassifier;
use crate::config::{BertConfig, ConfigError, Listed};
use crate::initial_values::initial_values;
use crate::options::ClassifierOptions;
use crate::parameters::{self, LayerGroup, Parameter};

/// What became of a file's tensors and of the model's parameters.
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
/// [`LoadError`]: the file cannot be read, or is not usable as described at [`load`].
pub fn load_file(
    path: &Path,
    config: &BertConfig,
    options: &ClassifierOptions,
    head_seed: u64,
    device: &Device,
) -> Result<(BertClassifier, LoadReport), LoadError> {
    let bytes =
        std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    load(&bytes, config, options, head_seed, device)
}

/// Builds a model from the bytes of a `model.safetensors`.
///
/// What the file does not provide is initialised from `head_seed`, to the values that
/// [`BertClassifier::new`] gives it for the same seed.
///
/// # Errors
/// [`LoadError::Corrupt`] if the bytes are not a complete safetensors file,
/// [`LoadError::Tensors`] with every tensor that is missing or does not fit, and
/// [`LoadError::Config`] if configuration or options are not usable.
pub fn load(
    bytes: &[u8],
    config: &BertConfig,
    options: &ClassifierOptions,
    head_seed: u64,
    device: &Device,
) -> Result<(BertClassifier, LoadReport), LoadError> {
    let config = options.apply_to(config)?;
    let file = SafeTensors::deserialize(bytes)
        .map_err(|source| LoadError::Corrupt { bytes: bytes.len(), source })?;
    check_size(&config, bytes.len())?;
    let model = BertClassifier::unfilled(&config, options, device);

    let mut plan = Plan::new(&file);
    plan.choose(model.parameters());
    if !plan.problems.is_empty() {
        return Err(LoadError::Tensors { problems: plan.problems });
    }
    let report = plan.report(model.parameters(), &config);
    let model = parameters::fill(model, |parameter| {
        Some(match plan.chosen.get(&parameter.index) {
            Some(found) => parameter.from_checkpoint_layout(read_values(&found.view)),
            None => initial_values(parameter, &config, head_seed),
        })
    });
    Ok((model, report))
}

/// Refuses a configuration whose model would fill the memory, and which the file cannot hold: before it is made.
///
/// A file that only lacks something is told tensor by tensor.
fn check_size(config: &BertConfig, bytes: usize) -> Result<(), ConfigError> {
    const HARMLESS: u64 = 1 << 28;
    let values = config.values();
    if values <= HARMLESS || values / 8 <= bytes as u64 {
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

/// A tensor of the file, under its own name.
struct Found<'a> {
    name: &'a str,
    view: TensorView<'a>,
}

/// Which tensor of the file becomes which parameter.
struct Plan<'a> {
    /// Tensors not yet spoken for, by the name that the parameter table would give them.
    available: BTreeMap<String, Found<'a>>,
    chosen: BTreeMap<usize, Found<'a>>,
    ignored: Vec<(String, String)>,
    problems: Vec<TensorProblem>,
}

impl<'a> Plan<'a> {
    fn new(file: &'a SafeTensors<'a>) -> Self {
        let mut tensors: Vec<(&str, TensorView)> = file.iter().collect();
        tensors.sort_by_key(|(name, _)| *name);
        let mut plan = Self {
            available: BTreeMap::new(),
            chosen: BTreeMap::new(),
            ignored: Vec::new(),
            problems: Vec::new(),
        };
        for (name, view) in tensors {
            let canonical = canonical_name(name);
            if let Some(other) = plan.available.get(&canonical) {
                let reason = format!("`{}` is the same parameter", other.name);
                plan.ignored.push((name.to_owned(), reason));
            } else {
                plan.available.insert(canonical, Found { name, view });
            }
        }
        plan
    }

    fn choose(&mut self, parameters: &[Parameter]) {
        let of = |group| parameters.iter().filter(move |parameter| parameter.group == group);
        let head: Vec<&Parameter> = of(LayerGroup::Head).collect();
        let pooler: Vec<&Parameter> = of(LayerGroup::Pooler).collect();
        let is_there = |parameter: &&Parameter| self.available.contains_key(&parameter.name);
        let fits = |parameter: &&Parameter| {
            self.available
                .get(&parameter.name)
                .is_some_and(|found| found.view.shape() == parameter.checkpoint_shape())
        };
        // Half a head is no head, while half a pooler is a damaged file.
        let use_head = head.iter().all(fits);
        let use_pooler = pooler.iter().any(is_there);
        for parameter in parameters {
            match parameter.group {
                LayerGroup::Head if !use_head => {}
                LayerGroup::Pooler if !use_pooler => {}
                _ => self.take(parameter),
            }
        }
    }

    fn take(&mut self, parameter: &Parameter) {
        let name = parameter.name.clone();
        let Some(found) = self.available.remove(&name) else {
            self.problems.push(TensorProblem::Missing { name });
            return;
        };
        let name = found.name.to_owned();
        let expected = parameter.checkpoint_shape();
        if found.view.shape() != expected {
            let found = found.view.shape().to_vec();
            self.problems.push(TensorProblem::Shape { name, expected, found });
        } else if !is_supported(found.view.dtype()) {
            let found = format!("{:?}", found.view.dtype());
            self.problems.push(TensorProblem::Type { name, found });
        } else {
            self.chosen.insert(parameter.index, found);
        }
    }

    fn report(&mut self, parameters: &[Parameter], config: &BertConfig) -> LoadReport {
        let mut ignored = std::mem::take(&mut self.ignored);
        for (canonical, found) in &self.available {
            let expected = parameters.iter().find(|parameter| parameter.name == *canonical);
            let reason = match expected {
                Some(parameter) => format!(
                    "another head: its shape is {:?}, this task's {:?}",
                    found.view.shape(),
                    parameter.checkpoint_shape()
                ),
                None => reason_to_ignore(canonical, config),
            };
            ignored.push((found.name.to_owned(), reason));
        }
        ignored.sort();
        let newly_initialised =
            parameters.iter().filter(|parameter| !self.chosen.contains_key(&parameter.index));
        LoadReport {
            used: self.chosen.values().map(|found| found.name.to_owned()).collect(),
            ignored,
            newly_initialised: newly_initialised.map(|parameter| parameter.name.clone()).collect(),
        }
    }
}

/// Returns the name that the parameter table would use for a tensor of a file.
fn canonical_name(name: &str) -> String {
    let name = match name.strip_suffix(".gamma").or(name.strip_suffix(".beta")) {
        Some(module) if name.ends_with(".gamma") => format!("{module}.weight"),
        Some(module) => format!("{module}.bias"),
        None => name.to_owned(),
    };
    let outside = ["bert.", "classifier.", "cls."].iter().any(|start| name.starts_with(start));
    if outside { name } else { format!("bert.{name}") }
}

/// Says why a tensor that is no parameter of the model may be left out.
fn reason_to_ignore(canonical: &str, config: &BertConfig) -> String {
    if let Some(rest) = canonical.strip_prefix("bert.encoder.layer.") {
        let layer = rest.split('.').next().and_then(|number| number.parse::<usize>().ok());
        let layers = config.num_hidden_layers;
        if layer.is_some_and(|layer| layer >= layers) {
            return format!("only the first {layers} layers are kept");
        }
    }
    let reason = if canonical.starts_with("cls.") {
        "head of the pre-training task"
    } else if canonical.starts_with("bert.pooler.") {
        "mean pooling has no pooler"
    } else if canonical == "bert.embeddings.position_ids" {
        "positions are counted, not stored"
    } else {
        "not part of a BERT classifier"
    };
    reason.to_owned()
}

fn is_supported(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Reads values as they lie in the file: little-endian, and not necessarily aligned.
fn read_values(view: &TensorView) -> Vec<f32> {
    let halves = view.data().as_chunks::<2>().0.iter();
    match view.dtype() {
        Dtype::F32 => {
            view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
        Dtype::F16 => halves.map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => halves.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => unreachable!("the plan holds no tensor of type {other:?}"),
    }
}

/// Why no model could be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the weights `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The bytes are not a complete safetensors file.
    #[error("the weights ({bytes} bytes) are not a complete safetensors file")]
    Corrupt {
        /// How many bytes there are.
        bytes: usize,
        /// What does not fit.
        #[source]
        source: SafeTensorError,
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

/// What is wrong with one tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorProblem {
    /// The file does not hold it.
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

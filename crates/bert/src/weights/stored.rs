//! Tensors where they lie: what each is, and its values when they are asked for.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{bf16, f16};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use super::{FileProblem, LoadError, WeightFiles, WeightFormat, pytorch};

/// A tensor of a file.
pub(super) struct Stored<'a> {
    /// As in the file.
    pub(super) name: String,
    pub(super) number_type: NumberType,
    pub(super) shape: Vec<usize>,
    content: Content<'a>,
    /// The file, if it is one.
    path: Option<Arc<Path>>,
}

/// What a tensor's values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NumberType {
    F32,
    F16,
    BF16,
    /// One that no model is computed from.
    Other(String),
}

/// Where a tensor's bytes are.
enum Content<'a> {
    Bytes(&'a [u8]),
    Range { file: Arc<File>, start: u64, length: usize },
    PyTorch(pytorch_reader::Tensor),
}

impl Stored<'_> {
    /// Reads the values: little-endian, and not necessarily aligned.
    pub(super) fn values(&self) -> Result<Vec<f32>, FileProblem> {
        let read;
        let bytes: &[u8] = match &self.content {
            Content::Bytes(bytes) => bytes,
            Content::Range { file, start, length } => {
                read = read_range(file, *start, *length).map_err(|error| self.problem(error))?;
                &read
            }
            Content::PyTorch(tensor) => {
                read = tensor.read().map_err(|error| self.problem(error))?;
                &read
            }
        };
        let halves = bytes.as_chunks::<2>().0.iter();
        Ok(match &self.number_type {
            NumberType::F32 => {
                bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            NumberType::F16 => halves.map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            NumberType::BF16 => halves.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            NumberType::Other(other) => unreachable!("the plan holds no tensor of type {other}"),
        })
    }

    fn problem(&self, error: io::Error) -> FileProblem {
        let path = self.path.as_deref().map(Path::to_owned);
        match (error.raw_os_error(), path) {
            (Some(_), Some(path)) => FileProblem::Read { path, source: error },
            (_, path) => {
                let format = match self.content {
                    Content::PyTorch(_) => WeightFormat::PyTorch,
                    _ => WeightFormat::SafeTensors,
                };
                FileProblem::Corrupt { path, format, reason: error.to_string() }
            }
        }
    }
}

/// Reads a part of a file. Its cursor is nobody else's meanwhile: tensors are read one after the other.
fn read_range(mut file: &File, start: u64, length: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Returns the tensors of a safetensors file in memory.
pub(super) fn of_bytes(bytes: &[u8]) -> Result<Vec<Stored<'_>>, LoadError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let reason = format!("{error} ({} bytes)", bytes.len());
        let problem = corrupt(None, WeightFormat::SafeTensors, reason);
        LoadError::Files { problems: vec![problem] }
    })?;
    let stored = file.iter().map(|(name, view)| Stored {
        name: name.to_owned(),
        number_type: number_type(view.dtype()),
        shape: view.shape().to_vec(),
        content: Content::Bytes(view.data()),
        path: None,
    });
    Ok(stored.collect())
}

/// Returns the tensors of files, and how many bytes the files have.
pub(super) fn of_files(files: &WeightFiles) -> Result<(Vec<Stored<'static>>, u64), LoadError> {
    let (mut tensors, mut bytes, mut problems) = (Vec::new(), 0, Vec::new());
    for path in &files.paths {
        let opened = match files.format {
            WeightFormat::SafeTensors => of_safetensors(path),
            WeightFormat::PyTorch => of_pytorch(path),
        };
        match opened {
            Ok((found, length)) => {
                tensors.extend(found);
                bytes += length;
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok((tensors, bytes)) } else { Err(LoadError::Files { problems }) }
}

fn of_safetensors(path: &Path) -> Result<(Vec<Stored<'static>>, u64), FileProblem> {
    let unread = |source| FileProblem::Read { path: path.to_owned(), source };
    let damaged =
        |reason: String| corrupt(Some(path.to_owned()), WeightFormat::SafeTensors, reason);
    let mut file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    let mut number = [0; 8];
    if length < number.len() as u64 {
        return Err(damaged(format!("it has {length} bytes")));
    }
    file.read_exact(&mut number).map_err(unread)?;
    let header_length = u64::from_le_bytes(number);
    // So that a number cannot ask for more memory than the file has bytes.
    let Some(data_length) = (length - 8).checked_sub(header_length) else {
        return Err(damaged(format!(
            "its header is said to have {header_length} bytes, all of it has {length}"
        )));
    };
    let mut header = vec![0; (length - 8 - data_length) as usize];
    file.read_exact(&mut header).map_err(unread)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
    if metadata.data_len() as u64 != data_length {
        return Err(damaged(format!(
            "its tensors have {} bytes, behind the header are {data_length}",
            metadata.data_len()
        )));
    }
    let (file, path) = (Arc::new(file), Arc::from(path));
    let stored = metadata.tensors().into_iter().map(|(name, info)| {
        let (from, until) = info.data_offsets;
        let start = 8 + header_length + from as u64;
        Stored {
            name,
            number_type: number_type(info.dtype),
            shape: info.shape.clone(),
            content: Content::Range { file: Arc::clone(&file), start, length: until - from },
            path: Some(Arc::clone(&path)),
        }
    });
    // In the order of names: that of a hash differs from run to run.
    let mut stored: Vec<_> = stored.collect();
    stored.sort_by(|left, right| left.name.cmp(&right.name));
    Ok((stored, length))
}

fn of_pytorch(path: &Path) -> Result<(Vec<Stored<'static>>, u64), FileProblem> {
    let (tensors, length) = pytorch::open(path)?;
    let path: Arc<Path> = Arc::from(path);
    let stored = tensors.into_iter().map(|tensor| Stored {
        name: tensor.name.clone(),
        number_type: match tensor.dtype() {
            pytorch_reader::DType::F32 => NumberType::F32,
            pytorch_reader::DType::F16 => NumberType::F16,
            pytorch_reader::DType::BF16 => NumberType::BF16,
            other => NumberType::Other(format!("{other:?}")),
        },
        shape: tensor.shape().to_vec(),
        content: Content::PyTorch(tensor),
        path: Some(Arc::clone(&path)),
    });
    Ok((stored.collect(), length))
}

fn number_type(dtype: Dtype) -> NumberType {
    match dtype {
        Dtype::F32 => NumberType::F32,
        Dtype::F16 => NumberType::F16,
        Dtype::BF16 => NumberType::BF16,
        other => NumberType::Other(format!("{other:?}")),
    }
}

pub(super) fn corrupt(path: Option<PathBuf>, format: WeightFormat, reason: String) -> FileProblem {
    FileProblem::Corrupt { path, format, reason }
}

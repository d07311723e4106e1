//! What a worker process is given.

use std::ffi::OsString;
use std::path::PathBuf;

/// What a worker process is given; everything else comes through `down.log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The worker's own folder; holds `up.log` and `down.log`.
    pub directory: PathBuf,
    /// Device to train on; `scripted` trains nothing.
    pub device: String,
    /// Threads to compute with.
    pub threads: u64,
}

/// How the arguments were wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Not an argument of a worker.
    #[error("unexpected argument `{0}`")]
    Unexpected(String),
    /// An option without its value.
    #[error("`{0}` needs a value")]
    NoValue(String),
    /// A value that is not a number of threads.
    #[error("`--threads` must be a number from 1, found `{0}`")]
    Threads(String),
    /// A required option is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
}

/// What a worker process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calling {
    /// To train what its scheduler says.
    Train(Arguments),
    /// To answer one question about a trained model.
    Infer {
        /// Device to compute on.
        device: String,
        /// Threads to compute with.
        threads: u64,
    },
}

impl Calling {
    /// Reads `--directory DIR --device NAME --threads N` or `--infer --device NAME --threads N`, without the program's
    /// name.
    ///
    /// # Errors
    /// The first thing that is wrong; only a scheduler calls a worker.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let (mut directory, mut device, mut threads, mut infers) = (None, None, None, false);
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| UsageError::NoValue(name.clone()));
            match name.as_str() {
                "--infer" => infers = true,
                "--directory" => directory = Some(PathBuf::from(value()?)),
                "--device" => device = Some(value()?.to_string_lossy().into_owned()),
                "--threads" => {
                    let value = value()?.to_string_lossy().into_owned();
                    let number = value.parse().ok().filter(|number| *number > 0);
                    threads = Some(number.ok_or(UsageError::Threads(value))?);
                }
                _ => return Err(UsageError::Unexpected(name)),
            }
        }
        if directory.is_none() && !infers {
            return Err(UsageError::Missing("--directory"));
        }
        let device = device.ok_or(UsageError::Missing("--device"))?;
        let threads = threads.ok_or(UsageError::Missing("--threads"))?;
        Ok(match directory {
            Some(directory) => Self::Train(Arguments { directory, device, threads }),
            None => Self::Infer { device, threads },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Calling, UsageError> {
        Calling::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn all_three_are_needed() {
        let expected = Arguments { directory: "/w".into(), device: "cpu".into(), threads: 2 };
        let expected = Calling::Train(expected);
        assert_eq!(parse("--threads 2 --directory /w --device cpu"), Ok(expected));
        let asked = Calling::Infer { device: "cpu".into(), threads: 2 };
        assert_eq!(parse("--infer --device cpu --threads 2"), Ok(asked));
        assert_eq!(parse("--device cpu"), Err(UsageError::Missing("--directory")));
        assert_eq!(parse("--directory /w --device cpu"), Err(UsageError::Missing("--threads")));
        assert_eq!(parse("--threads 0"), Err(UsageError::Threads("0".into())));
        assert_eq!(parse("--threads"), Err(UsageError::NoValue("--threads".into())));
        assert_eq!(parse("-v"), Err(UsageError::Unexpected("-v".into())));
    }
}

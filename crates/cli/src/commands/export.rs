//! `converge export`: a sweep in the forms of others.

mod event;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod target;
mod tensorboard;

use std::fs::File;
use std::io::BufWriter;

use converge_scheduler::clock;
use converge_scheduler::home::Home;
use converge_scheduler::machine;
use converge_store::{QueryError, Reader, SweepSummary, TrackioError};

use crate::arguments::{ExportArguments, Format};
use crate::exit_code::ExitCode;
use crate::home as homes;
use crate::output;
use crate::report::Report;
use lines::Form;
use target::{Kind, Target};

/// Why an export is not whole.
#[derive(Debug)]
enum Failure {
    /// The sweep cannot be read.
    Read(QueryError),
    /// What it makes cannot be written.
    Write(std::io::Error),
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Read(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Write(error)
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &ExportArguments, home: &Home) -> Result<ExitCode, Report> {
    #[cfg(not(feature = "parquet"))]
    if arguments.format == Format::Parquet {
        return Err(Report::usage(
            "this converge was built without the feature `parquet`",
            "`cargo install --path crates/cli --features parquet` builds one that has it; csv has the same observations",
        ));
    }
    let reader = homes::open(home)?;
    let sweep = homes::sweep(&reader, arguments.sweep.as_deref())?;
    let Some(to) = &arguments.to else {
        let out = BufWriter::new(std::io::stdout().lock());
        return match lines::write(&reader, &sweep, form(arguments.format), out) {
            Err(Failure::Read(error)) => Err(Report::error(&error)),
            // `| head` has seen enough.
            Err(Failure::Write(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Report::error(&error))
            }
            Err(Failure::Write(_)) | Ok(()) => Ok(ExitCode::Done),
        };
    };
    let kind = match arguments.format {
        Format::Csv | Format::Jsonl | Format::Trackio => Kind::File,
        Format::Tensorboard | Format::Parquet => Kind::Folder,
    };
    let target = Target::begin(to, kind, arguments.force)?;
    write(&reader, &sweep, arguments.format, &target)?;
    target.finish()?;
    output::talk(&format!("sweep `{}` is in `{}`\n", sweep.name, to.display()));
    Ok(ExitCode::Done)
}

/// Writes all of it aside.
fn write(
    reader: &Reader,
    sweep: &SweepSummary,
    format: Format,
    target: &Target,
) -> Result<(), Report> {
    let now_ms = clock::unix_ms();
    let done =
        match format {
            Format::Csv | Format::Jsonl => File::create_new(target.aside())
                .map_err(Failure::Write)
                .and_then(|file| lines::write(reader, sweep, form(format), BufWriter::new(file))),
            Format::Tensorboard => {
                tensorboard::write(reader, sweep, target.aside(), &machine::host(), now_ms)
            }
            Format::Trackio => {
                return match reader.write_trackio(sweep.id, target.aside(), now_ms) {
                    Err(TrackioError::Read(error)) => Err(Report::error(&error)),
                    Err(error @ TrackioError::Write(_)) => Err(Report::error(&error)
                        .hint("free some room, or name another place with `--to`")),
                    Ok(()) => Ok(()),
                };
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::write(reader, sweep, target.aside(), now_ms),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => Ok(()),
        };
    match done {
        Err(Failure::Read(error)) => Err(Report::error(&error)),
        Err(Failure::Write(error)) => Err(target.unwritable(&error)),
        Ok(()) => Ok(()),
    }
}

/// Returns the form of lines; what is no form of lines has been refused without `--to`.
fn form(format: Format) -> Form {
    if format == Format::Jsonl { Form::Jsonl } else { Form::Csv }
}

//! What the page of `serve` cannot do by itself: the actions of `stop`, `pause`, `resume` and `cancel`, and reading logs.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Seek as _, SeekFrom};

use converge_dashboard::web::operator::{Action, LogPart, LogText, Operator};
use converge_scheduler::home::Home;
use converge_scheduler::launcher::local::terminate;
use converge_scheduler::requests::Request;

use crate::ask::{Answer, ask};
use crate::commands::cancel::cancel;
use crate::home as homes;
use crate::report::Report;

/// The home that a page shows.
pub(crate) struct HomeOperator {
    pub(crate) home: Home,
}

impl Operator for HomeOperator {
    fn scheduler(&self) -> Option<u32> {
        self.home.holder()
    }

    fn log(&self, directory: &str, part: LogPart) -> std::io::Result<LogText> {
        let outside = || Error::new(ErrorKind::NotFound, "it is not in the home");
        let folder = self.home.inside(directory).ok_or_else(outside)?;
        let path = folder.join("log.txt");
        // A worker could have put a link there.
        if !path.symlink_metadata()?.is_file() {
            return Err(outside());
        }
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let (from, most) = match part {
            LogPart::Tail(most) => (length.saturating_sub(most), most),
            LogPart::From(from, most) => (from.min(length), most),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(LogText { bytes, from, length })
    }

    fn carry_out(&self, action: Action) -> Result<String, String> {
        self.act(action).map_err(|report| report.text().trim_end().to_owned())
    }
}

impl HomeOperator {
    fn act(&self, action: Action) -> Result<String, Report> {
        if let Action::Cancel { sweep, trials } = action {
            let summary = homes::sweep(&homes::open(&self.home)?, Some(&sweep))?;
            let done = cancel(&self.home, &summary, &trials)?;
            return Ok(
                if done { "cancelled" } else { "cancelled once its worker lets go of it" }.into()
            );
        }
        let Some(scheduler) = self.home.holder() else {
            return Err(Report::usage(
                "no scheduler holds this home",
                "`converge resume` starts one",
            ));
        };
        let request = match action {
            Action::Pause => Request::Pause { scheduler },
            Action::Resume => Request::Unpause { scheduler },
            Action::Stop | Action::Cancel { .. } => {
                terminate(scheduler)?;
                return Ok("workers checkpoint and stop; `converge resume` goes on".into());
            }
        };
        Ok(match ask(&self.home, scheduler, &request)? {
            Answer::Done => "done",
            Answer::Waiting => "asked; workers are still saving their checkpoints",
            Answer::Gone => "the scheduler ended before",
        }
        .into())
    }
}

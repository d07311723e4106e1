//! Errors as people read them: `error:`, `caused by:`, `hint:`.

use std::fmt::Write as _;

use converge_core::problem::Problem;

use crate::exit_code::ExitCode;

/// Why a command did not do what was asked, ready to be shown.
#[derive(Debug)]
pub(crate) struct Report {
    /// How the process ends.
    pub(crate) exit: ExitCode,
    errors: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Report {
    /// A mistake of the user's, with what would be right.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let entry = Entry { message: message.into(), causes: Vec::new(), hint: Some(hint.into()) };
        Self { exit: ExitCode::Usage, errors: vec![entry] }
    }

    /// All problems of what the user gave.
    pub(crate) fn problems(problems: &[Problem]) -> Self {
        let entry = |problem: &Problem| Entry {
            message: problem.to_string(),
            causes: Vec::new(),
            hint: problem.hint.clone(),
        };
        Self { exit: ExitCode::Usage, errors: problems.iter().map(entry).collect() }
    }

    /// An error with its causes.
    pub(crate) fn error(error: &dyn std::error::Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let entry = Entry { message: error.to_string(), causes, hint: None };
        Self { exit: ExitCode::Failure, errors: vec![entry] }
    }

    /// An error in words of its own, with what caused it.
    pub(crate) fn failure(message: impl Into<String>, cause: &dyn std::error::Error) -> Self {
        let entry = Entry { message: message.into(), causes: vec![cause.to_string()], hint: None };
        Self { exit: ExitCode::Failure, errors: vec![entry] }
    }

    /// Adds an error to those before it.
    #[must_use]
    pub(crate) fn and(mut self, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let entry = Entry { message: message.into(), causes: Vec::new(), hint: Some(hint.into()) };
        self.errors.push(entry);
        self
    }

    /// Adds a hint to the last error.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(last) = self.errors.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }

    /// Sets how the process ends.
    #[must_use]
    pub(crate) fn exit(mut self, exit: ExitCode) -> Self {
        self.exit = exit;
        self
    }

    /// Returns the text for stderr.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for entry in &self.errors {
            let _ = writeln!(text, "error: {}", entry.message);
            for cause in &entry.causes {
                let _ = writeln!(text, "caused by: {cause}");
            }
            if let Some(hint) = &entry.hint {
                let _ = writeln!(text, "hint: {}", hint.replace('\n', "\n      "));
            }
        }
        text
    }
}

impl<E: std::error::Error> From<E> for Report {
    fn from(error: E) -> Self {
        Self::error(&error)
    }
}

//! A number printed by a program: no shell, empty standard input, and the whole process tree is killed on timeout. The
//! program does not receive the API token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_core::domain::Sample;
use doproxy_support::{RunError, subprocess};

use crate::error::SourceError;
use crate::sources::poll::{Poll, PollResult, finite};
use crate::sources::text::sanitize_bytes;

/// Maximum length of an output that is a number.
const MAX_BYTES: usize = 256;

#[derive(Debug)]
pub(crate) struct Command {
    program: PathBuf,
    arguments: Vec<String>,
    working_dir: PathBuf,
    timeout: Duration,
}

impl Command {
    pub(crate) fn new(program: PathBuf, arguments: Vec<String>, folder: &Path, timeout: Duration) -> Self {
        Self { program, arguments, working_dir: folder.to_owned(), timeout }
    }

    pub(crate) async fn poll(&self, poll: &Poll) -> Result<PollResult, SourceError> {
        let program = || self.program.display().to_string();
        let ended = subprocess::run(&self.program, &self.arguments, Some(&self.working_dir), self.timeout).await;
        let ended = ended.map_err(|error| match error {
            RunError::Io(source) => SourceError::CannotRun { program: program(), source },
            RunError::TimedOut => SourceError::TimedOut { what: program(), after: self.timeout },
        })?;
        if !ended.status.success() {
            let detail = if ended.stderr.is_empty() { &ended.stdout } else { &ended.stderr };
            let detail = sanitize_bytes(detail);
            let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
            return Err(SourceError::Failed { program: program(), exit_status: ended.status.to_string(), detail });
        }
        let what = || format!("the output of {}", program());
        let text = Some(&ended.stdout)
            .filter(|detail| detail.len() <= MAX_BYTES)
            .and_then(|detail| str::from_utf8(detail).ok());
        let number: Option<f64> = text.and_then(|text| text.trim().parse().ok());
        let number = number.ok_or_else(|| {
            let detail = sanitize_bytes(&ended.stdout);
            SourceError::NotANumber {
                what: what(),
                found: if detail.is_empty() { "nothing".to_owned() } else { detail },
            }
        })?;
        Ok(PollResult::single(Sample { at: poll.now, value: finite(number, what)? }))
    }
}

//! A number that a program prints: no shell, an empty standard input, and killed with all that it started when it takes
//! too long. It is not given the API token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SourceError;
use super::source::{Poll, Polled, finite};
use super::text::clean_bytes;
use crate::model::Sample;
use crate::program::{self, NotEnded};

/// Longest output that is a number.
const MOST_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Command {
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    timeout: Duration,
}

impl Command {
    pub(super) fn new(program: PathBuf, arguments: Vec<String>, folder: &Path, timeout: Duration) -> Self {
        Self { program, arguments, folder: folder.to_owned(), timeout }
    }

    pub(super) async fn poll(&self, poll: &Poll) -> Result<Polled, SourceError> {
        let program = || self.program.display().to_string();
        let ended = program::run(&self.program, &self.arguments, Some(&self.folder), self.timeout).await;
        let ended = ended.map_err(|error| match error {
            NotEnded::CannotRun(source) => SourceError::CannotRun { program: program(), source },
            NotEnded::TimedOut => SourceError::TimedOut { what: program(), after: self.timeout },
        })?;
        if !ended.status.success() {
            let said = if ended.complained.is_empty() { &ended.said } else { &ended.complained };
            let said = clean_bytes(said);
            let said = if said.is_empty() { said } else { format!(": {said}") };
            return Err(SourceError::Failed { program: program(), how: ended.status.to_string(), said });
        }
        let what = || format!("what {} prints", program());
        let text = Some(&ended.said).filter(|said| said.len() <= MOST_BYTES).and_then(|said| str::from_utf8(said).ok());
        let number: Option<f64> = text.and_then(|text| text.trim().parse().ok());
        let number = number.ok_or_else(|| {
            let said = clean_bytes(&ended.said);
            SourceError::NoNumber { what: what(), found: if said.is_empty() { "nothing".to_owned() } else { said } }
        })?;
        Ok(Polled::one(Sample { at: poll.now, value: finite(number, what)? }))
    }
}

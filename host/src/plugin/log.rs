//! What a guest says on the side: the `log` interface, and what is written to stdout and stderr.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Limit;
use super::sanitize;

/// Most characters of a line.
const MAX_LINE_LEN: usize = 1000;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// For an operator who wants to know.
    Info,
    /// For every operator.
    Warn,
}

/// A line that a guest logged; fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
        };
        write!(f, "{level}: {}", self.message)
    }
}

/// The log of one call.
#[derive(Debug)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    max_lines: usize,
}

impl Log {
    pub(super) fn new(most: usize) -> Self {
        Self { lines: Vec::new(), max_lines: most }
    }

    pub(super) fn write(&mut self, level: LogLevel, message: &str) -> Result<(), Limit> {
        if self.lines.len() >= self.max_lines {
            return Err(Limit::LogLines(self.max_lines));
        }
        self.lines.push(LogLine { level, message: sanitize::sanitize_line(message, MAX_LINE_LEN) });
        Ok(())
    }

    /// The lines, followed by those that the guest printed; these are bounded already, and cut where the log is full.
    pub(super) fn finish(mut self, printed: &[u8]) -> Vec<LogLine> {
        for line in String::from_utf8_lossy(printed).lines() {
            if self.write(LogLevel::Info, line).is_err() {
                break;
            }
        }
        self.lines
    }
}

//! Guest output: the `log` interface, stdout and stderr.

use std::fmt;

use doproxy_support::sanitize;
use serde::{Deserialize, Serialize};

use crate::error::Limit;

/// Maximum number of characters in a line.
const MAX_LINE_LEN: usize = 1000;

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the author of the plugin.
    Debug,
    /// Additional information for operators.
    Info,
    /// Important for every operator.
    Warn,
}

/// A line logged by a guest, sanitized for terminals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Severity.
    pub level: LogLevel,
    /// The message.
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

    /// Returns the logged lines, followed by the lines that the guest printed. Printed output is already bounded, and
    /// is truncated when the log is full.
    pub(super) fn finish(mut self, printed: &[u8]) -> Vec<LogLine> {
        for line in String::from_utf8_lossy(printed).lines() {
            if self.write(LogLevel::Info, line).is_err() {
                break;
            }
        }
        self.lines
    }
}

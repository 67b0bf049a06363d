//! Errors of a reload.

use std::error::Error;
use std::time::Duration;

use crate::socket_error::SocketError;

/// The cause of a reload that did not lead to the desired process.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new worker did not start.
    #[error("reload failed{}", colon(.0))]
    Failed(String),
    /// The reload command failed.
    #[error("`{command}` failed ({status}){}", colon(output))]
    Command {
        /// The command.
        command: String,
        /// Its exit status.
        status: String,
        /// The command's output.
        output: String,
    },
    /// No new worker started.
    #[error("no new worker started within {0:?}")]
    NoNewWorker(Duration),
    /// The new worker has different servers.
    #[error(
        "the new worker does not have the servers in the file: {0}; check that HAProxy was started with `-f` and this file"
    )]
    Mismatch(String),
    /// A file belonging to the configuration that cannot be written.
    #[error("{0}")]
    Other(Box<dyn Error + Send + Sync>),
    /// An error on one of HAProxy's sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Formats a program's output after a colon: on the same line if it is a single line, below it otherwise.
pub(super) fn colon(text: &str) -> String {
    match text.lines().count() {
        0 => String::new(),
        1 => format!(": {}", text.trim_end()),
        _ => format!(":\n{}\n", text.trim_end()),
    }
}

//! Errors on HAProxy's sockets, with the remedy.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// An error on HAProxy's stats or master socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The socket cannot be reached.
    #[error("HAProxy is unreachable on {}: {source}; {}", path.display(), connection_hint(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The response was not complete within the time limit.
    #[error("HAProxy did not respond to `{command}` on {} within {after:?}", path.display())]
    TimedOut {
        /// The socket.
        path: PathBuf,
        /// The command.
        command: String,
        /// The time limit.
        after: Duration,
    },
    /// The response is longer than any valid one.
    #[error("HAProxy's response to `{command}` on {} exceeds {limit} bytes", path.display())]
    TooLong {
        /// The socket.
        path: PathBuf,
        /// The command.
        command: String,
        /// The maximum number of bytes read.
        limit: u64,
    },
    /// The response is an error message, or cannot be parsed.
    #[error("HAProxy responded to `{command}` on {} with {response:?}", path.display())]
    UnexpectedResponse {
        /// The socket.
        path: PathBuf,
        /// The command.
        command: String,
        /// The beginning of the response.
        response: String,
    },
}

fn connection_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run doproxy as root or as a member of the socket's group",
        io::ErrorKind::NotFound => {
            "check that HAProxy is running (`systemctl start haproxy`) and that its socket exists"
        }
        io::ErrorKind::ConnectionRefused => "HAProxy is not running; start it (`systemctl start haproxy`)",
        _ => "check that HAProxy is running",
    }
}

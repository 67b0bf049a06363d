//! Errors between doproxy and HAProxy, with the location, the state that is live now, and the remedy.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use doproxy_core::domain::{DropletId, InvalidName};

use crate::failed_update::FailedUpdate;
use crate::reload_error::{ReloadError, colon};
use crate::socket_error::SocketError;

/// An error from HAProxy or its configuration. Updates return only [`HaProxyError::NotApplied`] and
/// [`HaProxyError::UpdateFailed`], which include the live state.
#[derive(Debug, thiserror::Error)]
pub enum HaProxyError {
    /// An option value that must not reach HAProxy's configuration.
    #[error(transparent)]
    Option(#[from] InvalidName),
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}: {source}{}", hint(source))]
    File {
        /// The attempted action: `read`, `write`, `remove`, `sync`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A template that cannot be parsed or rendered.
    #[error("{file}{}: {message}", at_line(*line))]
    Template {
        /// The template.
        file: String,
        /// The line number, from 1, if known.
        line: Option<usize>,
        /// The problem.
        message: String,
    },
    /// A rendered template that is not a configuration of these servers.
    #[error("{file} does not render a valid configuration of this fleet: {problem}")]
    Lint {
        /// The template.
        file: String,
        /// The problem.
        problem: crate::lint::Problem,
    },
    /// Two servers for the same droplet.
    #[error("droplet {0} is listed twice; each droplet must be a single server")]
    DuplicateServer(DropletId),
    /// An address that a droplet cannot have.
    #[error("droplet {id} has the address {address}, which is not a host address")]
    InvalidAddress {
        /// The droplet.
        id: DropletId,
        /// Its address.
        address: std::net::IpAddr,
    },
    /// HAProxy is not installed.
    #[error("HAProxy not found at {}; install it (`apt-get install haproxy`) or set `haproxy.binary`", .0.display())]
    BinaryMissing(PathBuf),
    /// A program that cannot be run.
    #[error("cannot run {program}: {source}{}", hint(source))]
    Run {
        /// The program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A program that exceeded its time limit and was killed.
    #[error("`{command}` did not finish within {after:?} and was killed")]
    TimedOut {
        /// The program and its arguments.
        command: String,
        /// The time limit.
        after: Duration,
    },
    /// A configuration that `haproxy -c` rejects.
    #[error("HAProxy rejects the configuration rendered from {template}:{}\n{output}", source_line(*line, text.as_deref()))]
    ConfigRejected {
        /// The template that rendered it.
        template: String,
        /// The first line that HAProxy reports, from 1.
        line: Option<usize>,
        /// The text of that line.
        text: Option<String>,
        /// HAProxy's output.
        output: String,
    },
    /// An error on one of HAProxy's sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// An existing file that HAProxy rejects.
    #[error("HAProxy rejects {}{}", file.display(), colon(output))]
    ConfigInvalid {
        /// The file.
        file: PathBuf,
        /// HAProxy's output.
        output: String,
    },
    /// An update that failed before anything was changed.
    #[error("{}", and_then(why, &format_args!("nothing was changed: {} and the running HAProxy are as before", file.display())))]
    NotApplied {
        /// The configuration file.
        file: PathBuf,
        /// The cause.
        why: Box<HaProxyError>,
    },
    /// An update that was installed but that HAProxy did not load.
    #[error("HAProxy failed to load the new {}: {}", file.display(), and_then(why, failed_update))]
    UpdateFailed {
        /// The configuration file.
        file: PathBuf,
        /// The cause.
        why: Box<ReloadError>,
        /// The state that is live now.
        failed_update: FailedUpdate,
    },
    /// An HAProxy that exited right after it was started.
    #[error("{binary} exited immediately ({status}):\n{output}")]
    ProcessExited {
        /// The program.
        binary: PathBuf,
        /// Its exit status.
        status: String,
        /// The end of its output.
        output: String,
    },
}

impl HaProxyError {
    /// Reports whether the cause is in the user's input rather than in the environment.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::NotApplied { why, .. } => why.is_configuration(),
            Self::Option(_) | Self::Template { .. } | Self::Lint { .. } | Self::ConfigRejected { .. } => true,
            _ => false,
        }
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run doproxy as a user with permission, such as root",
        io::ErrorKind::StorageFull => "; free up disk space",
        _ => "",
    }
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn source_line(line: Option<usize>, text: Option<&str>) -> String {
    match (line, text) {
        (Some(line), Some(text)) => format!(" line {line} is `{}`", text.trim()),
        (Some(line), None) => format!(" line {line}"),
        (None, _) => String::new(),
    }
}

/// Joins the cause and the live state, on separate lines if the cause spans several.
fn and_then(why: &impl fmt::Display, live: &impl fmt::Display) -> String {
    let why = why.to_string();
    let why = why.trim_end();
    format!("{why}{}{live}", if why.contains('\n') { "\n" } else { "; " })
}

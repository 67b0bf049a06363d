//! What can go wrong between doproxy and HAProxy, said with the place, what is live now, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::failed_update::FailedUpdate;
use crate::model::{DropletId, InvalidName};

/// What went wrong. Of a change only [`HaProxyError::NotApplied`] and [`HaProxyError::NotTaken`] come out, which say
/// what is live.
#[derive(Debug, thiserror::Error)]
pub enum HaProxyError {
    /// An option has a value that must not reach HAProxy's configuration.
    #[error(transparent)]
    Option(#[from] InvalidName),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}{}", hint(source))]
    File {
        /// What was tried: `read`, `write`, `remove`, `sync`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The template cannot be parsed or rendered.
    #[error("{file}{}: {message}", at_line(*line))]
    Template {
        /// The template.
        file: String,
        /// Where in it, from 1, where that is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// What the template gave is not a configuration of these servers.
    #[error("{file} does not give a configuration of this fleet: {problem}")]
    Lint {
        /// The template.
        file: String,
        /// What is wrong.
        problem: super::lint::Problem,
    },
    /// Two servers of one droplet.
    #[error("droplet {0} is there twice; a droplet is one server")]
    DuplicateServer(DropletId),
    /// An address that no droplet can have.
    #[error("droplet {id} has the address {address}, which is no host's")]
    InvalidAddress {
        /// The droplet.
        id: DropletId,
        /// Its address.
        address: std::net::IpAddr,
    },
    /// HAProxy is not installed.
    #[error("there is no HAProxy at {}; install it (`apt-get install haproxy`) or configure where it is", .0.display())]
    BinaryMissing(PathBuf),
    /// A program cannot be run.
    #[error("cannot run {program}: {source}{}", hint(source))]
    Run {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program did not end in time, and was killed.
    #[error("`{command}` did not end within {after:?} and was killed")]
    TimedOut {
        /// The program and its arguments.
        command: String,
        /// How long it was given.
        after: Duration,
    },
    /// `haproxy -c` does not accept the configuration.
    #[error("HAProxy refuses the configuration made by {template}:{}\n{output}", source_line(*line, text.as_deref()))]
    ConfigRejected {
        /// The template that made it.
        template: String,
        /// The first line that HAProxy names, from 1.
        line: Option<usize>,
        /// That line.
        text: Option<String>,
        /// HAProxy's own words.
        output: String,
    },
    /// HAProxy's socket does not answer as it should.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// HAProxy does not accept a file that was there before.
    #[error("HAProxy refuses {}{}", file.display(), colon(output))]
    ConfigInvalid {
        /// The file.
        file: PathBuf,
        /// HAProxy's own words.
        output: String,
    },
    /// A change ended before anything was touched.
    #[error("{}", and_then(why, &format_args!("nothing was changed, neither {} nor what is live", file.display())))]
    NotApplied {
        /// The configuration file.
        file: PathBuf,
        /// What happened.
        why: Box<HaProxyError>,
    },
    /// The configuration was installed, and HAProxy did not take it.
    #[error("HAProxy did not take the new {}: {}", file.display(), and_then(why, live))]
    UpdateFailed {
        /// The configuration file.
        file: PathBuf,
        /// What happened.
        why: Box<ReloadError>,
        /// What is live now.
        live: FailedUpdate,
    },
    /// HAProxy was started and ended at once.
    #[error("{binary} ended at once ({status}):\n{output}")]
    ProcessExited {
        /// The program.
        binary: PathBuf,
        /// Its exit status.
        status: String,
        /// Its last words.
        output: String,
    },
}

impl HaProxyError {
    /// Whether what is wrong is in what the user wrote, and not in how things went.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::NotApplied { why, .. } => why.is_configuration(),
            Self::Option(_) | Self::Template { .. } | Self::Lint { .. } | Self::ConfigRejected { .. } => true,
            _ => false,
        }
    }
}

/// Why a reload did not lead to the wanted process.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new worker did not start.
    #[error("the reload failed{}", colon(.0))]
    Failed(String),
    /// The reload command failed.
    #[error("`{command}` failed ({status}){}", colon(output))]
    Command {
        /// The command.
        command: String,
        /// Its exit status.
        status: String,
        /// What it said.
        output: String,
    },
    /// No new worker came up.
    #[error("no new worker came up within {0:?}")]
    NoNewWorker(Duration),
    /// The new worker serves something else.
    #[error("the new worker does not have the servers of the file: {0}; was HAProxy started with `-f` another file?")]
    Mismatch(String),
    /// A file around the configuration cannot be written.
    #[error("{0}")]
    Other(Box<HaProxyError>),
    /// The socket does not answer as it should.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// HAProxy's stats or master socket does not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Nobody answers.
    #[error("HAProxy does not answer on {}: {source}; {}", path.display(), remedy(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The answer did not end in time.
    #[error("HAProxy did not answer `{command}` on {} within {after:?}", path.display())]
    TimedOut {
        /// The socket.
        path: PathBuf,
        /// The question.
        command: String,
        /// How long it was given.
        after: Duration,
    },
    /// The answer is longer than any that makes sense.
    #[error("HAProxy's answer to `{command}` on {} is over {limit} bytes", path.display())]
    TooLong {
        /// The socket.
        path: PathBuf,
        /// The question.
        command: String,
        /// The most that is read.
        limit: u64,
    },
    /// The answer is an error, or makes no sense.
    #[error("HAProxy answered `{command}` on {} with {answer:?}", path.display())]
    UnexpectedResponse {
        /// The socket.
        path: PathBuf,
        /// The question.
        command: String,
        /// The beginning of the answer.
        answer: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run doproxy as a user who may, such as root",
        io::ErrorKind::StorageFull => "; make room on that disk",
        _ => "",
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run doproxy as root or as a member of the socket's group",
        io::ErrorKind::NotFound => "is HAProxy running (`systemctl start haproxy`), and is its socket there?",
        io::ErrorKind::ConnectionRefused => "HAProxy is not running: start it (`systemctl start haproxy`)",
        _ => "is HAProxy running?",
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

/// What happened and what is live, on a line of its own where what happened is several.
fn and_then(why: &impl fmt::Display, live: &impl fmt::Display) -> String {
    let why = why.to_string();
    let why = why.trim_end();
    format!("{why}{}{live}", if why.contains('\n') { "\n" } else { "; " })
}

/// What a program said, after a colon: beside it when it is one line, below it when it is more.
fn colon(text: &str) -> String {
    match text.lines().count() {
        0 => String::new(),
        1 => format!(": {}", text.trim_end()),
        _ => format!(":\n{}\n", text.trim_end()),
    }
}

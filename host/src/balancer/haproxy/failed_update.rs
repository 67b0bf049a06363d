//! What is live after a change that failed: no such failure is said without it.

use std::fmt;
use std::path::PathBuf;

use super::error::{HaProxyError, SocketError};

/// What is live after a change that failed.
#[derive(Debug)]
pub struct FailedUpdate {
    /// What HAProxy will start with.
    pub file: DiskState,
    /// What it runs with.
    pub process: ProcessState,
}

/// The configuration file after a change that failed.
#[derive(Debug)]
pub enum DiskState {
    /// As it was before.
    Unchanged,
    /// The configuration of before was put back.
    Previous,
    /// The new one stays, since there was none before.
    NoPrevious,
    /// The new one stays, since HAProxy would not start with the one of before.
    PreviousInvalid {
        /// The configuration of before.
        last_good: PathBuf,
        /// What HAProxy says of it.
        why: Box<HaProxyError>,
    },
    /// The new one stays, since the one of before cannot be put back.
    RollbackFailed(Box<HaProxyError>),
}

/// The process after a change that failed.
#[derive(Debug)]
pub enum ProcessState {
    /// The worker of before, which was not touched.
    Unchanged,
    /// A new worker with the configuration of before.
    Previous,
    /// A new worker with the new servers: the reload worked after all.
    New,
    /// A worker with other servers than the new ones.
    Other(String),
    /// Nobody answers.
    Unreachable(SocketError),
}

impl FailedUpdate {
    /// Whether file and process go together, so that nothing is left to be done.
    pub(super) fn is_consistent(&self) -> bool {
        matches!(
            self,
            Self { file: DiskState::Unchanged, .. }
                | Self { file: DiskState::Previous, process: ProcessState::Previous }
        )
    }
}

impl fmt::Display for FailedUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.process) {
            (DiskState::Previous, ProcessState::Previous) => {
                f.write_str("the configuration of before is back on disk and live")
            }
            (file, process) => write!(f, "{file}; {process}"),
        }
    }
}

impl fmt::Display for DiskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("the file is as it was"),
            Self::Previous => f.write_str("the configuration of before is back on disk"),
            Self::NoPrevious => f.write_str("the new configuration stays on disk, since there was none before"),
            Self::PreviousInvalid { last_good, why } => write!(
                f,
                "the new configuration, which `haproxy -c` accepts, stays on disk, since {} does not boot any more \
                 ({}); remove what keeps HAProxy from taking the new one, and run `doproxy reload`",
                last_good.display(),
                why.to_string().trim_end()
            ),
            Self::RollbackFailed(why) => {
                write!(f, "the new configuration stays on disk, since the one of before cannot be put back ({why})")
            }
        }
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("live is the worker of before, with what it had"),
            Self::Previous => f.write_str("live is a new worker with the configuration of before"),
            Self::New => f.write_str("live is a new worker with the new servers"),
            Self::Other(difference) => write!(f, "live is a worker without the new servers: {difference}"),
            Self::Unreachable(SocketError::Unreachable { .. }) => f.write_str(
                "live is nothing: HAProxy does not run, and starts with that file (`systemctl start haproxy`)",
            ),
            Self::Unreachable(why) => write!(f, "what is live cannot be seen: {why}"),
        }
    }
}

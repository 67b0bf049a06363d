//! The live state after a failed update: every such failure reports it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::socket_error::SocketError;

/// The live state after a failed update.
#[derive(Debug)]
pub struct FailedUpdate {
    /// The file that HAProxy will start with.
    pub file: DiskState,
    /// The configuration that HAProxy is running with.
    pub process: ProcessState,
}

/// The state of the configuration file after a failed update.
#[derive(Debug)]
pub enum DiskState {
    /// The file is unchanged.
    Unchanged,
    /// The previous configuration was restored.
    Previous,
    /// The new configuration stays because there was no previous one.
    NoPrevious,
    /// The new configuration stays because HAProxy would not start with the previous one.
    PreviousInvalid {
        /// The previous configuration.
        last_good: PathBuf,
        /// HAProxy's error for it.
        why: Box<dyn Error + Send + Sync>,
    },
    /// The new configuration stays because the previous one cannot be restored.
    RollbackFailed(Box<dyn Error + Send + Sync>),
}

/// The state of the process after a failed update.
#[derive(Debug)]
pub enum ProcessState {
    /// The previous worker, which was not touched.
    Unchanged,
    /// A new worker with the previous configuration.
    Previous,
    /// A new worker with the new servers: the reload worked after all.
    New,
    /// A worker whose servers differ from the new ones.
    Other(String),
    /// The worker is unreachable.
    Unreachable(SocketError),
}

impl FailedUpdate {
    /// Reports whether file and process are consistent, so that nothing is left to do.
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
                f.write_str("the previous configuration is back on disk and live")
            }
            (file, process) => write!(f, "{file}; {process}"),
        }
    }
}

impl fmt::Display for DiskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("the file is unchanged"),
            Self::Previous => f.write_str("the previous configuration is back on disk"),
            Self::NoPrevious => f.write_str("the new configuration stays on disk because there was no previous one"),
            Self::PreviousInvalid { last_good, why } => write!(
                f,
                "the new configuration, which `haproxy -c` accepts, stays on disk because {} is no longer valid \
                 ({}); fix the cause of the failed reload and run `doproxy reload`",
                last_good.display(),
                why.to_string().trim_end()
            ),
            Self::RollbackFailed(why) => {
                write!(f, "the new configuration stays on disk because the previous one cannot be restored ({why})")
            }
        }
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("the previous worker is live and unchanged"),
            Self::Previous => f.write_str("a new worker with the previous configuration is live"),
            Self::New => f.write_str("a new worker with the new servers is live"),
            Self::Other(difference) => write!(f, "a worker without the new servers is live: {difference}"),
            Self::Unreachable(SocketError::Unreachable { .. }) => {
                f.write_str("HAProxy is not running; start it with that file (`systemctl start haproxy`)")
            }
            Self::Unreachable(why) => write!(f, "the live state is unknown: {why}"),
        }
    }
}

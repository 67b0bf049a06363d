//! Operations: the journaled creates and deletes that survive a crash.

use serde::{Deserialize, Serialize};

use crate::domain::{DropletName, OperationId, Timestamp};

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Create one droplet and bring it to serving.
    Create,
    /// Drain one droplet and delete it.
    Delete,
}

/// The progress of an operation. The progress of its droplet is the droplet's phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum OperationState {
    /// In progress; the holder of the inventory's lock resumes it.
    Open,
    /// Completed.
    Done,
    /// Abandoned. An abandoned create is followed by a delete operation.
    Failed {
        /// The reason, for the operator.
        reason: String,
    },
}

/// One journaled create or delete of one droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The number in the journal.
    pub id: OperationId,
    /// The kind of operation.
    pub kind: OperationKind,
    /// The droplet that it creates or deletes.
    pub droplet: DropletName,
    /// The time at which it was written.
    pub started_at: Timestamp,
    /// The time at which the create request was last sent; `None` means that it certainly was not.
    pub sent_at: Option<Timestamp>,
    /// SHA-256 of the request body, in hex; creates only. The body contains user data, so only the digest is stored
    /// here.
    pub body_digest: Option<String>,
    /// The input of the user-data generator, from which the same body can be generated again; creates only.
    pub user_data_params: Option<String>,
    /// The progress.
    pub state: OperationState,
}

//! Operations: the journaled creates and deletes that survive a crash.

use serde::{Deserialize, Serialize};

use super::{DropletName, OperationId, Timestamp};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Make one droplet and bring it to serving.
    Create,
    /// Drain one droplet and delete it.
    Delete,
}

/// How far an operation is. What its droplet has reached is the droplet's phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum OperationState {
    /// To be carried on, by whoever holds the inventory's lock.
    Open,
    /// Carried out.
    Done,
    /// Given up; `reason` says why. A create that is given up has a delete operation after it.
    Failed {
        /// In words, for the operator.
        reason: String,
    },
}

/// One journaled create or delete of one droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number in the journal.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// The droplet that it is about.
    pub droplet: DropletName,
    /// When it was written.
    pub started_at: Timestamp,
    /// When the request to create was last sent; `None` means that it certainly was not.
    pub sent_at: Option<Timestamp>,
    /// SHA-256 of the body that is sent, in hex; creates only. The body holds user data, so only the digest is kept here.
    pub body_digest: Option<String>,
    /// What the user-data generator was given, to make the same body again; creates only.
    pub user_data_params: Option<String>,
    /// How far it is.
    pub state: OperationState,
}

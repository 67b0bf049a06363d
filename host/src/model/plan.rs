//! What is left of a decision after the guard.

use serde::{Deserialize, Serialize};

use super::{DropletName, DropletRequest};

/// Droplets that will be created, all alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCreate {
    /// How many, and what differs from the fleet's own template.
    pub request: DropletRequest,
    /// Why.
    pub reason: String,
    /// Whether they come in the place of droplets that are deleted for it ([`PlannedDelete::replaced`]).
    #[serde(default)]
    pub is_replacement: bool,
}

/// A droplet that will be drained and deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDelete {
    /// Which.
    pub droplet: DropletName,
    /// Why this one.
    pub reason: String,
    /// Whether another one is created in its place.
    #[serde(default)]
    pub replaced: bool,
}

/// A place where the guard did not do what the policy wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// The rule, as it is called in the configuration: `max`, `max_delete`, …
    pub rule: String,
    /// What was wanted, what is done instead, and why.
    pub detail: String,
}

/// The operations to carry out, and what was cut.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The size before.
    pub from: u32,
    /// The size that these operations lead to.
    pub to: u32,
    /// What to create.
    pub creates: Vec<PlannedCreate>,
    /// What to delete.
    pub deletes: Vec<PlannedDelete>,
    /// What the guard changed.
    pub restrictions: Vec<Restriction>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.creates.is_empty() && self.deletes.is_empty()
    }

    /// How many it creates.
    pub fn create_count(&self) -> u32 {
        self.creates.iter().fold(0, |sum, create| sum.saturating_add(create.request.count))
    }
}

//! The plan that the guard derives from a decision.

use serde::{Deserialize, Serialize};

use crate::domain::{DropletName, DropletRequest};

/// Identical droplets that will be created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCreate {
    /// The number of droplets, and the differences from the fleet's own template.
    pub request: DropletRequest,
    /// The reason.
    pub reason: String,
    /// `true` if they replace droplets that are deleted for this purpose ([`PlannedDelete::replaced`]).
    #[serde(default)]
    pub is_replacement: bool,
}

/// A droplet that will be drained and deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDelete {
    /// The droplet.
    pub droplet: DropletName,
    /// The reason for selecting it.
    pub reason: String,
    /// `true` if another droplet is created in its place.
    #[serde(default)]
    pub replaced: bool,
}

/// A point in which the guard restricted the decision of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// The rule, by its configuration key: `max`, `max_delete_per_tick`, …
    pub rule: String,
    /// The requested change, the resulting one, and the reason.
    pub detail: String,
}

/// The operations to carry out, and the restrictions that were applied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The current size.
    pub from: u32,
    /// The size that these operations lead to.
    pub to: u32,
    /// The droplets to create.
    pub creates: Vec<PlannedCreate>,
    /// The droplets to delete.
    pub deletes: Vec<PlannedDelete>,
    /// The restrictions that the guard applied.
    pub restrictions: Vec<Restriction>,
}

impl Plan {
    /// Reports whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.creates.is_empty() && self.deletes.is_empty()
    }

    /// Returns the number of droplets to create.
    pub fn create_count(&self) -> u32 {
        self.creates.iter().fold(0, |sum, create| sum.saturating_add(create.request.count))
    }
}

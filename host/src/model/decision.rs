//! What a policy answers.

use serde::{Deserialize, Serialize};

use super::DropletId;

/// A number that a decision rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What it is.
    pub name: String,
    /// What it was.
    pub value: f64,
    /// What the policy wants it to be.
    pub target: Option<f64>,
    /// The fleet size that this signal alone would lead to.
    pub wants: Option<u32>,
}

/// Droplets to create; what is not said is as in the fleet's own template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DropletRequest {
    /// How many.
    pub count: u32,
    /// Size slug.
    pub size: Option<String>,
    /// Region slug.
    pub region: Option<String>,
    /// Image slug or id.
    pub image: Option<String>,
    /// Tags beside the fleet's own.
    pub tags: Vec<String>,
    /// Given to the user-data generator.
    pub user_data_params: Option<String>,
}

/// Bring the fleet to a size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScaleTo {
    /// The size wanted, droplets on their way to serving included.
    pub count: u32,
    /// What to create when it grows; its `count` does not matter.
    pub template: Option<DropletRequest>,
    /// Whom to delete first when it shrinks.
    pub delete_first: Vec<DropletId>,
}

/// Explicit creates and deletes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What to create.
    pub create: Vec<DropletRequest>,
    /// What to delete.
    pub delete: Vec<DropletId>,
}

/// What a policy wants to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing.
    Hold,
    /// Another size.
    ScaleTo(ScaleTo),
    /// An explicit change.
    Change(Change),
}

/// A policy's answer, with the reason and the numbers behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is wanted.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub reason: String,
    /// The numbers behind it.
    pub signals: Vec<Signal>,
    /// Given back to the policy at the next tick; at most 64 KiB.
    pub state: Vec<u8>,
    /// When the policy would like to be asked again, in milliseconds from now.
    pub next_check_ms: Option<u64>,
}

impl Outcome {
    /// The fleet size that this leads to from `current`.
    pub fn size(&self, current: u32) -> u32 {
        match self {
            Self::Hold => current,
            Self::ScaleTo(to) => to.count,
            Self::Change(change) => {
                let created = change.create.iter().fold(0_u32, |sum, request| sum.saturating_add(request.count));
                let deleted = u32::try_from(change.delete.len()).unwrap_or(u32::MAX);
                current.saturating_add(created).saturating_sub(deleted)
            }
        }
    }
}

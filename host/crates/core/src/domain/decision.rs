//! A policy's decision.

use serde::{Deserialize, Serialize};

use crate::domain::DropletId;

/// A number that a decision is based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The name of the signal.
    pub name: String,
    /// The observed value.
    pub value: f64,
    /// The policy's target value.
    pub target: Option<f64>,
    /// The fleet size that this signal alone would lead to.
    pub wants: Option<u32>,
}

/// Droplets to create; unset fields use the fleet's own template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DropletRequest {
    /// Number of droplets.
    pub count: u32,
    /// Size slug.
    pub size: Option<String>,
    /// Region slug.
    pub region: Option<String>,
    /// Image slug or ID.
    pub image: Option<String>,
    /// Tags in addition to the fleet's own.
    pub tags: Vec<String>,
    /// The parameters for the user-data generator.
    pub user_data_params: Option<String>,
}

/// A request to change the fleet to a given size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScaleTo {
    /// The desired size, including droplets that are starting.
    pub count: u32,
    /// The droplets to create when the fleet grows; the `count` of this request is ignored.
    pub template: Option<DropletRequest>,
    /// The droplets to delete first when the fleet shrinks.
    pub delete_first: Vec<DropletId>,
}

/// Explicit creates and deletes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The droplets to create.
    pub create: Vec<DropletRequest>,
    /// The droplets to delete.
    pub delete: Vec<DropletId>,
}

/// The change that a policy requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No change.
    Hold,
    /// A different fleet size.
    ScaleTo(ScaleTo),
    /// An explicit change.
    Change(Change),
}

/// A policy's decision, with the reason and the numbers behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The requested change.
    pub outcome: Outcome,
    /// The reason, in one sentence.
    pub reason: String,
    /// The numbers behind it.
    pub signals: Vec<Signal>,
    /// State that is passed to the policy at the next tick; at most 64 KiB.
    pub state: Vec<u8>,
    /// Requested delay until the next evaluation, in milliseconds.
    pub next_check_ms: Option<u64>,
}

impl Decision {
    /// Returns a decision that holds the fleet and keeps the policy's `state`.
    pub fn hold(reason: impl Into<String>, state: &[u8]) -> Self {
        Self {
            outcome: Outcome::Hold,
            reason: reason.into(),
            signals: Vec::new(),
            state: state.to_vec(),
            next_check_ms: None,
        }
    }

    /// Returns the decision of a policy that failed: hold the fleet and keep the policy's `state`.
    pub fn hold_after_failure(policy: &str, state: &[u8]) -> Self {
        Self::hold(format!("policy {policy} failed; holding the fleet"), state)
    }
}

impl Outcome {
    /// Returns the fleet size that this outcome leads to from `current`.
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

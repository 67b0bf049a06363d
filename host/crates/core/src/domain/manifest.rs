//! A plugin's manifest.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a plugin, each a world of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// World `scaling-policy`: decides the size of the fleet.
    ScalingPolicy,
    /// World `user-data-generator`: generates the user data that a droplet boots with.
    UserDataGenerator,
}

impl PluginKind {
    /// Returns the name of its world.
    pub const fn world(self) -> &'static str {
        match self {
            Self::ScalingPolicy => "scaling-policy",
            Self::UserDataGenerator => "user-data-generator",
        }
    }
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.world())
    }
}

/// A problem in a plugin's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A JSON pointer into the configuration; empty for the whole configuration.
    pub path: String,
    /// The problem.
    pub message: String,
}

/// A series that a policy reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricRequirement {
    /// The name of the series.
    pub name: String,
    /// The length of the window it reads, in milliseconds.
    pub window_ms: u64,
    /// `true` if the policy cannot decide without it.
    pub required: bool,
}

/// A plugin's own description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// A description in one or two sentences.
    pub description: String,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// The series that it reads.
    pub metrics: Vec<MetricRequirement>,
}

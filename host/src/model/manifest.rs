//! What a plugin says of itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The two kinds of plugin, each a world of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// World `scaling-policy`: decides on the size of the fleet.
    ScalingPolicy,
    /// World `user-data-generator`: writes what a droplet boots with.
    UserDataGenerator,
}

impl PluginKind {
    /// The name of its world.
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

/// Something wrong in a plugin's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A JSON pointer into the configuration; empty for the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// A series that a policy reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricRequirement {
    /// The name of the series.
    pub name: String,
    /// How far back it looks, in milliseconds.
    pub window_ms: u64,
    /// Whether it can do nothing without it.
    pub required: bool,
}

/// A plugin's own description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence or two.
    pub description: String,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// The series that it reads.
    pub metrics: Vec<MetricRequirement>,
}

//! What `GET /status` says, beside what everybody can read in the inventory.

use serde::{Deserialize, Serialize};

use crate::model::{AnswerSource, Mode, Timestamp};

/// What a service says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The fleet: several services may be on one machine.
    pub fleet: String,
    /// The version of doproxy.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Ticks since then.
    pub ticks: u64,
    /// The last tick that came to a plan.
    pub last_tick: Option<LastTick>,
    /// Why the last tick came to no plan, where that is so.
    pub tick_error: Option<String>,
    /// When the next one is due.
    pub next_tick: Option<Timestamp>,
    /// The policies, in the order of the configuration.
    pub policies: Vec<PolicyStatus>,
    /// Series without a current value.
    pub stale: Vec<String>,
    /// Why HAProxy's counters cannot be read, where that is so.
    pub haproxy_error: Option<String>,
    /// Why nothing can be done at the API, where that is so.
    pub api_error: Option<String>,
    /// The command by hand that has the fleet, so that the loops wait for it.
    pub waiting_for: Option<LockWaitStatus>,
    /// Requests that may be sent to the API now.
    pub api_rate_limit_remaining: Option<u64>,
    /// The last time that the configuration or a component was loaded anew.
    pub reload: Option<ReloadStatus>,
    /// The loops.
    pub loops: Vec<LoopStatus>,
}

/// Another process that changes the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWaitStatus {
    /// Command and process id.
    pub holder: String,
    /// Since when it is waited for.
    pub since: Timestamp,
}

/// What came of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTick {
    /// Its number.
    pub tick: u64,
    /// When.
    pub at: Timestamp,
    /// The size before.
    pub from: u32,
    /// The size that its plan leads to.
    pub to: u32,
    /// Why.
    pub reason: String,
    /// The rules by which the guard cut something.
    pub restrictions: Vec<String>,
    /// Why the plan, or a part of it, was not begun.
    pub error: Option<String>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// What the configuration calls it.
    pub name: String,
    /// Where its component comes from.
    pub reference: String,
    /// SHA-256 of the component that answered last; empty where none did.
    pub digest: String,
    /// Whether it is acted upon.
    pub mode: Mode,
    /// What answered last.
    pub answered_by: AnswerSource,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// How often it failed since the service started.
    pub failures: u64,
    /// Why it failed last, while it fails.
    pub last_error: Option<String>,
}

/// What came of loading something anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// When.
    pub at: Timestamp,
    /// Why what was there stays, where that is so.
    pub refused: Option<String>,
    /// Keys that take effect only when the service is restarted.
    pub needs_restart: Vec<String>,
}

/// A loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopStatus {
    /// Which.
    pub name: String,
    /// For how long it has been quiet, in milliseconds.
    pub since_heartbeat_ms: u64,
    /// Whether that is not too long.
    pub healthy: bool,
}

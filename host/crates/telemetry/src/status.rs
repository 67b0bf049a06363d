//! The response of `GET /status`, beyond the contents of the inventory.

use doproxy_core::domain::{AnswerSource, Mode, Timestamp};
use serde::{Deserialize, Serialize};

/// The status of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Fleet name; several services can run on one machine.
    pub fleet: String,
    /// doproxy version.
    pub version: String,
    /// Process ID.
    pub pid: u32,
    /// Start time of the service.
    pub started_at: Timestamp,
    /// Number of ticks since the start.
    pub ticks: u64,
    /// The last tick that produced a plan.
    pub last_tick: Option<LastTick>,
    /// Error of the last tick, if it failed to produce a plan.
    pub tick_error: Option<String>,
    /// Time of the next tick.
    pub next_tick: Option<Timestamp>,
    /// The policies, in configuration order.
    pub policies: Vec<PolicyStatus>,
    /// Series without a current value.
    pub stale: Vec<String>,
    /// Error that prevents reading HAProxy's counters, if any.
    pub haproxy_error: Option<String>,
    /// Error that prevents use of the API, if any.
    pub api_error: Option<String>,
    /// The manual command that holds the fleet lock and for which the loops wait.
    pub waiting_for: Option<LockWaitStatus>,
    /// Number of API requests that may be sent now.
    pub api_rate_limit_remaining: Option<u64>,
    /// The last reload of the configuration or a component.
    pub reload: Option<ReloadStatus>,
    /// The service's loops.
    pub loops: Vec<LoopStatus>,
}

/// Another process that holds the fleet lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWaitStatus {
    /// Command and process ID.
    pub holder: String,
    /// Start of the wait.
    pub since: Timestamp,
}

/// The result of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTick {
    /// Tick number.
    pub tick: u64,
    /// Time of the tick.
    pub at: Timestamp,
    /// Fleet size before the tick.
    pub from: u32,
    /// Fleet size that the plan leads to.
    pub to: u32,
    /// Reason for the plan.
    pub reason: String,
    /// Guard rules that restricted the plan.
    pub restrictions: Vec<String>,
    /// Error that prevented all or part of the plan from starting.
    pub error: Option<String>,
}

/// The status of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Name in the configuration.
    pub name: String,
    /// Reference of its component.
    pub reference: String,
    /// SHA-256 of the component that made the last decision; empty if none did.
    pub digest: String,
    /// Mode; decisions are applied only in active mode.
    pub mode: Mode,
    /// Source of the last decision.
    pub answered_by: AnswerSource,
    /// Start of the current failure.
    pub failing_since: Option<Timestamp>,
    /// Number of failures since the service started.
    pub failures: u64,
    /// Last error, while the policy is failing.
    pub last_error: Option<String>,
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// Time of the reload.
    pub at: Timestamp,
    /// Error for which the previous configuration or component stays in use, if any.
    pub refused: Option<String>,
    /// Configuration keys that take effect only after a restart.
    pub needs_restart: Vec<String>,
}

/// The status of a loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopStatus {
    /// Name.
    pub name: String,
    /// Time since the last heartbeat, in milliseconds.
    pub since_heartbeat_ms: u64,
    /// True unless the loop is stalled.
    pub healthy: bool,
}

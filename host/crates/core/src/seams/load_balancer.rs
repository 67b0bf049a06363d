//! The load balancer in front of the fleet: the [`LoadBalancer`] trait and the types that cross it.
//!
//! Two implementations exist: `haproxy`, and `SimulatedBalancer` in `test-support`.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::domain::{DropletId, DropletName, Load};

/// A load balancer whose set of servers doproxy manages.
pub trait LoadBalancer: Send + Sync {
    /// The error, which includes the state that the load balancer is left in.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reconciles the load balancer so that it serves exactly `servers`: installs the configuration and brings the
    /// running process in line with it. A no-op if it already does. On failure the previous configuration stays live.
    fn apply(&self, servers: &[Server]) -> impl Future<Output = Result<ApplyResult, Self::Error>> + Send;

    /// Returns the running process's statistics for each server, including old workers that are still draining.
    fn stats(&self) -> impl Future<Output = Result<Stats, Self::Error>> + Send;
}

/// The traffic state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// Health-checked but not given traffic: its droplet is starting up.
    Warming,
    /// Receives traffic.
    Serving,
    /// Receives no new sessions.
    Draining,
}

/// A server behind the load balancer: always a droplet of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The droplet; the server's name is derived from its ID.
    pub id: DropletId,
    /// The hostname, for people reading the configuration file.
    pub hostname: DropletName,
    /// The address that the server listens on; the port comes from the configuration.
    pub address: IpAddr,
    /// The traffic state.
    pub state: ServerState,
}

/// The result of [`LoadBalancer::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyResult {
    /// The load balancer already served these servers.
    Unchanged,
    /// The process was updated without a reload; no connection was affected.
    Dynamic {
        /// Number of servers added.
        added: usize,
        /// Number of servers removed.
        removed: usize,
        /// Number of servers that started or stopped receiving new sessions.
        changed: usize,
    },
    /// The process was reloaded.
    Reloaded {
        /// The change that required a reload.
        reason: String,
        /// The copy of the replaced file, if that file had not been written by doproxy.
        replaced_edit: Option<PathBuf>,
    },
}

/// Statistics of the running load balancer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Servers of the fleet's backend.
    pub servers: Vec<ServerStats>,
    /// Requests queued in the backend for any server.
    pub queued: u32,
    /// Requests that the backend has received since the process started.
    pub requests_total: u64,
    /// Seconds since the process started. A lower value than in the previous sample means that the counters were reset.
    pub uptime_s: u64,
    /// The process itself.
    pub process: ProcessStats,
}

/// Statistics of the load balancer process itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessStats {
    /// The version string that the process reports.
    pub version: String,
    /// The process ID of the worker that accepts new connections. A different worker has different counters.
    pub pid: u32,
    /// Number of reloads since the process was started; `None` if no master process counts them.
    pub generation: Option<u64>,
    /// Number of workers from before a reload that still have connections.
    pub old_workers: usize,
}

/// Statistics of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerStats {
    /// The droplet.
    pub id: DropletId,
    /// `true` if its health check passes.
    pub healthy: bool,
    /// `true` if its health check has passed at layer 7 at least once since the server was added.
    pub check_passed: bool,
    /// The status string that the load balancer reports: `UP`, `DOWN 1/2`, `MAINT`, with the check's result.
    pub status: String,
    /// Sessions in the current and in old workers.
    pub sessions: u32,
    /// The load, without rates: those need two observations.
    pub load: Load,
    /// Requests since the process started.
    pub requests_total: u64,
    /// Failed requests (5xx, connection and response errors) since the process started.
    pub errors_total: u64,
}

//! The load balancer in front of the fleet: the seam, and the types that cross it.
//!
//! Two implementations: `haproxy`, and `SimulatedBalancer` of the simulation.

pub mod haproxy;

use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::{DropletId, DropletName, Load};

/// A load balancer whose set of servers is ours.
pub trait LoadBalancer: Send + Sync {
    /// What went wrong, with what is live now.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Makes the balancer serve exactly `servers`: installs the configuration and makes the running process equal
    /// to it. Nothing is done when it is so already. On failure the configuration that was live stays live.
    fn apply(&self, servers: &[Server]) -> impl Future<Output = Result<ApplyResult, Self::Error>> + Send;

    /// What the running process says of each server, old workers that still drain included.
    fn stats(&self) -> impl Future<Output = Result<Stats, Self::Error>> + Send;
}

/// Whether a server gets new sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// Checked, and given no traffic: its droplet is coming up.
    Warming,
    /// Takes traffic.
    Serving,
    /// No new sessions.
    Draining,
}

/// A server behind the balancer: always a droplet of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The droplet; the server's name is made of it.
    pub id: DropletId,
    /// For people who read the file.
    pub hostname: DropletName,
    /// Where it listens; the port is the configuration's.
    pub address: IpAddr,
    /// Whether it gets new sessions.
    pub state: ServerState,
}

/// What [`Balancer::apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyResult {
    /// It was so already.
    Unchanged,
    /// The process was changed while it ran: no connection noticed.
    Dynamic {
        /// Servers that it has since.
        added: usize,
        /// Servers that it had.
        removed: usize,
        /// Servers that get new sessions since, or do not any more.
        changed: usize,
    },
    /// The process was reloaded.
    Reloaded {
        /// What could not be changed while it ran.
        reason: String,
        /// Somebody else had written the file that was replaced, which is kept here.
        replaced_edit: Option<PathBuf>,
    },
}

/// What the running balancer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Servers of the fleet's backend.
    pub servers: Vec<ServerStats>,
    /// Requests that wait in the backend for any server.
    pub queued: u32,
    /// Requests that the backend was given since the process started.
    pub requests_total: u64,
    /// Seconds since the process started: when it is less than before, the counters began anew.
    pub uptime_s: u64,
    /// The process itself.
    pub process: ProcessStats,
}

/// What the running balancer says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessStats {
    /// Its version, in its own words.
    pub version: String,
    /// The process id of the worker that takes new connections. Another one than before has other counters.
    pub pid: u32,
    /// How often it was reloaded since it was started; `None` where there is nobody who counts.
    pub generation: Option<u64>,
    /// Workers of before a reload, which still have connections.
    pub old_workers: usize,
}

/// What the running balancer says of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerStats {
    /// The droplet.
    pub id: DropletId,
    /// Its health check passes.
    pub healthy: bool,
    /// Its health check passed at layer 7 at least once since it was added.
    pub check_passed: bool,
    /// The balancer's own words: `UP`, `DOWN 1/2`, `MAINT`, with the check's result.
    pub status: String,
    /// Sessions in the current and in old workers.
    pub sessions: u32,
    /// Its load, rates excepted, which need two observations.
    pub load: Load,
    /// Requests since the process started.
    pub requests_total: u64,
    /// Failed requests (5xx, connection and response errors) since the process started.
    pub errors_total: u64,
}

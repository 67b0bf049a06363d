//! Collects the status of a fleet from the inventory, HAProxy and the service.

use std::time::Duration;

use doproxy_config::TelemetryAddress;
use doproxy_core::domain::{
    Direction, Droplet, DropletId, DropletName, HourlyPrice, OperationKind, Pause, Pauses, Phase, Timestamp,
};
use doproxy_core::seams::{Inventory, LoadBalancer, Maintenance, ServerStats, Snapshot, Stats};
use doproxy_haproxy::HaProxy;
use doproxy_support::{Clock, sanitize_line};
use doproxy_telemetry::Status;
use serde::Serialize;

use crate::cli::context::CommandContext;

/// Maximum time to wait for a response from HAProxy or the service.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A snapshot of the fleet's status, as far as it is available.
#[derive(Debug, Serialize)]
pub(super) struct StatusSnapshot {
    /// The time of the snapshot.
    pub(super) at: Timestamp,
    /// The fleet's name.
    pub(super) fleet: String,
    /// Minimum number of droplets.
    pub(super) min: u32,
    /// Maximum number of droplets.
    pub(super) max: u32,
    /// Cost of the fleet per hour, in dollars.
    pub(super) hourly_cost: f64,
    /// The droplets, in the order of `doproxy print`.
    pub(super) droplets: Vec<DropletStatus>,
    /// The open operations.
    pub(super) operations: Vec<OperationStatus>,
    /// The pauses in effect.
    pub(super) paused: Vec<(Direction, Pause)>,
    /// The reason why all changes are suspended; `None` if maintenance mode is off.
    pub(super) maintenance: Option<MaintenanceStatus>,
    /// HAProxy's status, or the reason why it is unavailable.
    pub(super) haproxy: HaProxyStatus,
    /// The service's status; `None` if no service responds.
    pub(super) service: Option<Status>,
    /// The reason why the service's status is unavailable.
    pub(super) no_service: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct DropletStatus {
    pub(super) name: DropletName,
    pub(super) id: Option<DropletId>,
    pub(super) phase: Phase,
    pub(super) phase_since: Timestamp,
    pub(super) protected: bool,
    /// Sessions in the current worker and in old workers of HAProxy.
    pub(super) sessions: Option<u32>,
    /// Reports whether the health check passes.
    pub(super) healthy: Option<bool>,
    /// The health check status as reported by HAProxy.
    pub(super) check: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OperationStatus {
    pub(super) kind: OperationKind,
    pub(super) droplet: DropletName,
    pub(super) since: Timestamp,
}

#[derive(Debug, Serialize)]
pub(super) struct MaintenanceStatus {
    pub(super) since: Timestamp,
    pub(super) reason: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct HaProxyStatus {
    pub(super) version: String,
    pub(super) pid: Option<u32>,
    pub(super) generation: Option<u64>,
    pub(super) old_workers: usize,
    /// Requests queued for any server.
    pub(super) queued: u32,
    /// The reason why HAProxy is unavailable.
    pub(super) failure: Option<String>,
}

/// Collects the status from all sources.
pub(super) async fn collect(context: &CommandContext) -> anyhow::Result<StatusSnapshot> {
    let inventory = context.existing_inventory()?;
    let (snapshot, pauses, maintenance) = match &inventory {
        Some(inventory) => (inventory.load().await?, inventory.pauses().await?, inventory.maintenance().await?),
        None => (Snapshot::default(), Pauses::default(), None),
    };
    let (stats, service) = tokio::join!(stats(context), service(context));
    let at = Clock::from_wall_clock().now();
    let paused = |direction| pauses.active(direction, at).map(|pause| (direction, pause.clone()));
    let known: &[ServerStats] = stats.as_ref().map_or(&[], |stats| &stats.servers);
    let (service, no_service) = match service {
        Ok(status) => (Some(status), None),
        Err(why) => (None, Some(why)),
    };
    Ok(StatusSnapshot {
        at,
        fleet: context.config.fleet.to_string(),
        min: context.config.limits.min,
        max: context.config.limits.max,
        hourly_cost: cost(&snapshot.droplets),
        droplets: snapshot.droplets.iter().map(|droplet| droplet_status(droplet, known)).collect(),
        operations: snapshot
            .operations
            .iter()
            .map(|open| OperationStatus { kind: open.kind, droplet: open.droplet.clone(), since: open.started_at })
            .collect(),
        paused: [Direction::Out, Direction::In].into_iter().filter_map(paused).collect(),
        maintenance: maintenance.map(|Maintenance { since, reason }| MaintenanceStatus { since, reason }),
        haproxy: haproxy_status(stats),
        service,
        no_service,
    })
}

/// Returns the hourly cost of existing droplets, including those being deleted.
fn cost(droplets: &[Droplet]) -> f64 {
    let there = droplets.iter().filter(|droplet| droplet.id.is_some());
    there.fold(HourlyPrice::default(), |sum, droplet| sum.plus(droplet.hourly_price)).dollars()
}

fn droplet_status(droplet: &Droplet, servers: &[ServerStats]) -> DropletStatus {
    let server = servers.iter().find(|server| Some(server.id) == droplet.id);
    DropletStatus {
        name: droplet.name.clone(),
        id: droplet.id,
        phase: droplet.phase,
        phase_since: droplet.phase_since,
        protected: droplet.protected,
        sessions: server.map(|server| server.sessions),
        healthy: server.map(|server| server.healthy),
        check: server.map(|server| server.status.clone()),
    }
}

fn haproxy_status(stats: Result<Stats, String>) -> HaProxyStatus {
    match stats {
        Ok(Stats { queued, process, .. }) => HaProxyStatus {
            version: process.version,
            pid: Some(process.pid),
            generation: process.generation,
            old_workers: process.old_workers,
            queued,
            failure: None,
        },
        Err(failure) => HaProxyStatus { failure: Some(failure), ..HaProxyStatus::default() },
    }
}

async fn stats(context: &CommandContext) -> Result<Stats, String> {
    let balancer: HaProxy = context.balancer().map_err(|error| format!("{error:#}"))?;
    match tokio::time::timeout(TIMEOUT, balancer.stats()).await {
        Ok(stats) => stats.map_err(|error| error.to_string()),
        Err(_) => Err(format!("HAProxy did not respond within {} s", TIMEOUT.as_secs())),
    }
}

/// Queries the status of this fleet's service. Returns the reason if it is unavailable.
async fn service(context: &CommandContext) -> Result<Status, String> {
    let address = match context.config.telemetry {
        TelemetryAddress::None => return Err("cannot be queried, because telemetry.listen is none".to_owned()),
        TelemetryAddress::Default(address) | TelemetryAddress::Explicit(address) => address,
    };
    let asked = async {
        // reqwest requires a crypto provider even for plain http; an already installed one is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        client.get(format!("http://{address}/status")).send().await?.error_for_status()?.json::<Status>().await
    };
    match asked.await {
        Ok(status) if status.fleet == context.config.fleet.as_str() => Ok(status),
        Ok(status) => Err(format!("{address} belongs to the service of another fleet, {}", sanitize(&status.fleet))),
        Err(error) if error.is_connect() => Err(format!("not running at {address}; start it with `doproxy run`")),
        Err(error) => Err(format!("{address} returned an invalid response: {error}")),
    }
}

/// Sanitizes text from the address, at which another program may listen.
fn sanitize(text: &str) -> String {
    sanitize_line(text, 100)
}

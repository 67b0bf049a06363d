//! Asking everybody who knows something of the fleet.

use std::time::Duration;

use serde::Serialize;

use crate::balancer::haproxy::HaProxy;
use crate::balancer::{LoadBalancer, ServerStats, Stats};
use crate::cli::context::CommandContext;
use crate::clock::Clock;
use crate::config::TelemetryAddress;
use crate::inventory::{Freeze, Inventory, Snapshot};
use crate::model::{
    Direction, Droplet, DropletId, DropletName, HourlyPrice, OperationKind, Pause, Pauses, Phase, Timestamp,
};
use crate::telemetry::Status;

/// How long somebody may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How everything is, as far as it could be found out.
#[derive(Debug, Serialize)]
pub(super) struct StatusSnapshot {
    /// When it was asked for.
    pub(super) at: Timestamp,
    /// The fleet's name.
    pub(super) fleet: String,
    /// Fewest droplets.
    pub(super) min: u32,
    /// Most droplets.
    pub(super) max: u32,
    /// What the fleet costs an hour, in dollars.
    pub(super) hourly_cost: f64,
    /// The droplets, in the order of `doproxy print`.
    pub(super) droplets: Vec<DropletStatus>,
    /// Operations that are open.
    pub(super) operations: Vec<OperationStatus>,
    /// What is paused now.
    pub(super) paused: Vec<(Direction, Pause)>,
    /// Why nothing is changed at all, where that is so.
    pub(super) frozen: Option<FreezeStatus>,
    /// HAProxy, or why it does not answer.
    pub(super) haproxy: HaProxyStatus,
    /// The service; `None` where none answers.
    pub(super) service: Option<Status>,
    /// Why no service was asked or answered, in words.
    pub(super) no_service: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct DropletStatus {
    pub(super) name: DropletName,
    pub(super) id: Option<DropletId>,
    pub(super) phase: Phase,
    pub(super) phase_since: Timestamp,
    pub(super) protected: bool,
    /// Sessions in the current and in old workers of HAProxy.
    pub(super) sessions: Option<u32>,
    /// Whether its health check passes.
    pub(super) healthy: Option<bool>,
    /// HAProxy's own words.
    pub(super) check: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OperationStatus {
    pub(super) kind: OperationKind,
    pub(super) droplet: DropletName,
    pub(super) since: Timestamp,
}

#[derive(Debug, Serialize)]
pub(super) struct FreezeStatus {
    pub(super) since: Timestamp,
    pub(super) reason: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct HaProxyStatus {
    pub(super) version: String,
    pub(super) pid: Option<u32>,
    pub(super) generation: Option<u64>,
    pub(super) old_workers: usize,
    /// Requests that wait for any server.
    pub(super) queued: u32,
    /// Why it does not answer.
    pub(super) failure: Option<String>,
}

/// Asks everybody.
pub(super) async fn collect(app: &CommandContext) -> anyhow::Result<StatusSnapshot> {
    let inventory = app.existing_inventory()?;
    let (snapshot, pauses, frozen) = match &inventory {
        Some(inventory) => (inventory.load().await?, inventory.pauses().await?, inventory.freeze().await?),
        None => (Snapshot::default(), Pauses::default(), None),
    };
    let (stats, service) = tokio::join!(stats(app), service(app));
    let at = Clock::from_wall_clock().now();
    let paused = |direction| pauses.active(direction, at).map(|pause| (direction, pause.clone()));
    let known: &[ServerStats] = stats.as_ref().map_or(&[], |stats| &stats.servers);
    let (service, no_service) = match service {
        Ok(status) => (Some(status), None),
        Err(why) => (None, Some(why)),
    };
    Ok(StatusSnapshot {
        at,
        fleet: app.config.fleet.to_string(),
        min: app.config.limits.min,
        max: app.config.limits.max,
        hourly_cost: cost(&snapshot.droplets),
        droplets: snapshot.droplets.iter().map(|droplet| droplet_status(droplet, known)).collect(),
        operations: snapshot
            .operations
            .iter()
            .map(|open| OperationStatus { kind: open.kind, droplet: open.droplet.clone(), since: open.started_at })
            .collect(),
        paused: [Direction::Out, Direction::In].into_iter().filter_map(paused).collect(),
        frozen: frozen.map(|Freeze { since, reason }| FreezeStatus { since, reason }),
        haproxy: haproxy_status(stats),
        service,
        no_service,
    })
}

/// What droplets that are there cost an hour: also one that is on its way out.
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

async fn stats(app: &CommandContext) -> Result<Stats, String> {
    let balancer: HaProxy = app.balancer().map_err(|error| format!("{error:#}"))?;
    match tokio::time::timeout(TIMEOUT, balancer.stats()).await {
        Ok(stats) => stats.map_err(|error| error.to_string()),
        Err(_) => Err(format!("HAProxy does not answer within {} s", TIMEOUT.as_secs())),
    }
}

/// What the service of this fleet says of itself; why nothing, where it says nothing.
async fn service(app: &CommandContext) -> Result<Status, String> {
    let address = match app.config.telemetry {
        TelemetryAddress::None => return Err("telemetry.listen is none, so it cannot be asked".to_owned()),
        TelemetryAddress::Default(address) | TelemetryAddress::Explicit(address) => address,
    };
    let asked = async {
        // reqwest wants one even for plain http; it does not matter if one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        client.get(format!("http://{address}/status")).send().await?.error_for_status()?.json::<Status>().await
    };
    match asked.await {
        Ok(status) if status.fleet == app.config.fleet.as_str() => Ok(status),
        Ok(status) => Err(format!("at {address} is the service of another fleet, {}", sanitize(&status.fleet))),
        Err(error) if error.is_connect() => Err(format!("none answers at {address} (`doproxy run` is one)")),
        Err(error) => Err(format!("{address} does not answer as one: {error}")),
    }
}

/// Whoever listens there is somebody else's program: what it says must not command the terminal.
fn sanitize(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

//! Keeps one server running for each droplet that is powered on: started when the droplet boots, stopped when it is
//! deleted.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::DropletId;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::droplet_site;
use crate::droplet_site::DropletSite;
use crate::http::serve::{ShutdownMode, serve};
use crate::http::state::Shared;

/// The delay before a server that failed to start is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Reconciles the running servers with the cloud state whenever it changes, until `stop`.
pub(super) async fn run(shared: Arc<Shared>, port: u16, stop: CancellationToken) {
    // Dropping a server's set ends the server and its connections.
    let mut servers: HashMap<DropletId, (Ipv4Addr, JoinSet<()>)> = HashMap::new();
    while !stop.is_cancelled() {
        let (expected, mut next) = shared.with_state(|cloud, now| {
            let droplets = cloud.running_droplets(now);
            let address = |id: &DropletId| Some((*id, cloud.droplet_itself(now, *id).ok()?.private_address));
            let expected: HashMap<DropletId, Ipv4Addr> = droplets.running.iter().filter_map(address).collect();
            (expected, droplets.next_change.map(|at| at.since(now)))
        });
        servers.retain(|id, (address, _)| expected.get(id) == Some(address));
        for (id, address) in expected {
            if servers.contains_key(&id) {
                continue;
            }
            match start(&shared, id, SocketAddr::from((address, port)), &stop).await {
                Ok(server) => {
                    servers.extend(server.map(|server| (id, (address, server))));
                }
                Err(error) => {
                    tracing::error!(%id, %error, "failed to listen on port {port} for the droplet's server; retrying");
                    next = Some(next.unwrap_or(RETRY_INTERVAL).min(RETRY_INTERVAL));
                }
            }
        }
        let change = async {
            match next {
                Some(next) => tokio::time::sleep(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = change => {}
            () = shared.droplets_changed.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Returns `None` if the droplet has been deleted in the meantime.
async fn start(
    shared: &Arc<Shared>,
    id: DropletId,
    address: SocketAddr,
    stop: &CancellationToken,
) -> io::Result<Option<JoinSet<()>>> {
    let name = shared.with_state(|cloud, now| cloud.droplet_itself(now, id).map(|droplet| droplet.name.clone()).ok());
    let Some(name) = name else { return Ok(None) };
    let listener = TcpListener::bind(address).await?;
    let router = droplet_site::router(Arc::new(DropletSite { shared: Arc::clone(shared), id, name, address }));
    let mut server = JoinSet::new();
    server.spawn(serve(listener, router, stop.clone(), ShutdownMode::Abrupt));
    Ok(Some(server))
}

/// Raises the limit on open files: a thousand droplets need a thousand listening sockets, and most systems default to a
/// limit near that.
pub(super) fn raise_open_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        tracing::debug!(%error, "failed to raise the limit on open files");
    }
}

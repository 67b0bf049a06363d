//! The simulated cloud, served as the DigitalOcean HTTP API v2 in real time, with a real HTTP server for each droplet.
//!
//! What a cloud does is in `crate::simulation::cloud`; here is how it looks on the wire. Two kinds of servers: the API
//! (`api` and the handlers beside it, with the emulator's own controls under `/_emulator`), and one small site for each
//! droplet that is powered on (`machines`, `site`, `metadata`), on the droplet's own loopback address.

mod account;
mod control;
mod corrupt;
mod droplet_servers;
mod droplet_site;
mod droplets;
mod json;
mod metadata;
mod monitoring;
mod pagination;
mod router;
mod serve;
mod state_file;
mod tags;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::Clock;
use crate::model::{Timestamp, Token};
use crate::simulation::cloud::{CloudState, Faults, Settings};
use router::Shared;
use serve::ShutdownMode;
use state_file::StateFile;

/// How an emulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where droplets, tags and actions are kept, so that an emulator that is started again still has them; nowhere
    /// where it is `None`. Whoever creates a droplet gets the answer after it has been written.
    pub state: Option<PathBuf>,
    /// The port on which each droplet serves, on its own address.
    pub droplet_port: u16,
    /// Only this token is let in; any, where it is `None`.
    pub token: Option<Token>,
    /// How the cloud behaves: its seed, boot time, limits and keys.
    pub settings: Settings,
    /// What goes wrong from the start.
    pub faults: Faults,
}

impl Default for Options {
    /// On a free port of 127.0.0.1, droplets on port 8080, without a state file, without faults.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            state: None,
            droplet_port: 8080,
            token: None,
            settings: Settings::default(),
            faults: Faults::default(),
        }
    }
}

/// Why an emulator cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The address of the API is taken or not allowed.
    #[error("cannot listen on {address} for the API: {source}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Droplets could not serve on their port.
    #[error(
        "droplets cannot serve on port {}: listening on {address} failed: {source}; \
         another program has this port on all addresses, or it needs privileges: choose another port for droplets", 
        address.port()
    )]
    DropletPort {
        /// The address of the next droplet.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The state file cannot be used.
    #[error("cannot use the state file {}: {reason}; move it away to begin with an empty cloud", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// A running emulator. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    api: JoinHandle<()>,
    droplet_servers: JoinHandle<()>,
    stop: DropGuard,
}

impl Emulator {
    /// Starts the API and the servers of the droplets that the state file has.
    pub async fn start(options: Options) -> Result<Self, EmulatorError> {
        let (store, state) = StateFile::open(options.state)?;
        let mut world = match state {
            None => CloudState::new(options.settings),
            Some(state) => {
                CloudState::restore(options.settings, state).map_err(|error| store.error(error.to_string()))?
            }
        };
        world.set_faults(options.faults);

        droplet_servers::raise_open_file_limit();
        let next = SocketAddr::from((world.next_address(), options.droplet_port));
        let probe = TcpListener::bind(next).await;
        drop(probe.map_err(|source| EmulatorError::DropletPort { address: next, source })?);
        let listen_error = |source| EmulatorError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(world, Clock::from_wall_clock(), address, options.token, store));
        let router = router::router(Arc::clone(&shared));
        Ok(Self {
            address,
            api: tokio::spawn(serve::serve(listener, router, stop.clone(), ShutdownMode::Graceful)),
            droplet_servers: tokio::spawn(droplet_servers::run(
                Arc::clone(&shared),
                options.droplet_port,
                stop.clone(),
            )),
            shared,
            stop: stop.drop_guard(),
        })
    }

    /// The base URL of the API, such as `http://127.0.0.1:8081`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the world, or changes it, at the time that it is now.
    pub fn with_state<T>(&self, look: impl FnOnce(&mut CloudState, Timestamp) -> T) -> T {
        let seen = self.shared.with_state(look);
        self.shared.droplets_changed.notify_one();
        seen
    }

    /// Lets open calls end, within five seconds, and then ends the droplets' servers.
    pub async fn stop(self) {
        let Self { api, droplet_servers: machines, stop, .. } = self;
        stop.disarm().cancel();
        for (what, task) in [("the API", api), ("the droplets' servers", machines)] {
            if let Err(error) = task.await {
                tracing::error!(%error, "{what} ended badly");
            }
        }
    }
}

/// How long calls may take to end when the emulator stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

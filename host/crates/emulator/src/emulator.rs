//! The simulated cloud, served as the DigitalOcean HTTP API v2 in real time, with a real HTTP server for each droplet.
//!
//! The cloud's behavior is in `crate::cloud`; this module implements the wire format. There are two kinds
//! of servers: the API (`api` and the handlers beside it, with the emulator's own control endpoints under
//! `/_emulator`), and one small site for each droplet that is powered on (`droplet_servers`, `droplet_site`,
//! `metadata`), on the droplet's own loopback address.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{Timestamp, Token};
use doproxy_support::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cloud::{CloudState, Faults, Settings};
use crate::http::serve::ShutdownMode;
use crate::http::state::Shared;
use crate::state_file::StateFile;

/// Options for starting an emulator.
#[derive(Debug, Clone)]
pub struct Options {
    /// The listen address of the API; port 0 selects a free port.
    pub listen: SocketAddr,
    /// The file that keeps droplets, tags and actions, so that a restarted emulator still has them; `None` keeps
    /// nothing. A create request is answered only after the state has been written.
    pub state: Option<PathBuf>,
    /// The port on which each droplet serves, on its own address.
    pub droplet_port: u16,
    /// The only accepted token; with `None`, any token is accepted.
    pub token: Option<Token>,
    /// The behavior of the cloud: its seed, boot time, limits and keys.
    pub settings: Settings,
    /// The faults that are active from the start.
    pub faults: Faults,
}

impl Default for Options {
    /// A free port of 127.0.0.1, droplets on port 8080, no state file and no faults.
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

/// An error that prevents an emulator from starting.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The address of the API is in use or not permitted.
    #[error("failed to listen on {address} for the API: {source}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// Droplets cannot serve on their port.
    #[error(
        "failed to listen on {address} for droplets on port {}: {source}; \
         another program uses this port on all addresses, or it requires privileges: choose another port for droplets", 
        address.port()
    )]
    DropletPort {
        /// The address of the next droplet.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The state file is unusable.
    #[error("failed to use the state file {}: {reason}; move it away to start with an empty cloud", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The cause.
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
    /// Starts the API and the servers of the droplets in the state file.
    pub async fn start(options: Options) -> Result<Self, EmulatorError> {
        let (store, state) = StateFile::open(options.state)?;
        let mut cloud = match state {
            None => CloudState::new(options.settings),
            Some(state) => {
                CloudState::restore(options.settings, state).map_err(|error| store.error(error.to_string()))?
            }
        };
        cloud.set_faults(options.faults);

        crate::droplet_servers::raise_open_file_limit();
        let next = SocketAddr::from((cloud.next_address(), options.droplet_port));
        let probe = TcpListener::bind(next).await;
        drop(probe.map_err(|source| EmulatorError::DropletPort { address: next, source })?);
        let listen_error = |source| EmulatorError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(cloud, Clock::from_wall_clock(), address, options.token, store));
        let router = crate::http::router::router(Arc::clone(&shared));
        Ok(Self {
            address,
            api: tokio::spawn(crate::http::serve::serve(listener, router, stop.clone(), ShutdownMode::Graceful)),
            droplet_servers: tokio::spawn(crate::droplet_servers::run(
                Arc::clone(&shared),
                options.droplet_port,
                stop.clone(),
            )),
            shared,
            stop: stop.drop_guard(),
        })
    }

    /// Returns the base URL of the API, such as `http://127.0.0.1:8081`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the listen address of the API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads or changes the cloud state at the current time.
    pub fn with_state<T>(&self, look: impl FnOnce(&mut CloudState, Timestamp) -> T) -> T {
        let seen = self.shared.with_state(look);
        self.shared.droplets_changed.notify_one();
        seen
    }

    /// Waits up to five seconds for open calls, then stops the droplets' servers.
    pub async fn stop(self) {
        let Self { api, droplet_servers: servers, stop, .. } = self;
        stop.disarm().cancel();
        for (what, task) in [("the API", api), ("the droplets' servers", servers)] {
            if let Err(error) = task.await {
                tracing::error!(%error, "{what} ended with an error");
            }
        }
    }
}

/// The time that calls have to finish when the emulator stops.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

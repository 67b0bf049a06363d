//! The state shared by all handlers, and the IDs and tokens of requests.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use doproxy_core::domain::{Timestamp, Token};
use doproxy_support::sync::lock;
use doproxy_support::{Clock, SplitMix64};
use tokio::sync::Notify;

use crate::cloud::CloudState;
use crate::state_file::StateFile;

/// The state shared by all handlers.
#[derive(Debug)]
pub(crate) struct Shared {
    cloud: Mutex<CloudState>,
    clock: Clock,
    address: SocketAddr,
    token: Option<Token>,
    pub(crate) store: StateFile,
    request_count: AtomicU64,
    /// Wakes the task that starts and stops the droplets' servers.
    pub(crate) droplets_changed: Notify,
}

impl Shared {
    pub(crate) fn new(
        cloud: CloudState,
        clock: Clock,
        address: SocketAddr,
        token: Option<Token>,
        store: StateFile,
    ) -> Self {
        let cloud = Mutex::new(cloud);
        Self { cloud, clock, address, token, store, request_count: AtomicU64::new(0), droplets_changed: Notify::new() }
    }

    /// Reads or changes the cloud state at the current time.
    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&mut CloudState, Timestamp) -> T) -> T {
        let mut cloud = lock(&self.cloud);
        // The time is read under the lock, so it never runs backwards for the cloud state.
        read(&mut cloud, self.clock.now())
    }

    /// Returns the URL of a path of this API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
        });
        match (&self.token, given) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(token), Some(given)) => token.reveal() == given,
        }
    }

    /// Returns a new ID in UUID form; the same emulator produces the same IDs in the same order.
    pub(super) fn next_request_id(&self) -> String {
        let mut luck = SplitMix64::from_seed(self.request_count.fetch_add(1, Ordering::Relaxed));
        let (high, low) = (luck.next_u64(), luck.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

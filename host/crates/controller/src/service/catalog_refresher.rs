//! Refreshes sizes, prices and the account's quota in the background, so that no tick waits for the API.

use std::sync::Arc;
use std::time::Duration;

use doproxy_core::seams::Platform;
use doproxy_support::Backoff;
use tokio::time::sleep;

use crate::service::conditions::Conditions;
use crate::service::shared::Shared;

/// The refresh interval; it is short because other users of the account create droplets too.
const REFRESH_INTERVAL: Duration = Duration::from_secs(50);
/// The pause after a failure; it doubles up to [`REFRESH_INTERVAL`].
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);

/// Refreshes the provider catalog that ticks read.
#[derive(Debug)]
pub(super) struct CatalogRefresher<P: Platform>(Arc<Shared<P>>);

impl<P: Platform> CatalogRefresher<P> {
    pub(super) fn new(shared: Arc<Shared<P>>) -> Self {
        Self(shared)
    }

    /// Runs until the service is stopped.
    pub(super) async fn run(self) {
        let stop = self.0.stop.clone();
        tokio::select! {
            () = self.refresh_loop() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn refresh_loop(&self) {
        let mut conditions = Conditions::default();
        let mut backoff = Backoff::new(INITIAL_BACKOFF, REFRESH_INTERVAL);
        loop {
            match self.0.controller.refresh_catalog().await {
                Ok(()) => {
                    if conditions.clear("catalog") {
                        tracing::info!("sizes and account quota are available again");
                    }
                    backoff.reset();
                    sleep(REFRESH_INTERVAL).await;
                }
                Err(error) => {
                    let why = error.to_string();
                    if conditions.raise("catalog", &why) {
                        tracing::warn!("failed to refresh sizes and account quota: {why}");
                    }
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

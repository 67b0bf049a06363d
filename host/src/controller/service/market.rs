//! Keeps prices and the account's room at hand, so that no tick waits for the API.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;
use super::trouble::Troubles;
use crate::balancer::Balancer;
use crate::cloud::Cloud;
use crate::inventory::Inventory;

/// Others create droplets too, so the room in the account is asked for this often.
const EVERY: Duration = Duration::from_secs(50);
/// The pause after a failure; it doubles up to [`EVERY`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Asks the API for what ticks want to know of it.
#[derive(Debug)]
pub(super) struct Keeper<C, B, I>(Arc<Shared<C, B, I>>);

impl<C: Cloud, B: Balancer, I: Inventory> Keeper<C, B, I> {
    pub(super) fn new(shared: Arc<Shared<C, B, I>>) -> Self {
        Self(shared)
    }

    /// Asks until the service is stopped.
    pub(super) async fn run(self) {
        let stop = self.0.stop.clone();
        tokio::select! {
            () = self.keep() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn keep(&self) {
        let mut troubles = Troubles::default();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.0.controller.refresh_market().await {
                Ok(()) => {
                    if troubles.ends("market") {
                        tracing::info!("prices and the account's room are known again");
                    }
                    pause = FIRST_PAUSE;
                    sleep(EVERY).await;
                }
                Err(error) => {
                    let why = error.to_string();
                    if troubles.begins("market", &why) {
                        tracing::warn!("prices and the account's room are not known anew: {why}");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(EVERY);
                }
            }
        }
    }
}

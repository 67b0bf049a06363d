//! Sizes, prices and the account's remaining droplet quota. Both change rarely, so they are cached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_core::seams::{CloudError, CloudProvider, Platform, Size};
use doproxy_support::sync::lock;
use tokio::time::Instant;

use crate::controller::Controller;
use crate::error::ControllerError;

/// Time for which the list of sizes is cached.
const SIZES_TTL: Duration = Duration::from_mins(10);

/// Time for which the quota is cached; it is short because other users of the account create droplets too.
const QUOTA_TTL: Duration = Duration::from_mins(1);

/// Maximum age of a cached quota while a background task refreshes it and the API fails.
const QUOTA_MAX_AGE: Duration = Duration::from_mins(5);

/// The cached responses.
#[derive(Debug, Default)]
pub(super) struct ProviderCatalog {
    sizes: Mutex<Option<(Instant, Arc<[Size]>)>>,
    quota: Mutex<Option<(Instant, u32)>>,
    /// True if a background task refreshes the cache, so that no other caller contacts the API.
    cache_enabled: AtomicBool,
}

impl ProviderCatalog {
    fn cached_sizes(&self) -> Option<(Instant, Arc<[Size]>)> {
        lock(&self.sizes).clone()
    }

    fn cache_enabled(&self) -> bool {
        self.cache_enabled.load(Ordering::Relaxed)
    }
}

impl<P: Platform> Controller<P> {
    /// Declares that a background task calls [`Controller::refresh_catalog`] continuously. From then on ticks make no
    /// API calls: they use the cached values and fail while there are none.
    pub fn enable_cache(&self) {
        self.catalog.cache_enabled.store(true, Ordering::Relaxed);
    }

    /// Fetches the sizes if the cached ones have expired, and the remaining quota.
    pub async fn refresh_catalog(&self) -> Result<(), ControllerError> {
        if self.catalog.cached_sizes().is_none_or(|(at, _)| at.elapsed() >= SIZES_TTL) {
            self.fetch_sizes().await?;
        }
        self.fetch_quota().await?;
        Ok(())
    }

    /// Returns the available sizes. While the API fails, returns the previous list.
    pub async fn sizes(&self) -> Result<Arc<[Size]>, ControllerError> {
        let before = self.catalog.cached_sizes();
        if self.catalog.cache_enabled() {
            return before.map(|(_, sizes)| sizes).ok_or(ControllerError::PricesUnavailable);
        }
        if let Some((at, sizes)) = &before
            && at.elapsed() < SIZES_TTL
        {
            return Ok(Arc::clone(sizes));
        }
        match (self.fetch_sizes().await, before) {
            (Ok(sizes), _) => Ok(sizes),
            (Err(error), Some((_, sizes))) if error.is_transient() => {
                tracing::debug!("{error}; using the cached sizes");
                Ok(sizes)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    async fn fetch_sizes(&self) -> Result<Arc<[Size]>, CloudError> {
        let sizes: Arc<[Size]> = self.cloud.sizes().await?.into();
        let now = Some((Instant::now(), Arc::clone(&sizes)));
        *lock(&self.catalog.sizes) = now;
        Ok(sizes)
    }

    async fn fetch_quota(&self) -> Result<u32, CloudError> {
        let limit = self.cloud.account().await?.droplet_limit;
        let room = limit.saturating_sub(self.cloud.count().await?);
        *lock(&self.catalog.quota) = Some((Instant::now(), room));
        Ok(room)
    }

    /// Returns how many more droplets the account may have; `None` while the API fails.
    pub async fn remaining_quota(&self) -> Option<u32> {
        let before = *lock(&self.catalog.quota);
        if self.catalog.cache_enabled() {
            return before.filter(|(at, _)| at.elapsed() < QUOTA_MAX_AGE).map(|(_, room)| room);
        }
        if let Some((at, room)) = before
            && at.elapsed() < QUOTA_TTL
        {
            return Some(room);
        }
        match self.fetch_quota().await {
            Ok(room) => Some(room),
            // The quota only anticipates a rejection by the API; without it the API reports the same limit later.
            Err(error) => {
                tracing::debug!("failed to fetch the account's droplet limit: {error}");
                None
            }
        }
    }
}

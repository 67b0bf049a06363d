//! What the cloud has on offer and how much of it the account may have: asked for seldom, since it changes seldom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Controller, ControllerError};
use crate::balancer::LoadBalancer;
use crate::cloud::{CloudError, CloudProvider, Size};
use crate::inventory::Inventory;

/// For how long the list of sizes is good.
const SIZES_TTL: Duration = Duration::from_mins(10);

/// For how long the room in the account is: others create droplets too.
const QUOTA_TTL: Duration = Duration::from_mins(1);

/// While somebody asks for it all the time and the API fails, what was known of the room is good for this long.
const QUOTA_MAX_AGE: Duration = Duration::from_mins(5);

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct ProviderCatalog {
    sizes: Mutex<Option<(Instant, Arc<[Size]>)>>,
    quota: Mutex<Option<(Instant, u32)>>,
    /// Somebody keeps it fresh: nobody else asks the API.
    cache_enabled: AtomicBool,
}

impl ProviderCatalog {
    fn cached_sizes(&self) -> Option<(Instant, Arc<[Size]>)> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cache_enabled(&self) -> bool {
        self.cache_enabled.load(Ordering::Relaxed)
    }
}

impl<C: CloudProvider, B: LoadBalancer, I: Inventory> Controller<C, B, I> {
    /// From now on somebody calls [`Controller::refresh_market`] all the time, and ticks ask the API nothing: they use
    /// what is known, and fail while nothing is.
    pub fn enable_cache(&self) {
        self.catalog.cache_enabled.store(true, Ordering::Relaxed);
    }

    /// Asks the API anew for sizes, where they are not good any more, and for the room in the account.
    pub async fn refresh_catalog(&self) -> Result<(), ControllerError> {
        if self.catalog.cached_sizes().is_none_or(|(at, _)| at.elapsed() >= SIZES_TTL) {
            self.fetch_sizes().await?;
        }
        self.fetch_quota().await?;
        Ok(())
    }

    /// The sizes on offer. While the API fails, those of before.
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
                tracing::debug!("{error}; going on with the sizes of before");
                Ok(sizes)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    async fn fetch_sizes(&self) -> Result<Arc<[Size]>, CloudError> {
        let sizes: Arc<[Size]> = self.cloud.sizes().await?.into();
        let now = Some((Instant::now(), Arc::clone(&sizes)));
        *self.catalog.sizes.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(sizes)
    }

    async fn fetch_quota(&self) -> Result<u32, CloudError> {
        let limit = self.cloud.account().await?.droplet_limit;
        let room = limit.saturating_sub(self.cloud.count().await?);
        *self.catalog.quota.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), room));
        Ok(room)
    }

    /// How many more droplets the account may have; `None` while the API fails.
    pub async fn remaining_quota(&self) -> Option<u32> {
        let before = *self.catalog.quota.lock().unwrap_or_else(PoisonError::into_inner);
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
            // It says early what the API would refuse; without it the API's refusal says it.
            Err(error) => {
                tracing::debug!("the account's droplet limit is not known: {error}");
                None
            }
        }
    }
}

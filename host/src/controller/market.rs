//! What the cloud has on offer and how much of it the account may have: asked for seldom, since it changes seldom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Controller, ControllerError};
use crate::balancer::Balancer;
use crate::cloud::{Cloud, CloudError, Size};
use crate::inventory::Inventory;

/// For how long the list of sizes is good.
const SIZES_ARE_GOOD_FOR: Duration = Duration::from_mins(10);

/// For how long the room in the account is: others create droplets too.
const ROOM_IS_GOOD_FOR: Duration = Duration::from_mins(1);

/// While somebody asks for it all the time and the API fails, what was known of the room is good for this long.
const ROOM_IS_KNOWN_FOR: Duration = Duration::from_mins(5);

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct Market {
    sizes: Mutex<Option<(Instant, Arc<[Size]>)>>,
    room: Mutex<Option<(Instant, u32)>>,
    /// Somebody keeps it fresh: nobody else asks the API.
    is_kept: AtomicBool,
}

impl Market {
    fn known_sizes(&self) -> Option<(Instant, Arc<[Size]>)> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// From now on somebody calls [`Controller::refresh_market`] all the time, and ticks ask the API nothing: they use
    /// what is known, and fail while nothing is.
    pub fn keep_market(&self) {
        self.market.is_kept.store(true, Ordering::Relaxed);
    }

    /// Asks the API anew for sizes, where they are not good any more, and for the room in the account.
    pub async fn refresh_market(&self) -> Result<(), ControllerError> {
        if self.market.known_sizes().is_none_or(|(at, _)| at.elapsed() >= SIZES_ARE_GOOD_FOR) {
            self.ask_for_sizes().await?;
        }
        self.ask_for_room().await?;
        Ok(())
    }

    /// The sizes on offer. While the API fails, those of before.
    pub async fn sizes(&self) -> Result<Arc<[Size]>, ControllerError> {
        let before = self.market.known_sizes();
        if self.market.is_kept() {
            return before.map(|(_, sizes)| sizes).ok_or(ControllerError::NoPricesYet);
        }
        if let Some((at, sizes)) = &before
            && at.elapsed() < SIZES_ARE_GOOD_FOR
        {
            return Ok(Arc::clone(sizes));
        }
        match (self.ask_for_sizes().await, before) {
            (Ok(sizes), _) => Ok(sizes),
            (Err(error), Some((_, sizes))) if error.is_passing() => {
                tracing::debug!("{error}; going on with the sizes of before");
                Ok(sizes)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    async fn ask_for_sizes(&self) -> Result<Arc<[Size]>, CloudError> {
        let sizes: Arc<[Size]> = self.cloud.sizes().await?.into();
        let now = Some((Instant::now(), Arc::clone(&sizes)));
        *self.market.sizes.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(sizes)
    }

    async fn ask_for_room(&self) -> Result<u32, CloudError> {
        let limit = self.cloud.account().await?.droplet_limit;
        let room = limit.saturating_sub(self.cloud.count().await?);
        *self.market.room.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), room));
        Ok(room)
    }

    /// How many more droplets the account may have; `None` while the API fails.
    pub async fn room(&self) -> Option<u32> {
        let before = *self.market.room.lock().unwrap_or_else(PoisonError::into_inner);
        if self.market.is_kept() {
            return before.filter(|(at, _)| at.elapsed() < ROOM_IS_KNOWN_FOR).map(|(_, room)| room);
        }
        if let Some((at, room)) = before
            && at.elapsed() < ROOM_IS_GOOD_FOR
        {
            return Some(room);
        }
        match self.ask_for_room().await {
            Ok(room) => Some(room),
            // It says early what the API would refuse; without it the API's refusal says it.
            Err(error) => {
                tracing::debug!("the account's droplet limit is not known: {error}");
                None
            }
        }
    }
}

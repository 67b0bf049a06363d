//! What the cloud has on offer and how much of it the account may have: asked for seldom, since it changes seldom.

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

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct Market {
    sizes: Mutex<Option<(Instant, Arc<[Size]>)>>,
    room: Mutex<Option<(Instant, u32)>>,
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// The sizes on offer. While the API fails, those of before.
    pub async fn sizes(&self) -> Result<Arc<[Size]>, ControllerError> {
        let before = self.market.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, sizes)) = &before
            && at.elapsed() < SIZES_ARE_GOOD_FOR
        {
            return Ok(Arc::clone(sizes));
        }
        match (self.cloud.sizes().await, before) {
            (Ok(sizes), _) => {
                let sizes: Arc<[Size]> = sizes.into();
                let now = Some((Instant::now(), Arc::clone(&sizes)));
                *self.market.sizes.lock().unwrap_or_else(PoisonError::into_inner) = now;
                Ok(sizes)
            }
            (Err(error), Some((_, sizes))) if error.is_passing() => {
                tracing::debug!("{error}; going on with the sizes of before");
                Ok(sizes)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// How many more droplets the account may have; `None` while the API fails.
    pub async fn room(&self) -> Option<u32> {
        let before = *self.market.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, room)) = before
            && at.elapsed() < ROOM_IS_GOOD_FOR
        {
            return Some(room);
        }
        let room = async {
            let limit = self.cloud.account().await?.droplet_limit;
            Ok::<u32, CloudError>(limit.saturating_sub(self.cloud.count().await?))
        };
        match room.await {
            Ok(room) => {
                *self.market.room.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), room));
                Some(room)
            }
            // It says early what the API would refuse; without it the API's refusal says it.
            Err(error) => {
                tracing::debug!("the account's droplet limit is not known: {error}");
                None
            }
        }
    }
}

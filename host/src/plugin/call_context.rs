//! What a call is about, as far as a guest can tell.

use crate::model::{Observation, Timestamp, UserDataRequest};

/// What a call is about: the time that a guest's clock shows, and what its random numbers begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallContext {
    pub(super) now: Timestamp,
    pub(super) seed: u64,
}

impl CallContext {
    /// Of a call that is about no moment: its description, its configuration.
    pub(super) const EMPTY: Self = Self { now: Timestamp(0), seed: 0 };

    /// Of a tick: the same for the same tick of the same fleet.
    pub(super) fn for_tick(observation: &Observation) -> Self {
        let numbers = observation.now.0.to_le_bytes().into_iter().chain(observation.tick.to_le_bytes());
        Self { now: observation.now, seed: fnv(observation.fleet_name.bytes().chain(numbers)) }
    }

    /// Of a droplet: the same whenever its user data is written again.
    pub(super) fn for_droplet(request: &UserDataRequest) -> Self {
        Self { now: Timestamp(0), seed: fnv(request.fleet_name.bytes().chain([0]).chain(request.hostname.bytes())) }
    }
}

/// FNV-1a, 64 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

//! The context of a call, as visible to the guest.

use doproxy_core::domain::{Observation, Timestamp, UserDataRequest};

/// The context of a call: the time shown by the guest's clocks, and the seed of its random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallContext {
    pub(super) now: Timestamp,
    pub(super) seed: u64,
}

impl CallContext {
    /// The context of calls without a point in time: reading the manifest and validating a configuration.
    pub(super) const EMPTY: Self = Self { now: Timestamp(0), seed: 0 };

    /// Returns the context of a tick; identical for the same tick of the same fleet.
    pub(super) fn for_tick(observation: &Observation) -> Self {
        let numbers = observation.now.0.to_le_bytes().into_iter().chain(observation.tick.to_le_bytes());
        Self { now: observation.now, seed: fnv(observation.fleet_name.bytes().chain(numbers)) }
    }

    /// Returns the context of a droplet; identical whenever its user data is generated again.
    pub(super) fn for_droplet(request: &UserDataRequest) -> Self {
        Self { now: Timestamp(0), seed: fnv(request.fleet_name.bytes().chain([0]).chain(request.hostname.bytes())) }
    }
}

/// Computes the 64-bit FNV-1a hash.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

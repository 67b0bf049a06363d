//! Droplets and actions of the simulated cloud. Their visible state is a function of time.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use doproxy_core::domain::{DropletId, Timestamp};
use doproxy_core::seams::Status;
use serde::{Deserialize, Serialize};

use crate::cloud::catalog::{Image, Region, Size};

/// A droplet. Deleted droplets are kept for a while, because lists may lag behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulatedDroplet {
    /// ID.
    pub id: DropletId,
    /// Name.
    pub name: String,
    /// Size.
    #[serde(with = "size_slug")]
    pub size: &'static Size,
    /// Region.
    #[serde(with = "region_slug")]
    pub region: &'static Region,
    /// Image.
    #[serde(with = "image_slug")]
    pub image: &'static Image,
    /// Tags, each in the letter case of its first use.
    pub tags: Vec<String>,
    /// User data.
    pub user_data: Option<String>,
    /// VPC.
    pub vpc_uuid: String,
    /// True if the metrics agent is installed.
    pub monitoring: bool,
    /// True if backups are enabled.
    pub backups: bool,
    /// Private address, on the loopback network so that a real server can listen on it.
    pub private_address: Ipv4Addr,
    /// Public address, in the unrouted benchmarking block (RFC 2544); no server listens on it.
    pub public_address: Option<Ipv4Addr>,
    /// IPv6 address, in the documentation block (RFC 3849).
    pub ipv6_address: Option<Ipv6Addr>,
    /// Time of the create request.
    pub created_at: Timestamp,
    /// Time at which it becomes active; `None` if it is stuck.
    pub active_at: Option<Timestamp>,
    /// False if its addresses never appear.
    pub shows_addresses: bool,
    /// The most recent power change.
    pub last_power_change: Option<PowerChange>,
    /// Time of deletion.
    pub deleted_at: Option<Timestamp>,
}

/// A power change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerChange {
    /// Time at which it takes effect.
    pub at: Timestamp,
    /// Power state afterwards.
    pub on: bool,
    /// Power state before.
    pub was_on: bool,
}

impl SimulatedDroplet {
    /// Reports whether the droplet existed at `time`.
    pub fn exists_at(&self, time: Timestamp) -> bool {
        self.created_at <= time && self.deleted_at.is_none_or(|deleted| time < deleted)
    }

    /// Returns its status at `time`.
    pub fn status_at(&self, time: Timestamp) -> Status {
        if self.active_at.is_none_or(|active| time < active) {
            return Status::New;
        }
        let on = self.last_power_change.is_none_or(|switch| if switch.at <= time { switch.on } else { switch.was_on });
        if on { Status::Active } else { Status::Off }
    }

    /// Reports whether the API shows its addresses at `time`.
    pub fn has_addresses_at(&self, time: Timestamp) -> bool {
        self.shows_addresses && self.status_at(time) != Status::New
    }

    /// Reports whether an action on it is in progress at `time`.
    pub fn has_pending_event_at(&self, time: Timestamp) -> bool {
        self.status_at(time) == Status::New || self.last_power_change.is_some_and(|switch| time < switch.at)
    }

    /// Reports whether it has the tag, ignoring letter case.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own.eq_ignore_ascii_case(tag))
    }

    /// Returns the time of its next spontaneous change after `time`.
    pub(super) fn next_change_after(&self, time: Timestamp) -> Option<Timestamp> {
        [self.active_at, self.last_power_change.map(|switch| switch.at)]
            .into_iter()
            .flatten()
            .filter(|at| *at > time)
            .min()
    }

    /// Returns the addresses of the droplet with this creation number. Different seeds use different networks, so that
    /// two simulated clouds can run on one machine.
    pub(super) fn addresses(seed: u64, number: u64) -> (Ipv4Addr, Ipv4Addr, Ipv6Addr) {
        /// The last two bytes range from 1 to 250 each.
        const PER_NETWORK: u64 = 250 * 250;
        let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        // 127.0.0.0/16 is reserved for other uses of the machine, in particular 127.0.0.1.
        let network = byte(1 + (seed % 250 + number / PER_NETWORK) % 250);
        let private = Ipv4Addr::new(127, network, byte(1 + number / 250 % 250), byte(1 + number % 250));
        let public =
            Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + u32::try_from(number % (1 << 17)).unwrap_or(0));
        let ipv6 = Ipv6Addr::from(u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)) + u128::from(number + 1));
        (private, public, ipv6)
    }
}

/// An action on a droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// ID.
    pub id: u64,
    /// Type, such as `create` or `power_off`.
    pub kind: String,
    /// Target droplet.
    pub droplet: DropletId,
    /// Region of the droplet.
    #[serde(with = "region_slug")]
    pub region: &'static Region,
    /// Start time.
    pub started_at: Timestamp,
    /// Completion time; `None` if the droplet is stuck.
    pub completes_at: Option<Timestamp>,
}

/// Status of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionStatus {
    /// Not completed yet.
    InProgress,
    /// Completed at this time.
    Completed(Timestamp),
}

impl Action {
    /// Returns its status at `time`.
    pub fn status_at(&self, time: Timestamp) -> ActionStatus {
        match self.completes_at {
            Some(at) if at <= time => ActionStatus::Completed(at),
            _ => ActionStatus::InProgress,
        }
    }
}

/// Duration of a power change.
pub(super) const POWER_CHANGE_DURATION: Duration = Duration::from_secs(1);

/// Serializes a catalog entry as its slug. Deserializing a slug that is missing from the catalog fails.
macro_rules! by_slug {
    ($module:ident, $type:ident, $find:path) => {
        mod $module {
            use serde::de::Error;
            use serde::{Deserialize, Deserializer, Serializer};

            use super::super::catalog;

            pub(super) fn serialize<S: Serializer>(
                entry: &&'static catalog::$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(entry.slug)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<&'static catalog::$type, D::Error> {
                let slug = String::deserialize(deserializer)?;
                $find(&slug).ok_or_else(|| D::Error::custom(format!("{slug:?} is not in the catalog")))
            }
        }
    };
}

by_slug!(size_slug, Size, catalog::size_by_slug);
by_slug!(region_slug, Region, catalog::region_by_slug);
by_slug!(image_slug, Image, catalog::image_by_slug_or_id);

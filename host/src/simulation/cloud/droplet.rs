//! A droplet and an action of the simulated cloud. What they look like is a function of the time.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::catalog::{Image, Region, Size};
use crate::cloud::Status;
use crate::model::{DropletId, Timestamp};

/// A droplet. Deleted ones are kept for a while, since lists may lag behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulatedDroplet {
    /// Its id.
    pub id: DropletId,
    /// Its name.
    pub name: String,
    /// What it is made of.
    #[serde(with = "size_slug")]
    pub size: &'static Size,
    /// Where it is.
    #[serde(with = "region_slug")]
    pub region: &'static Region,
    /// What it boots.
    #[serde(with = "image_slug")]
    pub image: &'static Image,
    /// Its tags, in the capitals of each tag's first use.
    pub tags: Vec<String>,
    /// What it boots with.
    pub user_data: Option<String>,
    /// Its private network.
    pub vpc_uuid: String,
    /// Whether the metrics agent is installed.
    pub monitoring: bool,
    /// Whether it is backed up.
    pub backups: bool,
    /// On the loopback network, so that it can really be served.
    pub private_address: Ipv4Addr,
    /// In the block for benchmarks (RFC 2544), which is routed nowhere; nothing is served there.
    pub public_address: Option<Ipv4Addr>,
    /// In the block for documentation (RFC 3849).
    pub ipv6_address: Option<Ipv6Addr>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it is powered on; never where it is stuck.
    pub active_at: Option<Timestamp>,
    /// Whether it ever shows its addresses.
    pub shows_addresses: bool,
    /// The last time that its power was switched.
    pub last_power_change: Option<PowerChange>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// A change of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerChange {
    /// When it takes effect.
    pub at: Timestamp,
    /// To what.
    pub on: bool,
    /// From what.
    pub was_on: bool,
}

impl SimulatedDroplet {
    /// Whether there was such a droplet at `time`.
    pub fn exists_at(&self, time: Timestamp) -> bool {
        self.created_at <= time && self.deleted_at.is_none_or(|deleted| time < deleted)
    }

    /// Its status at `time`.
    pub fn status_at(&self, time: Timestamp) -> Status {
        if self.active_at.is_none_or(|active| time < active) {
            return Status::New;
        }
        let on = self.last_power_change.is_none_or(|switch| if switch.at <= time { switch.on } else { switch.was_on });
        if on { Status::Active } else { Status::Off }
    }

    /// Whether the API shows its addresses at `time`.
    pub fn has_addresses_at(&self, time: Timestamp) -> bool {
        self.shows_addresses && self.status_at(time) != Status::New
    }

    /// Whether something is being done to it at `time`.
    pub fn has_pending_event_at(&self, time: Timestamp) -> bool {
        self.status_at(time) == Status::New || self.last_power_change.is_some_and(|switch| time < switch.at)
    }

    /// Whether it bears the tag; capitals do not count.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own.eq_ignore_ascii_case(tag))
    }

    /// When it next changes by itself after `time`.
    pub(super) fn next_change_after(&self, time: Timestamp) -> Option<Timestamp> {
        [self.active_at, self.last_power_change.map(|switch| switch.at)]
            .into_iter()
            .flatten()
            .filter(|at| *at > time)
            .min()
    }

    /// Its addresses, from the number of droplets made before it. Worlds with different seeds use different
    /// networks, so that two of them can be served on one machine.
    pub(super) fn addresses(seed: u64, number: u64) -> (Ipv4Addr, Ipv4Addr, Ipv6Addr) {
        /// The last two bytes go from 1 to 250 each.
        const PER_NETWORK: u64 = 250 * 250;
        let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        // 127.0.0.0/16 is left to everything else on the machine, 127.0.0.1 above all.
        let network = byte(1 + (seed % 250 + number / PER_NETWORK) % 250);
        let private = Ipv4Addr::new(127, network, byte(1 + number / 250 % 250), byte(1 + number % 250));
        let public =
            Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + u32::try_from(number % (1 << 17)).unwrap_or(0));
        let ipv6 = Ipv6Addr::from(u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)) + u128::from(number + 1));
        (private, public, ipv6)
    }
}

/// Something that was done to a droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its id.
    pub id: u64,
    /// Such as `create` or `power_off`.
    pub kind: String,
    /// To whom.
    pub droplet: DropletId,
    /// Where.
    #[serde(with = "region_slug")]
    pub region: &'static Region,
    /// When it began.
    pub started_at: Timestamp,
    /// When it is done; never where the droplet is stuck.
    pub completes_at: Option<Timestamp>,
}

/// How far an action has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionStatus {
    /// Not done yet.
    InProgress,
    /// Done, at this time.
    Completed(Timestamp),
}

impl Action {
    /// How far it has come at `time`.
    pub fn status_at(&self, time: Timestamp) -> ActionStatus {
        match self.completes_at {
            Some(at) if at <= time => ActionStatus::Completed(at),
            _ => ActionStatus::InProgress,
        }
    }
}

/// How long a switch of power takes.
pub(super) const POWER_CHANGE_DURATION: Duration = Duration::from_secs(1);

/// Writes an entry of the catalogue as its slug; a slug that the catalogue does not have is an error when it is read.
macro_rules! by_slug {
    ($module:ident, $type:ident, $find:path) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serializer, de::Error};

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
                $find(&slug).ok_or_else(|| D::Error::custom(format!("{slug:?} is not in the catalogue")))
            }
        }
    };
}

by_slug!(size_slug, Size, catalog::size_by_slug);
by_slug!(region_slug, Region, catalog::region_by_slug);
by_slug!(image_slug, Image, catalog::image_by_slug_or_id);

//! A droplet of the fleet as the inventory knows it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{DropletId, DropletName, HourlyPrice, Phase, Tag, Timestamp};

/// What a droplet is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Template {
    /// Size slug, such as `s-1vcpu-1gb`.
    pub size: String,
    /// Region slug, such as `nyc3`.
    pub region: String,
    /// Image slug or id, such as `ubuntu-22-04-x64`.
    pub image: String,
    /// Tags beside the fleet's own, which the host adds.
    pub tags: Vec<Tag>,
}

/// A droplet of the fleet: a row of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Droplet {
    /// Unique over the whole history of the fleet.
    pub name: DropletName,
    /// Counts the fleet's droplets in the order in which they were asked for, from 0; never used twice.
    pub index: u32,
    /// Known from the moment that the API answered.
    pub id: Option<DropletId>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when it is there.
    pub phase_since: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What it is made of.
    pub template: Template,
    /// Its price when it was asked for; 0 where the price was not known.
    pub hourly_price: HourlyPrice,
    /// The address that HAProxy uses.
    pub address: Option<IpAddr>,
    /// A protected droplet is never chosen for deletion by a policy or by the guard.
    pub protected: bool,
}

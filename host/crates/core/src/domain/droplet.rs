//! A droplet of the fleet as recorded in the inventory.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::{DropletId, DropletName, HourlyPrice, Phase, Tag, Timestamp};

/// The template of a droplet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Template {
    /// Size slug, such as `s-1vcpu-1gb`.
    pub size: String,
    /// Region slug, such as `nyc3`.
    pub region: String,
    /// Image slug or ID, such as `ubuntu-22-04-x64`.
    pub image: String,
    /// Tags in addition to the fleet's own, which the host adds.
    pub tags: Vec<Tag>,
}

/// A droplet of the fleet: a row of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Droplet {
    /// The name, unique over the whole history of the fleet.
    pub name: DropletName,
    /// The index of the droplet in creation order, from 0; never reused.
    pub index: u32,
    /// The ID, known once the API has responded.
    pub id: Option<DropletId>,
    /// The phase in its life cycle.
    pub phase: Phase,
    /// The time at which it entered that phase.
    pub phase_since: Timestamp,
    /// The time at which it was requested.
    pub created_at: Timestamp,
    /// The template.
    pub template: Template,
    /// The price at the time of the request; 0 if it was unknown.
    pub hourly_price: HourlyPrice,
    /// The address that HAProxy uses.
    pub address: Option<IpAddr>,
    /// `true` if a policy or the guard must never select the droplet for deletion.
    pub protected: bool,
}

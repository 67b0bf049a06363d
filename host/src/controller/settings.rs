//! What the controller is told once: the fleet, its template, and how long things may take.

use std::net::IpAddr;
use std::time::Duration;

use super::UserDataSource;
use crate::cloud::CloudInstance;
use crate::model::{FleetName, Tag, Template};

/// Which of a droplet's addresses HAProxy uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressKind {
    /// The one in the private network.
    #[default]
    Private,
    /// The public one.
    Public,
}

impl AddressKind {
    /// The address of this kind, IPv4 before IPv6; `None` while the API does not show one.
    pub fn of(self, droplet: &CloudInstance) -> Option<IpAddr> {
        let addresses = match self {
            Self::Private => &droplet.private_addresses,
            Self::Public => &droplet.public_addresses,
        };
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    }
}

/// How long each wait may take; past it the droplet is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// From a request whose outcome is unknown until a droplet that has not shown up was never made.
    /// Lists lag behind creates by seconds.
    pub create_visibility: Duration,
    /// From id to `active` with an address.
    pub boot: Duration,
    /// From address to a passed health check.
    pub warm_up: Duration,
    /// For open sessions to end.
    pub drain: Duration,
    /// From the order to delete until the API answers 404.
    pub delete: Duration,
    /// The pause between two looks at what is waited for.
    pub poll_interval: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            create_visibility: Duration::from_mins(2),
            boot: Duration::from_mins(10),
            warm_up: Duration::from_mins(10),
            drain: Duration::from_mins(1),
            delete: Duration::from_mins(10),
            poll_interval: Duration::from_secs(5),
        }
    }
}

/// What the controller is told once.
#[derive(Debug)]
pub struct Settings {
    /// The fleet.
    pub fleet: FleetName,
    /// What names of droplets begin with.
    pub hostname_prefix: String,
    /// What droplets are made of when a policy does not say otherwise, without the fleet's tag.
    pub template: Template,
    /// Ids or fingerprints.
    pub ssh_keys: Vec<String>,
    /// The private network; the region's default where it is `None`.
    pub vpc_uuid: Option<String>,
    /// Whether DigitalOcean's metrics agent is installed.
    pub monitoring: bool,
    /// Which address HAProxy uses.
    pub address: AddressKind,
    /// What droplets boot with.
    pub user_data: UserDataSource,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Most droplets that are created in an hour.
    pub max_create_per_hour: u32,
    /// Whether an inventory of which nothing is at the API may be emptied: somebody said that this is so.
    pub allow_empty_cloud: bool,
}

impl Settings {
    /// The tags of a droplet at the API: the fleet's own first.
    pub fn tags(&self, template: &Template) -> Vec<Tag> {
        let own = self.fleet.tag();
        let others = template.tags.iter().filter(|tag| **tag != own).cloned();
        std::iter::once(own.clone()).chain(others).collect()
    }
}

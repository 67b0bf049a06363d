//! Static settings of the controller: the fleet, its template, and deadlines.

use std::net::IpAddr;
use std::time::Duration;

use super::UserDataSource;
use crate::cloud::CloudInstance;
use crate::model::{FleetName, Tag, Template};

/// The kind of droplet address that HAProxy uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressKind {
    /// The address in the private network.
    #[default]
    Private,
    /// The public address.
    Public,
}

impl AddressKind {
    /// Returns the address of this kind, IPv4 before IPv6; `None` while the API reports none.
    pub fn of(self, droplet: &CloudInstance) -> Option<IpAddr> {
        let addresses = match self {
            Self::Private => &droplet.private_addresses,
            Self::Public => &droplet.public_addresses,
        };
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    }
}

/// Deadlines of the lifecycle phases; a droplet that exceeds one is abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// The list-consistency window: a droplet that has not appeared this long after a request with an unknown outcome
    /// was never created. Lists lag behind creates by seconds.
    pub create_visibility: Duration,
    /// From ID to `active` with an address.
    pub boot: Duration,
    /// From address to a passed health check.
    pub warm_up: Duration,
    /// For open sessions to end.
    pub drain: Duration,
    /// From the delete request until the API returns 404.
    pub delete: Duration,
    /// The interval between two reconcile passes while a command waits.
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

/// The settings of a controller.
#[derive(Debug)]
pub struct Settings {
    /// The fleet.
    pub fleet: FleetName,
    /// The prefix of droplet names.
    pub hostname_prefix: String,
    /// The default droplet template, without the fleet's tag.
    pub template: Template,
    /// SSH keys, as IDs or fingerprints.
    pub ssh_keys: Vec<String>,
    /// The private network; `None` selects the region's default.
    pub vpc_uuid: Option<String>,
    /// Installs DigitalOcean's metrics agent.
    pub monitoring: bool,
    /// The kind of address that HAProxy uses.
    pub address: AddressKind,
    /// The source of user data.
    pub user_data: UserDataSource,
    /// Deadlines of the lifecycle phases.
    pub deadlines: Deadlines,
    /// Maximum number of droplets created per hour.
    pub max_create_per_hour: u32,
    /// Allows emptying the inventory if none of its droplets exists at the API; set by `--prune-missing`.
    pub allow_empty_cloud: bool,
}

impl Settings {
    /// Returns the tags of a droplet at the API, starting with the fleet's own.
    pub fn tags(&self, template: &Template) -> Vec<Tag> {
        let own = self.fleet.tag();
        let others = template.tags.iter().filter(|tag| **tag != own).cloned();
        std::iter::once(own.clone()).chain(others).collect()
    }
}

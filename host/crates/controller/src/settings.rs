//! Static settings of the controller: the fleet, its template, and deadlines.

use doproxy_core::domain::{Deadlines, FleetName, Tag, Template};
use doproxy_core::seams::AddressKind;

use crate::user_data::UserDataSource;

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

//! Imports droplets that were created elsewhere, for example by DOProxy.

use std::collections::HashSet;
use std::net::IpAddr;

use doproxy_core::domain::{Droplet, DropletId, DropletName, FleetName, Phase, Tag, Template};
use doproxy_core::seams::{CloudInstance, CloudProvider, ErrorClass, Inventory, Platform};

use crate::controller::Controller;
use crate::error::ControllerError;

/// The result of [`Controller::import`].
#[derive(Debug, Default)]
pub struct ImportSummary {
    /// Imported droplets.
    pub droplets: Vec<Droplet>,
    /// Droplets that the inventory already contains.
    pub already_managed: Vec<DropletId>,
    /// IDs that do not exist at the API.
    pub missing: Vec<DropletId>,
    /// Droplets without an address that HAProxy could use.
    pub without_address: Vec<DropletId>,
    /// Droplets with the tag of another fleet, whose doproxy would report them as missing.
    pub in_other_fleets: Vec<(DropletId, String)>,
}

impl<P: Platform> Controller<P> {
    /// Imports droplets that were created elsewhere: adds the fleet's tag to each, then records it in the inventory.
    /// Returns the imported droplets and the IDs that were skipped.
    pub async fn import(&self, ids: &[DropletId]) -> Result<ImportSummary, ControllerError> {
        self.ensure_not_in_maintenance().await?;
        let known: HashSet<DropletId> = self.load().await?.droplets.iter().filter_map(|droplet| droplet.id).collect();
        let mut imported = ImportSummary::default();
        let mut index = self.inventory.next_index().await?;
        for &id in ids {
            if known.contains(&id) || imported.droplets.iter().any(|droplet| droplet.id == Some(id)) {
                imported.already_managed.push(id);
                continue;
            }
            let found = match self.cloud.get(id).await {
                Ok(found) => found,
                Err(error) if error.class == ErrorClass::NotFound => {
                    imported.missing.push(id);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(address) = self.settings.address.of(&found) else {
                imported.without_address.push(id);
                continue;
            };
            if let Some(other) = self.other_fleet_tag(&found) {
                imported.in_other_fleets.push((id, other));
                continue;
            }
            // The droplet already serves. Starting with its health check would briefly take the whole fleet out of
            // HAProxy.
            let droplet = self.adopted_droplet(&found, index, Some(address), Phase::Serving)?;
            self.ensure_not_in_maintenance().await?;
            self.cloud.tag(id, &self.settings.fleet.tag()).await?;
            match self.inventory.adopt(&droplet).await? {
                Some(adopted) => imported.droplets.push(adopted),
                None => imported.already_managed.push(id),
            }
            index += 1;
        }
        Ok(imported)
    }

    /// Returns the tag of another fleet, if the droplet has one.
    fn other_fleet_tag(&self, found: &CloudInstance) -> Option<String> {
        let own = self.settings.fleet.tag();
        let is_other = |tag: &&String| FleetName::is_fleet_tag(tag) && !tag.eq_ignore_ascii_case(own.as_str());
        found.tags.iter().find(is_other).map(|tag| tag.chars().filter(|c| !c.is_control()).collect())
    }

    /// Converts a droplet of the API into one of the inventory that enters `phase` now.
    pub(super) fn adopted_droplet(
        &self,
        found: &CloudInstance,
        index: u32,
        address: Option<IpAddr>,
        phase: Phase,
    ) -> Result<Droplet, ControllerError> {
        let name = DropletName::parse(found.name.clone())
            .map_err(|error| ControllerError::InvalidRequest(error.to_string()))?;
        let own = self.settings.fleet.tag();
        let at = self.clock.now();
        Ok(Droplet {
            name,
            index,
            id: Some(found.id),
            phase,
            phase_since: at,
            created_at: found.created_at.unwrap_or(at),
            template: Template {
                size: found.size.clone(),
                region: found.region.clone(),
                image: found.image.clone(),
                tags: found
                    .tags
                    .iter()
                    .filter_map(|tag| Tag::parse(tag.clone()).ok())
                    .filter(|tag| *tag != own)
                    .collect(),
            },
            hourly_price: found.hourly_price,
            address,
            protected: false,
        })
    }
}

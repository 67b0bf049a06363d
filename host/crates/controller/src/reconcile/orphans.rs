//! Droplets that have the fleet's tag and are missing from the inventory.
//!
//! An orphan whose name the journal requested, but whose ID it does not have, is the duplicate of a create or appeared
//! too late: it is deleted through the journal after two sightings. Any other orphan is reported and left alone,
//! because deleting it might destroy a droplet that is in use.

use std::collections::HashSet;

use doproxy_core::domain::{DropletId, DropletName, Phase};
use doproxy_core::seams::{CloudInstance, CloudProvider, ErrorClass, Inventory, Platform, Provenance, Snapshot};
use doproxy_support::sync::lock;

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::event::Event;
use crate::reconcile::elapsed::TimerKey;
use crate::reconcile::reconcile_pass::ReconcilePass;

/// A droplet with the fleet's tag that is missing from the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanDroplet {
    /// The droplet as the API describes it.
    pub droplet: CloudInstance,
    /// True if the droplet was in the fleet before.
    pub former_member: bool,
}

impl OrphanDroplet {
    /// Returns its name without control characters, safe for terminals.
    pub fn display_name(&self) -> String {
        self.droplet.name.chars().filter(|c| !c.is_control()).take(255).collect()
    }
}

impl<P: Platform> Controller<P> {
    /// Schedules duplicates of the fleet's own requests for deletion, and reports each other orphan once.
    pub(super) async fn detect_orphans(
        &self,
        snapshot: &Snapshot,
        listed: &[CloudInstance],
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        let known: HashSet<DropletId> = snapshot.droplets.iter().filter_map(|droplet| droplet.id).collect();
        for found in listed.iter().filter(|found| !known.contains(&found.id)) {
            let provenance = self.inventory.provenance(found.id, &found.name).await?;
            let waited = self.timers.elapsed(TimerKey::Orphan(found.id));
            match provenance {
                Provenance::Requested { name } => {
                    let looked_for = snapshot.droplet(&name).is_some_and(|droplet| droplet.id.is_none());
                    if looked_for || !self.has_fleet_tag(found) {
                        continue;
                    }
                    if waited < self.settings.deadlines.poll_interval {
                        pass.unconfirmed = true;
                    } else {
                        self.schedule_duplicate_deletion(found, &name, pass).await?;
                    }
                }
                // Lists lag behind deletes too; a successful get proves that the droplet exists.
                Provenance::Former if self.is_gone(found.id).await? => {}
                provenance => {
                    let came_back = matches!(provenance, Provenance::Former);
                    let orphan = OrphanDroplet { droplet: found.clone(), former_member: came_back };
                    if !self.already_reported(found.id) {
                        self.report(&Event::OrphanFound {
                            name: orphan.display_name(),
                            id: found.id,
                            former_member: came_back,
                        });
                    }
                    pass.orphans.push(orphan);
                }
            }
        }
        Ok(())
    }

    async fn is_gone(&self, id: DropletId) -> Result<bool, ControllerError> {
        match self.cloud.get(id).await {
            Ok(_) => Ok(false),
            Err(error) if error.class == ErrorClass::NotFound => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn schedule_duplicate_deletion(
        &self,
        found: &CloudInstance,
        name: &DropletName,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        let reason = format!("duplicate of {name}: its create request was completed without it");
        self.adopt_for_deletion(found, &reason).await?;
        self.report(&Event::DuplicateFound { droplet: name.clone(), id: found.id });
        pass.duplicates.push(found.id);
        pass.progressed = true;
        Ok(())
    }

    /// Adds a droplet to the inventory as one to delete; from then on the journal drives its deletion.
    pub(crate) async fn adopt_for_deletion(&self, found: &CloudInstance, reason: &str) -> Result<(), ControllerError> {
        let index = self.inventory.next_index().await?;
        let droplet = self.adopted_droplet(found, index, None, Phase::Deleting)?;
        self.inventory.adopt_for_deletion(&droplet, reason).await?;
        Ok(())
    }

    /// Reports whether this process has already reported the droplet, and marks it as reported.
    fn already_reported(&self, id: DropletId) -> bool {
        !lock(&self.reported_orphans).insert(id)
    }
}

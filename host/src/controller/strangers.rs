//! Droplets that bear the fleet's tag and are not in the inventory.
//!
//! One whose name our journal asked for, and whose id we did not take, is the second of a create, or came too late: it
//! is condemned, which is to say deleted through the journal, once it was seen twice. Any other is reported and left
//! alone: a collector that is too eager deletes what somebody needs.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::advance::Pass;
use super::waits::Wait;
use super::{Controller, ControllerError, Event};
use crate::balancer::Balancer;
use crate::cloud::{Cloud, CloudDroplet, ErrorClass};
use crate::inventory::{Inventory, Remembered, Snapshot};
use crate::model::{DropletId, DropletName, Phase};

/// A droplet that bears the fleet's tag, and that the inventory does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// What the API says of it.
    pub droplet: CloudDroplet,
    /// Whether it was in the fleet before, and left it.
    pub came_back: bool,
}

impl Stranger {
    /// Its name without what could command a terminal.
    pub fn shown_name(&self) -> String {
        self.droplet.name.chars().filter(|c| !c.is_control()).take(255).collect()
    }
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// Condemns what our own requests made too much of, and reports the rest once.
    pub(super) async fn notice_strangers(
        &self,
        snapshot: &Snapshot,
        seen: &[CloudDroplet],
        pass: &mut Pass,
    ) -> Result<(), ControllerError> {
        let known: HashSet<DropletId> = snapshot.droplets.iter().filter_map(|droplet| droplet.id).collect();
        for found in seen.iter().filter(|found| !known.contains(&found.id)) {
            let remembered =
                self.inventory.remembered(found.id, &found.name).await.map_err(ControllerError::inventory)?;
            let waited = self.waits.waited(Wait::Stranger(found.id));
            match remembered {
                Remembered::Asked { name } => {
                    let looked_for = snapshot.droplet(&name).is_some_and(|droplet| droplet.id.is_none());
                    if looked_for || !self.bears_our_tag(found) {
                        continue;
                    }
                    if waited < self.settings.deadlines.poll {
                        pass.unsettled = true;
                    } else {
                        self.condemn(found, &name, pass).await?;
                    }
                }
                // Lists lag behind deletes too; what can be got is really there.
                Remembered::Left if self.is_gone(found.id).await? => {}
                remembered => {
                    let came_back = matches!(remembered, Remembered::Left);
                    let stranger = Stranger { droplet: found.clone(), came_back };
                    if !self.told_of(found.id) {
                        self.report(&Event::Unknown { name: stranger.shown_name(), id: found.id, came_back });
                    }
                    pass.strangers.push(stranger);
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

    async fn condemn(&self, found: &CloudDroplet, name: &DropletName, pass: &mut Pass) -> Result<(), ControllerError> {
        let reason = format!("it came of a request for {name} that was settled without it");
        self.take_in_to_delete(found, &reason).await?;
        self.report(&Event::Twin { droplet: name.clone(), id: found.id });
        pass.twins.push(found.id);
        pass.progressed = true;
        Ok(())
    }

    /// Writes a droplet down as one of ours that is to go; from then on the journal sees to it.
    pub(super) async fn take_in_to_delete(&self, found: &CloudDroplet, reason: &str) -> Result<(), ControllerError> {
        let index = self.inventory.next_index().await.map_err(ControllerError::inventory)?;
        let droplet = self.adopted(found, index, None, Phase::Deleting)?;
        self.inventory.condemn(&droplet, reason).await.map_err(ControllerError::inventory)?;
        Ok(())
    }

    /// Whether this process has spoken of that droplet before.
    fn told_of(&self, id: DropletId) -> bool {
        !self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }
}

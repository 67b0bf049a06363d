//! Recovery: what an earlier process left open is finished or undone, and what does not belong together is reported.
//!
//! Carrying on is the same for every command; here is what an operator asks for beyond that.

use super::operations::OperationSummary;
use super::{Controller, ControllerError, Event, NameGenerator, OrphanDroplet, servers};
use crate::balancer::LoadBalancer;
use crate::cloud::CloudProvider;
use crate::inventory::Inventory;
use crate::model::{DropletId, DropletName, Phase};

/// What is done with droplets that bear the fleet's tag and that nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrphanPolicy {
    /// They are named, and left alone.
    #[default]
    Report,
    /// They are taken into the fleet.
    Adopt,
    /// Those with a name of our pattern that are past the grace are deleted.
    Delete,
}

/// What [`Controller::recover`] found and did.
#[derive(Debug, Default)]
pub struct RecoverySummary {
    /// Open operations that it found.
    pub open_operations: usize,
    /// What became of them, and what else was put right on the way.
    pub operations: OperationSummary,
    /// Servers that HAProxy had and that are no droplets of the inventory; removed.
    pub removed_servers: Vec<String>,
    /// Droplets with the fleet's tag that are left alone.
    pub orphans: Vec<OrphanDroplet>,
    /// Droplets that were taken into the fleet.
    pub adopted: Vec<DropletName>,
    /// Droplets that nobody knew and that were deleted.
    pub deleted: Vec<DropletId>,
}

impl RecoverySummary {
    /// Whether everything was as it should be.
    pub fn is_empty(&self) -> bool {
        let Self {
            open_operations: open,
            operations: acted,
            removed_servers: servers,
            orphans: unknown,
            adopted,
            deleted,
        } = self;
        *open == 0
            && acted.is_empty()
            && servers.is_empty()
            && unknown.is_empty()
            && adopted.is_empty()
            && deleted.is_empty()
    }
}

impl<C: CloudProvider, B: LoadBalancer, I: Inventory> Controller<C, B, I> {
    /// Finishes or undoes what is open, makes inventory, API and HAProxy agree, and does with strangers as it is told.
    pub async fn recover(&self, strangers: OrphanPolicy) -> Result<RecoverySummary, ControllerError> {
        let before = self.load().await?;
        let servers = self.unknown_servers().await;
        let acted = self.converge().await?;
        let mut recovered = RecoverySummary {
            open_operations: before.operations.len(),
            removed_servers: servers,
            ..RecoverySummary::default()
        };
        // The second look: what is acted upon was seen twice, with time in between.
        tokio::time::sleep(self.settings.deadlines.poll_interval).await;
        let seen = self.reconcile().await?;
        for stranger in seen.orphans {
            match strangers {
                OrphanPolicy::Adopt => match self.adopt(&stranger).await? {
                    Some(name) => recovered.adopted.push(name),
                    None => recovered.orphans.push(stranger),
                },
                OrphanPolicy::Delete if self.can_delete_orphan(&stranger, &acted) => {
                    self.adopt_for_deletion(&stranger.droplet, "deleted by hand: the inventory did not know it")
                        .await?;
                    recovered.deleted.push(stranger.droplet.id);
                }
                OrphanPolicy::Report | OrphanPolicy::Delete => recovered.orphans.push(stranger),
            }
        }
        recovered.operations = acted.merge(self.converge().await?);
        Ok(recovered)
    }

    /// Takes a droplet that nobody knows into the fleet: it has to come up like any other. `None` where its name cannot be
    /// that of a droplet of ours.
    async fn adopt(&self, stranger: &OrphanDroplet) -> Result<Option<DropletName>, ControllerError> {
        if DropletName::parse(stranger.droplet.name.clone()).is_err() {
            return Ok(None);
        }
        let index = self.inventory.next_index().await.map_err(ControllerError::inventory)?;
        let droplet = self.adopted_droplet(&stranger.droplet, index, None, Phase::Booting)?;
        let adopted = self.inventory.adopt(&droplet).await.map_err(ControllerError::inventory)?;
        if let Some(adopted) = &adopted {
            self.report(&Event::Adopted { droplet: adopted.name.clone(), id: stranger.droplet.id });
        }
        Ok(adopted.map(|droplet| droplet.name))
    }

    /// Only what bears a name of our making, and has been there for a while.
    fn can_delete_orphan(&self, stranger: &OrphanDroplet, acted: &OperationSummary) -> bool {
        let is_past_the_grace = stranger
            .droplet
            .created_at
            .is_some_and(|created| self.clock.now().since(created) >= self.settings.deadlines.create_visibility);
        let is_being_asked_for =
            acted.abandoned.iter().any(|(name, _)| name.as_str().eq_ignore_ascii_case(&stranger.droplet.name));
        is_past_the_grace
            && !is_being_asked_for
            && NameGenerator::matches(&self.settings.hostname_prefix, &stranger.droplet.name)
            && self.has_fleet_tag(&stranger.droplet)
    }

    /// The servers that HAProxy has and that are no droplets of the inventory. Where HAProxy does not answer, there is
    /// nothing to say.
    async fn unknown_servers(&self) -> Vec<String> {
        let (Ok(stats), Ok(snapshot)) = (self.balancer.stats().await, self.load().await) else { return Vec::new() };
        let known = servers(&snapshot.droplets);
        let is_known = |id: DropletId| known.iter().any(|server| server.id == id);
        stats.servers.iter().filter(|server| !is_known(server.id)).map(|server| format!("web-{}", server.id)).collect()
    }
}

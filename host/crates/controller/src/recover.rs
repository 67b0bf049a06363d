//! Recovery: completes or reverts the operations that an earlier process left open, and reports inconsistencies.
//!
//! Every command resumes operations in the same way; this module contains the additional steps that an operator
//! requests.

use doproxy_core::domain::{DropletId, DropletName, Phase};
use doproxy_core::seams::{Inventory, LoadBalancer, Platform};

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::event::Event;
use crate::name_generator::NameGenerator;
use crate::operations::OperationSummary;
use crate::reconcile::orphans::OrphanDroplet;
use crate::reconcile::reconcile_pass::servers;

/// The treatment of droplets that have the fleet's tag and are missing from the inventory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrphanPolicy {
    /// Reports them and leaves them alone.
    #[default]
    Report,
    /// Adopts them into the fleet.
    Adopt,
    /// Deletes those whose name matches the fleet's pattern and that are older than the visibility grace period.
    Delete,
}

/// The result of [`Controller::recover`].
#[derive(Debug, Default)]
pub struct RecoverySummary {
    /// Number of open operations found.
    pub open_operations: usize,
    /// The results of these operations and of other corrections.
    pub operations: OperationSummary,
    /// HAProxy servers that were not droplets of the inventory; removed.
    pub removed_servers: Vec<String>,
    /// Droplets with the fleet's tag that were left alone.
    pub orphans: Vec<OrphanDroplet>,
    /// Adopted droplets.
    pub adopted: Vec<DropletName>,
    /// Deleted orphans.
    pub deleted: Vec<DropletId>,
}

impl RecoverySummary {
    /// Reports whether everything was consistent.
    pub fn is_empty(&self) -> bool {
        let Self {
            open_operations: open,
            operations: summary,
            removed_servers: servers,
            orphans: unknown,
            adopted,
            deleted,
        } = self;
        *open == 0
            && summary.is_empty()
            && servers.is_empty()
            && unknown.is_empty()
            && adopted.is_empty()
            && deleted.is_empty()
    }
}

impl<P: Platform> Controller<P> {
    /// Completes or reverts open operations, makes inventory, API and HAProxy agree, and applies the orphan policy.
    pub async fn recover(&self, policy: OrphanPolicy) -> Result<RecoverySummary, ControllerError> {
        let before = self.load().await?;
        let servers = self.unknown_servers().await;
        let summary = self.converge().await?;
        let mut recovered = RecoverySummary {
            open_operations: before.operations.len(),
            removed_servers: servers,
            ..RecoverySummary::default()
        };
        // The second observation: recovery acts only on orphans seen twice with time in between.
        tokio::time::sleep(self.settings.deadlines.poll_interval).await;
        let pass = self.reconcile().await?;
        for orphan in pass.orphans {
            match policy {
                OrphanPolicy::Adopt => match self.adopt(&orphan).await? {
                    Some(name) => recovered.adopted.push(name),
                    None => recovered.orphans.push(orphan),
                },
                OrphanPolicy::Delete if self.can_delete_orphan(&orphan, &summary) => {
                    self.adopt_for_deletion(
                        &orphan.droplet,
                        "deleted by `doproxy recover`: missing from the inventory",
                    )
                    .await?;
                    recovered.deleted.push(orphan.droplet.id);
                }
                OrphanPolicy::Report | OrphanPolicy::Delete => recovered.orphans.push(orphan),
            }
        }
        recovered.operations = summary.merge(self.converge().await?);
        Ok(recovered)
    }

    /// Adopts an orphan into the fleet; it has to come up like any other droplet. Returns `None` if its name is not a
    /// valid droplet name.
    async fn adopt(&self, orphan: &OrphanDroplet) -> Result<Option<DropletName>, ControllerError> {
        if DropletName::parse(orphan.droplet.name.clone()).is_err() {
            return Ok(None);
        }
        let index = self.inventory.next_index().await?;
        let droplet = self.adopted_droplet(&orphan.droplet, index, None, Phase::Booting)?;
        let adopted = self.inventory.adopt(&droplet).await?;
        if let Some(adopted) = &adopted {
            self.report(&Event::Adopted { droplet: adopted.name.clone(), id: orphan.droplet.id });
        }
        Ok(adopted.map(|droplet| droplet.name))
    }

    /// Reports whether an orphan may be deleted: its name matches the fleet's pattern and it is past the grace period.
    fn can_delete_orphan(&self, orphan: &OrphanDroplet, summary: &OperationSummary) -> bool {
        let is_past_the_grace = orphan
            .droplet
            .created_at
            .is_some_and(|created| self.clock.now().since(created) >= self.settings.deadlines.create_visibility);
        let is_being_asked_for =
            summary.abandoned.iter().any(|(name, _)| name.as_str().eq_ignore_ascii_case(&orphan.droplet.name));
        is_past_the_grace
            && !is_being_asked_for
            && NameGenerator::matches(&self.settings.hostname_prefix, &orphan.droplet.name)
            && self.has_fleet_tag(&orphan.droplet)
    }

    /// Returns the servers that HAProxy has and that are not droplets of the inventory; empty if HAProxy is
    /// unreachable.
    async fn unknown_servers(&self) -> Vec<String> {
        let (Ok(stats), Ok(snapshot)) = (self.balancer.stats().await, self.load().await) else { return Vec::new() };
        let known = servers(&snapshot.droplets);
        let is_known = |id: DropletId| known.iter().any(|server| server.id == id);
        stats.servers.iter().filter(|server| !is_known(server.id)).map(|server| format!("web-{}", server.id)).collect()
    }
}

//! Journals operations and drives them to completion.

use std::collections::HashSet;
use std::time::Duration;

use doproxy_core::domain::{
    CreateHistory, Droplet, DropletId, DropletName, DropletRequest, HourlyPrice, Operation, OperationKind, Phase, Plan,
    PlannedDelete, Tag, Template, Timestamp,
};
use doproxy_core::pipeline::{WINDOW, check};
use doproxy_core::seams::{CreateIntent, DeleteCause, Inventory, Platform, Size, Snapshot};

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::event::Event;
use crate::reconcile::reconcile_pass::ReconcileOutcome;
use crate::user_data::digest;

/// The condition that ends [`Controller::reconcile_until`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    /// The requested operations are complete.
    Operations,
    /// Inventory, API and HAProxy agree: nothing remains that must not exist.
    Convergence,
}

/// The operations that a plan started.
#[derive(Debug, Default)]
pub(super) struct StartedOperations {
    /// The journaled operations.
    pub(super) operations: Vec<Operation>,
    /// The first error that kept an operation from starting.
    pub(super) error: Option<ControllerError>,
}

impl StartedOperations {
    fn add(&mut self, result: Result<Vec<Operation>, ControllerError>) {
        match result {
            Ok(operations) => self.operations.extend(operations),
            Err(error) if self.error.is_none() => self.error = Some(error),
            Err(error) => tracing::warn!("{error}"),
        }
    }
}

/// The result of a set of operations.
#[derive(Debug, Default)]
pub struct OperationSummary {
    /// Droplets that are now serving.
    pub created: Vec<Droplet>,
    /// Droplets that are now deleted.
    pub deleted: Vec<DropletName>,
    /// Abandoned droplets and the reasons.
    pub abandoned: Vec<(DropletName, String)>,
    /// Droplets removed from the inventory because they no longer exist at the API.
    pub missing: Vec<DropletName>,
    /// Duplicates that the fleet's own create requests produced; scheduled for deletion.
    pub duplicates: Vec<DropletId>,
}

impl OperationSummary {
    /// Reports whether nothing happened.
    pub(super) fn is_empty(&self) -> bool {
        let Self { created, deleted, abandoned, missing, duplicates } = self;
        created.is_empty() && deleted.is_empty() && abandoned.is_empty() && missing.is_empty() && duplicates.is_empty()
    }

    /// Combines this summary with that of a `later` run.
    pub(super) fn merge(mut self, later: Self) -> Self {
        self.created.extend(later.created);
        self.deleted.extend(later.deleted);
        self.abandoned.extend(later.abandoned);
        self.missing.extend(later.missing);
        self.duplicates.extend(later.duplicates);
        self
    }

    fn collect(&mut self, operations: &[Operation], snapshot: &Snapshot) {
        for operation in operations {
            match (operation.kind, snapshot.droplet(&operation.droplet)) {
                (OperationKind::Create, Some(droplet)) if droplet.phase == Phase::Serving => {
                    self.created.push(droplet.clone());
                }
                (OperationKind::Delete, None) => self.deleted.push(operation.droplet.clone()),
                _ => {}
            }
        }
    }

    /// Returns an error if a droplet was abandoned.
    pub fn into_result(self) -> Result<Self, ControllerError> {
        if self.abandoned.is_empty() {
            return Ok(self);
        }
        Err(ControllerError::Abandoned(self.abandoned.iter().map(|(name, why)| format!("{name}: {why}")).collect()))
    }
}

impl<P: Platform> Controller<P> {
    /// Creates droplets and waits until they serve.
    pub async fn create(&self, request: &DropletRequest) -> Result<OperationSummary, ControllerError> {
        self.ensure_not_in_maintenance().await?;
        let sizes = self.sizes().await?;
        let operations = self.start_create(request, &sizes).await?;
        self.finish(&operations).await
    }

    /// Checks that `wanted` more droplets may be created; fails if a circuit breaker is open.
    pub async fn check_breakers(&self, wanted: u32) -> Result<(), ControllerError> {
        let history = self.recent_creates().await?;
        let (_, tripped) = check(wanted, &history, self.settings.max_create_per_hour);
        tripped.map_or(Ok(()), |tripped| Err(ControllerError::Breaker(tripped)))
    }

    /// Returns the outcomes of the creates of the last hour.
    pub(super) async fn recent_creates(&self) -> Result<CreateHistory, ControllerError> {
        let since = Timestamp(self.clock.now().0.saturating_sub(u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX)));
        Ok(self.inventory.creates_since(since).await?)
    }

    /// Drains and deletes droplets, and waits until the API reports them as not found.
    pub async fn delete(&self, droplets: &[DropletName], reason: &str) -> Result<OperationSummary, ControllerError> {
        let snapshot = self.load().await?;
        let operations = self.start_deletes(&snapshot, droplets, reason).await?;
        self.finish(&operations).await
    }

    /// Journals the operations of a plan. If a create cannot be started, the others still start, and as many deletes as
    /// it had droplets are dropped.
    pub(super) async fn start_operations(&self, plan: &Plan, sizes: &[Size]) -> StartedOperations {
        let mut started = StartedOperations::default();
        let mut failed = 0;
        for create in &plan.creates {
            let result = self.start_create(&create.request, sizes).await;
            if result.is_err() {
                failed += create.request.count as usize;
            }
            started.add(result);
        }
        // Droplets whose replacements cannot be created stay.
        let (replaced, others): (Vec<_>, Vec<_>) = plan.deletes.iter().partition(|delete| delete.replaced);
        let deletes = others.into_iter().chain(replaced).take(plan.deletes.len().saturating_sub(failed));
        let deletes: Vec<&PlannedDelete> = deletes.collect();
        if deletes.is_empty() {
            return started;
        }
        let snapshot = match self.load().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                started.add(Err(error));
                return started;
            }
        };
        for delete in deletes {
            let name = std::slice::from_ref(&delete.droplet);
            started.add(self.start_deletes(&snapshot, name, &delete.reason).await);
        }
        started
    }

    /// Makes the inventory agree with the API and resumes the operations that an earlier command left open. Passes the
    /// snapshot to `announce` before it starts if there are open operations.
    pub async fn resume(&self, announce: impl FnOnce(&Snapshot)) -> Result<OperationSummary, ControllerError> {
        let snapshot = self.load().await?;
        if !snapshot.operations.is_empty() {
            announce(&snapshot);
        }
        // An overdue delete is retried in each pass; it must not block every other command.
        let under_way = snapshot.droplets.iter().filter(|droplet| droplet.phase != Phase::Serving);
        let (overdue, wanted): (Vec<&Droplet>, Vec<&Droplet>) =
            under_way.partition(|droplet| self.overdue_error(droplet, self.time_in_phase(droplet)).is_some());
        let wanted = wanted.into_iter().map(|droplet| droplet.name.clone()).collect();
        let mut summary = self.reconcile_until(&snapshot.operations, wanted, WaitFor::Convergence).await?;
        for droplet in overdue {
            let why =
                self.overdue_error(droplet, self.time_in_phase(droplet)).map(|why| why.to_string()).unwrap_or_default();
            summary.abandoned.push((droplet.name.clone(), why));
        }
        Ok(summary)
    }

    /// Like [`Controller::resume`], but also waits for overdue droplets.
    pub(super) async fn converge(&self) -> Result<OperationSummary, ControllerError> {
        let snapshot = self.load().await?;
        let under_way = snapshot.droplets.iter().filter(|droplet| droplet.phase != Phase::Serving);
        let wanted = under_way.map(|droplet| droplet.name.clone()).collect();
        self.reconcile_until(&snapshot.operations, wanted, WaitFor::Convergence).await
    }

    async fn start_create(&self, request: &DropletRequest, sizes: &[Size]) -> Result<Vec<Operation>, ControllerError> {
        let template = self.resolve_template(request)?;
        let hourly_price = price_of(&template.size, sizes)?;
        let first = self.inventory.next_index().await?;
        let at = self.clock.now();
        let mut drafts = Vec::new();
        for index in first..first.saturating_add(request.count) {
            let name = self.names.next(&self.settings.hostname_prefix, index).map_err(|error| {
                ControllerError::UserData { droplet: self.settings.hostname_prefix.clone(), why: error.to_string() }
            })?;
            let params = request.user_data_params.clone();
            let user_data = self.settings.user_data(&name, index, &template, params.as_deref()).await?;
            let body_digest = digest(&user_data);
            let template = template.clone();
            drafts.push(CreateIntent {
                name,
                index,
                template,
                hourly_price,
                body_digest,
                user_data_params: params,
                at,
            });
        }
        Ok(self.inventory.begin_create(&drafts).await?)
    }

    async fn start_deletes(
        &self,
        snapshot: &Snapshot,
        droplets: &[DropletName],
        reason: &str,
    ) -> Result<Vec<Operation>, ControllerError> {
        let mut operations = Vec::new();
        for name in droplets {
            let phase = match snapshot.droplet(name) {
                None => continue,
                Some(droplet) if droplet.id.is_none() => return Err(ControllerError::NotCreatedYet(name.clone())),
                Some(droplet) if droplet.phase < Phase::Serving => Phase::Deleting,
                Some(droplet) if droplet.phase == Phase::Serving => Phase::Draining,
                Some(droplet) => droplet.phase,
            };
            let operation =
                self.inventory.begin_delete(name, phase, DeleteCause::Requested, reason, self.clock.now()).await?;
            self.report(&Event::Phase { droplet: name.clone(), phase, address: None });
            operations.push(operation);
        }
        Ok(operations)
    }

    /// Reconciles until the droplets of `operations` serve or are deleted.
    pub(super) async fn finish(&self, operations: &[Operation]) -> Result<OperationSummary, ControllerError> {
        let wanted = operations.iter().map(|operation| operation.droplet.clone()).collect();
        self.reconcile_until(operations, wanted, WaitFor::Operations).await
    }

    /// Reconciles until each droplet of `wanted` serves or is deleted. Terminates because every wait has a deadline.
    async fn reconcile_until(
        &self,
        operations: &[Operation],
        mut wanted: HashSet<DropletName>,
        until: WaitFor,
    ) -> Result<OperationSummary, ControllerError> {
        let mut summary = OperationSummary::default();
        loop {
            let ReconcileOutcome { snapshot, abandoned, progressed, unconfirmed, missing, duplicates, .. } =
                self.reconcile().await?;
            summary.missing.extend(missing);
            summary.duplicates.extend(duplicates);
            let is_unsettled = unconfirmed && until == WaitFor::Convergence;
            if until == WaitFor::Convergence {
                let is_twin = |droplet: &&Droplet| droplet.id.is_some_and(|id| summary.duplicates.contains(&id));
                wanted.extend(snapshot.droplets.iter().filter(is_twin).map(|droplet| droplet.name.clone()));
            }
            // Failures of other droplets were reported already and do not fail this command.
            summary.abandoned.extend(abandoned.into_iter().filter(|(name, _)| wanted.contains(name)));
            let is_under_way = |droplet: &&Droplet| droplet.phase != Phase::Serving && wanted.contains(&droplet.name);
            let mut under_way = snapshot.droplets.iter().filter(is_under_way).peekable();
            if under_way.peek().is_none() && !is_unsettled {
                summary.collect(operations, &snapshot);
                return Ok(summary);
            }
            // Only the time that this command has waited counts here.
            let overdue = |droplet: &Droplet| self.overdue_error(droplet, self.elapsed_in_phase(droplet));
            if let Some(overdue) = under_way.find_map(overdue) {
                return Err(overdue);
            }
            if !progressed {
                tokio::time::sleep(self.settings.deadlines.poll_interval).await;
            }
        }
    }

    /// Returns an error if the API has not carried out a delete in time. The operation stays open, but no command waits
    /// for it any longer.
    fn overdue_error(&self, droplet: &Droplet, waited: Duration) -> Option<ControllerError> {
        (droplet.phase == Phase::Deleting && waited >= self.settings.deadlines.delete)
            .then(|| ControllerError::Overdue { droplet: droplet.name.clone(), phase: droplet.phase, elapsed: waited })
    }

    /// Applies the overrides of a request to the fleet's template.
    fn resolve_template(&self, request: &DropletRequest) -> Result<Template, ControllerError> {
        let own = &self.settings.template;
        let mut tags = own.tags.clone();
        for tag in &request.tags {
            let tag = Tag::parse(tag.clone()).map_err(|error| ControllerError::InvalidRequest(error.to_string()))?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Ok(Template {
            size: request.size.clone().unwrap_or_else(|| own.size.clone()),
            region: request.region.clone().unwrap_or_else(|| own.region.clone()),
            image: request.image.clone().unwrap_or_else(|| own.image.clone()),
            tags,
        })
    }
}

/// Returns the price of a size. A size that the API does not list cannot be requested.
fn price_of(slug: &str, sizes: &[Size]) -> Result<HourlyPrice, ControllerError> {
    if let Some(size) = sizes.iter().find(|size| size.slug == slug) {
        return Ok(size.hourly_price);
    }
    let nearest = doproxy_support::suggest(slug, sizes.iter().map(|size| size.slug.as_str()));
    let suggestion = nearest.map(|slug| format!(" (did you mean {slug:?}?)")).unwrap_or_default();
    Err(ControllerError::UnknownSize { size: slug.to_owned(), suggestion })
}

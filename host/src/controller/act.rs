//! Writing operations into the journal, and carrying them to their end.

use std::collections::HashSet;
use std::time::Duration;

use super::breakers::{WINDOW, allowed};
use super::user_data::digest;
use super::{Advanced, Controller, ControllerError, Event};
use crate::balancer::Balancer;
use crate::cloud::{Cloud, Size};
use crate::inventory::{Cause, CreateDraft, Inventory, Snapshot};
use crate::model::{
    Creates, Droplet, DropletId, DropletName, DropletRequest, HourlyPrice, Operation, OperationKind, Phase, Plan,
    PlannedDelete, Tag, Template, Timestamp,
};

/// How far open operations are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Until those that were asked for are done.
    Done,
    /// Until nothing is there any more that should not be.
    Settled,
}

/// What was written down of a plan.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// The operations.
    pub(super) operations: Vec<Operation>,
    /// Why something could not be begun: the first such reason.
    pub(super) error: Option<ControllerError>,
}

impl Begun {
    fn take(&mut self, result: Result<Vec<Operation>, ControllerError>) {
        match result {
            Ok(operations) => self.operations.extend(operations),
            Err(error) if self.error.is_none() => self.error = Some(error),
            Err(error) => tracing::warn!("{error}"),
        }
    }
}

/// What became of what was asked for.
#[derive(Debug, Default)]
pub struct Acted {
    /// Droplets that serve now.
    pub created: Vec<Droplet>,
    /// Droplets that are gone now.
    pub deleted: Vec<DropletName>,
    /// Droplets that were given up, and why.
    pub gave_up: Vec<(DropletName, String)>,
    /// Droplets that left the inventory meanwhile, since they are not at the API any more.
    pub vanished: Vec<DropletName>,
    /// Droplets that requests of ours had made too much of; condemned.
    pub twins: Vec<DropletId>,
}

impl Acted {
    /// Whether nothing happened.
    pub(super) fn is_nothing(&self) -> bool {
        let Self { created, deleted, gave_up, vanished, twins } = self;
        created.is_empty() && deleted.is_empty() && gave_up.is_empty() && vanished.is_empty() && twins.is_empty()
    }

    /// What this and then `later` did.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.created.extend(later.created);
        self.deleted.extend(later.deleted);
        self.gave_up.extend(later.gave_up);
        self.vanished.extend(later.vanished);
        self.twins.extend(later.twins);
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

    /// An error where something was given up.
    pub fn into_result(self) -> Result<Self, ControllerError> {
        if self.gave_up.is_empty() {
            return Ok(self);
        }
        Err(ControllerError::GaveUp(self.gave_up.iter().map(|(name, why)| format!("{name}: {why}")).collect()))
    }
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// Creates droplets and waits until they serve.
    pub async fn create(&self, request: &DropletRequest) -> Result<Acted, ControllerError> {
        self.refuse_when_frozen().await?;
        let sizes = self.sizes().await?;
        let operations = self.begin_create(request, &sizes).await?;
        self.finish(&operations).await
    }

    /// Whether so many more may be created; an error where a breaker is open.
    pub async fn check_breakers(&self, wanted: u32) -> Result<(), ControllerError> {
        let history = self.creates_of_the_last_hour().await?;
        let (_, tripped) = allowed(wanted, &history, self.settings.max_create_per_hour);
        tripped.map_or(Ok(()), |tripped| Err(ControllerError::Breaker(tripped)))
    }

    /// How creates of the last hour went.
    pub(super) async fn creates_of_the_last_hour(&self) -> Result<Creates, ControllerError> {
        let since = Timestamp(self.clock.now().0.saturating_sub(u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX)));
        self.inventory.creates_since(since).await.map_err(ControllerError::inventory)
    }

    /// Drains and deletes droplets, and waits until the API says that they are gone.
    pub async fn delete(&self, droplets: &[DropletName], reason: &str) -> Result<Acted, ControllerError> {
        let snapshot = self.load().await?;
        let operations = self.begin_deletes(&snapshot, droplets, reason).await?;
        self.finish(&operations).await
    }

    /// Writes down what a plan wants done. A create that cannot be begun keeps no other create from it, and as many
    /// droplets as it was to make stay.
    pub(super) async fn begin(&self, plan: &Plan, sizes: &[Size]) -> Begun {
        let mut begun = Begun::default();
        let mut failed = 0;
        for create in &plan.creates {
            let result = self.begin_create(&create.request, sizes).await;
            if result.is_err() {
                failed += create.request.count as usize;
            }
            begun.take(result);
        }
        // Who was to be succeeded by those that cannot be created stays.
        let (replaced, others): (Vec<_>, Vec<_>) = plan.deletes.iter().partition(|delete| delete.replaced);
        let deletes = others.into_iter().chain(replaced).take(plan.deletes.len().saturating_sub(failed));
        let deletes: Vec<&PlannedDelete> = deletes.collect();
        if deletes.is_empty() {
            return begun;
        }
        let snapshot = match self.load().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                begun.take(Err(error));
                return begun;
            }
        };
        for delete in deletes {
            let name = std::slice::from_ref(&delete.droplet);
            begun.take(self.begin_deletes(&snapshot, name, &delete.reason).await);
        }
        begun
    }

    /// Makes the inventory agree with the API, and carries on whatever an earlier command left behind. Says what that is
    /// before it begins.
    pub async fn carry_on(&self, announce: impl FnOnce(&Snapshot)) -> Result<Acted, ControllerError> {
        let snapshot = self.load().await?;
        if !snapshot.operations.is_empty() {
            announce(&snapshot);
        }
        // A delete that was not carried out in time is asked for again in each pass, and must not keep every other
        // command from its work.
        let under_way = snapshot.droplets.iter().filter(|droplet| droplet.phase != Phase::Serving);
        let (overdue, wanted): (Vec<&Droplet>, Vec<&Droplet>) =
            under_way.partition(|droplet| self.overdue(droplet, self.time_in_phase(droplet)).is_some());
        let wanted = wanted.into_iter().map(|droplet| droplet.name.clone()).collect();
        let mut acted = self.drive(&snapshot.operations, wanted, Until::Settled).await?;
        for droplet in overdue {
            let why = self.overdue(droplet, self.time_in_phase(droplet)).map(|why| why.to_string()).unwrap_or_default();
            acted.gave_up.push((droplet.name.clone(), why));
        }
        Ok(acted)
    }

    /// As [`Controller::carry_on`], and waits for what is overdue as well.
    pub(super) async fn settle(&self) -> Result<Acted, ControllerError> {
        let snapshot = self.load().await?;
        let under_way = snapshot.droplets.iter().filter(|droplet| droplet.phase != Phase::Serving);
        let wanted = under_way.map(|droplet| droplet.name.clone()).collect();
        self.drive(&snapshot.operations, wanted, Until::Settled).await
    }

    async fn begin_create(&self, request: &DropletRequest, sizes: &[Size]) -> Result<Vec<Operation>, ControllerError> {
        let template = self.template_of(request)?;
        let hourly_price = price_of(&template.size, sizes)?;
        let first = self.inventory.next_index().await.map_err(ControllerError::inventory)?;
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
            drafts.push(CreateDraft { name, index, template, hourly_price, body_digest, user_data_params: params, at });
        }
        self.inventory.begin_create(&drafts).await.map_err(ControllerError::inventory)
    }

    async fn begin_deletes(
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
            let operation = self
                .inventory
                .begin_delete(name, phase, Cause::Wanted, reason, self.clock.now())
                .await
                .map_err(ControllerError::inventory)?;
            self.report(&Event::Phase { droplet: name.clone(), phase, address: None });
            operations.push(operation);
        }
        Ok(operations)
    }

    /// Advances until the droplets of `operations` serve or are gone.
    pub(super) async fn finish(&self, operations: &[Operation]) -> Result<Acted, ControllerError> {
        let wanted = operations.iter().map(|operation| operation.droplet.clone()).collect();
        self.drive(operations, wanted, Until::Done).await
    }

    /// Advances until each droplet of `wanted` serves or is gone. Every wait has a deadline, so this ends.
    async fn drive(
        &self,
        operations: &[Operation],
        mut wanted: HashSet<DropletName>,
        until: Until,
    ) -> Result<Acted, ControllerError> {
        let mut acted = Acted::default();
        loop {
            let Advanced { snapshot, gave_up, progressed, unsettled, vanished, twins, .. } = self.advance().await?;
            acted.vanished.extend(vanished);
            acted.twins.extend(twins);
            let is_unsettled = unsettled && until == Until::Settled;
            if until == Until::Settled {
                let is_twin = |droplet: &&Droplet| droplet.id.is_some_and(|id| acted.twins.contains(&id));
                wanted.extend(snapshot.droplets.iter().filter(is_twin).map(|droplet| droplet.name.clone()));
            }
            // What befell other droplets meanwhile was reported, and is no failure of this command.
            acted.gave_up.extend(gave_up.into_iter().filter(|(name, _)| wanted.contains(name)));
            let is_under_way = |droplet: &&Droplet| droplet.phase != Phase::Serving && wanted.contains(&droplet.name);
            let mut under_way = snapshot.droplets.iter().filter(is_under_way).peekable();
            if under_way.peek().is_none() && !is_unsettled {
                acted.collect(operations, &snapshot);
                return Ok(acted);
            }
            // Here counts what this command has waited.
            let overdue = |droplet: &Droplet| self.overdue(droplet, self.waited_in_phase(droplet));
            if let Some(overdue) = under_way.find_map(overdue) {
                return Err(overdue);
            }
            if !progressed {
                tokio::time::sleep(self.settings.deadlines.poll).await;
            }
        }
    }

    /// A delete that the API has not carried out in time: the operation stays open, and nobody waits for it any more.
    fn overdue(&self, droplet: &Droplet, waited: Duration) -> Option<ControllerError> {
        (droplet.phase == Phase::Deleting && waited >= self.settings.deadlines.delete)
            .then(|| ControllerError::Overdue { droplet: droplet.name.clone(), phase: droplet.phase, waited })
    }

    /// The fleet's template with what the request changes.
    fn template_of(&self, request: &DropletRequest) -> Result<Template, ControllerError> {
        let own = &self.settings.template;
        let mut tags = own.tags.clone();
        for tag in &request.tags {
            let tag = Tag::parse(tag.clone()).map_err(|error| ControllerError::BadRequest(error.to_string()))?;
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

/// The price of a size; a size that the API does not list cannot be asked for.
fn price_of(slug: &str, sizes: &[Size]) -> Result<HourlyPrice, ControllerError> {
    if let Some(size) = sizes.iter().find(|size| size.slug == slug) {
        return Ok(size.hourly_price);
    }
    let nearest = sizes
        .iter()
        .map(|size| (strsim::jaro_winkler(&size.slug, slug), size.slug.as_str()))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let suggestion = nearest.map(|(_, slug)| format!(" (did you mean {slug:?}?)")).unwrap_or_default();
    Err(ControllerError::NoSuchSize { size: slug.to_owned(), suggestion })
}

//! Requested droplets: sends each create request once and determines its outcome.
//!
//! The API has no idempotency key, but names are unique. When a response is lost, the controller searches for the
//! droplet by name until the list-consistency window has passed, and only then retries with the same name.

use std::time::Duration;

use doproxy_core::domain::{
    Droplet, DropletId, Operation, OperationId, OperationKind, Phase, Template, Timestamp, UserData,
};
use doproxy_core::seams::{
    CloudError, CloudInstance, CloudProvider, CreateRequest, ErrorClass, Filter, Platform, Snapshot, Transition,
};
use doproxy_support::Backoff;
use doproxy_support::sync::lock;
use futures_util::{StreamExt as _, stream};

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::event::Event;
use crate::reconcile::elapsed::TimerKey;
use crate::reconcile::reconcile_pass::{MAX_CONCURRENT_CALLS, ReconcilePass};
use crate::user_data::digest;

/// Maximum number of attempts for a request that was certainly not executed.
const MAX_ATTEMPTS: u32 = 6;
/// The pauses after rejections.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(16));

/// State of a request that is not in the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreateAttempt {
    tries: u32,
    backoff: Backoff,
    not_before: Timestamp,
}

/// A droplet whose create request has not been sent yet.
struct PendingCreate<'a> {
    operation: &'a Operation,
    droplet: &'a Droplet,
    user_data: UserData,
}

impl<P: Platform> Controller<P> {
    /// Finds or requests each droplet that has no ID yet.
    pub(super) async fn reconcile_requested(
        &self,
        snapshot: &Snapshot,
        listed: &[CloudInstance],
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        let mut pending: Vec<PendingCreate<'_>> = Vec::new();
        for operation in snapshot.operations.iter().filter(|operation| operation.kind == OperationKind::Create) {
            let Some(droplet) = snapshot.droplet(&operation.droplet).filter(|d| d.phase == Phase::Requested) else {
                continue;
            };
            let attempt = self.attempt(operation.id);
            // The request may have reached the API. Search for the droplet, and do not send the request again until the
            // list-consistency window has passed. Only the time measured by this process counts, because wall clocks
            // can be set.
            if operation.sent_at.is_some() {
                let waited = self.timers.elapsed(TimerKey::CreateSent(operation.id));
                let has_had_its_time = waited >= self.settings.deadlines.create_visibility;
                if self.find_created(droplet, listed, has_had_its_time, pass).await? || !has_had_its_time {
                    continue;
                }
                if self.time_in_phase(droplet) >= self.settings.deadlines.boot {
                    let why = format!(
                        "the outcome of the create request for {} is unknown, and the droplet did not appear; check for it at DigitalOcean",
                        droplet.name
                    );
                    self.fail_create(operation, droplet, why, pass).await?;
                    continue;
                }
            }
            if attempt.is_none_or(|attempt| self.clock.now() >= attempt.not_before) {
                let params = operation.user_data_params.as_deref();
                let written = self.settings.user_data(&droplet.name, droplet.index, &droplet.template, params).await;
                let user_data = match written {
                    Ok(user_data) => user_data,
                    // A droplet whose user data cannot be generated must not block the others.
                    Err(error) if operation.sent_at.is_none() => {
                        self.fail_create(operation, droplet, error.to_string(), pass).await?;
                        continue;
                    }
                    Err(error) => {
                        self.report(&Event::Retrying { droplet: droplet.name.clone(), why: error.to_string() });
                        continue;
                    }
                };
                if operation.body_digest.as_ref().is_some_and(|before| *before != digest(&user_data)) {
                    tracing::warn!(droplet = %droplet.name, "user data differs from the journaled digest: the generator or its configuration has changed");
                }
                pending.push(PendingCreate { operation, droplet, user_data });
            }
        }
        let batches = group_into_batches(pending);
        let mut sending = Vec::new();
        for batch in &batches {
            sending.push(async move {
                let mut pass = ReconcilePass::default();
                (self.send_create(batch, &mut pass).await, pass)
            });
        }
        // Await all requests even if one fails: every sent request must be recorded.
        let sent: Vec<_> = stream::iter(sending).buffered(MAX_CONCURRENT_CALLS).collect().await;
        let mut result = Ok(());
        for (outcome, of_batch) in sent {
            pass.merge(of_batch);
            result = result.and(outcome);
        }
        result
    }

    /// Searches for a droplet by name and takes the oldest match. Uses the list by tag, which is already loaded;
    /// fetches the list by name only if `thoroughly` is set.
    async fn find_created(
        &self,
        droplet: &Droplet,
        listed: &[CloudInstance],
        thoroughly: bool,
        pass: &mut ReconcilePass,
    ) -> Result<bool, ControllerError> {
        let oldest_of = |list: &[CloudInstance]| {
            list.iter().filter(|found| self.matches_request(found, droplet)).map(|found| found.id).min()
        };
        let mut found = oldest_of(listed);
        if found.is_none() && thoroughly {
            found = oldest_of(&self.cloud.list(&Filter::Name(droplet.name.clone())).await?);
        }
        let Some(oldest) = found else { return Ok(false) };
        // A younger droplet of the same name is a duplicate: later passes treat it as an orphan that the fleet
        // requested.
        self.record_created(vec![(droplet.clone(), oldest)], true, pass).await?;
        Ok(true)
    }

    /// Reports whether a droplet at the API is the requested one: it has the fleet's name **and** the fleet's tag.
    pub(super) fn matches_request(&self, found: &CloudInstance, droplet: &Droplet) -> bool {
        found.name.eq_ignore_ascii_case(droplet.name.as_str()) && self.has_fleet_tag(found)
    }

    /// Sends one request for up to ten droplets, without retries.
    async fn send_create(&self, batch: &[PendingCreate<'_>], pass: &mut ReconcilePass) -> Result<(), ControllerError> {
        let Some(first) = batch.first() else { return Ok(()) };
        let operations: Vec<OperationId> = batch.iter().map(|pending| pending.operation.id).collect();
        let names: Vec<_> = batch.iter().map(|pending| pending.droplet.name.clone()).collect();
        let template = Template { tags: self.settings.tags(&first.droplet.template), ..first.droplet.template.clone() };
        let request = CreateRequest {
            names: names.clone(),
            template,
            ssh_keys: self.settings.ssh_keys.clone(),
            user_data: first.user_data.clone(),
            vpc_uuid: self.settings.vpc_uuid.clone(),
            monitoring: self.settings.monitoring,
        };
        self.record(&Transition::Sending { operations: operations.clone() }).await?;
        for operation in &operations {
            self.timers.start(TimerKey::CreateSent(*operation));
        }
        self.report(&Event::Requesting { droplets: names.clone() });
        match self.cloud.create(&request).await {
            Ok(created) => {
                let pairs = batch
                    .iter()
                    .filter_map(|pending| {
                        let found = created
                            .iter()
                            .find(|found| found.name.eq_ignore_ascii_case(pending.droplet.name.as_str()))?;
                        Some((pending.droplet.clone(), found.id))
                    })
                    .collect();
                self.record_created(pairs, false, pass).await
            }
            Err(error) if error.outcome_unknown() => {
                self.report(&Event::OutcomeUnknown { droplets: names, why: error.to_string() });
                Ok(())
            }
            Err(error) => {
                let sent_before =
                    batch.iter().map(|pending| (pending.operation.id, pending.operation.sent_at)).collect();
                self.record(&Transition::Rejected { operations: sent_before }).await?;
                for pending in batch {
                    self.handle_rejection(pending, &error, pass).await?;
                }
                Ok(())
            }
        }
    }

    async fn record_created(
        &self,
        droplets: Vec<(Droplet, DropletId)>,
        found: bool,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        let pairs = droplets.iter().map(|(droplet, id)| (droplet.name.clone(), *id)).collect();
        self.record(&Transition::Created { droplets: pairs }).await?;
        pass.progressed = true;
        for (droplet, id) in droplets {
            self.report(&Event::Created { droplet: droplet.name, id, found });
        }
        Ok(())
    }

    /// Handles a request that was certainly not executed. Transient errors are retried after a pause, up to the maximum
    /// number of attempts.
    async fn handle_rejection(
        &self,
        pending: &PendingCreate<'_>,
        error: &CloudError,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        let attempt = self.attempt(pending.operation.id);
        let mut backoff = attempt.map_or(BACKOFF, |attempt| attempt.backoff);
        let tries = attempt.map_or(0, |attempt| attempt.tries) + 1;
        let asked_to_wait = match error.class {
            ErrorClass::RateLimited { retry_after: after } => after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        if !error.is_transient() || tries >= MAX_ATTEMPTS || asked_to_wait > self.settings.deadlines.boot {
            let why = error.with_hint();
            let why = match pending.operation.sent_at {
                None => why,
                Some(_) => {
                    format!("{why}. An earlier request may have been executed, although no droplet has appeared")
                }
            };
            return self.fail_create(pending.operation, pending.droplet, why, pass).await;
        }
        let pause = asked_to_wait.max(backoff.next_delay());
        let attempt = CreateAttempt { tries, backoff, not_before: self.clock.now().plus(pause) };
        lock(&self.create_attempts).insert(pending.operation.id, attempt);
        self.report(&Event::Retrying { droplet: pending.droplet.name.clone(), why: error.to_string() });
        Ok(())
    }

    async fn fail_create(
        &self,
        operation: &Operation,
        droplet: &Droplet,
        why: String,
        pass: &mut ReconcilePass,
    ) -> Result<(), ControllerError> {
        self.record(&Transition::CreateFailed { operation: operation.id, reason: why.clone() }).await?;
        lock(&self.create_attempts).remove(&operation.id);
        pass.abandon(&droplet.name, why.clone());
        self.report(&Event::Abandoned { droplet: droplet.name.clone(), why });
        Ok(())
    }

    fn attempt(&self, operation: OperationId) -> Option<CreateAttempt> {
        lock(&self.create_attempts).get(&operation).copied()
    }
}

/// Groups droplets that one request can create: the same template, the same user data, at most ten names.
fn group_into_batches(pending: Vec<PendingCreate<'_>>) -> Vec<Vec<PendingCreate<'_>>> {
    let mut batches: Vec<Vec<PendingCreate<'_>>> = Vec::new();
    for one in pending {
        let alike = batches.iter_mut().find(|batch| {
            batch.len() < CreateRequest::MAX_NAMES
                && batch.first().is_some_and(|first| {
                    first.droplet.template == one.droplet.template && first.user_data == one.user_data
                })
        });
        match alike {
            Some(batch) => batch.push(one),
            None => batches.push(vec![one]),
        }
    }
    batches
}

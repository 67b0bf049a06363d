//! Droplets that were asked for: sending the request once, and finding out what became of it.
//!
//! The API has no idempotency key. The name is ours and unique, so after an answer that was lost the droplet is
//! looked for by its name, for as long as lists may lag, before the same name is asked for again.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::advance::{CALLS_AT_A_TIME, Pass};
use super::user_data::digest;
use super::waits::Wait;
use super::{Controller, ControllerError, Event};
use crate::balancer::Balancer;
use crate::cloud::{Cloud, CloudDroplet, CloudError, CreateRequest, ErrorClass, Filter};
use crate::inventory::{Inventory, Snapshot, Step};
use crate::model::{Droplet, DropletId, Operation, OperationId, OperationKind, Phase, Template, Timestamp, UserData};

/// How often a request that was certainly not carried out is sent again.
const MAX_TRIES: u32 = 6;
/// The pause after the first refusal; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What this process knows of a request, beyond the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    tries: u32,
    not_before: Timestamp,
}

/// One droplet that is to be asked for.
struct Unsent<'a> {
    operation: &'a Operation,
    droplet: &'a Droplet,
    user_data: UserData,
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// Finds or asks for each droplet that has no id yet.
    pub(super) async fn advance_requested(
        &self,
        snapshot: &Snapshot,
        seen: &[CloudDroplet],
        pass: &mut Pass,
    ) -> Result<(), ControllerError> {
        let mut unsent: Vec<Unsent<'_>> = Vec::new();
        for operation in snapshot.operations.iter().filter(|operation| operation.kind == OperationKind::Create) {
            let Some(droplet) = snapshot.droplet(&operation.droplet).filter(|d| d.phase == Phase::Requested) else {
                continue;
            };
            let attempt = self.attempt(operation.id);
            // Whether the request reached the API is not known: the droplet is looked for, and for as long as lists may
            // lag nothing is sent again. What counts is what this process has waited, since clocks can be set.
            if operation.sent_at.is_some() {
                let waited = self.waits.waited(Wait::Sent(operation.id));
                let has_had_its_time = waited >= self.settings.deadlines.visible;
                if self.find(droplet, seen, has_had_its_time, pass).await? || !has_had_its_time {
                    continue;
                }
                if self.time_in_phase(droplet) >= self.settings.deadlines.boot {
                    let why = format!(
                        "it is not known whether {} was made, and it did not show up; look for it at DigitalOcean",
                        droplet.name
                    );
                    self.close_as_never_created(operation, droplet, why, pass).await?;
                    continue;
                }
            }
            if attempt.is_none_or(|attempt| self.clock.now() >= attempt.not_before) {
                let params = operation.user_data_params.as_deref();
                let written = self.settings.user_data(&droplet.name, droplet.index, &droplet.template, params).await;
                let user_data = match written {
                    Ok(user_data) => user_data,
                    // One whose user data cannot be written must not keep the others from going on.
                    Err(error) if operation.sent_at.is_none() => {
                        self.close_as_never_created(operation, droplet, error.to_string(), pass).await?;
                        continue;
                    }
                    Err(error) => {
                        self.report(&Event::Retrying { droplet: droplet.name.clone(), why: error.to_string() });
                        continue;
                    }
                };
                if operation.body_digest.as_ref().is_some_and(|before| *before != digest(&user_data)) {
                    tracing::warn!(droplet = %droplet.name, "its user data differs from what was written down: the generator or its configuration changed meanwhile");
                }
                unsent.push(Unsent { operation, droplet, user_data });
            }
        }
        let batches = batches(unsent);
        let mut sending = Vec::new();
        for batch in &batches {
            sending.push(async move {
                let mut pass = Pass::default();
                (self.send(batch, &mut pass).await, pass)
            });
        }
        // All are heard out, also when one fails: what was sent has to be written down.
        let sent: Vec<_> = stream::iter(sending).buffered(CALLS_AT_A_TIME).collect().await;
        let mut result = Ok(());
        for (outcome, of_batch) in sent {
            pass.take(of_batch);
            result = result.and(outcome);
        }
        result
    }

    /// Looks for a droplet by its name and takes the oldest of that name over. The list by tag is at hand; that by name is
    /// asked for when something depends on it.
    async fn find(
        &self,
        droplet: &Droplet,
        seen: &[CloudDroplet],
        thoroughly: bool,
        pass: &mut Pass,
    ) -> Result<bool, ControllerError> {
        let oldest_of = |list: &[CloudDroplet]| {
            list.iter().filter(|found| self.is_ours(found, droplet)).map(|found| found.id).min()
        };
        let mut found = oldest_of(seen);
        if found.is_none() && thoroughly {
            found = oldest_of(&self.cloud.list(&Filter::Name(droplet.name.clone())).await?);
        }
        let Some(oldest) = found else { return Ok(false) };
        // A younger one of the same name is a twin: from the next pass on it is a stranger that we asked for.
        self.created(vec![(droplet.clone(), oldest)], true, pass).await?;
        Ok(true)
    }

    /// Whether a droplet at the API is the one that we asked for: our name **and** our tag.
    pub(super) fn is_ours(&self, found: &CloudDroplet, droplet: &Droplet) -> bool {
        found.name.eq_ignore_ascii_case(droplet.name.as_str()) && self.bears_our_tag(found)
    }

    /// Sends one request for up to ten droplets, once.
    async fn send(&self, batch: &[Unsent<'_>], pass: &mut Pass) -> Result<(), ControllerError> {
        let Some(first) = batch.first() else { return Ok(()) };
        let operations: Vec<OperationId> = batch.iter().map(|unsent| unsent.operation.id).collect();
        let names: Vec<_> = batch.iter().map(|unsent| unsent.droplet.name.clone()).collect();
        let template = Template { tags: self.settings.tags(&first.droplet.template), ..first.droplet.template.clone() };
        let request = CreateRequest {
            names: names.clone(),
            template,
            ssh_keys: self.settings.ssh_keys.clone(),
            user_data: first.user_data.clone(),
            vpc_uuid: self.settings.vpc_uuid.clone(),
            monitoring: self.settings.monitoring,
        };
        self.record(&Step::Sending { operations: operations.clone() }).await?;
        for operation in &operations {
            self.waits.begin(Wait::Sent(*operation));
        }
        self.report(&Event::Requesting { droplets: names.clone() });
        match self.cloud.create(&request).await {
            Ok(created) => {
                let pairs = batch
                    .iter()
                    .filter_map(|unsent| {
                        let found = created
                            .iter()
                            .find(|found| found.name.eq_ignore_ascii_case(unsent.droplet.name.as_str()))?;
                        Some((unsent.droplet.clone(), found.id))
                    })
                    .collect();
                self.created(pairs, false, pass).await
            }
            Err(error) if error.outcome_unknown() => {
                self.report(&Event::OutcomeUnknown { droplets: names, why: error.to_string() });
                Ok(())
            }
            Err(error) => {
                let sent_before = batch.iter().map(|unsent| (unsent.operation.id, unsent.operation.sent_at)).collect();
                self.record(&Step::Refused { operations: sent_before }).await?;
                for unsent in batch {
                    self.refused(unsent, &error, pass).await?;
                }
                Ok(())
            }
        }
    }

    async fn created(
        &self,
        droplets: Vec<(Droplet, DropletId)>,
        found: bool,
        pass: &mut Pass,
    ) -> Result<(), ControllerError> {
        let pairs = droplets.iter().map(|(droplet, id)| (droplet.name.clone(), *id)).collect();
        self.record(&Step::Created { droplets: pairs }).await?;
        pass.progressed = true;
        for (droplet, id) in droplets {
            self.report(&Event::Created { droplet: droplet.name, id, found });
        }
        Ok(())
    }

    /// The request was certainly not carried out. Where that may change it is sent again after a pause, some times.
    async fn refused(&self, unsent: &Unsent<'_>, error: &CloudError, pass: &mut Pass) -> Result<(), ControllerError> {
        let tries = self.attempt(unsent.operation.id).map_or(0, |attempt| attempt.tries) + 1;
        let asked_to_wait = match error.class {
            ErrorClass::RateLimited { after } => after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        if !error.is_passing() || tries >= MAX_TRIES || asked_to_wait > self.settings.deadlines.boot {
            let why = error.with_remedy();
            let why = match unsent.operation.sent_at {
                None => why,
                Some(_) => format!("{why}. A request before it may have been carried out, though nothing shows up"),
            };
            return self.close_as_never_created(unsent.operation, unsent.droplet, why, pass).await;
        }
        let pause = asked_to_wait.max(FIRST_PAUSE * 2_u32.pow(tries - 1));
        let attempt = Attempt { tries, not_before: self.clock.now().plus(pause) };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).insert(unsent.operation.id, attempt);
        self.report(&Event::Retrying { droplet: unsent.droplet.name.clone(), why: error.to_string() });
        Ok(())
    }

    async fn close_as_never_created(
        &self,
        operation: &Operation,
        droplet: &Droplet,
        why: String,
        pass: &mut Pass,
    ) -> Result<(), ControllerError> {
        self.record(&Step::NeverCreated { operation: operation.id, reason: why.clone() }).await?;
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(&operation.id);
        pass.gave_up(&droplet.name, why.clone());
        self.report(&Event::GaveUp { droplet: droplet.name.clone(), why });
        Ok(())
    }

    fn attempt(&self, operation: OperationId) -> Option<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).get(&operation).copied()
    }
}

/// Puts together what one request can ask for: the same template, the same user data, at most ten names.
fn batches(unsent: Vec<Unsent<'_>>) -> Vec<Vec<Unsent<'_>>> {
    let mut batches: Vec<Vec<Unsent<'_>>> = Vec::new();
    for one in unsent {
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

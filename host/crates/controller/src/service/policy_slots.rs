//! Puts policies into their slots: at the start, when a policy that failed to load becomes available, and on reload.

use std::time::Duration;

use doproxy_core::domain::Observation;
use doproxy_core::seams::Platform;
use doproxy_plugin_host::ConfiguredPolicy;
use doproxy_support::Backoff;
use tokio::time::{Instant, timeout};

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::service::conditions::Conditions;
use crate::service::policy_loader::{LoadReason, LoadResult, PendingLoad, PolicyLoader};
use crate::service::policy_slot::{PolicySlot, UnavailablePolicy};
use crate::service::service_spec::{PolicySpec, ServiceSpec};
use crate::tick::AutoscalerState;

/// Time that policies get to load before the loop starts without them.
const STARTUP_LOAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The delays before policies that failed to load are retried.
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(5));

/// The loads of policies into their slots.
#[derive(Debug)]
pub(super) struct PolicySlots {
    loader: PolicyLoader,
    pending: Option<PendingLoad>,
    retry: Backoff,
    retry_at: Option<Instant>,
    conditions: Conditions,
}

/// The change to a slot.
#[derive(Debug)]
pub(super) enum Replacement {
    /// Keeps the policy in that slot.
    Keep(usize),
    /// Installs another component or configuration, in the slot of the same name if there is one.
    Replace { slot: Option<usize>, policy: Box<ConfiguredPolicy>, state: Vec<u8> },
}

impl PolicySlots {
    /// Creates the loads without starting one.
    pub(super) fn new(loader: PolicyLoader) -> Self {
        Self { loader, pending: None, retry: RETRY, retry_at: None, conditions: Conditions::default() }
    }

    /// Creates a slot for every policy; policies that do not load in time are marked unavailable.
    pub(super) async fn load_initial<P: Platform>(
        &mut self,
        controller: &Controller<P>,
        spec: &ServiceSpec,
        state: &mut AutoscalerState,
    ) -> Result<(), ControllerError> {
        for spec in &spec.policies {
            let (slot, ticks) = self.unavailable_slot(controller, spec).await?;
            state.tick = state.tick.max(ticks);
            state.slots.push(slot);
        }
        if spec.policies.is_empty() {
            return Ok(());
        }
        let mut load = self.loader.start_load(spec.clone(), LoadReason::Unavailable);
        match timeout(STARTUP_LOAD_TIMEOUT, load.wait()).await {
            Ok(loaded) => self.fill(controller, &mut state.slots, loaded).await,
            Err(_) => self.pending = Some(load),
        }
        Ok(())
    }

    /// Creates a slot for a policy that is still loading, with its stored state and its last good component.
    async fn unavailable_slot<P: Platform>(
        &self,
        controller: &Controller<P>,
        spec: &PolicySpec,
    ) -> Result<(PolicySlot, u64), ControllerError> {
        let stored = controller.load_policy_state(&spec.name).await?;
        let last_good = self.loader.last_good(spec, &stored.identity).await;
        let unavailable = UnavailablePolicy {
            name: spec.name.clone(),
            mode: spec.mode,
            reference: spec.plugin.to_string(),
            config: spec.config.clone(),
            identity: stored.identity,
            why: "still loading".to_owned(),
        };
        let mut slot = PolicySlot::unavailable(unavailable, stored.state.clone());
        if let Some(policy) = last_good {
            slot.set_last_good(policy, stored.state);
        }
        Ok((slot, stored.ticks))
    }

    /// Starts to load the policies of `spec`; aborts the load in progress.
    pub(super) fn start_load(&mut self, spec: ServiceSpec, reason: LoadReason) {
        self.pending = Some(self.loader.start_load(spec, reason));
    }

    /// Waits for the load in progress; never returns if there is none. Cancel-safe.
    pub(super) async fn next_loaded(&mut self) -> (ServiceSpec, LoadReason, Vec<LoadResult>) {
        let Some(pending) = &mut self.pending else { return std::future::pending().await };
        let loaded = pending.wait().await;
        match self.pending.take() {
            Some(pending) => {
                let (spec, reason) = pending.into_parts();
                (spec, reason, loaded)
            }
            None => std::future::pending().await,
        }
    }

    /// Retries policies that failed to load, if it is time.
    pub(super) fn retry_unavailable(&mut self, spec: &ServiceSpec) {
        let is_time = self.retry_at.is_some_and(|at| at <= Instant::now());
        if is_time && self.pending.is_none() {
            self.retry_at = None;
            self.start_load(spec.clone(), LoadReason::Unavailable);
        }
    }

    /// Fills unavailable slots with the policies that were loaded. The others are retried later.
    pub(super) async fn fill<P: Platform>(
        &mut self,
        controller: &Controller<P>,
        slots: &mut [PolicySlot],
        loaded: Vec<LoadResult>,
    ) {
        self.retry_at = None;
        let mut delay = None;
        for (slot, policy) in slots.iter_mut().zip(loaded).filter(|(slot, _)| slot.is_unavailable()) {
            let name = slot.name().to_owned();
            let condition = format!("load {name}");
            let restored = match policy {
                Ok(policy) => restore(controller, policy).await,
                Err(why) => Err(why),
            };
            match restored {
                Ok((policy, state)) => {
                    if self.conditions.clear(&condition) {
                        tracing::info!(policy = name, "policy loaded after an earlier failure");
                    }
                    slot.load(policy, state);
                }
                Err(why) => {
                    let delay = *delay.get_or_insert_with(|| self.retry.next_delay());
                    self.retry_at = Some(Instant::now() + delay);
                    if self.conditions.raise(&condition, &why) {
                        let seconds = delay.as_secs();
                        tracing::error!(policy = name, "failed to load the policy: {why}; retrying in {seconds} s");
                    }
                    slot.mark_unavailable(&why);
                }
            }
        }
        if delay.is_none() {
            self.retry.reset();
        }
    }

    /// Schedules a retry after a reload that was rejected, because it aborted the load that was in progress.
    pub(super) fn resume_retries(&mut self, slots: &[PolicySlot]) {
        if self.pending.is_none() && slots.iter().any(PolicySlot::is_unavailable) {
            self.retry_at.get_or_insert_with(|| Instant::now() + self.retry.next_delay());
        }
    }

    /// Replaces the slots.
    pub(super) fn replace(&mut self, slots: &mut Vec<PolicySlot>, replacements: Vec<Replacement>) {
        let mut before: Vec<Option<PolicySlot>> = std::mem::take(slots).into_iter().map(Some).collect();
        let mut taken = |index: usize| before.get_mut(index).and_then(Option::take);
        for replacement in replacements {
            let slot = match replacement {
                Replacement::Keep(index) => taken(index),
                Replacement::Replace { slot, policy, state } => {
                    tracing::info!(policy = policy.name, digest = policy.policy.digest(), "replaced the policy");
                    Some(match slot.and_then(&mut taken) {
                        Some(mut slot) => {
                            slot.replace(*policy, state);
                            slot
                        }
                        None => PolicySlot::new(*policy, state),
                    })
                }
            };
            slots.extend(slot);
        }
        self.retry.reset();
        self.retry_at = None;
    }
}

/// Returns the change to each slot, provided that all policies loaded and evaluate the last observation successfully.
pub(super) async fn validate_replacements<P: Platform>(
    controller: &Controller<P>,
    slots: &[PolicySlot],
    spec: &ServiceSpec,
    loaded: Vec<LoadResult>,
    last_observation: Option<&Observation>,
) -> Result<Vec<Replacement>, String> {
    let mut replacements = Vec::new();
    for (PolicySpec { name, .. }, policy) in spec.policies.iter().zip(loaded) {
        let failed = |why: String| format!("policy {name}: {why}");
        let policy = policy.map_err(failed)?;
        let slot = slots.iter().position(|slot| slot.name() == *name);
        if let Some(index) = slot.filter(|index| slots[*index].holds(&policy)) {
            replacements.push(Replacement::Keep(index));
            continue;
        }
        let (policy, state) = restore(controller, policy).await.map_err(failed)?;
        if let Some(observation) = last_observation
            && let Some(why) = policy.evaluate(observation, &state).await.failure
        {
            return Err(format!("policy {name} failed to evaluate the current fleet: {why}"));
        }
        replacements.push(Replacement::Replace { slot, policy: Box::new(policy), state });
    }
    Ok(replacements)
}

/// Loads the stored state of a policy, without which it would start from scratch.
async fn restore<P: Platform>(
    controller: &Controller<P>,
    policy: ConfiguredPolicy,
) -> Result<(ConfiguredPolicy, Vec<u8>), String> {
    let (state, _) = controller.restore_policy_state(&policy).await.map_err(|error| error.to_string())?;
    Ok((policy, state))
}

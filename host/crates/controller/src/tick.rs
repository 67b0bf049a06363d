//! One tick: observe → decide → guard → act.
//!
//! `plan` observes and decides without changing anything; `commit` stores the operations and the state. `reconcile`
//! executes the operations.

use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{
    AnswerSource, Evaluation, GuardFacts, Mode, Observation, Plan, Series, TickOutcome, TickRecord, Timestamp, Trigger,
};
use doproxy_core::pipeline::{
    BalancerSample, Evaluated, FleetLoad, ObserveInput, ScalingHistory, ScalingRules, evaluate, observe,
    requested_prices,
};
use doproxy_core::seams::{Inventory, LoadBalancer, Platform, PolicyState, Size};
use doproxy_plugin_host::ConfiguredPolicy;

use crate::controller::Controller;
use crate::error::ControllerError;
use crate::operations::{OperationSummary, StartedOperations};
use crate::service::PolicySlot;

/// The policies of a fleet and the state carried between ticks.
#[derive(Debug, Default)]
pub struct AutoscalerState {
    /// The policies, in the order of the configuration.
    pub slots: Vec<PolicySlot>,
    /// The scaling history of the loop.
    pub history: ScalingHistory,
    /// The number of the next tick.
    pub tick: u64,
}

/// The inputs of a tick.
#[derive(Debug)]
pub struct TickInput<'a> {
    /// The load of the fleet; its time is that of the tick.
    pub load: &'a FleetLoad,
    /// The series from the time-series store.
    pub metrics: &'a [Series],
    /// The trigger of the tick.
    pub trigger: Trigger,
    /// The reason that the API is unavailable, if it is.
    pub api_unreachable: Option<String>,
    /// True if HAProxy is unreachable, so that the counters are the previous ones.
    pub balancer_unreachable: bool,
}

/// The observation, decision and plan of a tick, before anything is executed.
#[derive(Debug)]
pub struct Tick {
    /// The record, without its outcome.
    pub record: TickRecord,
    /// The size that the decision leads to.
    recommended_size: u32,
    sizes: Arc<[Size]>,
}

impl Tick {
    fn new(
        observation: Observation,
        evaluations: Vec<Evaluation>,
        rules: &ScalingRules,
        facts: GuardFacts,
        trigger: Trigger,
        sizes: Arc<[Size]>,
    ) -> Self {
        let decisions = evaluations.iter().map(Evaluation::active_decision);
        let Evaluated { selected, recommended_size, plan } = evaluate(&observation, decisions, &rules.rules, &facts);
        let record = TickRecord {
            at: observation.now,
            trigger,
            selected: selected.and_then(|index| u32::try_from(index).ok()),
            evaluations,
            rules: rules.rules.clone(),
            facts,
            plan,
            outcome: TickOutcome::default(),
            observation,
        };
        Self { record, recommended_size, sizes }
    }

    /// The selected evaluation.
    pub fn selected(&self) -> Option<&Evaluation> {
        self.record.evaluations.get(self.record.selected? as usize)
    }

    /// The plan that the guard produced.
    pub fn plan(&self) -> &Plan {
        &self.record.plan
    }
}

impl<P: Platform> Controller<P> {
    /// Loads the policies together with the state each one stored at its last evaluation, whichever process that was
    /// in.
    pub async fn restore_state(&self, policies: Vec<ConfiguredPolicy>) -> Result<AutoscalerState, ControllerError> {
        let memory = self.inventory.load_loop_state().await?;
        // State of an older doproxy that this one cannot parse must not stop it.
        let memory = memory.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let mut restored = AutoscalerState { history: memory, ..AutoscalerState::default() };
        for policy in policies {
            let (state, ticks) = self.restore_policy_state(&policy).await?;
            restored.tick = restored.tick.max(ticks);
            restored.slots.push(PolicySlot::new(policy, state));
        }
        Ok(restored)
    }

    /// Loads a policy's stored state and the number of the next tick. State stored by another component or
    /// configuration is discarded, because this one could not interpret it.
    pub async fn restore_policy_state(&self, policy: &ConfiguredPolicy) -> Result<(Vec<u8>, u64), ControllerError> {
        let memory = self.load_policy_state(&policy.name).await?;
        let state = if memory.identity == policy.identity() { memory.state } else { Vec::new() };
        Ok((state, memory.ticks))
    }

    /// Loads the stored state of a policy name, regardless of component and configuration.
    pub async fn load_policy_state(&self, policy: &str) -> Result<PolicyState, ControllerError> {
        Ok(self.inventory.policy_state(policy).await?.unwrap_or_default())
    }

    /// Collects the facts that the guard uses in addition to the observation.
    pub async fn guard_facts(&self, memory: &ScalingHistory, now: Timestamp) -> Result<GuardFacts, ControllerError> {
        Ok(GuardFacts {
            pauses: self.inventory.pauses().await?,
            creates: self.recent_creates().await?,
            remaining_quota: self.remaining_quota().await,
            spent_this_month: self.inventory.cost_between(now.start_of_month(), now).await?,
            ..memory.guard_facts(now)
        })
    }

    /// Observes the fleet, evaluates each policy, and applies the guard to the decision. Changes nothing.
    pub async fn plan(
        &self,
        state: &mut AutoscalerState,
        bounds: &ScalingRules,
        input: &TickInput<'_>,
    ) -> Result<Tick, ControllerError> {
        let sizes = self.sizes().await?;
        let snapshot = self.load().await?;
        let boot_time = self.boot_time().await?;
        let observation = observe(&ObserveInput {
            tick: state.tick,
            fleet: &self.settings.fleet,
            template: &self.settings.template,
            sizes: &sizes,
            limits: bounds.limits,
            snapshot: &snapshot,
            load: input.load,
            metrics: input.metrics,
            boot_time,
        });
        // Health is unknown while HAProxy is unreachable.
        if !input.balancer_unreachable {
            state.history.record_health(&observation);
        }
        let mut evaluations = Vec::with_capacity(state.slots.len());
        for slot in &state.slots {
            evaluations.push(slot.evaluate(&observation).await);
        }
        let mut facts = self.guard_facts(&state.history, observation.now).await?;
        facts.api_unreachable.clone_from(&input.api_unreachable);
        facts.prices = requested_prices(evaluations.iter().map(|evaluation| &evaluation.decision), &sizes);
        facts.balancer_unreachable = input.balancer_unreachable;
        if input.balancer_unreachable {
            facts.unhealthy_since.clear();
        }
        Ok(Tick::new(observation, evaluations, bounds, facts, input.trigger, sizes))
    }

    /// Stores the planned operations and the state of a tick. Sends nothing: `reconcile` executes the started
    /// operations.
    pub async fn commit(&self, state: &mut AutoscalerState, tick: &mut Tick) -> Result<(), ControllerError> {
        self.save_state(state, tick).await?;
        let StartedOperations { operations, error } = self.start_operations(&tick.record.plan, &tick.sizes).await;
        tick.record.outcome = TickOutcome {
            operations: operations.iter().map(|operation| operation.id).collect(),
            error: error.as_ref().map(ToString::to_string),
        };
        error.map_or(Ok(()), Err)
    }

    /// Stores the state of a tick without starting its plan; the record keeps `why`.
    pub async fn commit_without_plan(
        &self,
        state: &mut AutoscalerState,
        tick: &mut Tick,
        why: String,
    ) -> Result<(), ControllerError> {
        tick.record.outcome = TickOutcome { operations: Vec::new(), error: Some(why) };
        self.save_state(state, tick).await
    }

    async fn save_state(&self, state: &mut AutoscalerState, tick: &Tick) -> Result<(), ControllerError> {
        let is_begun = tick.record.outcome.error.is_none();
        let now = tick.record.at;
        let next = tick.record.observation.tick + 1;
        let mut states = Vec::with_capacity(state.slots.len());
        for (slot, evaluation) in state.slots.iter_mut().zip(&tick.record.evaluations) {
            slot.record_evaluation(evaluation, now);
            let policy = slot.identity();
            states.push((
                evaluation.policy.clone(),
                PolicyState { identity: policy, ticks: next, state: slot.state().to_vec() },
            ));
        }
        let mut active = tick.record.evaluations.iter().filter(|evaluation| evaluation.mode == Mode::Active).peekable();
        let any = active.peek().is_none() || active.any(|evaluation| evaluation.answered_by != AnswerSource::Hold);
        state.history.record_evaluation(any, now);
        state.history.record_recommendation(now, tick.recommended_size, tick.record.rules.stabilization_window);
        let replaced = tick.record.plan.deletes.iter().filter(|delete| delete.replaced && is_begun).count();
        state.history.record_replacements(now, replaced);
        state.tick = next;
        let memory = serde_json::to_string(&state.history).unwrap_or_default();
        Ok(self.inventory.save_state(&memory, &states).await?)
    }

    /// Waits until the operations of a tick are complete.
    pub async fn finish_tick(&self, tick: &Tick) -> Result<OperationSummary, ControllerError> {
        let snapshot = self.load().await?;
        let started = &tick.record.outcome.operations;
        let operations: Vec<_> =
            snapshot.operations.iter().filter(|operation| started.contains(&operation.id)).cloned().collect();
        self.finish(&operations).await
    }

    /// Reads the current HAProxy counters.
    pub async fn stats(&self) -> Result<BalancerSample, ControllerError> {
        let stats = self.balancer.stats().await.map_err(ControllerError::balancer)?;
        Ok(BalancerSample { at: self.clock.now(), stats })
    }

    /// Returns the median of recent times from request to serving.
    async fn boot_time(&self) -> Result<Option<Duration>, ControllerError> {
        let mut lately = self.inventory.boot_times(BOOT_TIME_SAMPLES).await?;
        lately.sort_unstable();
        Ok(lately.get(lately.len() / 2).copied())
    }
}

/// Number of recent boots over which the boot time is computed.
const BOOT_TIME_SAMPLES: u32 = 15;

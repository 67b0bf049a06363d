//! One tick: observe → decide → guard → act.

use std::time::Duration;

use super::act::Acted;
use super::decide::{ConfiguredPolicy, Decided, decide};
use super::guard::guard;
use super::observe::{Inputs, StatsAt, observe};
use super::{Controller, ControllerError};
use crate::balancer::Balancer;
use crate::cloud::{Cloud, Size};
use crate::inventory::{Inventory, PolicyState};
use crate::model::{Limits, Observation, Plan};

/// What a tick saw, decided and planned; nothing is done yet.
#[derive(Debug)]
pub struct Tick {
    /// What it saw.
    pub observation: Observation,
    /// What the policy answered.
    pub decided: Decided,
    /// What the guard left of it.
    pub plan: Plan,
    sizes: Vec<Size>,
}

impl<C: Cloud, B: Balancer, I: Inventory> Controller<C, B, I> {
    /// Looks at the fleet for `window`, asks the policy, and holds its answer to the limits.
    pub async fn plan(
        &self,
        policy: &ConfiguredPolicy,
        limits: Limits,
        window: Duration,
    ) -> Result<Tick, ControllerError> {
        let sizes = self.cloud.sizes().await?;
        let before = self.stats().await?;
        tokio::time::sleep(window).await;
        let now = self.stats().await?;
        let memory = self.inventory.policy_state(&policy.name).await.map_err(ControllerError::inventory)?;
        // Another component, or the same with another configuration, would not understand the old one's memory.
        let memory = memory.filter(|memory| memory.policy == identity(policy)).unwrap_or_default();
        let snapshot = self.load().await?;
        let observation = observe(&Inputs {
            tick: memory.ticks,
            fleet: &self.settings.fleet,
            template: &self.settings.template,
            sizes: &sizes,
            limits,
            snapshot: &snapshot,
            before: &before,
            now: &now,
        });
        let decided = decide(policy, &observation, &memory.state).await;
        let mut plan = guard(&observation, &decided.decision);
        let wanted = plan.created();
        if let (allowed, Some(tripped)) = self.allowed(wanted).await? {
            plan.create_at_most(allowed, tripped.rule(), &tripped.to_string());
        }
        Ok(Tick { observation, decided, plan, sizes })
    }

    /// Carries out what a tick planned, and keeps what the policy wants to remember.
    pub async fn commit(&self, policy: &ConfiguredPolicy, tick: &Tick) -> Result<Acted, ControllerError> {
        let memory = PolicyState {
            policy: identity(policy),
            ticks: tick.observation.tick + 1,
            state: tick.decided.decision.state.clone(),
        };
        self.inventory.set_policy_state(&policy.name, &memory).await.map_err(ControllerError::inventory)?;
        self.act(&tick.plan, &tick.sizes).await
    }

    async fn stats(&self) -> Result<StatsAt, ControllerError> {
        let stats = self.balancer.stats().await.map_err(ControllerError::balancer)?;
        Ok(StatsAt { at: self.clock.now(), stats })
    }
}

/// What tells apart the components and configurations whose memory a state can be.
fn identity(policy: &ConfiguredPolicy) -> String {
    format!("{} {}", policy.policy.digest(), policy.config)
}

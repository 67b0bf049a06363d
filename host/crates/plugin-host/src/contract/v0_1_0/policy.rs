//! Policies of this version.

use doproxy_core::domain::{Decision, Manifest, Observation, Problem};
use wasmtime::component::InstancePre;
use wasmtime::{Result, Store};

use super::bindings::ScalingPolicyPre;
use super::convert;
use super::decide::DecideFunction;
use crate::contract::Exports;
use crate::error::CallError;
use crate::limits::Limits;
use crate::store_data::StoreData;

/// A policy, ready for instantiation.
pub struct Policy {
    pre: ScalingPolicyPre<StoreData>,
    decide: DecideFunction,
}

impl Exports for Policy {
    fn new(pre: InstancePre<StoreData>) -> Result<Self> {
        let pre = ScalingPolicyPre::new(pre)?;
        let decide = DecideFunction::of(pre.instance_pre().clone())?;
        Ok(Self { pre, decide })
    }

    async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        let policy = self.pre.instantiate_async(&mut *store).await?;
        Ok(convert::manifest(policy.doproxy_plugin_policy().call_describe(store).await?))
    }

    async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        let policy = self.pre.instantiate_async(&mut *store).await?;
        let verdict = policy.doproxy_plugin_policy().call_validate(store, config).await?;
        Ok(verdict.map_err(|found| convert::problems(&found)))
    }
}

impl Policy {
    pub(crate) async fn decide(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
        observation: &Observation,
        state: &[u8],
        limits: &Limits,
    ) -> Result<std::result::Result<Decision, CallError>> {
        let lists = convert::Lists::of(observation);
        let records = convert::Records::of(observation, &lists);
        let observation = convert::observation(observation, &lists, &records);
        let result = self.decide.call(store, config, &observation, state).await?;
        Ok(match result {
            Err(error) => Err(convert::error(&error)),
            // Check the size before copying any part of the decision.
            Ok(decision) => limits
                .check_decision_size(decision.state.len(), convert::bytes_of(&decision))
                .and_then(|()| convert::decision(decision)),
        })
    }
}

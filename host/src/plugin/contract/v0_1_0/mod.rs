//! Version 0.1.0 of the contract, frozen in `wit/doproxy-plugin@0.1.0`.
//!
//! `bindings` is what wasmtime makes of it, `convert` the way between it and [`crate::model`], `decide` the function that
//! is called at every tick.

mod bindings;
mod convert;
mod decide;

use wasmtime::component::{HasSelf, InstancePre, Linker};
use wasmtime::{Result, Store};

use self::bindings::{ScalingPolicy, ScalingPolicyPre, UserDataGenerator, UserDataGeneratorPre, log, types};
use self::decide::DecideFunction;
use crate::model::{Decision, Manifest, Observation, Problem, UserDataRequest};
use crate::plugin::store_data::StoreData;
use crate::plugin::{CallError, Limits};

/// Its name in the names of interfaces.
pub(super) const NAME: &str = "0.1.0";

/// What a component of this version may import of the contract.
pub(super) const IMPORTS: [&str; 2] = ["log", "types"];

/// Links what a component of this version may import.
pub(super) fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    log::add_to_linker::<StoreData, HasSelf<StoreData>>(linker, |guest| guest)?;
    types::add_to_linker::<StoreData, HasSelf<StoreData>>(linker, |guest| guest)
}

impl log::Host for StoreData {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.log(convert::level(level), &message)
    }
}

impl types::Host for StoreData {}

/// A policy, ready to be instantiated.
pub(in crate::plugin) struct Policy {
    pre: ScalingPolicyPre<StoreData>,
    decide: DecideFunction,
}

impl Policy {
    pub(super) fn new(pre: InstancePre<StoreData>) -> Result<Self> {
        let pre = ScalingPolicyPre::new(pre)?;
        let decide = DecideFunction::of(pre.instance_pre().clone())?;
        Ok(Self { pre, decide })
    }

    async fn instance(&self, store: &mut Store<StoreData>) -> Result<ScalingPolicy> {
        self.pre.instantiate_async(store).await
    }

    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        let policy = self.instance(store).await?;
        Ok(convert::manifest(policy.doproxy_plugin_policy().call_describe(store).await?))
    }

    pub(super) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        let policy = self.instance(store).await?;
        let verdict = policy.doproxy_plugin_policy().call_validate(store, config).await?;
        Ok(verdict.map_err(|found| convert::problems(&found)))
    }

    pub(super) async fn decide(
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
        let answer = self.decide.call(store, config, &observation, state).await?;
        Ok(match answer {
            Err(error) => Err(convert::error(&error)),
            // Before anything of it is copied again.
            Ok(decision) => limits
                .check_decision_size(decision.state.len(), convert::bytes_of(&decision))
                .and_then(|()| convert::decision(decision)),
        })
    }
}

/// A generator, ready to be instantiated.
pub(in crate::plugin) struct Generator(UserDataGeneratorPre<StoreData>);

impl Generator {
    pub(super) fn new(pre: InstancePre<StoreData>) -> Result<Self> {
        UserDataGeneratorPre::new(pre).map(Self)
    }

    async fn instance(&self, store: &mut Store<StoreData>) -> Result<UserDataGenerator> {
        self.0.instantiate_async(store).await
    }

    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        let generator = self.instance(store).await?;
        Ok(convert::manifest(generator.doproxy_plugin_user_data().call_describe(store).await?))
    }

    pub(super) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        let generator = self.instance(store).await?;
        let verdict = generator.doproxy_plugin_user_data().call_validate(store, config).await?;
        Ok(verdict.map_err(|found| convert::problems(&found)))
    }

    pub(super) async fn generate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
        request: &UserDataRequest,
    ) -> Result<std::result::Result<String, CallError>> {
        let request = convert::request(request);
        let generator = self.instance(store).await?;
        let answer = generator.doproxy_plugin_user_data().call_generate(store, config, &request).await?;
        Ok(answer.map_err(|error| convert::error(&error)))
    }
}

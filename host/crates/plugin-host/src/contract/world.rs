//! The two worlds, and their components of any version.

use doproxy_core::domain::{Decision, Manifest, Observation, PluginKind, Problem, UserDataRequest};
use wasmtime::component::InstancePre;
use wasmtime::{Result, Store};

use crate::contract::Version;
use crate::contract::v0_1_0;
use crate::error::CallError;
use crate::limits::Limits;
use crate::store_data::StoreData;

/// A world of the contract.
pub trait World {
    /// The kind of plugin that exports this world.
    const KIND: PluginKind;
    /// The world in version 0.1.0.
    type V0_1_0: Exports;
}

/// A component of one version, ready for instantiation, and the functions that both worlds export. Each call runs in a
/// new instance.
pub trait Exports: Sized {
    /// Checks the component's exports.
    fn new(pre: InstancePre<StoreData>) -> Result<Self>;

    /// Reads the manifest.
    fn describe(&self, store: &mut Store<StoreData>) -> impl Future<Output = Result<Manifest>> + Send;

    /// Validates a configuration.
    fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> impl Future<Output = Result<std::result::Result<(), Vec<Problem>>>> + Send;
}

/// The world of scaling policies.
pub struct ScalingPolicy;

/// The world of user-data generators.
pub struct UserDataGenerator;

impl World for ScalingPolicy {
    const KIND: PluginKind = PluginKind::ScalingPolicy;
    type V0_1_0 = v0_1_0::Policy;
}

impl World for UserDataGenerator {
    const KIND: PluginKind = PluginKind::UserDataGenerator;
    type V0_1_0 = v0_1_0::Generator;
}

/// A component of a world and of any version, ready for instantiation.
pub enum PreparedWorld<W: World> {
    /// Version 0.1.0.
    V0_1_0(W::V0_1_0),
}

impl<W: World> PreparedWorld<W> {
    pub(crate) fn new(version: Version, pre: InstancePre<StoreData>) -> Result<Self> {
        match version {
            Version::V0_1_0 => W::V0_1_0::new(pre).map(Self::V0_1_0),
        }
    }

    pub(crate) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        match self {
            Self::V0_1_0(plugin) => plugin.describe(store).await,
        }
    }

    pub(crate) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        match self {
            Self::V0_1_0(plugin) => plugin.validate(store, config).await,
        }
    }
}

impl PreparedWorld<ScalingPolicy> {
    /// Makes a decision in a new instance.
    pub(crate) async fn decide(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
        observation: &Observation,
        state: &[u8],
        limits: &Limits,
    ) -> Result<std::result::Result<Decision, CallError>> {
        match self {
            Self::V0_1_0(policy) => policy.decide(store, config, observation, state, limits).await,
        }
    }
}

impl PreparedWorld<UserDataGenerator> {
    /// Generates user data in a new instance.
    pub(crate) async fn generate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
        request: &UserDataRequest,
    ) -> Result<std::result::Result<String, CallError>> {
        match self {
            Self::V0_1_0(generator) => generator.generate(store, config, request).await,
        }
    }
}

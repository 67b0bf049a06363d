//! The versions of the contract that this host supports, side by side.
//!
//! Each has a module of its own, with its bindings and the conversions to the one [`crate::model`]; here is only which
//! version a component is of, and the way to it. A new version is a new folder under `wit/`, a new module, and an arm in
//! each `match` below. What may change within a version is in `wit/README.md`.

mod v0_1_0;

use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Result, Store};

use super::store_data::StoreData;
use super::{CallError, Limits};
use crate::model::{Decision, Manifest, Observation, Problem, UserDataRequest};

/// The newest version, which projects are made for; its interfaces are named `doproxy:plugin/INTERFACE@VERSION`.
pub const CONTRACT: &str = v0_1_0::NAME;

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V0_1_0,
}

impl Version {
    /// All of them, newest first.
    const ALL: [Self; 1] = [Self::V0_1_0];

    const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => v0_1_0::NAME,
        }
    }

    /// The version of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// Whether a component of this version may import this interface of the contract.
    pub(super) fn may_import(self, interface: &str) -> bool {
        match self {
            Self::V0_1_0 => v0_1_0::IMPORTS.contains(&interface),
        }
    }
}

/// Links what components may import, of every version.
pub(super) fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    v0_1_0::add_to_linker(linker)
}

/// A policy of some version, ready to be instantiated.
pub(super) enum PolicyPre {
    V0_1_0(v0_1_0::Policy),
}

impl PolicyPre {
    pub(super) fn new(version: Version, pre: InstancePre<StoreData>) -> Result<Self> {
        match version {
            Version::V0_1_0 => v0_1_0::Policy::new(pre).map(Self::V0_1_0),
        }
    }

    /// Asks a new instance what it is.
    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        match self {
            Self::V0_1_0(policy) => policy.describe(store).await,
        }
    }

    /// Has a new instance check a configuration.
    pub(super) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        match self {
            Self::V0_1_0(policy) => policy.validate(store, config).await,
        }
    }

    /// Asks a new instance for a decision.
    pub(super) async fn decide(
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

/// A generator of some version, ready to be instantiated.
pub(super) enum GeneratorPre {
    V0_1_0(v0_1_0::Generator),
}

impl GeneratorPre {
    pub(super) fn new(version: Version, pre: InstancePre<StoreData>) -> Result<Self> {
        match version {
            Version::V0_1_0 => v0_1_0::Generator::new(pre).map(Self::V0_1_0),
        }
    }

    /// Asks a new instance what it is.
    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        match self {
            Self::V0_1_0(generator) => generator.describe(store).await,
        }
    }

    /// Has a new instance check a configuration.
    pub(super) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        match self {
            Self::V0_1_0(generator) => generator.validate(store, config).await,
        }
    }

    /// Has a new instance write user data.
    pub(super) async fn generate(
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

//! The contract versions supported by this host, side by side.
//!
//! Each version has a module of its own, with its bindings and the conversions to the domain model; this module only
//! dispatches to the version of a component. A new version requires a new directory under `wit/`, a new module, and an
//! arm in each `match` below. `wit/README.md` lists the changes allowed within a version.

mod v0_1_0;

use doproxy_core::domain::{Decision, Manifest, Observation, Problem, UserDataRequest};
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Result, Store};

use crate::error::CallError;
use crate::limits::Limits;
use crate::store_data::StoreData;

/// The newest version, which new projects use; its interfaces are named `doproxy:plugin/INTERFACE@VERSION`.
pub const CONTRACT: &str = crate::contract::v0_1_0::NAME;

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V0_1_0,
}

impl Version {
    /// All versions, newest first.
    const ALL: [Self; 1] = [Self::V0_1_0];

    const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => crate::contract::v0_1_0::NAME,
        }
    }

    /// Returns the version with this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// Reports whether a component of this version may import this interface of the contract.
    pub(super) fn may_import(self, interface: &str) -> bool {
        match self {
            Self::V0_1_0 => crate::contract::v0_1_0::IMPORTS.contains(&interface),
        }
    }
}

/// Adds the interfaces available to components of all versions to the linker.
pub(super) fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    crate::contract::v0_1_0::add_to_linker(linker)
}

/// A policy of any version, ready for instantiation.
pub(super) enum PolicyPre {
    V0_1_0(crate::contract::v0_1_0::Policy),
}

impl PolicyPre {
    pub(super) fn new(version: Version, pre: InstancePre<StoreData>) -> Result<Self> {
        match version {
            Version::V0_1_0 => crate::contract::v0_1_0::Policy::new(pre).map(Self::V0_1_0),
        }
    }

    /// Reads the manifest from a new instance.
    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        match self {
            Self::V0_1_0(policy) => policy.describe(store).await,
        }
    }

    /// Validates a configuration in a new instance.
    pub(super) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        match self {
            Self::V0_1_0(policy) => policy.validate(store, config).await,
        }
    }

    /// Makes a decision in a new instance.
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

/// A generator of any version, ready for instantiation.
pub(super) enum GeneratorPre {
    V0_1_0(crate::contract::v0_1_0::Generator),
}

impl GeneratorPre {
    pub(super) fn new(version: Version, pre: InstancePre<StoreData>) -> Result<Self> {
        match version {
            Version::V0_1_0 => crate::contract::v0_1_0::Generator::new(pre).map(Self::V0_1_0),
        }
    }

    /// Reads the manifest from a new instance.
    pub(super) async fn describe(&self, store: &mut Store<StoreData>) -> Result<Manifest> {
        match self {
            Self::V0_1_0(generator) => generator.describe(store).await,
        }
    }

    /// Validates a configuration in a new instance.
    pub(super) async fn validate(
        &self,
        store: &mut Store<StoreData>,
        config: &str,
    ) -> Result<std::result::Result<(), Vec<Problem>>> {
        match self {
            Self::V0_1_0(generator) => generator.validate(store, config).await,
        }
    }

    /// Generates user data in a new instance.
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

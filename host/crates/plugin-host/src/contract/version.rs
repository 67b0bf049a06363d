//! The versions, and the interfaces that each of them allows.

use wasmtime::Result;
use wasmtime::component::Linker;

use crate::contract::v0_1_0;
use crate::store_data::StoreData;

/// The newest version, which new projects use; its interfaces are named `doproxy:plugin/INTERFACE@VERSION`.
pub const CONTRACT: &str = v0_1_0::NAME;

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V0_1_0,
}

impl Version {
    /// All versions, newest first.
    const ALL: [Self; 1] = [Self::V0_1_0];

    const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => v0_1_0::NAME,
        }
    }

    /// Returns the version with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// Reports whether a component of this version may import this interface of the contract.
    pub(crate) fn may_import(self, interface: &str) -> bool {
        match self {
            Self::V0_1_0 => v0_1_0::IMPORTS.contains(&interface),
        }
    }
}

/// Adds the interfaces available to components of all versions to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    v0_1_0::add_to_linker(linker)
}

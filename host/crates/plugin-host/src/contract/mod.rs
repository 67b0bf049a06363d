//! The contract versions supported by this host, side by side.
//!
//! Each version has a module of its own, with its bindings and the conversions to the domain model; `version` and `world`
//! only dispatch to the version of a component. A new version requires a new directory under `wit/`, a new module, and
//! an arm in each `match` of these two. `wit/README.md` lists the changes allowed within a version.

mod v0_1_0;
mod version;
mod world;

pub use crate::contract::version::CONTRACT;
pub(crate) use crate::contract::version::{Version, add_to_linker};
pub use crate::contract::world::{Exports, PreparedWorld, ScalingPolicy, UserDataGenerator, World};

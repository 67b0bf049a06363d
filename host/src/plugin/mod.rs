//! The plugin host: WebAssembly components that decide on the fleet and write user data, trusted with nothing.
//!
//! [`PluginHost`] loads a component by its [`Reference`]: it reads it, checks its imports and exports, compiles it (once;
//! then it comes from the cache), really instantiates it and asks it to describe itself. A [`Policy`] or [`Generator`]
//! then answers each call with a fresh instance in a fresh store, within [`Limits`].
//!
//! The rooms: [`reference`], `source` and `shape` say what a component is and where it comes from; `compiler` makes
//! machine code of it in a process of its own, `artefact` is how that travels, `cache` where it stays; `engine` and
//! `meter` hold wasmtime; `wasi` is the emptiness behind WASI; `contract` has a module for each version of the contract,
//! between its bindings and [`crate::model`]; `guest` is one call's state. Nothing outside of this module names
//! a type of wasmtime.
//!
//! Plugins from registries: `oci` speaks to a registry, `store` keeps what came, `lock` what its tag means, `signatures`
//! are read and made, `trust` judges them; `shared` puts these together, `publish` is the way out.
//!
//! [`building`] and [`testing`] are for authors: nothing that runs a fleet needs them.

mod artefact;
pub mod building;
mod cache;
mod compiler;
mod contract;
mod digest;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generator;
mod guest;
mod host;
mod limits;
mod loaded;
mod lock;
mod log;
mod meter;
mod moment;
mod oci;
mod own_files;
mod policy;
mod publish;
mod reference;
mod schema;
mod shape;
mod shared;
mod signatures;
mod source;
mod store;
pub mod testing;
pub mod text;
mod trust;
mod wasi;

pub use compiler::{Confinement, compile_plugin};
pub use contract::CONTRACT;
pub use digest::{Digest, InvalidDigest};
pub use error::{CallError, GuestTrace, Limit, LoadError, PluginError};
pub use generator::Generator;
pub use host::{Inspected, Looked, PluginHost, PluginSettings};
pub use limits::Limits;
pub use loaded::{CallStats, Called};
pub use lock::{Lock, LockError};
pub use log::{LogLevel, LogLine};
pub use oci::{InvalidOciReference, Login, NotAPlugin, OciReference, RegistryError};
pub use policy::Policy;
pub use publish::{Pushed, Signed};
pub use reference::{InvalidReference, Reference};
pub use shape::{Import, Verdict};
pub use shared::{Origin, ShareError, SharingSettings, Tell, Updated};
pub use signatures::{Flaw, KeyError, PrivateKey, PublicKey};
pub use source::builtins;
pub use store::StoreError;
pub use trust::{InvalidPattern, KeySource, Pattern, Rule, TrustError, Trusted};

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

mod artifact;
pub mod building;
mod cache;
mod call;
mod call_context;
mod compiler;
mod component_info;
mod config_schema;
mod contract;
mod digest;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generator;
mod host;
mod limits;
mod lockfile;
mod log;
mod oci;
mod plugin_ref;
mod policy;
mod private_file;
mod publish;
mod resolver;
mod resource_limiter;
pub mod sanitize;
mod signatures;
mod source;
mod store;
mod store_data;
pub mod testing;
mod trust;
mod wasi;

pub use call::{CallOutput, CallUsage};
pub use compiler::{SandboxLimits, compile_plugin};
pub use component_info::{Import, ImportPolicy};
pub use contract::CONTRACT;
pub use digest::{Digest, InvalidDigest};
pub use error::{CallError, GuestTrace, Limit, LoadError, PluginError};
pub use generator::Generator;
pub use host::{ComponentInfo, PluginHost, PluginInfo, PluginSettings};
pub use limits::Limits;
pub use lockfile::{LockError, LockFile};
pub use log::{LogLevel, LogLine};
pub use oci::{InvalidOciReference, Login, NotAPlugin, OciReference, RegistryError};
pub use plugin_ref::{InvalidReference, Reference};
pub use policy::Policy;
pub use publish::{Pushed, Signed};
pub use resolver::{ProgressSink, Provenance, RegistrySettings, ResolveError, Update};
pub use signatures::{KeyError, PrivateKey, PublicKey, SignatureError};
pub use source::builtins;
pub use store::StoreError;
pub use trust::{InvalidRepositoryPattern, KeySource, RepositoryPattern, Rule, TrustDecision, TrustError};

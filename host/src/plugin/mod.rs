//! The plugin host: runs untrusted WebAssembly components that make scaling decisions and generate user data.
//!
//! [`PluginHost`] loads a component by its [`Reference`]: it reads the bytes, checks imports and exports, compiles the
//! component (once; later loads use the cache), instantiates it and reads its manifest. A [`Policy`] or [`Generator`]
//! then executes each call in a fresh instance and store, within [`Limits`].
//!
//! Modules: `reference`, `source` and `component_info` locate and classify a component; `compile` produces machine code
//! in a separate process, with `artifact` as the format in transit and `cache` as the storage; `engine` and
//! `resource_limiter` wrap wasmtime; `wasi` provides stubs for WASI; `contract` has one module per contract version,
//! which converts between its bindings and the domain model; `store_data` is the state of one call. No wasmtime type is
//! visible outside this module.
//!
//! Plugins from registries: `oci` is the registry client, `store` the local storage, `lockfile` pins tags to digests,
//! `signature` reads and creates signatures, `trust` evaluates them; `resolver` combines these, and `publish` pushes
//! and signs plugins.
//!
//! `build` and `test` are development tools for plugin authors; running a fleet does not need them.

mod artifact;
pub mod building;
pub mod byte_size;
mod cache;
mod call;
mod call_context;
mod compiler;
mod component_info;
mod config_schema;
mod configured_policy;
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
pub use configured_policy::ConfiguredPolicy;
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

//! The plugin host: loads WebAssembly components and calls them in a sandbox, within limits.

mod call;
mod call_context;
mod compile;
mod component_info;
mod config_schema;
mod configured_policy;
mod contract;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod generator;
mod host;
mod limits;
mod loaded_plugin;
mod log;
mod policy;
mod resource_limiter;
mod source;
mod store_data;
mod wasi;

pub use call::{CallOutput, CallUsage};
pub use compile::child::compile_plugin;
pub use compile::sandbox::SandboxLimits;
pub use component_info::{Import, ImportPolicy};
pub use configured_policy::ConfiguredPolicy;
pub use contract::CONTRACT;
pub use error::{CallError, GuestTrace, Limit, PluginError};
pub use generator::Generator;
pub use host::{ComponentInfo, PluginHost, PluginSettings};
pub use limits::Limits;
pub use loaded_plugin::LoadedPlugin;
pub use log::LogLine;
pub use policy::Policy;
pub use source::builtins;

//! The plugin host: WebAssembly components that decide on the fleet and write user data, trusted with nothing.
//!
//! [`PluginHost`] loads a component by its [`Reference`]: it reads it, checks its imports and exports, compiles it (once;
//! then it comes from the cache), really instantiates it and asks it to describe itself. A [`Policy`] or [`Generator`]
//! then answers each call with a fresh instance in a fresh store, within [`Limits`].
//!
//! The rooms: [`reference`], `source` and `shape` say what a component is and where it comes from; `compiler` makes
//! machine code of it in a process of its own, `artefact` is how that travels, `cache` where it stays; `engine` and
//! `meter` hold wasmtime; `wasi` is the emptiness behind WASI; `bindings` is the contract as wasmtime sees it and
//! `convert` the way between it and [`crate::model`]; `guest` is one call's state. Nothing outside of this module names
//! a type of wasmtime.

mod artefact;
mod bindings;
mod cache;
mod compiler;
mod convert;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generator;
mod guest;
mod host;
mod limits;
mod loaded;
mod log;
mod meter;
mod policy;
mod reference;
mod schema;
mod shape;
mod source;
pub mod text;
mod wasi;

pub use compiler::{Confinement, compile_plugin};
pub use error::{CallError, GuestTrace, Limit, LoadError, PluginError};
pub use generator::Generator;
pub use host::{Inspected, PluginHost, PluginSettings};
pub use limits::Limits;
pub use loaded::{CallStats, Called};
pub use log::{LogLevel, LogLine};
pub use policy::Policy;
pub use reference::{InvalidReference, Reference};
pub use source::builtins;

//! Compilation of components, the only work that a plugin causes in the host before wasmtime's limits apply: a module
//! of 300 KiB can take more than half a minute or a gigabyte.
//!
//! Compilation therefore runs in a separate process. `process` starts it and enforces the timeout; `child` is the code
//! in that process; `sandbox` restricts it before it reads any input.

pub(crate) mod artifact;
pub(crate) mod cache;
pub(crate) mod child;
mod compiler;
mod process;
pub(crate) mod sandbox;

pub(crate) use crate::compile::compiler::Compiler;
pub use crate::compile::sandbox::SandboxLimits;

//! Builds Rust crates for `wasm32-unknown-unknown` and makes components of them, in process.
//!
//! That target has no WASI imports and needs no linker of its own, so a machine with Rust needs nothing but the
//! target's standard library. [`Toolchain::find`] knows where that may come from; installing one is the work of
//! `install-toolchain.sh` beside this crate, which this crate only names.

mod build;
mod error;
mod toolchain;

pub use build::{Guest, GuestBuild, componentize};
pub use error::GuestBuildError;
pub use toolchain::Toolchain;

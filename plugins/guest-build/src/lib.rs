//! Builds Rust crates for `wasm32-unknown-unknown` and converts them into components, in process.
//!
//! That target has no WASI imports and needs no linker of its own, so a machine with Rust needs only the target's
//! standard library. [`Toolchain::find`] searches the places where that may be installed; `install-toolchain.sh` next
//! to this crate installs one, and this crate only refers to it.

mod build;
mod error;
mod toolchain;

pub use build::{Guest, GuestBuild, componentize};
pub use error::GuestBuildError;
pub use toolchain::Toolchain;

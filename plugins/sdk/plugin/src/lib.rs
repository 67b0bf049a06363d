//! The part of the SDK that is common to all plugins: the manifest, and parsing and validating configurations.
//!
//! To write a plugin, start with one of the crates that build on this one and re-export it:
//!
//! - `doproxy-policy-sdk` for scaling policies,
//! - `doproxy-user-data-sdk` for user-data generators.
//!
//! In a component this crate also provides the memory allocator, which is fast because an instance lives for one call.

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "an allocator operates on addresses")]
mod allocator;
mod manifest;
mod problem;

pub use manifest::Manifest;
pub use problem::{Problem, parse_json, validated};

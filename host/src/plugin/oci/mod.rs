//! Registries: the part of the OCI distribution specification that it takes to share plugins.
//!
//! [`reference`] is what a plugin there is called, `manifest` how one is packed, `credentials` who is asking, `challenge`
//! what a registry wants to see of that, `session` the requests, and `registry` what can be done. What is trusted, stored
//! and locked is not decided here.
//!
//! The client is doproxy's own, over the HTTP client that is here anyway. Of the crates for this, oci-client 0.17 reads
//! manifests, tokens and messages of any size, writes tokens to its log, sends a password to whatever address a registry
//! names, and brings a second implementation of cryptography that needs a C compiler.

mod challenge;
mod client;
mod credentials;
mod error;
pub(super) mod manifest;
pub(super) mod reference;
mod registry;

pub(super) use client::Access;
pub use credentials::Login;
pub use error::RegistryError;
pub use manifest::NotAPlugin;
pub use reference::{InvalidOciReference, OciReference, SCHEME};
pub(super) use registry::Registry;

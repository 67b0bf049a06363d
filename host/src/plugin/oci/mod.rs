//! The registry client: the part of the OCI distribution specification needed to share plugins.
//!
//! `reference` is the name of a plugin in a registry, `manifest` its packaging, `credentials` the logins, `challenge`
//! the authentication schemes, `client` the HTTP requests, and `registry` the supported operations. Trust, storage and
//! pinning are handled elsewhere.
//!
//! doproxy has its own client on top of the HTTP client that it uses anyway. Of the existing crates, oci-client 0.17
//! reads manifests, tokens and messages of unbounded size, logs tokens, sends passwords to any address that a registry
//! names, and depends on a second cryptography implementation that needs a C compiler.

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

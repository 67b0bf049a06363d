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
pub(crate) mod credentials;
mod error;
pub(crate) mod manifest;
pub(crate) mod reference;
mod registry;

pub(super) use crate::oci::client::Access;
pub use crate::oci::credentials::Login;
pub use crate::oci::error::RegistryError;
pub use crate::oci::manifest::NotAPlugin;
pub use crate::oci::reference::{OciReference, SCHEME};
pub(super) use crate::oci::registry::Registry;

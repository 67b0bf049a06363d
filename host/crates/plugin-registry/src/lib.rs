//! Plugins from OCI registries: references, lock file, client, signatures, trust rules, local store. No WebAssembly runtime.

pub mod component_metadata;
mod digest;
mod lockfile;
mod oci;
mod plugin_ref;
mod publish;
mod resolver;
mod signatures;
mod store;
mod trust;

pub use component_metadata::{Metadata, read};
pub use digest::Digest;
pub use lockfile::LockFile;
pub use oci::credentials::Login;
pub use oci::reference::OciReference;
pub use plugin_ref::Reference;
pub use publish::{PublishRequest, Pushed, Signed};
pub use resolver::{PluginResolver, ProgressSink, Provenance, RegistrySettings, ResolveError, Update};
pub use signatures::key::PrivateKey;
pub use trust::{KeySource, RepositoryPattern, Rule, TrustDecision};

//! Registry errors.

use std::path::PathBuf;

use crate::digest::Digest;

/// An error of a registry, with a remedy where possible.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// TLS or the HTTP client cannot be initialized. Permanent.
    #[error("failed to set up TLS or HTTP: {0}; install the package ca-certificates, or set SSL_CERT_FILE")]
    Setup(String),
    /// There was no response, or only a partial one. May be transient.
    #[error("{doing}: {reason}")]
    Unreachable {
        /// The request.
        doing: String,
        /// The cause.
        reason: String,
    },
    /// The registry failed (5xx) or throttled the request (429). May be transient.
    #[error("{doing}: registry error: {reason}")]
    ServerError {
        /// The request.
        doing: String,
        /// The registry's message.
        reason: String,
    },
    /// The registry rejected the request. Permanent.
    #[error("{doing}: rejected by the registry: {reason}")]
    Rejected {
        /// The request.
        doing: String,
        /// The registry's message.
        reason: String,
    },
    /// The resource does not exist, or the user may not read it. Permanent.
    #[error("{what} not found; many registries also report this if read access is missing")]
    NotFound {
        /// The requested resource.
        what: String,
    },
    /// The registry requires a login. Permanent.
    #[error(
        "{registry} requires a login; run `docker login {registry}`, or set DOPROXY_REGISTRY={registry}, DOPROXY_REGISTRY_USERNAME and DOPROXY_REGISTRY_PASSWORD"
    )]
    LoginRequired {
        /// The registry.
        registry: String,
    },
    /// The registry rejected the login. Permanent.
    #[error(
        "{registry} rejected the login of {user} from {login_source}; it is wrong or expired, or lacks the permission to {permission}"
    )]
    LoginRejected {
        /// The registry.
        registry: String,
        /// The user name in the login.
        user: String,
        /// The origin of the login.
        login_source: String,
        /// The required permission.
        permission: &'static str,
    },
    /// A stored login cannot be read. Permanent.
    #[error("failed to read the login for {registry} from {login_source}: {reason}")]
    InvalidLogin {
        /// The registry.
        registry: String,
        /// The origin of the login.
        login_source: String,
        /// The cause.
        reason: String,
    },
    /// A file with logins cannot be read. Permanent.
    #[error("failed to read the logins in {}: {reason}", .path.display())]
    InvalidLoginFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The registry redirects to an address that would expose the login or the plugin on the network. Permanent.
    #[error(
        "{registry} redirects to {to}, which uses plain HTTP on another machine; only registries on this machine may use plain HTTP"
    )]
    InsecureRedirect {
        /// The registry.
        registry: String,
        /// The redirect target.
        to: String,
    },
    /// The response does not follow the registry protocol. Permanent.
    #[error("{doing}: unexpected response: {reason}")]
    UnexpectedResponse {
        /// The request.
        doing: String,
        /// The problem.
        reason: String,
    },
    /// The response exceeds the size limit. Permanent.
    #[error("{what} exceeds the limit of {most} bytes")]
    TooLarge {
        /// The requested content.
        what: String,
        /// The limit in bytes.
        most: u64,
    },
    /// The content does not match its digest. Permanent.
    #[error(
        "{what} has the wrong digest: expected {expected}, got {actual}; it was damaged or tampered with, in the registry or in transit"
    )]
    DigestMismatch {
        /// The requested content.
        what: String,
        /// The expected digest.
        expected: Digest,
        /// The actual digest.
        actual: Digest,
    },
    /// The size differs from the size in the manifest. Permanent.
    #[error("{what} has {actual} bytes, but its manifest specifies {expected}; it was damaged or tampered with")]
    SizeMismatch {
        /// The requested content.
        what: String,
        /// The size in the manifest, in bytes.
        expected: u64,
        /// The actual size in bytes.
        actual: u64,
    },
}

impl RegistryError {
    /// Reports whether the error may be transient.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::ServerError { .. })
    }

    /// Reports whether the error is caused by the user's configuration rather than by a failure at run time.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::LoginRequired { .. }
                | Self::LoginRejected { .. }
                | Self::InvalidLogin { .. }
                | Self::InvalidLoginFile { .. }
        )
    }
}

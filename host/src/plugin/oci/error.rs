//! What can go wrong with a registry.

use std::path::PathBuf;

use crate::plugin::digest::Digest;

/// What went wrong with a registry, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No TLS, or no HTTP client. Final.
    #[error("no connection can be set up: {0}; install the package ca-certificates, or set SSL_CERT_FILE")]
    Setup(String),
    /// There is no answer, or not all of it. It may be there later.
    #[error("{doing}: {reason}")]
    Unreachable {
        /// The request.
        doing: String,
        /// What happened.
        reason: String,
    },
    /// The registry has a fault of its own (5xx), or too many requests (429). It may pass.
    #[error("{doing}: the registry has a fault: {reason}")]
    ServerError {
        /// The request.
        doing: String,
        /// Its words.
        reason: String,
    },
    /// The registry says no. Final.
    #[error("{doing}: the registry refuses it: {reason}")]
    Rejected {
        /// The request.
        doing: String,
        /// Its words.
        reason: String,
    },
    /// There is nothing of that name, or nothing that this user may see. Final.
    #[error("{what} is not there; many registries say so as well of what one may not read")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// It wants to know who is asking. Final.
    #[error(
        "{registry} wants a login, and there is none: run `docker login {registry}`, or set DOPROXY_REGISTRY={registry}, DOPROXY_REGISTRY_USERNAME and DOPROXY_REGISTRY_PASSWORD"
    )]
    LoginRequired {
        /// The registry.
        registry: String,
    },
    /// It knows who is asking, and does not let them. Final.
    #[error(
        "{registry} does not let {user} do this with the login from {login_source}; it is wrong, has run out, or lacks the right to {permission}"
    )]
    LoginRejected {
        /// The registry.
        registry: String,
        /// The user, as the login names it.
        user: String,
        /// Where the login came from.
        login_source: String,
        /// What it was for.
        permission: &'static str,
    },
    /// A login is kept somewhere and cannot be read. Final.
    #[error("the login of {registry} in {login_source} cannot be used: {reason}")]
    InvalidLogin {
        /// The registry.
        registry: String,
        /// Where it is kept.
        login_source: String,
        /// Why not.
        reason: String,
    },
    /// A file of logins cannot be read. Final.
    #[error("the logins in {} cannot be read: {reason}", .path.display())]
    InvalidLoginFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It sends on to an address that would show the login or the plugin to the network. Final.
    #[error(
        "{registry} sends on to {to}, which is plain http to another machine; only a registry on this machine may do without https"
    )]
    InsecureRedirect {
        /// The registry.
        registry: String,
        /// The other address.
        to: String,
    },
    /// Its answer is none of a registry's. Final.
    #[error("{doing}: the answer is not a registry's: {reason}")]
    UnexpectedResponse {
        /// The request.
        doing: String,
        /// What is wrong.
        reason: String,
    },
    /// It is longer than is read. Final.
    #[error("{what} is larger than {most} bytes, which is the most that is read of it")]
    TooLarge {
        /// What.
        what: String,
        /// Bytes.
        most: u64,
    },
    /// The bytes are others than those that were asked for. Final.
    #[error(
        "{what} is not what the registry says it is: it should be {expected} and is {actual}; it was damaged or tampered with, there or on the way"
    )]
    DigestMismatch {
        /// What.
        what: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// It is shorter or longer than its manifest says. Final.
    #[error("{what} has {actual} bytes, and its manifest says {expected}; it was damaged or tampered with")]
    SizeMismatch {
        /// What.
        what: String,
        /// Bytes that the manifest says.
        expected: u64,
        /// Bytes that there are.
        actual: u64,
    },
}

impl RegistryError {
    /// Whether it may be otherwise in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::ServerError { .. })
    }

    /// Whether it is about what the user wrote or has, and not about how things went.
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

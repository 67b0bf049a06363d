//! Errors of the simulated cloud: the API's status and message, defined in one place.

use std::time::Duration;

/// An error response of the cloud. `Display` is the message in the response body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401.
    #[error("Unable to authenticate you.")]
    Unauthorized,
    /// 404.
    #[error("The resource you were accessing could not be found.")]
    NotFound,
    /// 404: the emulator does not implement the path.
    #[error("The emulator does not serve {0}.")]
    NotServed(String),
    /// 405.
    #[error("This path has no such method.")]
    MethodNotAllowed,
    /// 422: the account's droplet limit would be exceeded.
    #[error("creating this/these droplet(s) will exceed your droplet limit")]
    DropletLimit,
    /// 422: the size or region is currently unavailable.
    #[error("{0}")]
    Unavailable(&'static str),
    /// 422: another action on the droplet is in progress.
    #[error("Droplet already has a pending event.")]
    PendingEvent,
    /// 422: the request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// 400: the request cannot be parsed.
    #[error("{0}")]
    Malformed(String),
    /// 400, in the format specific to tags: the tag name is invalid.
    #[error("Error validating resource tag: \"tag-name {0:?} contains invalid characters\"")]
    InvalidTag(String),
    /// 429.
    #[error("API rate limit exceeded.")]
    RateLimited {
        /// Time until the next call is admitted.
        after: Duration,
        /// True for the per-minute limit; only this one sends `retry-after`.
        burst: bool,
    },
    /// 500: the emulator itself failed and may have executed the call.
    #[error("{0}")]
    Failed(String),
    /// An injected fault: an HTML page in place of an API response. `Display` is the client's rendering of it.
    #[error("an HTML page, \"{}\"", Self::page_title(*.status))]
    Page {
        /// The HTTP status.
        status: u16,
    },
    /// An injected fault.
    #[error("{message}")]
    Injected {
        /// The HTTP status.
        status: u16,
        /// Error message.
        message: String,
        /// `retry-after` header.
        retry_after: Option<Duration>,
    },
}

impl ApiError {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::NotFound | Self::NotServed(_) => 404,
            Self::MethodNotAllowed => 405,
            Self::DropletLimit | Self::Unavailable(_) | Self::PendingEvent | Self::Invalid(_) => 422,
            Self::Malformed(_) | Self::InvalidTag(_) => 400,
            Self::RateLimited { .. } => 429,
            Self::Failed(_) => 500,
            Self::Injected { status, .. } | Self::Page { status } => *status,
        }
    }

    /// Returns the `id` in the response body.
    pub fn id(&self) -> &'static str {
        match self.status() {
            400 => "bad_request",
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            405 => "method_not_allowed",
            409 => "conflict",
            422 => "unprocessable_entity",
            429 => "too_many_requests",
            503 => "service_unavailable",
            504 => "gateway_timeout",
            500.. => "server_error",
            _ => "error",
        }
    }

    /// Returns the `retry-after` header, if any.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after, burst: true } => Some(*after),
            Self::Injected { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the title of an HTML page with this status.
    pub fn page_title(status: u16) -> String {
        let reason = match status {
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Time-out",
            _ => "Error",
        };
        format!("{status} {reason}")
    }

    /// Returns the default message of an injected status.
    pub(super) fn default_message(status: u16) -> &'static str {
        match status {
            401 => "Unable to authenticate you.",
            403 => "You are not authorized to perform this operation.",
            404 => "The resource you were accessing could not be found.",
            422 => "The request could not be processed. Please try again.",
            429 => "API rate limit exceeded.",
            500.. => "Server Error",
            _ => "The request failed.",
        }
    }
}

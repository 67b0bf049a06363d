//! Why the cloud refuses a call: the API's status, words and class, from one place.

use std::time::Duration;

use crate::cloud::ErrorClass;

/// A call that the cloud answers with an error. `Display` is the message in the answer's body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401.
    #[error("Unable to authenticate you.")]
    Unauthorized,
    /// 404.
    #[error("The resource you were accessing could not be found.")]
    NotFound,
    /// 404: nothing is served there.
    #[error("The emulator does not serve {0}.")]
    NotServed(String),
    /// 405.
    #[error("This path has no such method.")]
    MethodNotAllowed,
    /// 422: more droplets than the account may have.
    #[error("creating this/these droplet(s) will exceed your droplet limit")]
    DropletLimit,
    /// 422: the size or the region cannot be had now.
    #[error("{0}")]
    Unavailable(&'static str),
    /// 422: something else is being done to the droplet.
    #[error("Droplet already has a pending event.")]
    PendingEvent,
    /// 422: the request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// 400: the request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// 400, in the shape that only tags have: the tag's name is wrong.
    #[error("Error validating resource tag: \"tag-name {0:?} contains invalid characters\"")]
    InvalidTag(String),
    /// 429.
    #[error("API rate limit exceeded.")]
    RateLimited {
        /// How long until the next call is let through.
        after: Duration,
        /// Whether it is the limit per minute; only that one sends `retry-after`.
        burst: bool,
    },
    /// 500: the emulator itself failed, and may have acted.
    #[error("{0}")]
    Failed(String),
    /// A fault that was asked for: an HTML page in place of the API's own words. `Display` is what a client makes of it.
    #[error("an HTML page, \"{}\"", Self::page_title(*.status))]
    Page {
        /// The HTTP status.
        status: u16,
    },
    /// A fault that was asked for.
    #[error("{message}")]
    Injected {
        /// The HTTP status.
        status: u16,
        /// The message.
        message: String,
        /// The `retry-after` header.
        retry_after: Option<Duration>,
    },
}

impl ApiError {
    /// The HTTP status.
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

    /// The `id` in the answer's body.
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

    /// The `retry-after` header, where there is one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after, burst: true } => Some(*after),
            Self::Injected { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The class that a client puts it in.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::DropletLimit => ErrorClass::LimitExceeded,
            Self::Unavailable(_) => ErrorClass::Unavailable,
            Self::PendingEvent => ErrorClass::TryAgain,
            Self::RateLimited { after, .. } => ErrorClass::RateLimited { retry_after: Some(*after) },
            Self::Injected { status: 422, message, .. } => class_of_unprocessable(message),
            other => match other.status() {
                401 | 403 => ErrorClass::Unauthorized,
                404 => ErrorClass::NotFound,
                429 => ErrorClass::RateLimited { retry_after: other.retry_after() },
                500.. => ErrorClass::Server,
                _ => ErrorClass::InvalidRequest,
            },
        }
    }

    /// The title of an HTML page with this status.
    pub fn page_title(status: u16) -> String {
        let reason = match status {
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Time-out",
            _ => "Error",
        };
        format!("{status} {reason}")
    }

    /// The message that an injected status has where none was asked for.
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

/// Only its words tell what an injected 422 is about.
fn class_of_unprocessable(message: &str) -> ErrorClass {
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    if says("droplet limit") {
        ErrorClass::LimitExceeded
    } else if says("not available") {
        ErrorClass::Unavailable
    } else if says("try again") || says("pending event") {
        ErrorClass::TryAgain
    } else {
        ErrorClass::InvalidRequest
    }
}

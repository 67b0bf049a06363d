//! The options of the API client.

use std::time::Duration;

use doproxy_core::domain::Token;

use crate::api_url::ApiUrl;
use crate::retry::Retry;

/// Options of the API client.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address of the API.
    pub url: ApiUrl,
    /// The API token.
    pub token: Token,
    /// The timeouts of a request.
    pub timeouts: Timeouts,
    /// The retries of a call.
    pub retry: Retry,
}

impl Options {
    /// Returns options with the default timeouts and retries.
    pub fn new(url: ApiUrl, token: Token) -> Self {
        Self { url, token, timeouts: Timeouts::default(), retry: Retry::default() }
    }
}

/// Timeouts of a request. They apply to each attempt separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Time to resolve the name, connect and complete the TLS handshake.
    pub connect: Duration,
    /// Time without a byte from the server.
    pub read: Duration,
    /// Time from the start to the last byte of the response.
    pub total: Duration,
}

impl Default for Timeouts {
    /// Five, twenty and sixty seconds.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(20), total: Duration::from_mins(1) }
    }
}

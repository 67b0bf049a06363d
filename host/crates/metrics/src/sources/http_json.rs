//! A number in a JSON document: a URL and a JSON pointer (RFC 6901).

use doproxy_core::domain::Sample;
use serde_json::Value;

use crate::error::SourceError;
use crate::sources::endpoint::{Endpoint, HttpProbe, HttpResponse};
use crate::sources::poll::{Poll, PollResult, finite};
use crate::sources::text::{sanitize, sanitize_bytes};

/// Maximum size of a document.
const MAX_BYTES: usize = 1 << 20;

/// Length of the excerpt in errors.
const EXCERPT_BYTES: usize = 120;

#[derive(Debug)]
pub(crate) struct HttpJson {
    probe: HttpProbe,
    json_pointer: String,
}

impl HttpJson {
    pub(crate) fn new(endpoint: Endpoint, pointer: String, timeout: std::time::Duration) -> Self {
        Self { probe: HttpProbe::new(endpoint, timeout), json_pointer: pointer }
    }

    pub(crate) async fn poll(&self, poll: &Poll) -> Result<PollResult, SourceError> {
        let url = || self.probe.display_url();
        let HttpResponse { status, body } = self.probe.get(&[], MAX_BYTES).await?;
        if !status.is_success() {
            let detail = if status.is_redirection() {
                "redirect not followed; use its target as the url".to_owned()
            } else {
                sanitize_bytes(&body[..body.len().min(EXCERPT_BYTES)])
            };
            let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
            return Err(SourceError::Status { url: url(), status: status.as_u16(), detail });
        }
        let document: Value = serde_json::from_slice(&body)
            .map_err(|error| SourceError::InvalidResponse { url: url(), why: error.to_string() })?;
        let beginning = || sanitize_bytes(&body[..body.len().min(EXCERPT_BYTES)]);
        let found = document.pointer(&self.json_pointer).ok_or_else(|| SourceError::PointerNotFound {
            url: url(),
            pointer: self.json_pointer.clone(),
            found: beginning(),
        })?;
        let what = || format!("{} of {}", self.json_pointer, url());
        let number = match found {
            Value::Number(number) => number.as_f64(),
            // Prometheus and others write numbers beyond JSON's range as strings.
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number =
            number.ok_or_else(|| SourceError::NotANumber { what: what(), found: sanitize(&found.to_string()) })?;
        Ok(PollResult::single(Sample { at: poll.now, value: finite(number, what)? }))
    }
}

//! A number in a JSON document: a URL and a JSON pointer (RFC 6901).

use serde_json::Value;

use super::endpoint::{Answer, Asker};
use super::source::{Poll, Polled, finite};
use super::text::{clean, clean_bytes};
use super::{Endpoint, SourceError};
use crate::model::Sample;

/// Largest document that is read.
const MOST_BYTES: usize = 1 << 20;

/// How much of a document an error shows.
const SHOWN_BYTES: usize = 120;

#[derive(Debug)]
pub(super) struct Http {
    asker: Asker,
    pointer: String,
}

impl Http {
    pub(super) fn new(endpoint: Endpoint, pointer: String, timeout: std::time::Duration) -> Self {
        Self { asker: Asker::new(endpoint, timeout), pointer }
    }

    pub(super) async fn poll(&self, poll: &Poll) -> Result<Polled, SourceError> {
        let url = || self.asker.shown();
        let Answer { status, body } = self.asker.get(&[], MOST_BYTES).await?;
        if !status.is_success() {
            let said = if status.is_redirection() {
                "a redirect, which is not followed; name the address that it leads to".to_owned()
            } else {
                clean_bytes(&body[..body.len().min(SHOWN_BYTES)])
            };
            let said = if said.is_empty() { said } else { format!(": {said}") };
            return Err(SourceError::Status { url: url(), status: status.as_u16(), said });
        }
        let document: Value = serde_json::from_slice(&body)
            .map_err(|error| SourceError::NotUnderstood { url: url(), why: error.to_string() })?;
        let beginning = || clean_bytes(&body[..body.len().min(SHOWN_BYTES)]);
        let found = document.pointer(&self.pointer).ok_or_else(|| SourceError::Nothing {
            url: url(),
            pointer: self.pointer.clone(),
            found: beginning(),
        })?;
        let what = || format!("{} of {}", self.pointer, url());
        let number = match found {
            Value::Number(number) => number.as_f64(),
            // As Prometheus and others write numbers that JSON has no room for.
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| SourceError::NoNumber { what: what(), found: clean(&found.to_string()) })?;
        Ok(Polled::one(Sample { at: poll.now, value: finite(number, what)? }))
    }
}

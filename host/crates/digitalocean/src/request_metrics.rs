//! Counters of sent requests, by call and result.

use std::collections::BTreeMap;
use std::sync::Mutex;

use doproxy_core::seams::{CloudError, ErrorClass};
use doproxy_support::sync::lock;

/// The number of requests of one call with one result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCount {
    /// The call, such as `GET /v2/droplets/{id}`.
    pub call: String,
    /// `ok`, or the class of failure.
    pub result: &'static str,
    /// The number of requests.
    pub count: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct RequestMetrics(Mutex<BTreeMap<(String, &'static str), u64>>);

impl RequestMetrics {
    /// Counts a completed request.
    pub(super) fn record(&self, method: &str, path: &str, failure: Option<&CloudError>) {
        let key =
            (format!("{method} {}", path_template(path)), failure.map_or("ok", |error| result_label(&error.class)));
        *lock(&self.0).entry(key).or_default() += 1;
    }

    /// Returns all counters.
    pub(super) fn snapshot(&self) -> Vec<RequestCount> {
        let counts = lock(&self.0);
        counts
            .iter()
            .map(|((call, result), count)| RequestCount { call: call.clone(), result, count: *count })
            .collect()
    }
}

/// Replaces the variable parts of a path with placeholders, so that metric labels come from a small set.
fn path_template(path: &str) -> String {
    let mut after = "";
    let segments = path.split('/').map(|segment| {
        let shown = match after {
            "droplets" if segment.bytes().all(|byte| byte.is_ascii_digit()) && !segment.is_empty() => "{id}",
            "images" => "{image}",
            "tags" => "{tag}",
            _ => segment,
        };
        after = segment;
        shown
    });
    segments.collect::<Vec<_>>().join("/")
}

fn result_label(class: &ErrorClass) -> &'static str {
    match class {
        ErrorClass::Unauthorized => "unauthorized",
        ErrorClass::NotFound => "not_found",
        ErrorClass::RateLimited { .. } => "rate_limited",
        ErrorClass::LimitExceeded => "limit_exceeded",
        ErrorClass::Unavailable => "unavailable",
        ErrorClass::TryAgain => "try_again",
        ErrorClass::InvalidRequest => "invalid_request",
        ErrorClass::Server => "server",
        ErrorClass::Transport { .. } => "no_answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_path_template() {
        let counts = RequestMetrics::default();
        counts.record("GET", "/v2/droplets/1234567", None);
        counts.record("GET", "/v2/droplets/7654321", None);
        counts.record("GET", "/v2/droplets", None);
        counts.record("POST", "/v2/tags/doproxy:www/resources", None);

        let read: Vec<_> = counts.snapshot().into_iter().map(|one| (one.call, one.result, one.count)).collect();
        let counted = |call: &str, count| (call.to_owned(), "ok", count);
        assert_eq!(
            read,
            [
                counted("GET /v2/droplets", 1),
                counted("GET /v2/droplets/{id}", 2),
                counted("POST /v2/tags/{tag}/resources", 1)
            ]
        );
    }
}

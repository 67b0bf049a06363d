//! Admission of a call before it is executed: counting, rate limits and faults.

use std::fmt;
use std::time::Duration;

use doproxy_core::domain::Timestamp;

use crate::cloud::{ApiError, CloudState, CorruptBody, Effect, Quota, RateLimits};

/// The parts of a call that rate limits and faults match on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// HTTP method, in upper case.
    pub method: String,
    /// Path with placeholders in place of IDs, such as `/v2/droplets/{id}`.
    pub path: String,
}

impl Call {
    /// Creates a call from its method and path.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: method.into(), path: path.into() }
    }

    fn is_key_list(&self) -> bool {
        self.method == "GET" && self.path == "/v2/account/keys"
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The result of admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Remaining rate limit quota.
    pub quota: Quota,
    /// Delay of the response, or of its absence, after the server has applied.
    pub latency: Duration,
    /// Execution and response of the call.
    pub verdict: Verdict,
}

/// Execution and response of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Executed, with the regular response.
    Proceed,
    /// Not executed; the response is an error.
    Reject(ApiError),
    /// Executed, but the response is an error.
    ExecuteAndFail(ApiError),
    /// Executed, but the connection closes without a response.
    DropResponse,
    /// Not executed; the connection is reset.
    Reset,
    /// No response is ever sent.
    NoResponse {
        /// True if the call is executed.
        executed: bool,
    },
    /// The response reports success but has a corrupt body.
    CorruptBody {
        /// Kind of corruption.
        kind: CorruptBody,
        /// True if the call is executed.
        executed: bool,
    },
}

/// The effect of the faults on one call.
struct FaultOutcome {
    latency: Duration,
    verdict: Verdict,
    /// Replaces the actual remaining quota.
    quota: Option<Quota>,
}

impl CloudState {
    /// Counts a call, regardless of its outcome.
    pub fn count(&mut self, call: &Call) {
        *self.calls.entry(call.to_string()).or_default() += 1;
    }

    /// Decides kind a call is handled: applies the rate limits first, then the faults.
    pub fn admit(&mut self, now: Timestamp, call: &Call) -> Admission {
        let (quota, refusal) = if let Some(limits) = &self.settings.rate_limits {
            self.call_windows.admit(limits, now, call.is_key_list())
        } else {
            let limit = RateLimits::default().per_hour;
            (Quota { limit, remaining: limit, reset: now }, None)
        };
        if let Some(refusal) = refusal {
            return Admission { quota, latency: Duration::ZERO, verdict: Verdict::Reject(refusal) };
        }
        let struck = self.apply_faults(now, call);
        Admission { quota: struck.quota.unwrap_or(quota), latency: struck.latency, verdict: struck.verdict }
    }

    fn apply_faults(&mut self, now: Timestamp, call: &Call) -> FaultOutcome {
        let mut latency = Duration::ZERO;
        let mut verdict = Verdict::Proceed;
        let mut quota = None;
        let (mut moved, mut deletes_newest) = (false, false);
        for fault in &mut self.faults.calls {
            let method_matches = fault.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&call.method));
            let matches = method_matches && fault.path.as_ref().is_none_or(|path| *path == call.path);
            let is_aside = matches!(fault.effect, Effect::LatencyMs(_) | Effect::MovedAddresses | Effect::Vanished);
            // A fault with a limited count that can no longer affect the result keeps its count for a later call.
            if !matches || (verdict != Verdict::Proceed && !is_aside) || !fault.when.triggers(&mut self.persisted.rng) {
                continue;
            }
            match &fault.effect {
                Effect::LatencyMs(ms) => latency = latency.saturating_add(Duration::from_millis(*ms)),
                Effect::DropResponse => verdict = Verdict::DropResponse,
                Effect::Reset => verdict = Verdict::Reset,
                Effect::NoResponse { applied } => verdict = Verdict::NoResponse { executed: *applied },
                Effect::Corrupt { kind, applied } => verdict = Verdict::CorruptBody { kind: *kind, executed: *applied },
                Effect::MovedAddresses => moved = true,
                Effect::Vanished => deletes_newest = true,
                Effect::HourlyLimit { reset_after_s } => {
                    let after = Duration::from_secs(*reset_after_s);
                    let limit = RateLimits::default().per_hour;
                    quota = Some(Quota { limit, remaining: 0, reset: now.plus(after) });
                    verdict = Verdict::Reject(ApiError::RateLimited { after, burst: false });
                }
                Effect::Page { code, applied } => {
                    let refusal = ApiError::Page { status: *code };
                    verdict = if *applied { Verdict::ExecuteAndFail(refusal) } else { Verdict::Reject(refusal) };
                }
                Effect::Status { code, message, retry_after_s, applied } => {
                    let refusal = ApiError::Injected {
                        status: *code,
                        message: message.clone().unwrap_or_else(|| ApiError::default_message(*code).to_owned()),
                        retry_after: retry_after_s.map(Duration::from_secs),
                    };
                    verdict = if *applied { Verdict::ExecuteAndFail(refusal) } else { Verdict::Reject(refusal) };
                }
            }
        }
        if moved {
            self.move_addresses(now);
        }
        if deletes_newest {
            self.delete_youngest(now);
        }
        FaultOutcome { latency, verdict, quota }
    }
}

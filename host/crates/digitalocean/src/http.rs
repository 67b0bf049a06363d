//! Execution of one call: built, sent, timed, its response read up to a limit, and retried if that is safe.
//!
//! A create uses a separate client that keeps no connection open. The server may close a used connection at any moment,
//! and the HTTP library then resends the request on another; on a fresh connection it has no reason to, so a create is
//! sent at most once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doproxy_core::domain::{Timestamp, Token};
use doproxy_core::seams::{CloudError, ErrorClass};
use doproxy_support::{failpoint, tls};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::api_url::ApiUrl;
use crate::error::{classify, parse_error_body, sanitize, transport_error, valid_request_id};
use crate::options::{Options, Timeouts};
use crate::rate_limiter::{Permit, Priority, RateLimitHeaders, RateLimiter};
use crate::request_metrics::RequestMetrics;
use crate::retry::{Retry, RetryState, parse_retry_after};

/// Largest response that is read. A page of 200 droplets is about half a megabyte.
pub(super) const MAX_BODY: usize = 32 * 1024 * 1024;

/// An error that prevents the client from being created.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS setup failed, usually because the machine has no certificates.
    #[error("failed to set up TLS: {0}; install the package ca-certificates, or set SSL_CERT_FILE")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be created.
    #[error("failed to set up the HTTP client")]
    Http(#[from] reqwest::Error),
    /// The token is not a valid header value.
    #[error("the token contains invalid characters")]
    Token,
}

/// A request to the API.
#[derive(Debug)]
pub(super) struct ApiRequest {
    method: Method,
    path: String,
    pub(super) query: Vec<(&'static str, String)>,
    body: Option<Value>,
    at_most_once: bool,
    best_effort: bool,
}

impl ApiRequest {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None, at_most_once: false, best_effort: false }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Returns an optional GET request: it leaves half of the quota, does not wait for it, and is not retried.
    pub(super) fn best_effort(path: impl Into<String>) -> Self {
        Self { best_effort: true, ..Self::get(path) }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Returns a POST request that may be retried, because it is idempotent.
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    /// Returns a POST request that is sent at most once.
    pub(super) fn create(path: impl Into<String>, body: Value) -> Self {
        Self { at_most_once: true, ..Self::post(path, body) }
    }

    fn priority(&self) -> Priority {
        match (&self.method, self.best_effort) {
            (&Method::DELETE, _) => Priority::Delete,
            (_, true) => Priority::BestEffort,
            (_, false) => Priority::Normal,
        }
    }

    /// Returns an error of this call without an HTTP status.
    pub(super) fn error(&self, class: ErrorClass, message: String) -> CloudError {
        let call = format!("{} {}", self.method, self.path);
        CloudError { class, call, status: None, message, request_id: None, attempts: 1 }
    }
}

/// A response of any status.
struct ApiResponse {
    status: StatusCode,
    request_id: Option<String>,
    /// The delay that the API requests before the next request.
    retry_after: Option<Duration>,
    rate_limit: RateLimitHeaders,
    body: Result<Vec<u8>, (ErrorClass, String)>,
}

/// The outcome of one attempt.
struct AttemptOutcome<T> {
    result: Result<T, CloudError>,
    status: Option<u16>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
}

/// The HTTP clients and the credentials.
pub(super) struct Http {
    retrying: Client,
    single_shot: Client,
    url: ApiUrl,
    token: Token,
    timeouts: Timeouts,
    retry: Retry,
    rate_limiter: RateLimiter,
    metrics: RequestMetrics,
}

impl Http {
    pub(super) fn new(options: Options) -> Result<Self, SetupError> {
        let Options { url, token, timeouts, retry } = options;
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(|_| SetupError::Token)?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let tls = if url.is_tls() { tls::with_system_certificates() } else { tls::without_certificates() }?;
        let builder = || {
            let builder = Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .https_only(url.is_tls())
                .default_headers(headers.clone())
                .user_agent(concat!("doproxy/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.read)
                .timeout(timeouts.total);
            // A proxy (HTTPS_PROXY, NO_PROXY) sees only a TLS tunnel, but would see the token of a plain request.
            if url.is_tls() { builder } else { builder.no_proxy() }
        };
        let repeating = builder().build()?;
        let once = builder().pool_max_idle_per_host(0).build()?;
        Ok(Self {
            retrying: repeating,
            single_shot: once,
            url,
            token,
            timeouts,
            retry,
            rate_limiter: RateLimiter::new(),
            metrics: RequestMetrics::default(),
        })
    }

    pub(super) fn url(&self) -> &ApiUrl {
        &self.url
    }

    pub(super) fn metrics(&self) -> &RequestMetrics {
        &self.metrics
    }

    pub(super) fn rate_limiter(&self) -> &RateLimiter {
        &self.rate_limiter
    }

    /// Executes a call and parses its response with `read`; retries it on transient faults unless it must be sent only
    /// once.
    pub(super) async fn send<T>(
        &self,
        call: &ApiRequest,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error> + Send,
    ) -> Result<T, CloudError> {
        let started = Instant::now();
        let mut retries = RetryState::new(self.retry);
        let mut held = Duration::ZERO;
        loop {
            let requested_at = Instant::now();
            let patience =
                if call.best_effort { Duration::ZERO } else { self.retry.max_total_backoff.saturating_sub(held) };
            let permit =
                self.rate_limiter.acquire(call.priority(), patience).await.map_err(|exhausted| CloudError {
                    attempts: retries.attempts(),
                    ..call.error(ErrorClass::RateLimited { retry_after: exhausted.retry_after }, exhausted.to_string())
                })?;
            held = held.saturating_add(requested_at.elapsed());
            retries.record_attempt();
            let attempts = retries.attempts();
            let AttemptOutcome { result, status, request_id, retry_after: asked } =
                self.attempt(call, &read, permit).await;
            let result = result.map_err(|error| CloudError { attempts, ..error });
            self.metrics.record(call.method.as_str(), &call.path, result.as_ref().err());

            let repeat =
                !call.at_most_once && !call.best_effort && result.as_ref().is_err_and(CloudError::is_transient);
            let pause = if repeat { retries.next_delay(asked, rand::random()) } else { None };
            tracing::debug!(
                method = %call.method,
                path = call.path,
                status,
                request_id,
                attempts,
                duration = ?started.elapsed(),
                error = result.as_ref().err().map(tracing::field::display),
                again_after = pause.map(tracing::field::debug),
                "API call"
            );
            match pause {
                Some(pause) => sleep(pause).await,
                None => return result,
            }
        }
    }

    /// Sends a call once and parses its response.
    async fn attempt<T>(
        &self,
        call: &ApiRequest,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
        mut permit: Permit<'_>,
    ) -> AttemptOutcome<T> {
        let ApiResponse { status, mut request_id, retry_after: asked, rate_limit: headers, body } =
            match failpoint::failpoint_async("API call", self.exchange(call)).await {
                Ok(response) => response,
                Err(error) => {
                    let (class, message) = transport_error(&error, self.timeouts);
                    if class == (ErrorClass::Transport { sent: false }) {
                        permit.not_sent();
                    }
                    let result = Err(call.error(class, self.redact(&message)));
                    return AttemptOutcome { result, status: None, request_id: None, retry_after: None };
                }
            };
        permit.observe_headers(headers);
        let result = match body {
            Ok(body) if status.is_success() => {
                read(&body).map_err(|error| (ErrorClass::Server, parse_error_message(&body, &error)))
            }
            Err(broken) if status.is_success() => Err(broken),
            // Without a message, the status alone determines the error.
            body => {
                let api_error = parse_error_body(&body.unwrap_or_default());
                request_id = request_id.or(api_error.request_id);
                let class = classify(status.as_u16(), &api_error.message, asked);
                Err((class, rejection_message(status, api_error.message)))
            }
        };
        let request_id = request_id.as_deref().and_then(valid_request_id);
        let status = Some(status.as_u16());
        let result = result.map_err(|(class, message)| CloudError {
            status,
            request_id: request_id.clone(),
            ..call.error(class, self.redact(&message))
        });
        AttemptOutcome { result, status, request_id, retry_after: asked }
    }

    /// Sends a request; an error means that there was no response at all.
    async fn exchange(&self, call: &ApiRequest) -> Result<ApiResponse, reqwest::Error> {
        let client = if call.at_most_once { &self.single_shot } else { &self.retrying };
        let mut request = client.request(call.method.clone(), self.url.join(&call.path));
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let mut response = request.send().await?;

        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let is_limited = status == StatusCode::TOO_MANY_REQUESTS;
        let (retry_after, reset) = (header("retry-after"), header("ratelimit-reset"));
        let number = |name: &str| header(name).and_then(|text| text.trim().parse::<u32>().ok());
        let headers = RateLimitHeaders {
            limit: number("ratelimit-limit"),
            remaining: number("ratelimit-remaining"),
            reset_after: parse_retry_after(None, reset, now()),
            retry_after: parse_retry_after(retry_after.filter(|_| is_limited), None, now()),
        };
        let asked = parse_retry_after(retry_after, reset.filter(|_| is_limited), now());
        let request_id = header("x-request-id").map(str::to_owned);
        let body = match read_body(&mut response).await {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err((ErrorClass::Server, format!("the response is larger than {MAX_BODY} bytes"))),
            Err(error) => Err(transport_error(&error, self.timeouts)),
        };
        Ok(ApiResponse { status, request_id, retry_after: asked, rate_limit: headers, body })
    }

    /// Sanitizes a message from outside for display.
    fn redact(&self, message: &str) -> String {
        sanitize(message, &[self.token.reveal(), self.url.host()])
    }
}

/// Reads the body; returns `None` if it is too large.
async fn read_body(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Describes an unparsable body. An HTML page never comes from the API, regardless of its status, but from a proxy in
/// between.
fn parse_error_message(body: &[u8], error: &serde_json::Error) -> String {
    if body.trim_ascii_start().starts_with(b"<") {
        format!("the response is {} and does not come from the API", parse_error_body(body).message)
    } else {
        format!("failed to parse the response: {error}")
    }
}

fn rejection_message(status: StatusCode, message: String) -> String {
    if status.is_redirection() {
        "redirect not followed, because it would send the token to another address".to_owned()
    } else if message.trim().is_empty() {
        status.canonical_reason().unwrap_or("no reason given").to_owned()
    } else {
        message
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

//! The HTTP layer of the API: routes, tokens, limits, faults, headers and error bodies. The calls themselves are
//! implemented by the handlers in `droplets`, `tags`, `monitoring` and `account`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use doproxy_core::domain::{Timestamp, Token};
use doproxy_support::Clock;
use doproxy_support::sync::lock;
use serde_json::Value;
use tokio::sync::Notify;

use crate::cloud::{ApiError, Call, CloudState, Quota, SplitMix64, Verdict};
use crate::http::serve::Abort;
use crate::http::{account, control, corrupt, droplets, json, monitoring, tags};
use crate::state_file::StateFile;

/// The state shared by all handlers.
#[derive(Debug)]
pub(crate) struct Shared {
    cloud: Mutex<CloudState>,
    clock: Clock,
    address: SocketAddr,
    token: Option<Token>,
    pub(crate) store: StateFile,
    request_count: AtomicU64,
    /// Wakes the task that starts and stops the droplets' servers.
    pub(crate) droplets_changed: Notify,
}

impl Shared {
    pub(crate) fn new(
        cloud: CloudState,
        clock: Clock,
        address: SocketAddr,
        token: Option<Token>,
        store: StateFile,
    ) -> Self {
        let cloud = Mutex::new(cloud);
        Self { cloud, clock, address, token, store, request_count: AtomicU64::new(0), droplets_changed: Notify::new() }
    }

    /// Reads or changes the cloud state at the current time.
    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&mut CloudState, Timestamp) -> T) -> T {
        let mut cloud = lock(&self.cloud);
        // The time is read under the lock, so it never runs backwards for the cloud state.
        read(&mut cloud, self.clock.now())
    }

    /// Returns the URL of a path of this API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
        });
        match (&self.token, given) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(token), Some(given)) => token.reveal() == given,
        }
    }

    /// Returns a new ID in UUID form; the same emulator produces the same IDs in the same order.
    fn next_request_id(&self) -> String {
        let mut luck = SplitMix64::from_seed(self.request_count.fetch_add(1, Ordering::Relaxed));
        let (high, low) = (luck.next_u64(), luck.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

/// The result of a handler: a status and a body, or an API error.
pub(super) type HandlerResult = Result<Reply, ApiError>;

/// A successful response.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// A status with a JSON body.
    Json(StatusCode, Value),
    /// 204 without a body.
    NoContent,
}

impl Reply {
    /// Returns a 200 response with this body.
    pub(super) fn ok(body: Value) -> Self {
        Self::Json(StatusCode::OK, body)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => json_response(status, &body),
            Self::NoContent => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

impl IntoResponse for ApiError {
    /// `middleware` writes the body, because it knows the request ID.
    fn into_response(self) -> Response {
        let mut response = status_of(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status_of(refusal: &ApiError) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns a JSON response with the API's content type.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// Returns all routes of the API and of the emulator's control endpoints.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/v2/account", get(account::show))
        .route("/v2/account/keys", get(account::ssh_keys))
        .route("/v2/account/keys/{id}", get(account::ssh_key))
        .route("/v2/sizes", get(account::sizes))
        .route("/v2/regions", get(account::regions))
        .route("/v2/images", get(account::images))
        .route("/v2/images/{id}", get(account::image))
        .route("/v2/actions/{id}", get(droplets::action))
        .route("/v2/droplets", get(droplets::list).post(droplets::create).delete(droplets::delete_tagged))
        .route("/v2/droplets/actions", post(droplets::command_tagged))
        .route("/v2/droplets/{id}", get(droplets::show).delete(droplets::delete))
        .route("/v2/droplets/{id}/actions", get(droplets::actions).post(droplets::command))
        .route("/v2/droplets/{id}/actions/{action}", get(droplets::action_of))
        .route("/v2/monitoring/metrics/droplet/{metric}", get(monitoring::droplet))
        .route("/v2/tags", get(tags::list).post(tags::create))
        .route("/v2/tags/{name}", get(tags::show).delete(tags::delete))
        .route("/v2/tags/{name}/resources", post(tags::assign).delete(tags::unassign))
        .fallback(not_found)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&shared), middleware));
    control::router().merge(api).with_state(shared)
}

async fn not_found(request: Request) -> ApiError {
    ApiError::NotServed(request.uri().path().to_owned())
}

/// Wraps every API call, on the way in and on the way out.
async fn middleware(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("(not served)", MatchedPath::as_str).to_owned();
    let call = Call::new(request.method().as_str(), path);
    let request_id = shared.next_request_id();
    if !shared.is_authorized(request.headers()) {
        shared.with_state(|cloud, _| cloud.count(&call));
        return add_rate_limit_headers(ApiError::Unauthorized.into_response(), None, &request_id);
    }
    let admission = shared.with_state(|cloud, now| {
        cloud.count(&call);
        cloud.admit(now, &call)
    });
    let response = match admission.verdict {
        Verdict::Proceed => run_and_persist(&shared, request, next).await,
        Verdict::Reject(refusal) => refusal.into_response(),
        Verdict::ExecuteAndFail(refusal) => {
            run_and_persist(&shared, request, next).await;
            refusal.into_response()
        }
        Verdict::DropResponse => {
            run_and_persist(&shared, request, next).await;
            abort_response(Abort::Close)
        }
        Verdict::Reset => abort_response(Abort::Reset),
        Verdict::NoResponse { executed: applied } => {
            if applied {
                run_and_persist(&shared, request, next).await;
            }
            std::future::pending().await
        }
        Verdict::CorruptBody { kind, executed: true } => {
            corrupt::corrupt_body(run_and_persist(&shared, request, next).await, kind).await
        }
        Verdict::CorruptBody { kind, executed: false } => {
            corrupt::corrupt_body(StatusCode::OK.into_response(), kind).await
        }
    };
    if admission.latency > Duration::ZERO {
        tokio::time::sleep(admission.latency).await;
    }
    tracing::debug!(%call, status = response.status().as_u16(), request_id, "answered");
    add_rate_limit_headers(response, Some(admission.quota), &request_id)
}

/// Runs the call and responds once its changes are on disk.
async fn run_and_persist(shared: &Arc<Shared>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    shared.droplets_changed.notify_one();
    match StateFile::save(shared).await {
        Ok(()) => response,
        Err(error) => {
            tracing::error!(%error, "failed to write the state file");
            ApiError::Failed(format!("The emulator failed to write its state file: {error}")).into_response()
        }
    }
}

fn abort_response(abort: Abort) -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(abort);
    response
}

/// Adds the body of an error response, and the headers common to all responses.
fn add_rate_limit_headers(mut response: Response, quota: Option<Quota>, request_id: &str) -> Response {
    if let Some(refusal) = response.extensions_mut().remove::<ApiError>() {
        response = match refusal {
            ApiError::Page { status } => corrupt::page(status_of(&refusal), &ApiError::page_title(status)),
            _ => json_response(status_of(&refusal), &json::error_body(&refusal, request_id)),
        };
        if let Some(after) = refusal.retry_after() {
            // Rounded up: a client that waits this long must be admitted.
            let seconds = after.as_millis().div_ceil(1000).to_string();
            response.headers_mut().extend(HeaderValue::from_str(&seconds).ok().map(|value| (RETRY_AFTER, value)));
        }
    }
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(request_id).ok().map(|id| (header_name("x-request-id"), id)));
    if let Some(quota) = quota {
        headers.insert(header_name("ratelimit-limit"), quota.limit.into());
        headers.insert(header_name("ratelimit-remaining"), quota.remaining.into());
        headers.insert(header_name("ratelimit-reset"), quota.reset.0.div_ceil(1000).into());
    }
    response
}

fn header_name(name: &'static str) -> axum::http::HeaderName {
    axum::http::HeaderName::from_static(name)
}

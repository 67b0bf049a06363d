//! The HTTP layer of the API: routes, tokens, limits, faults, headers and error bodies. The calls themselves are
//! implemented by the handlers in `droplets`, `tags`, `monitoring` and `account`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::cloud::{ApiError, Call, Quota, Verdict};
use crate::http::reply::{json_response, status_of};
use crate::http::serve::Abort;
use crate::http::state::Shared;
use crate::http::{account, control, corrupt, droplets, json, monitoring, tags};
use crate::state_file::StateFile;

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

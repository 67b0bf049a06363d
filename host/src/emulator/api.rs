//! The API's front door: routes, tokens, limits, faults, headers and error bodies. What a call means is in the
//! handlers of `droplets`, `tags`, `monitoring` and `account`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::Notify;

use super::serve::Abort;
use super::store::Store;
use super::{account, control, droplets, garble, json, monitoring, tags};
use crate::clock::Clock;
use crate::model::{Timestamp, Token};
use crate::simulation::cloud::{Call, Chance, Quota, Refusal, Verdict, World};

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    clock: Clock,
    address: SocketAddr,
    token: Option<Token>,
    pub(super) store: Store,
    calls: AtomicU64,
    /// Wakes who starts and stops the droplets' servers.
    pub(super) machines_changed: Notify,
}

impl Shared {
    pub(super) fn new(world: World, clock: Clock, address: SocketAddr, token: Option<Token>, store: Store) -> Self {
        let world = Mutex::new(world);
        Self { world, clock, address, token, store, calls: AtomicU64::new(0), machines_changed: Notify::new() }
    }

    /// Looks at the world, or changes it, at the time that it is now.
    pub(super) fn with_world<T>(&self, look: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        // The time is read under the lock, so that it never runs backwards for the world.
        look(&mut world, self.clock.now())
    }

    /// The URL of a path of this API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
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

    /// A new id of the form of a UUID; the same emulator gives the same ids in the same order.
    fn next_request_id(&self) -> String {
        let mut luck = Chance::from_seed(self.calls.fetch_add(1, Ordering::Relaxed));
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

/// What a handler gives back: a status and a body, or a refusal.
pub(super) type Answer = Result<Reply, Refusal>;

/// An answer that is not an error.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// With a body.
    Json(StatusCode, Value),
    /// 204, without one.
    Nothing,
}

impl Reply {
    /// 200 and a body.
    pub(super) fn ok(body: Value) -> Self {
        Self::Json(StatusCode::OK, body)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => json_response(status, &body),
            Self::Nothing => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

impl IntoResponse for Refusal {
    /// The body is written in `front_door`, which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = status_of(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status_of(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A JSON answer with the API's content type.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// All routes of the API and of the emulator's controls.
pub(super) fn router(shared: Arc<Shared>) -> Router {
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
        .fallback(not_served)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&shared), front_door));
    control::router().merge(api).with_state(shared)
}

async fn not_served(request: Request) -> Refusal {
    Refusal::NotServed(request.uri().path().to_owned())
}

/// Every call of the API goes through here, on the way in and on the way out.
async fn front_door(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("(not served)", MatchedPath::as_str).to_owned();
    let call = Call::new(request.method().as_str(), path);
    let request_id = shared.next_request_id();
    if !shared.lets_in(request.headers()) {
        shared.with_world(|world, _| world.count(&call));
        return dress(Refusal::Unauthorized.into_response(), None, &request_id);
    }
    let admission = shared.with_world(|world, now| {
        world.count(&call);
        world.admit(now, &call)
    });
    let response = match admission.verdict {
        Verdict::Proceed => act(&shared, request, next).await,
        Verdict::Refuse(refusal) => refusal.into_response(),
        Verdict::ActAndRefuse(refusal) => {
            act(&shared, request, next).await;
            refusal.into_response()
        }
        Verdict::DropResponse => {
            act(&shared, request, next).await;
            aborted(Abort::Close)
        }
        Verdict::Reset => aborted(Abort::Reset),
        Verdict::Silence { acted } => {
            if acted {
                act(&shared, request, next).await;
            }
            std::future::pending().await
        }
        Verdict::Garble { how, acted: true } => garble::garbled(act(&shared, request, next).await, how).await,
        Verdict::Garble { how, acted: false } => garble::garbled(StatusCode::OK.into_response(), how).await,
    };
    if admission.latency > Duration::ZERO {
        tokio::time::sleep(admission.latency).await;
    }
    tracing::debug!(%call, status = response.status().as_u16(), request_id, "answered");
    dress(response, Some(admission.quota), &request_id)
}

/// Carries the call out, and answers when what it changed is on disk.
async fn act(shared: &Arc<Shared>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    shared.machines_changed.notify_one();
    match Store::save(shared).await {
        Ok(()) => response,
        Err(error) => {
            tracing::error!(%error, "cannot write the state file");
            Refusal::Failed(format!("The emulator cannot write its state file: {error}")).into_response()
        }
    }
}

fn aborted(abort: Abort) -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(abort);
    response
}

/// Gives a response its body, where it is a refusal, and the headers that all have.
fn dress(mut response: Response, quota: Option<Quota>, request_id: &str) -> Response {
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = match refusal {
            Refusal::Page { status } => garble::page(status_of(&refusal), &Refusal::page_title(status)),
            _ => json_response(status_of(&refusal), &json::refusal(&refusal, request_id)),
        };
        if let Some(after) = refusal.retry_after() {
            // Rounded up: who waits that long must be let in.
            let seconds = after.as_millis().div_ceil(1000).to_string();
            response.headers_mut().extend(HeaderValue::from_str(&seconds).ok().map(|value| (RETRY_AFTER, value)));
        }
    }
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(request_id).ok().map(|id| (http_name("x-request-id"), id)));
    if let Some(quota) = quota {
        headers.insert(http_name("ratelimit-limit"), quota.limit.into());
        headers.insert(http_name("ratelimit-remaining"), quota.remaining.into());
        headers.insert(http_name("ratelimit-reset"), quota.reset.0.div_ceil(1000).into());
    }
    response
}

fn http_name(name: &'static str) -> axum::http::HeaderName {
    axum::http::HeaderName::from_static(name)
}

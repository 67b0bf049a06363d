//! The site of a droplet: a page with the droplet's identity, `/health`, and the metadata service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use doproxy_core::domain::DropletId;

use crate::cloud::ApiError;
use crate::http::metadata;
use crate::http::pagination::Query;
use crate::http::state::Shared;

/// The longest delay that `?delay_ms=` accepts.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// A droplet's site. Its identity is fixed at start, so pages are served without locking the cloud state.
#[derive(Debug)]
pub(super) struct DropletSite {
    pub(super) shared: Arc<Shared>,
    pub(super) id: DropletId,
    pub(super) name: String,
    pub(super) address: SocketAddr,
}

pub(super) fn router(site: Arc<DropletSite>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/health", get(async || "ok\n"))
        .route("/metadata", get(show_metadata))
        .route("/metadata/{*path}", get(show_metadata))
        .layer(from_fn_with_state(Arc::clone(&site), add_identity_headers))
        .with_state(site)
}

/// Adds headers with the droplet's identity to every response.
async fn add_identity_headers(
    State(site): State<Arc<DropletSite>>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-droplet-id"), site.id.0.into());
    headers
        .extend(HeaderValue::from_str(&site.name).ok().map(|name| (HeaderName::from_static("x-droplet-name"), name)));
    response
}

/// Serves `GET /`; `?delay_ms=` delays the response, so that a load test creates sessions.
async fn page(State(site): State<Arc<DropletSite>>, RawQuery(query): RawQuery) -> Html<String> {
    let delay = Query::parse(query.as_deref()).get("delay_ms").and_then(|text| text.parse().ok());
    if let Some(delay) = delay {
        tokio::time::sleep(Duration::from_millis(delay).min(MAX_DELAY)).await;
    }
    // Names consist of letters, digits, dots and dashes, so nothing here needs escaping.
    Html(format!(
        "<!doctype html>\n<title>{name}</title>\n<h1>Served by {name}</h1>\n\
         <p>Hostname: {name}</p>\n<p>Droplet id: {id}</p>\n<p>Address: {address}</p>\n",
        name = site.name,
        id = site.id,
        address = site.address.ip(),
    ))
}

async fn show_metadata(State(site): State<Arc<DropletSite>>, uri: Uri) -> Response {
    let response = site.shared.with_state(|cloud, now| {
        let droplet = cloud.droplet_itself(now, site.id)?;
        Ok::<_, ApiError>(metadata::lookup(droplet, cloud.ssh_keys(), uri.path()))
    });
    match response {
        Ok(response) => response.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

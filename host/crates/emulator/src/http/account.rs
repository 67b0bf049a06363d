//! The account and what it can use: limits, SSH keys, sizes, regions, images.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};

use crate::cloud::{ApiError, OfferedSize, catalog};
use crate::http::json;
use crate::http::pagination::{Query, page};
use crate::http::reply::{HandlerResult, Reply};
use crate::http::state::Shared;

/// `GET /v2/account`
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> HandlerResult {
    Ok(Reply::ok(json::account(shared.with_state(|cloud, _| cloud.droplet_limit()))))
}

/// `GET /v2/account/keys`
pub(super) async fn ssh_keys(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let keys = shared.with_state(|cloud, _| cloud.ssh_keys().to_vec());
    let url = shared.url("/v2/account/keys");
    page("ssh_keys", &keys, &Query::parse(query.as_deref()), &url, json::ssh_key).map(Reply::ok)
}

/// `GET /v2/account/keys/{id}`, also by fingerprint.
pub(super) async fn ssh_key(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> HandlerResult {
    shared.with_state(|cloud, _| {
        let key = cloud.ssh_keys().iter().find(|key| key.id.to_string() == id || key.fingerprint == id);
        let key = key.ok_or(ApiError::NotFound)?;
        Ok(Reply::ok(serde_json::json!({ "ssh_key": json::ssh_key(key) })))
    })
}

/// `GET /v2/sizes`
pub(super) async fn sizes(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let sizes: Vec<OfferedSize> = shared.with_state(|cloud, _| cloud.sizes().collect());
    page("sizes", &sizes, &Query::parse(query.as_deref()), &shared.url("/v2/sizes"), json::size).map(Reply::ok)
}

/// `GET /v2/regions`
pub(super) async fn regions(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let query = Query::parse(query.as_deref());
    page("regions", &catalog::REGIONS, &query, &shared.url("/v2/regions"), json::region).map(Reply::ok)
}

/// `GET /v2/images`; every image is a public distribution, so the other filters match nothing.
pub(super) async fn images(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let query = Query::parse(query.as_deref());
    let none = query.get("type").is_some_and(|kind| kind != "distribution")
        || query.get("private").is_some_and(|private| private == "true")
        || query.get("tag_name").is_some();
    let images = if none { &[][..] } else { &catalog::IMAGES };
    page("images", images, &query, &shared.url("/v2/images"), json::image).map(Reply::ok)
}

/// `GET /v2/images/{id}`, also by slug.
pub(super) async fn image(Path(id): Path<String>) -> HandlerResult {
    let image = catalog::image_by_slug_or_id(&id).ok_or(ApiError::NotFound)?;
    Ok(Reply::ok(serde_json::json!({ "image": json::image(image) })))
}

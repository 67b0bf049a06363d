//! `/v2/tags`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use doproxy_core::domain::DropletId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloud::{ApiError, TagSummary};
use crate::http::droplets::parse_body;
use crate::http::json;
use crate::http::pagination::{Query, page};
use crate::http::reply::{HandlerResult, Reply};
use crate::http::state::Shared;

#[derive(Debug, Deserialize)]
struct NewTag {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    resource_id: Value,
    resource_type: String,
}

impl Resources {
    /// Returns the droplets among the resources; no other kind can be tagged.
    fn droplets(&self) -> Result<Vec<DropletId>, ApiError> {
        let droplet = |resource: &Resource| {
            let id = match &resource.resource_id {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64(),
            };
            id.filter(|_| resource.resource_type == "droplet").map(DropletId).ok_or(ApiError::NotFound)
        };
        self.resources.iter().map(droplet).collect()
    }
}

/// `GET /v2/tags`
pub(super) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let tags: Vec<TagSummary> = shared.with_state(|cloud, now| cloud.tags(now));
    let render = |tag: &TagSummary| json::tag(tag, &shared.url(""));
    page("tags", &tags, &Query::parse(query.as_deref()), &shared.url("/v2/tags"), render).map(Reply::ok)
}

/// `POST /v2/tags`
pub(super) async fn create(State(shared): State<Arc<Shared>>, body: Bytes) -> HandlerResult {
    let name = parse_body::<NewTag>(&body)?.name.unwrap_or_default();
    let tag = shared.with_state(|cloud, now| cloud.create_tag(now, &name))?;
    Ok(Reply::Json(StatusCode::CREATED, json!({ "tag": json::tag(&tag, &shared.url("")) })))
}

/// `GET /v2/tags/{name}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> HandlerResult {
    let tag = shared.with_state(|cloud, now| cloud.tag(now, &name))?;
    Ok(Reply::ok(json!({ "tag": json::tag(&tag, &shared.url("")) })))
}

/// `DELETE /v2/tags/{name}`
pub(super) async fn delete(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> HandlerResult {
    shared.with_state(|cloud, _| cloud.delete_tag(&name))?;
    Ok(Reply::NoContent)
}

/// `POST /v2/tags/{name}/resources`
pub(super) async fn assign(State(shared): State<Arc<Shared>>, Path(name): Path<String>, body: Bytes) -> HandlerResult {
    let ids = parse_body::<Resources>(&body)?.droplets()?;
    shared.with_state(|cloud, now| cloud.tag_droplets(now, &name, &ids))?;
    Ok(Reply::NoContent)
}

/// `DELETE /v2/tags/{name}/resources`
pub(super) async fn unassign(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    body: Bytes,
) -> HandlerResult {
    let ids = parse_body::<Resources>(&body)?.droplets()?;
    shared.with_state(|cloud, now| cloud.untag_droplets(now, &name, &ids))?;
    Ok(Reply::NoContent)
}

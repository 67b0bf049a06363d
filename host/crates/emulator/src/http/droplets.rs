//! `/v2/droplets` and `/v2/actions`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use doproxy_core::domain::DropletId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cloud::{ApiError, Command, NewDroplets, Selection};
use crate::http::json;
use crate::http::pagination::{Query, page};
use crate::http::reply::{HandlerResult, Reply};
use crate::http::state::Shared;

/// The body of a create. `null` counts as missing everywhere, since one of the official clients sends every key.
#[derive(Debug, Deserialize)]
struct CreateBody {
    name: Option<String>,
    names: Option<Vec<String>>,
    region: Option<String>,
    size: Option<String>,
    image: Option<IdOrText>,
    ssh_keys: Option<Vec<IdOrText>>,
    tags: Option<Vec<String>>,
    user_data: Option<String>,
    vpc_uuid: Option<String>,
    monitoring: Option<bool>,
    backups: Option<bool>,
    ipv6: Option<bool>,
    public_networking: Option<bool>,
}

/// A value that the API accepts as a number or as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IdOrText {
    Id(u64),
    Text(String),
}

impl From<IdOrText> for String {
    fn from(value: IdOrText) -> Self {
        match value {
            IdOrText::Id(id) => id.to_string(),
            IdOrText::Text(text) => text,
        }
    }
}

impl From<CreateBody> for NewDroplets {
    fn from(body: CreateBody) -> Self {
        Self {
            names: body.names.unwrap_or_else(|| body.name.into_iter().collect()),
            region: body.region.filter(|region| !region.is_empty()),
            size: body.size.unwrap_or_default(),
            image: body.image.map(String::from).unwrap_or_default(),
            ssh_keys: body.ssh_keys.into_iter().flatten().map(String::from).collect(),
            tags: body.tags.unwrap_or_default(),
            user_data: body.user_data,
            vpc_uuid: body.vpc_uuid,
            monitoring: body.monitoring.unwrap_or_default(),
            backups: body.backups.unwrap_or_default(),
            ipv6: body.ipv6.unwrap_or_default(),
            private_only: body.public_networking == Some(false),
        }
    }
}

#[derive(Debug, Deserialize)]
struct CommandBody {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
}

impl CommandBody {
    fn parse(body: &Bytes) -> Result<Command, ApiError> {
        let body: Self = parse_body(body)?;
        Command::parse(&body.kind, body.name)
    }
}

/// Parses a JSON body.
pub(super) fn parse_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Malformed(format!("The body cannot be read: {error}.")))
}

fn parse_droplet_id(text: &str) -> Result<DropletId, ApiError> {
    // DOProxy appends the line end of its inventory file to the ID, and the real API accepts that.
    text.trim().parse().map(DropletId).map_err(|_| ApiError::NotFound)
}

/// `GET /v2/droplets`
pub(super) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let query = Query::parse(query.as_deref());
    let (tag, name, kind) = (query.get("tag_name"), query.get("name"), query.get("type"));
    let selection = match (tag, name) {
        (Some(_), Some(_)) => Err("tag_name cannot be combined with name."),
        (Some(_), None) if kind.is_some() => Err("tag_name cannot be combined with type."),
        (Some(tag), None) => Ok(Selection::Tag(tag)),
        (None, Some(name)) => Ok(Selection::Name(name)),
        (None, None) => Ok(Selection::All),
    };
    let selection = selection.map_err(|message| ApiError::Invalid(message.to_owned()))?;
    let without_gpus = match kind {
        None | Some("droplets") => true,
        Some("gpus") => false,
        Some(other) => return Err(ApiError::Invalid(format!("type must be droplets or gpus, not {other:?}."))),
    };
    shared.with_state(|cloud, now| {
        let mut listing = cloud.list(now, selection);
        listing.droplets.retain(|_| without_gpus);
        let url = shared.url("/v2/droplets");
        page("droplets", &listing.droplets, &query, &url, |one| json::droplet(one, listing.as_of)).map(Reply::ok)
    })
}

/// `POST /v2/droplets`
pub(super) async fn create(State(shared): State<Arc<Shared>>, body: Bytes) -> HandlerResult {
    let body: CreateBody = parse_body(&body)?;
    if body.name.is_some() && body.names.is_some() {
        return Err(ApiError::Invalid("name cannot be combined with names.".to_owned()));
    }
    let many = body.names.is_some();
    let request = NewDroplets::from(body);
    shared.with_state(|cloud, now| {
        let created = cloud.create(now, &request)?;
        let links: Vec<Value> = created
            .iter()
            .map(|one| {
                let href = shared.url(&format!("/v2/actions/{}", one.action));
                json!({ "id": one.action, "rel": "create", "href": href })
            })
            .collect();
        let droplets = created.iter().map(|one| Ok(json::droplet(cloud.just_created(*one)?, now)));
        let mut droplets = droplets.collect::<Result<Vec<Value>, ApiError>>()?;
        let links = json!({ "actions": links });
        let body = if many {
            json!({ "droplets": droplets, "links": links })
        } else {
            json!({ "droplet": droplets.pop(), "links": links })
        };
        Ok(Reply::Json(StatusCode::ACCEPTED, body))
    })
}

/// `GET /v2/droplets/{id}`
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> HandlerResult {
    let id = parse_droplet_id(&id)?;
    shared.with_state(|cloud, now| {
        let droplet = cloud.droplet(now, id)?;
        Ok(Reply::ok(json!({ "droplet": json::droplet(droplet, now) })))
    })
}

/// `DELETE /v2/droplets/{id}`
pub(super) async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> HandlerResult {
    let id = parse_droplet_id(&id)?;
    shared.with_state(|cloud, now| cloud.delete(now, id))?;
    Ok(Reply::NoContent)
}

/// `DELETE /v2/droplets?tag_name=`
pub(super) async fn delete_tagged(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> HandlerResult {
    let query = Query::parse(query.as_deref());
    let tag = required_tag(&query)?;
    shared.with_state(|cloud, now| cloud.delete_tagged(now, tag));
    Ok(Reply::NoContent)
}

/// `POST /v2/droplets/actions?tag_name=`
pub(super) async fn command_tagged(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> HandlerResult {
    let query = Query::parse(query.as_deref());
    let (tag, command) = (required_tag(&query)?, CommandBody::parse(&body)?);
    shared.with_state(|cloud, now| {
        let actions = cloud.command_tagged(now, tag, &command);
        let actions: Vec<Value> = actions.iter().map(|action| json::action(action, now)).collect();
        Ok(Reply::Json(StatusCode::CREATED, json!({ "actions": actions })))
    })
}

fn required_tag(query: &Query) -> Result<&str, ApiError> {
    query.get("tag_name").ok_or_else(|| ApiError::Invalid("tag_name is required.".to_owned()))
}

/// `POST /v2/droplets/{id}/actions`
pub(super) async fn command(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> HandlerResult {
    let (id, command) = (parse_droplet_id(&id)?, CommandBody::parse(&body)?);
    shared.with_state(|cloud, now| {
        let action = cloud.command(now, id, &command)?;
        Ok(Reply::Json(StatusCode::CREATED, json!({ "action": json::action(&action, now) })))
    })
}

/// `GET /v2/droplets/{id}/actions`
pub(super) async fn actions(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    let id = parse_droplet_id(&id)?;
    let url = shared.url(&format!("/v2/droplets/{id}/actions"));
    shared.with_state(|cloud, now| {
        let actions = cloud.actions_of(now, id)?;
        let query = Query::parse(query.as_deref());
        page("actions", &actions, &query, &url, |action| json::action(action, now)).map(Reply::ok)
    })
}

/// `GET /v2/droplets/{id}/actions/{action}`
pub(super) async fn action_of(
    State(shared): State<Arc<Shared>>,
    Path((id, action)): Path<(String, String)>,
) -> HandlerResult {
    let id = parse_droplet_id(&id)?;
    show_action(&shared, &action, |of| of == id)
}

/// `GET /v2/actions/{id}`
pub(super) async fn action(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> HandlerResult {
    show_action(&shared, &id, |_| true)
}

fn show_action(shared: &Shared, id: &str, of: impl Fn(DropletId) -> bool) -> HandlerResult {
    let id = id.parse().map_err(|_| ApiError::NotFound)?;
    shared.with_state(|cloud, now| {
        let action = cloud.action(id)?;
        if !of(action.droplet) {
            return Err(ApiError::NotFound);
        }
        Ok(Reply::ok(json!({ "action": json::action(action, now) })))
    })
}

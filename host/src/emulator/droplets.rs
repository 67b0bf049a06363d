//! `/v2/droplets` and `/v2/actions`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::{Answer, Reply, Shared};
use super::json;
use super::paging::{Query, page};
use crate::model::DropletId;
use crate::simulation::cloud::{Command, NewDroplets, Refusal, Selection};

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

/// What the API takes as a number or as text.
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
    fn read(body: &Bytes) -> Result<Command, Refusal> {
        let body: Self = read(body)?;
        Command::parse(&body.kind, body.name)
    }
}

/// Reads a JSON body.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed(format!("The body cannot be read: {error}.")))
}

fn droplet_id(text: &str) -> Result<DropletId, Refusal> {
    // DOProxy ends the id with the line end of its inventory file, and the real API does not mind.
    text.trim().parse().map(DropletId).map_err(|_| Refusal::NotFound)
}

/// `GET /v2/droplets`
pub(super) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let (tag, name, kind) = (query.get("tag_name"), query.get("name"), query.get("type"));
    let selection = match (tag, name) {
        (Some(_), Some(_)) => Err("tag_name cannot be combined with name."),
        (Some(_), None) if kind.is_some() => Err("tag_name cannot be combined with type."),
        (Some(tag), None) => Ok(Selection::Tag(tag)),
        (None, Some(name)) => Ok(Selection::Name(name)),
        (None, None) => Ok(Selection::All),
    };
    let selection = selection.map_err(|message| Refusal::Invalid(message.to_owned()))?;
    let without_gpus = match kind {
        None | Some("droplets") => true,
        Some("gpus") => false,
        Some(other) => return Err(Refusal::Invalid(format!("type must be droplets or gpus, not {other:?}."))),
    };
    shared.with_world(|world, now| {
        let mut listing = world.list(now, selection);
        listing.droplets.retain(|_| without_gpus);
        let url = shared.url("/v2/droplets");
        page("droplets", &listing.droplets, &query, &url, |one| json::droplet(one, listing.as_of)).map(Reply::ok)
    })
}

/// `POST /v2/droplets`
pub(super) async fn create(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let body: CreateBody = read(&body)?;
    if body.name.is_some() && body.names.is_some() {
        return Err(Refusal::Invalid("name cannot be combined with names.".to_owned()));
    }
    let many = body.names.is_some();
    let request = NewDroplets::from(body);
    shared.with_world(|world, now| {
        let created = world.create(now, &request)?;
        let links: Vec<Value> = created
            .iter()
            .map(|one| {
                let href = shared.url(&format!("/v2/actions/{}", one.action));
                json!({ "id": one.action, "rel": "create", "href": href })
            })
            .collect();
        let droplets = created.iter().map(|one| Ok(json::droplet(world.just_created(*one)?, now)));
        let mut droplets = droplets.collect::<Result<Vec<Value>, Refusal>>()?;
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
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let id = droplet_id(&id)?;
    shared.with_world(|world, now| {
        let droplet = world.droplet(now, id)?;
        Ok(Reply::ok(json!({ "droplet": json::droplet(droplet, now) })))
    })
}

/// `DELETE /v2/droplets/{id}`
pub(super) async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let id = droplet_id(&id)?;
    shared.with_world(|world, now| world.delete(now, id))?;
    Ok(Reply::Nothing)
}

/// `DELETE /v2/droplets?tag_name=`
pub(super) async fn delete_tagged(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let tag = required_tag(&query)?;
    shared.with_world(|world, now| world.delete_tagged(now, tag));
    Ok(Reply::Nothing)
}

/// `POST /v2/droplets/actions?tag_name=`
pub(super) async fn command_tagged(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let (tag, command) = (required_tag(&query)?, CommandBody::read(&body)?);
    shared.with_world(|world, now| {
        let actions = world.command_tagged(now, tag, &command);
        let actions: Vec<Value> = actions.iter().map(|action| json::action(action, now)).collect();
        Ok(Reply::Json(StatusCode::CREATED, json!({ "actions": actions })))
    })
}

fn required_tag(query: &Query) -> Result<&str, Refusal> {
    query.get("tag_name").ok_or_else(|| Refusal::Invalid("tag_name is required.".to_owned()))
}

/// `POST /v2/droplets/{id}/actions`
pub(super) async fn command(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let (id, command) = (droplet_id(&id)?, CommandBody::read(&body)?);
    shared.with_world(|world, now| {
        let action = world.command(now, id, &command)?;
        Ok(Reply::Json(StatusCode::CREATED, json!({ "action": json::action(&action, now) })))
    })
}

/// `GET /v2/droplets/{id}/actions`
pub(super) async fn actions(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let id = droplet_id(&id)?;
    let url = shared.url(&format!("/v2/droplets/{id}/actions"));
    shared.with_world(|world, now| {
        let actions = world.actions_of(now, id)?;
        let query = Query::parse(query.as_deref());
        page("actions", &actions, &query, &url, |action| json::action(action, now)).map(Reply::ok)
    })
}

/// `GET /v2/droplets/{id}/actions/{action}`
pub(super) async fn action_of(State(shared): State<Arc<Shared>>, Path((id, action)): Path<(String, String)>) -> Answer {
    let id = droplet_id(&id)?;
    show_action(&shared, &action, |of| of == id)
}

/// `GET /v2/actions/{id}`
pub(super) async fn action(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    show_action(&shared, &id, |_| true)
}

fn show_action(shared: &Shared, id: &str, of: impl Fn(DropletId) -> bool) -> Answer {
    let id = id.parse().map_err(|_| Refusal::NotFound)?;
    shared.with_world(|world, now| {
        let action = world.action(id)?;
        if !of(action.droplet) {
            return Err(Refusal::NotFound);
        }
        Ok(Reply::ok(json!({ "action": json::action(action, now) })))
    })
}

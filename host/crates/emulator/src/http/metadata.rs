//! The metadata service of a droplet, as described in <https://docs.digitalocean.com/reference/api/metadata>: a tree of
//! text values under `/metadata/v1/`, and the whole tree as JSON in `/metadata/v1.json`.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::cloud::SimulatedDroplet;
use crate::cloud::catalog::SshKey;

/// The name servers in the metadata; they are those of the real service.
const NAMESERVERS: [&str; 2] = ["67.207.67.2", "67.207.67.3"];

/// A response of the metadata service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MetadataResponse {
    /// A text value, or the index of a branch.
    Text(String),
    /// The whole tree.
    Json(String),
    /// A redirect for a branch requested without its trailing slash.
    Redirect(String),
    /// No entry of that name.
    NotFound,
}

impl IntoResponse for MetadataResponse {
    fn into_response(self) -> Response {
        let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        match self {
            Self::Text(text) => (plain, text).into_response(),
            Self::Json(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
            Self::Redirect(to) => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, to)]).into_response(),
            Self::NotFound => (StatusCode::NOT_FOUND, plain, "not found\n").into_response(),
        }
    }
}

/// Returns the metadata of this droplet at `path`.
pub(crate) fn lookup(droplet: &SimulatedDroplet, ssh_keys: &[SshKey], path: &str) -> MetadataResponse {
    if path == "/metadata/v1.json" {
        return MetadataResponse::Json(full_document(droplet, ssh_keys).to_string());
    }
    let rest = match path.strip_prefix("/metadata/v1") {
        Some("") => return MetadataResponse::Redirect("/metadata/v1/".to_owned()),
        Some(rest) if rest.starts_with('/') => rest,
        _ => return MetadataResponse::NotFound,
    };
    let mut node = &tree(droplet, ssh_keys);
    for name in rest.split('/').filter(|name| !name.is_empty()) {
        match node.get(name) {
            Some(child) => node = child,
            None => return MetadataResponse::NotFound,
        }
    }
    match node {
        Value::Object(branch) if rest.ends_with('/') => MetadataResponse::Text(index(branch)),
        Value::Object(_) => MetadataResponse::Redirect(format!("{path}/")),
        Value::String(text) => MetadataResponse::Text(text.clone()),
        _ => MetadataResponse::NotFound,
    }
}

fn index(branch: &Map<String, Value>) -> String {
    let line = |(name, node): (&String, &Value)| if node.is_object() { format!("{name}/") } else { name.clone() };
    branch.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the tree of text values; objects are branches.
fn tree(droplet: &SimulatedDroplet, ssh_keys: &[SshKey]) -> Value {
    let mut interfaces = Map::new();
    if let Some(address) = droplet.public_address {
        let ipv4 = json!({ "address": address, "netmask": "255.254.0.0", "gateway": "198.18.0.1" });
        interfaces
            .insert("public".to_owned(), json!({ "0": { "mac": mac(droplet, 0), "type": "public", "ipv4": ipv4 } }));
    }
    let ipv4 = json!({ "address": droplet.private_address, "netmask": "255.0.0.0", "gateway": "0.0.0.0" });
    interfaces
        .insert("private".to_owned(), json!({ "0": { "mac": mac(droplet, 1), "type": "private", "ipv4": ipv4 } }));
    json!({
        "id": droplet.id.to_string(),
        "hostname": droplet.name,
        "user-data": droplet.user_data.clone().unwrap_or_default(),
        "vendor-data": "",
        "public-keys": public_keys(ssh_keys).join("\n"),
        "region": droplet.region.slug,
        "interfaces": interfaces,
        "dns": { "nameservers": NAMESERVERS.join("\n") },
        "tags": droplet.tags.join("\n"),
        "features": { "dhcp_enabled": "false" },
    })
}

fn full_document(droplet: &SimulatedDroplet, ssh_keys: &[SshKey]) -> Value {
    let private = json!({ "ip_address": droplet.private_address, "netmask": "255.0.0.0", "gateway": "0.0.0.0" });
    let mut interfaces = json!({ "private": [{ "ipv4": private, "mac": mac(droplet, 1), "type": "private" }] });
    if let Some(address) = droplet.public_address {
        let public = json!({ "ip_address": address, "netmask": "255.254.0.0", "gateway": "198.18.0.1" });
        interfaces["public"] = json!([{ "ipv4": public, "mac": mac(droplet, 0), "type": "public" }]);
    }
    json!({
        "droplet_id": droplet.id,
        "hostname": droplet.name,
        "user_data": droplet.user_data.clone().unwrap_or_default(),
        "vendor_data": "",
        "public_keys": public_keys(ssh_keys),
        "region": droplet.region.slug,
        "interfaces": interfaces,
        "dns": { "nameservers": NAMESERVERS },
        "tags": droplet.tags,
        "features": { "dhcp_enabled": false },
    })
}

fn public_keys(ssh_keys: &[SshKey]) -> Vec<&str> {
    ssh_keys.iter().map(|key| key.public_key.as_str()).collect()
}

/// Returns a locally administered address, derived from the droplet's own address and the interface number.
fn mac(droplet: &SimulatedDroplet, interface: u8) -> String {
    let [_, a, b, c] = droplet.private_address.octets();
    format!("02:01:{interface:02x}:{a:02x}:{b:02x}:{c:02x}")
}

//! The API's JSON and its conversion into the plain types of `cloud`.
//!
//! Parsing is tolerant: unknown fields, nulls, missing and malformed parts are not errors, because the API has grown
//! and will grow. Only the fields that identify a droplet are required: its ID, name and status. A list with an item
//! that lacks one of them is rejected as a whole, because a list that omits a droplet is worse than none.

use std::net::IpAddr;

use doproxy_core::domain::{DropletId, HourlyPrice, Tag, Timestamp};
use doproxy_core::seams as cloud;
use doproxy_core::seams::{CloudInstance, CreateRequest, Status};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// Parses a response.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body)
}

/// Verifies that a response without relevant content comes from the API: it must be empty or JSON. A page that a proxy
/// sends with status 200 does not mean that the call was executed.
pub(super) fn parse_empty(body: &[u8]) -> Result<(), serde_json::Error> {
    if body.trim_ascii().is_empty() { Ok(()) } else { parse::<IgnoredAny>(body).map(drop) }
}

/// Returns the body of a create. Unset fields are omitted, not null.
pub(super) fn create_body(request: &CreateRequest) -> Value {
    let template = &request.template;
    let mut body = Map::new();
    match request.names.as_slice() {
        [name] => body.insert("name".into(), json!(name)),
        names => body.insert("names".into(), json!(names)),
    };
    body.insert("region".into(), json!(template.region));
    body.insert("size".into(), json!(template.size));
    body.insert("image".into(), number_or_text(&template.image));
    if !request.ssh_keys.is_empty() {
        body.insert("ssh_keys".into(), request.ssh_keys.iter().map(|key| number_or_text(key)).collect());
    }
    if !template.tags.is_empty() {
        body.insert("tags".into(), json!(template.tags));
    }
    if !request.user_data.as_str().is_empty() {
        body.insert("user_data".into(), json!(request.user_data.as_str()));
    }
    if let Some(vpc) = &request.vpc_uuid {
        body.insert("vpc_uuid".into(), json!(vpc));
    }
    if request.monitoring {
        body.insert("monitoring".into(), json!(true));
    }
    Value::Object(body)
}

/// Returns the body that creates a tag.
pub(super) fn tag_body(tag: &Tag) -> Value {
    json!({ "name": tag })
}

/// Returns the body that tags a droplet; the ID is text here.
pub(super) fn tagged_body(id: DropletId) -> Value {
    json!({ "resources": [{ "resource_id": id.to_string(), "resource_type": "droplet" }] })
}

/// Converts an ID to a number, and a slug or fingerprint to text, as the API expects.
fn number_or_text(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

/// Deserializes a part that may be missing, null or malformed; it then has its default value.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Deserializes a list that may be missing or null; malformed elements are omitted.
fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(values) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect())
}

/// Deserializes a list that may be null, as Go writes an empty one, but whose elements must be valid.
fn nullable_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// One page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(super) struct Page<T> {
    /// The items, under the name of the list in the API.
    #[serde(
        alias = "droplets",
        alias = "sizes",
        alias = "regions",
        alias = "ssh_keys",
        deserialize_with = "nullable_list"
    )]
    pub(super) items: Vec<T>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) meta: Meta,
}

/// The length of the whole list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Meta {
    total: Option<usize>,
}

impl Meta {
    /// Returns the number of items on all pages; `None` if the API does not report it.
    pub(super) fn total(&self) -> Option<u32> {
        u32::try_from(self.total?).ok()
    }

    /// Reports whether there are more items after `seen`, of which the last page had `on_page`.
    pub(super) fn has_more(&self, seen: usize, on_page: usize, per_page: usize) -> bool {
        self.total.map_or(on_page >= per_page, |total| seen < total)
    }
}

/// The response to a create: `droplet` for `name`, `droplets` for `names`.
#[derive(Debug, Deserialize)]
pub(super) struct CreateResponse {
    droplet: Option<Droplet>,
    droplets: Option<Vec<Droplet>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DropletResponse {
    pub(super) droplet: Droplet,
}

#[derive(Debug, Deserialize)]
pub(super) struct Droplet {
    id: u64,
    name: String,
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    networks: Networks,
    #[serde(default, deserialize_with = "lenient_list")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    size_slug: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    size: SizeRef,
    #[serde(default, deserialize_with = "lenient")]
    region: RegionRef,
    #[serde(default, deserialize_with = "lenient")]
    image: ImageRef,
    #[serde(default, deserialize_with = "lenient")]
    created_at: Option<String>,
}

impl Droplet {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

#[derive(Debug, Default, Deserialize)]
struct Networks {
    #[serde(default, deserialize_with = "lenient_list")]
    v4: Vec<Address>,
    #[serde(default, deserialize_with = "lenient_list")]
    v6: Vec<Address>,
}

impl Networks {
    /// Returns the addresses of a type. Their position is not significant: the private address may come first or last.
    fn addresses(&self, kind: &str) -> Vec<IpAddr> {
        let all = self.v4.iter().chain(&self.v6);
        let parsed = all.filter(|address| address.kind == kind).filter_map(|address| address.ip_address.parse().ok());
        parsed.filter(|address: &IpAddr| !address.is_unspecified()).collect()
    }
}

/// An address. Its gateway is not parsed: on the private network it is the text `<nil>`.
#[derive(Debug, Deserialize)]
struct Address {
    ip_address: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
struct SizeRef {
    #[serde(default, deserialize_with = "lenient")]
    slug: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    price_hourly: f64,
}

#[derive(Debug, Default, Deserialize)]
struct RegionRef {
    #[serde(default, deserialize_with = "lenient")]
    slug: String,
}

#[derive(Debug, Default, Deserialize)]
struct ImageRef {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    slug: Option<String>,
}

impl CreateResponse {
    pub(super) fn into_droplets(self) -> Vec<CloudInstance> {
        let droplets = self.droplet.into_iter().chain(self.droplets.into_iter().flatten());
        droplets.map(CloudInstance::from).collect()
    }
}

impl From<Droplet> for CloudInstance {
    fn from(droplet: Droplet) -> Self {
        let created_at = droplet.created_at.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let ImageRef { id, slug } = droplet.image;
        Self {
            id: DropletId(droplet.id),
            name: droplet.name,
            status: match droplet.status.as_str() {
                "new" => Status::New,
                "active" => Status::Active,
                "off" => Status::Off,
                "archive" => Status::Archive,
                _ => Status::Other(droplet.status),
            },
            private_addresses: droplet.networks.addresses("private"),
            public_addresses: droplet.networks.addresses("public"),
            tags: droplet.tags,
            size: droplet.size_slug.or(droplet.size.slug).unwrap_or_default(),
            region: droplet.region.slug,
            image: slug.or_else(|| id.map(|id| id.to_string())).unwrap_or_default(),
            hourly_price: HourlyPrice::from_dollars(droplet.size.price_hourly),
            created_at: created_at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(Timestamp),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct AccountResponse {
    pub(super) account: Account,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    droplet_limit: u32,
    status: String,
}

impl From<Account> for cloud::Account {
    fn from(Account { droplet_limit, status }: Account) -> Self {
        Self { droplet_limit, status }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Size {
    slug: String,
    #[serde(default, deserialize_with = "lenient")]
    available: Option<bool>,
    #[serde(default, deserialize_with = "lenient_list")]
    regions: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    price_hourly: f64,
}

impl Size {
    pub(super) fn slug(&self) -> String {
        self.slug.clone()
    }
}

impl From<Size> for cloud::Size {
    fn from(size: Size) -> Self {
        Self {
            slug: size.slug,
            // A listed size is available unless the API states otherwise.
            available: size.available.unwrap_or(true),
            regions: size.regions,
            hourly_price: HourlyPrice::from_dollars(size.price_hourly),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Region {
    slug: String,
    #[serde(default, deserialize_with = "lenient")]
    available: Option<bool>,
}

impl Region {
    pub(super) fn slug(&self) -> String {
        self.slug.clone()
    }
}

impl From<Region> for cloud::Region {
    fn from(Region { slug, available }: Region) -> Self {
        Self { slug, available: available.unwrap_or(true) }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageResponse {
    pub(super) image: Image,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    id: u64,
    #[serde(default, deserialize_with = "lenient")]
    slug: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: String,
    #[serde(default, deserialize_with = "lenient_list")]
    regions: Vec<String>,
}

impl From<Image> for cloud::Image {
    fn from(Image { id, slug, status, regions }: Image) -> Self {
        Self { id, slug, status, regions }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SshKey {
    id: u64,
    #[serde(default, deserialize_with = "lenient")]
    fingerprint: String,
}

impl SshKey {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl From<SshKey> for cloud::SshKey {
    fn from(SshKey { id, fingerprint }: SshKey) -> Self {
        Self { id, fingerprint }
    }
}

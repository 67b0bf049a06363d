//! The cloud provider seam: the trait and the types that cross it.
//!
//! Two implementations: `digitalocean` (the API over HTTPS) and `simulation::cloud` (a simulated one).

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::domain::{DropletId, DropletName, HourlyPrice, Tag, Template, Timestamp, UserData};

/// A cloud that creates and deletes droplets.
///
/// Reading calls, `delete` and `tag` are idempotent, and an implementation retries them on transient faults. `create`
/// is sent **once**: the caller must journal the operation first, and must look up the names if the outcome is unknown
/// ([`CloudError::outcome_unknown`]). There is no call that deletes by tag.
pub trait CloudProvider: Send + Sync {
    /// Requests one droplet per name, at most [`CreateRequest::MAX_NAMES`]; returns them in the order of the names.
    fn create(&self, request: &CreateRequest) -> impl Future<Output = Result<Vec<CloudInstance>, CloudError>> + Send;

    /// Returns one droplet. [`ErrorClass::NotFound`] shortly after its creation means "not visible yet".
    fn get(&self, id: DropletId) -> impl Future<Output = Result<CloudInstance, CloudError>> + Send;

    /// Returns all matching droplets, over as many pages as necessary. Lists lag behind creates by seconds.
    fn list(&self, filter: &Filter) -> impl Future<Output = Result<Vec<CloudInstance>, CloudError>> + Send;

    /// Deletes one droplet. Success means that the cloud accepted the delete, or that the droplet does not exist.
    fn delete(&self, id: DropletId) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Adds a tag to a droplet; the tag is created if it does not exist.
    fn tag(&self, id: DropletId, tag: &Tag) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Returns the account of the token.
    fn account(&self) -> impl Future<Output = Result<Account, CloudError>> + Send;

    /// Returns the number of droplets in the account, across all fleets.
    fn count(&self) -> impl Future<Output = Result<u32, CloudError>> + Send;

    /// Returns the available sizes, with their prices and regions.
    fn sizes(&self) -> impl Future<Output = Result<Vec<Size>, CloudError>> + Send;

    /// Returns the regions.
    fn regions(&self) -> impl Future<Output = Result<Vec<Region>, CloudError>> + Send;

    /// Returns an image by slug or ID.
    fn image(&self, slug_or_id: &str) -> impl Future<Output = Result<Image, CloudError>> + Send;

    /// Returns the SSH keys of the account.
    fn ssh_keys(&self) -> impl Future<Output = Result<Vec<SshKey>, CloudError>> + Send;
}

/// A request for droplets that differ only in their names.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRequest {
    /// The names, one per droplet.
    pub names: Vec<DropletName>,
    /// The template of the droplets. It must contain all tags, including the fleet's own.
    pub template: Template,
    /// IDs or fingerprints.
    pub ssh_keys: Vec<String>,
    /// The user data at boot.
    pub user_data: UserData,
    /// The private network; `None` selects the region's default.
    pub vpc_uuid: Option<String>,
    /// Installs DigitalOcean's metrics agent.
    pub monitoring: bool,
}

impl CreateRequest {
    /// Maximum names in one request.
    pub const MAX_NAMES: usize = 10;
}

/// A filter for droplet lists; the API cannot combine the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Droplets with this tag.
    Tag(Tag),
    /// Droplets with exactly this name.
    Name(DropletName),
}

/// The part of the API's droplet that doproxy uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInstance {
    /// Its id.
    pub id: DropletId,
    /// Its name at the API: it may violate the rules of [`DropletName`].
    pub name: String,
    /// Its status.
    pub status: Status,
    /// IPv4 and IPv6 addresses of the private network, in the API's order; addresses that do not parse are omitted.
    pub private_addresses: Vec<IpAddr>,
    /// Addresses of the public network.
    pub public_addresses: Vec<IpAddr>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug, or the ID if the image has no slug.
    pub image: String,
    /// Its price.
    pub hourly_price: HourlyPrice,
    /// The creation time at the API, if it could be parsed.
    pub created_at: Option<Timestamp>,
}

/// The status of a droplet at the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Being created.
    New,
    /// Powered on, which is not the same as booted.
    Active,
    /// Powered off, and billed.
    Off,
    /// Archived.
    Archive,
    /// A status unknown to this version.
    Other(String),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Off => "off",
            Self::Archive => "archive",
            Self::Other(other) => other,
        })
    }
}

/// The account of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Maximum droplets in the account.
    pub droplet_limit: u32,
    /// `active`, `warning` or `locked`.
    pub status: String,
}

/// An available size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Such as `s-1vcpu-1gb`.
    pub slug: String,
    /// `false` if the size is unavailable everywhere.
    pub available: bool,
    /// Slugs of the regions that offer it.
    pub regions: Vec<String>,
    /// Its price.
    pub hourly_price: HourlyPrice,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Such as `nyc3`.
    pub slug: String,
    /// `false` if the region accepts no new droplets.
    pub available: bool,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: u64,
    /// Its slug; only public images have one.
    pub slug: Option<String>,
    /// `available`, among others.
    pub status: String,
    /// Slugs of the regions that have it.
    pub regions: Vec<String>,
}

/// An SSH key of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// Its id.
    pub id: u64,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// The class of a failed call, which determines the possible reactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorClass {
    /// 401, 403: the token is wrong or lacks a scope. Retrying does not help.
    Unauthorized,
    /// 404.
    NotFound,
    /// 429. `retry_after` is the delay, if the API specified one.
    RateLimited {
        /// From `retry-after`, else from `ratelimit-reset`.
        retry_after: Option<Duration>,
    },
    /// 422: the account's droplet limit. Stop scaling out.
    LimitExceeded,
    /// 422: the size or region is currently unavailable. Another may be available.
    Unavailable,
    /// 422 "try again", "pending event": retry later.
    TryAgain,
    /// Any other 4xx: the request is invalid, and a retry fails again.
    InvalidRequest,
    /// 5xx, or an unreadable response.
    Server,
    /// No response. `sent` is `true` if the request may have reached the API.
    Transport {
        /// `false` only if no connection was established.
        sent: bool,
    },
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct CloudError {
    /// The class of the failure.
    pub class: ErrorClass,
    /// The method and path, such as `POST /v2/droplets`; never a host, never a token.
    pub call: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The message of the API or the transport; sanitized and bounded.
    pub message: String,
    /// The API's `x-request-id`, for support requests.
    pub request_id: Option<String>,
    /// The number of attempts.
    pub attempts: u32,
}

impl CloudError {
    /// Reports whether the call may have been executed although it failed.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.class, ErrorClass::Server | ErrorClass::Transport { sent: true })
    }

    /// Reports whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::RateLimited { .. } | ErrorClass::TryAgain | ErrorClass::Server | ErrorClass::Transport { .. }
        )
    }

    /// Returns a hint for the operator.
    pub fn hint(&self) -> Cow<'static, str> {
        let hint = match self.class {
            ErrorClass::Unauthorized => {
                "check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read"
            }
            ErrorClass::NotFound => "the resource does not exist or was deleted",
            ErrorClass::RateLimited { retry_after: Some(after) } if after >= Duration::from_secs(1) => {
                return format!("wait {}, and check for other programs that use the same token", format_wait(after))
                    .into();
            }
            ErrorClass::RateLimited { .. } => "wait, and check for other programs that use the same token",
            ErrorClass::LimitExceeded => "delete droplets, or ask DigitalOcean for a higher droplet limit",
            ErrorClass::Unavailable => "choose another size or region in droplet_options",
            ErrorClass::TryAgain => "retry in a minute",
            ErrorClass::InvalidRequest => "run `doproxy check` to find the invalid setting",
            ErrorClass::Server => "retry; see DigitalOcean's status page if the problem persists",
            ErrorClass::Transport { .. } => "check the network, and DIGITALOCEAN_API_URL if it is set",
        };
        hint.into()
    }

    /// Returns the error message followed by the hint for the operator.
    pub fn with_hint(&self) -> String {
        format!("{self}; {}", self.hint())
    }

    fn describe(&self) -> String {
        let mut text = format!("{} failed", self.call);
        if let Some(status) = self.status {
            text += &format!(" with status {status}");
        }
        text += &format!(": {}", self.message);
        if self.attempts > 1 {
            text += &format!(" (after {} attempts)", self.attempts);
        }
        if let Some(id) = &self.request_id {
            text += &format!(" [request id {id}]");
        }
        text
    }
}

/// Formats a delay in seconds, or in minutes if it is longer than two minutes.
fn format_wait(wait: Duration) -> String {
    let seconds = wait.as_millis().div_ceil(1000);
    if seconds <= 120 { format!("{seconds} s") } else { format!("{} min", (seconds + 30) / 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_includes_retry_after_if_known() {
        let wait = |after: Option<u64>| {
            let class = ErrorClass::RateLimited { retry_after: after.map(Duration::from_millis) };
            let error = CloudError {
                class,
                call: String::new(),
                status: None,
                message: String::new(),
                request_id: None,
                attempts: 1,
            };
            error.hint().split(',').next().unwrap_or_default().to_owned()
        };

        let waits = [None, Some(0), Some(29_001), Some(120_000), Some(2_999_900)].map(wait);

        assert_eq!(waits, ["wait", "wait", "wait 30 s", "wait 120 s", "wait 50 min"]);
    }
}

/// The kind of droplet address that HAProxy uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressKind {
    /// The address in the private network.
    #[default]
    Private,
    /// The public address.
    Public,
}

impl AddressKind {
    /// Returns the address of this kind, IPv4 before IPv6; `None` while the API reports none.
    pub fn of(self, droplet: &CloudInstance) -> Option<IpAddr> {
        let addresses = match self {
            Self::Private => &droplet.private_addresses,
            Self::Public => &droplet.public_addresses,
        };
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    }
}

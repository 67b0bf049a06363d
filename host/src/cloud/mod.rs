//! The cloud that droplets live in: the seam, and the types that cross it.
//!
//! Two implementations: `digitalocean` (the API over HTTPS) and `simulation::cloud` (a simulated one).

pub mod digitalocean;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{DropletId, DropletName, HourlyPrice, Tag, Template, Timestamp, UserData};

/// A cloud that makes and deletes droplets.
///
/// Reading calls, `delete` and `tag` are idempotent, and an implementation repeats them on
/// passing faults. `create` is sent **once**: whoever calls it must have written down what it is about
/// to do, and looks for the names when the outcome is unknown ([`CloudError::outcome_unknown`]).
/// There is no call that deletes by tag.
pub trait CloudProvider: Send + Sync {
    /// Asks for one droplet for each name, at most [`CreateRequest::MAX_NAMES`]; answers in the order of the names.
    fn create(&self, request: &CreateRequest) -> impl Future<Output = Result<Vec<CloudInstance>, CloudError>> + Send;

    /// One droplet. [`ErrorClass::NotFound`] soon after its creation means "not visible yet".
    fn get(&self, id: DropletId) -> impl Future<Output = Result<CloudInstance, CloudError>> + Send;

    /// All droplets that match, over as many pages as it takes. Lists lag behind creates by seconds.
    fn list(&self, filter: &Filter) -> impl Future<Output = Result<Vec<CloudInstance>, CloudError>> + Send;

    /// Deletes one droplet. Success means that the cloud took the order, or that the droplet is not there.
    fn delete(&self, id: DropletId) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Marks a droplet with a tag, which is made when it does not exist.
    fn tag(&self, id: DropletId, tag: &Tag) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// The account behind the token.
    fn account(&self) -> impl Future<Output = Result<Account, CloudError>> + Send;

    /// How many droplets the account has, of whatever fleet.
    fn count(&self) -> impl Future<Output = Result<u32, CloudError>> + Send;

    /// The sizes on offer, with prices and the regions that have them.
    fn sizes(&self) -> impl Future<Output = Result<Vec<Size>, CloudError>> + Send;

    /// The regions.
    fn regions(&self) -> impl Future<Output = Result<Vec<Region>, CloudError>> + Send;

    /// An image by slug or id.
    fn image(&self, slug_or_id: &str) -> impl Future<Output = Result<Image, CloudError>> + Send;

    /// The SSH keys of the account.
    fn ssh_keys(&self) -> impl Future<Output = Result<Vec<SshKey>, CloudError>> + Send;
}

/// A request for droplets that differ in nothing but their names.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRequest {
    /// One droplet each.
    pub names: Vec<DropletName>,
    /// What they are made of. All tags must be here, the fleet's own too.
    pub template: Template,
    /// Ids or fingerprints.
    pub ssh_keys: Vec<String>,
    /// What they boot with.
    pub user_data: UserData,
    /// The private network; the region's default where it is `None`.
    pub vpc_uuid: Option<String>,
    /// Whether DigitalOcean's metrics agent is installed.
    pub monitoring: bool,
}

impl CreateRequest {
    /// Most names in one request.
    pub const MAX_NAMES: usize = 10;
}

/// Which droplets to list; the API cannot combine the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Those with this tag.
    Tag(Tag),
    /// Those with exactly this name.
    Name(DropletName),
}

/// What the API says of a droplet, as far as this program uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInstance {
    /// Its id.
    pub id: DropletId,
    /// Its name as the API has it: it may break the rules of [`DropletName`].
    pub name: String,
    /// Its status.
    pub status: Status,
    /// IPv4 and IPv6 addresses of the private network, in the API's order; what does not parse is left out.
    pub private_addresses: Vec<IpAddr>,
    /// Addresses of the public network.
    pub public_addresses: Vec<IpAddr>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug, or the id where it has no slug.
    pub image: String,
    /// Its price.
    pub hourly_price: HourlyPrice,
    /// When the API made it, where that could be read.
    pub created_at: Option<Timestamp>,
}

/// The status of a droplet at the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Being made.
    New,
    /// Powered on, which is not the same as booted.
    Active,
    /// Powered off, and billed.
    Off,
    /// Archived.
    Archive,
    /// One that this version does not know.
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

/// The account behind the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Most droplets that it may have.
    pub droplet_limit: u32,
    /// `active`, `warning` or `locked`.
    pub status: String,
}

/// A size on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Such as `s-1vcpu-1gb`.
    pub slug: String,
    /// Whether it can be had at all.
    pub available: bool,
    /// Slugs of the regions that have it.
    pub regions: Vec<String>,
    /// Its price.
    pub hourly_price: HourlyPrice,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Such as `nyc3`.
    pub slug: String,
    /// Whether droplets can be made there.
    pub available: bool,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: u64,
    /// Its slug; only public images have one.
    pub slug: Option<String>,
    /// `available` and others.
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

/// What kind of failure a call met, and so what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorClass {
    /// 401, 403: the token is wrong or lacks a scope. Asking again does not help.
    Unauthorized,
    /// 404.
    NotFound,
    /// 429. `after` is how long to wait, where the API said so.
    RateLimited {
        /// From `retry-after`, else from `ratelimit-reset`.
        retry_after: Option<Duration>,
    },
    /// 422: the account's droplet limit. Stop growing.
    LimitExceeded,
    /// 422: the size or the region cannot be had now. Another may.
    Unavailable,
    /// 422 "try again", "pending event": the same later.
    TryAgain,
    /// Any other 4xx: the request is wrong, and will be wrong again.
    InvalidRequest,
    /// 5xx, or an answer that cannot be read.
    Server,
    /// No answer. `sent` says whether the request may have reached the API.
    Transport {
        /// `false` only when the connection was never made.
        sent: bool,
    },
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct CloudError {
    /// What kind of failure.
    pub class: ErrorClass,
    /// Such as `POST /v2/droplets`; never a host, never a token.
    pub call: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The API's own words, or the transport's; cleaned and bounded.
    pub message: String,
    /// The API's `x-request-id`, for its support.
    pub request_id: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

impl CloudError {
    /// Whether the call may have been carried out although it failed.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self.class, ErrorClass::Server | ErrorClass::Transport { sent: true })
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::RateLimited { .. } | ErrorClass::TryAgain | ErrorClass::Server | ErrorClass::Transport { .. }
        )
    }

    /// What the operator can do.
    pub fn hint(&self) -> Cow<'static, str> {
        let remedy = match self.class {
            ErrorClass::Unauthorized => {
                "check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read"
            }
            ErrorClass::NotFound => "it does not exist, or not any more",
            ErrorClass::RateLimited { retry_after: Some(after) } if after >= Duration::from_secs(1) => {
                return format!("wait {}, and look for other programs that use the same token", format_wait(after))
                    .into();
            }
            ErrorClass::RateLimited { .. } => "wait, and look for other programs that use the same token",
            ErrorClass::LimitExceeded => "delete droplets, or ask DigitalOcean for a higher droplet limit",
            ErrorClass::Unavailable => "choose another size or region in droplet_options",
            ErrorClass::TryAgain => "try again in a minute",
            ErrorClass::InvalidRequest => "run `doproxy check` to find what the API refuses",
            ErrorClass::Server => "try again; see DigitalOcean's status page if it goes on",
            ErrorClass::Transport { .. } => "check the network, and DIGITALOCEAN_API_URL if it is set",
        };
        remedy.into()
    }

    /// What went wrong, and what the operator can do.
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

/// A wait as a person says it.
fn format_wait(wait: Duration) -> String {
    let seconds = wait.as_millis().div_ceil(1000);
    if seconds <= 120 { format!("{seconds} s") } else { format!("{} min", (seconds + 30) / 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_how_long_to_wait_where_that_is_known() {
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

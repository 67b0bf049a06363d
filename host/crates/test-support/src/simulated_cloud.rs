//! An in-process `CloudProvider` backed by the simulated cloud, without HTTP. If tokio's clock is paused, its time is
//! virtual.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_core::domain::{DropletId, Tag, Timestamp};
use doproxy_core::seams::{
    Account, CloudError, CloudInstance, CloudProvider, CreateRequest, ErrorClass, Filter, Image, Region, Size, SshKey,
};
use doproxy_digitalocean::Timeouts;
use doproxy_emulator::cloud::{
    ApiError, Call, CloudState, CorruptBody, NewDroplets, OfferedSize, Selection, SimulatedDroplet, Verdict, catalog,
};
use doproxy_support::sync::lock;
use doproxy_support::{Clock, failpoint};

/// The state of a simulated cloud and its clock. Clones share the state.
///
/// Calls are not retried on transient faults: the caller sees the effect of each fault. Faults that exist only at the
/// HTTP level become the error that the real client would report.
#[derive(Debug, Clone)]
pub struct SimulatedCloud {
    state: Arc<Mutex<CloudState>>,
    clock: Clock,
}

impl SimulatedCloud {
    /// Creates a cloud with its own state.
    pub fn new(cloud: CloudState, clock: Clock) -> Self {
        Self { state: Arc::new(Mutex::new(cloud)), clock }
    }

    /// Runs `read` on the state at the current time.
    pub fn with_state<T>(&self, read: impl FnOnce(&mut CloudState, Timestamp) -> T) -> T {
        let mut cloud = lock(&self.state);
        read(&mut cloud, self.clock.now())
    }

    async fn call<T>(
        &self,
        method: &'static str,
        path: &'static str,
        act: impl FnOnce(&mut CloudState, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, CloudError> {
        let call = Call::new(method, path);
        // The call takes effect immediately; its response arrives later.
        let happens = |cloud: &mut CloudState, now| {
            cloud.count(&call);
            let mut admission = cloud.admit(now, &call);
            let lost = |message: &str| Err(transport_error(&call, message));
            let outcome = match admission.verdict {
                Verdict::Proceed => act(cloud, now).map_err(|refusal| api_error(&call, &refusal)),
                Verdict::Reject(refusal) => Err(api_error(&call, &refusal)),
                Verdict::ExecuteAndFail(refusal) => {
                    let _unheard = act(cloud, now);
                    Err(api_error(&call, &refusal))
                }
                Verdict::DropResponse => {
                    let _unheard = act(cloud, now);
                    lost("connection closed before the response arrived")
                }
                Verdict::Reset => lost("connection reset"),
                Verdict::NoResponse { executed: applied } => {
                    if applied {
                        let _unheard = act(cloud, now);
                    }
                    // The read timeout of the real client.
                    admission.latency = admission.latency.saturating_add(Timeouts::default().read);
                    lost("timed out waiting for the response")
                }
                Verdict::CorruptBody {
                    kind: CorruptBody::WrongContentType | CorruptBody::Unfamiliar,
                    executed: true,
                } => act(cloud, now).map_err(|refusal| api_error(&call, &refusal)),
                Verdict::CorruptBody { kind, executed: true } => match act(cloud, now) {
                    Ok(_unheard) => Err(corrupt_body_error(&call, kind)),
                    Err(refusal) => Err(api_error(&call, &refusal)),
                },
                Verdict::CorruptBody { kind, executed: false } => Err(corrupt_body_error(&call, kind)),
            };
            (admission.latency, outcome)
        };
        let (latency, outcome) = failpoint::failpoint("API call", || self.with_state(happens));
        if latency > Duration::ZERO {
            tokio::time::sleep(latency).await;
        }
        outcome
    }
}

impl CloudProvider for SimulatedCloud {
    async fn create(&self, request: &CreateRequest) -> Result<Vec<CloudInstance>, CloudError> {
        let request = new_droplets(request);
        self.call("POST", "/v2/droplets", |cloud, now| {
            let created = cloud.create(now, &request)?;
            created.into_iter().map(|one| Ok(cloud_instance(cloud.just_created(one)?, now))).collect()
        })
        .await
    }

    async fn get(&self, id: DropletId) -> Result<CloudInstance, CloudError> {
        self.call("GET", "/v2/droplets/{id}", |cloud, now| Ok(cloud_instance(cloud.droplet(now, id)?, now))).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<CloudInstance>, CloudError> {
        let selection = match filter {
            Filter::Tag(tag) => Selection::Tag(tag.as_str()),
            Filter::Name(name) => Selection::Name(name.as_str()),
        };
        self.call("GET", "/v2/droplets", |cloud, now| {
            let listing = cloud.list(now, selection);
            Ok(listing.droplets.into_iter().map(|droplet| cloud_instance(droplet, listing.as_of)).collect())
        })
        .await
    }

    async fn delete(&self, id: DropletId) -> Result<(), CloudError> {
        match self.call("DELETE", "/v2/droplets/{id}", |cloud, now| cloud.delete(now, id)).await {
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            other => other,
        }
    }

    async fn tag(&self, id: DropletId, tag: &Tag) -> Result<(), CloudError> {
        self.call("POST", "/v2/tags", |cloud, now| cloud.create_tag(now, tag.as_str())).await?;
        self.call("POST", "/v2/tags/{name}/resources", |cloud, now| cloud.tag_droplets(now, tag.as_str(), &[id])).await
    }

    async fn account(&self) -> Result<Account, CloudError> {
        self.call("GET", "/v2/account", |cloud, _| {
            Ok(Account { droplet_limit: cloud.droplet_limit(), status: "active".to_owned() })
        })
        .await
    }

    async fn count(&self) -> Result<u32, CloudError> {
        self.call("GET", "/v2/droplets", |cloud, now| {
            Ok(u32::try_from(cloud.list(now, Selection::All).droplets.len()).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn sizes(&self) -> Result<Vec<Size>, CloudError> {
        self.call("GET", "/v2/sizes", |cloud, _| {
            let size = |offered: OfferedSize| Size {
                slug: offered.size.slug.to_owned(),
                available: !offered.regions.is_empty(),
                regions: owned(offered.regions.iter()),
                hourly_price: offered.size.hourly_price,
            };
            Ok(cloud.sizes().map(size).collect())
        })
        .await
    }

    async fn regions(&self) -> Result<Vec<Region>, CloudError> {
        let region = |region: &catalog::Region| Region { slug: region.slug.to_owned(), available: region.available };
        self.call("GET", "/v2/regions", |_, _| Ok(catalog::REGIONS.iter().map(region).collect())).await
    }

    async fn image(&self, slug_or_id: &str) -> Result<Image, CloudError> {
        self.call("GET", "/v2/images/{id}", |_, _| {
            let image = catalog::image_by_slug_or_id(slug_or_id).ok_or(ApiError::NotFound)?;
            Ok(Image {
                id: image.id,
                slug: Some(image.slug.to_owned()),
                status: "available".to_owned(),
                regions: owned(catalog::REGIONS.iter().map(|region| &region.slug)),
            })
        })
        .await
    }

    async fn ssh_keys(&self) -> Result<Vec<SshKey>, CloudError> {
        let key = |key: &catalog::SshKey| SshKey { id: key.id, fingerprint: key.fingerprint.clone() };
        self.call("GET", "/v2/account/keys", |cloud, _| Ok(cloud.ssh_keys().iter().map(key).collect())).await
    }
}

fn new_droplets(request: &CreateRequest) -> NewDroplets {
    let user_data = request.user_data.as_str();
    NewDroplets {
        names: request.names.iter().map(|name| name.as_str().to_owned()).collect(),
        region: Some(request.template.region.clone()),
        size: request.template.size.clone(),
        image: request.template.image.clone(),
        ssh_keys: request.ssh_keys.clone(),
        tags: request.template.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        user_data: (!user_data.is_empty()).then(|| user_data.to_owned()),
        vpc_uuid: request.vpc_uuid.clone(),
        monitoring: request.monitoring,
        ..NewDroplets::default()
    }
}

/// Returns the API's view of a droplet at `time`.
fn cloud_instance(droplet: &SimulatedDroplet, time: Timestamp) -> CloudInstance {
    let shown = droplet.has_addresses_at(time);
    let public = droplet.public_address.map(Into::into).into_iter().chain(droplet.ipv6_address.map(Into::into));
    CloudInstance {
        id: droplet.id,
        name: droplet.name.clone(),
        status: droplet.status_at(time),
        private_addresses: if shown { vec![droplet.private_address.into()] } else { Vec::new() },
        public_addresses: if shown { public.collect() } else { Vec::new() },
        tags: droplet.tags.clone(),
        size: droplet.size.slug.to_owned(),
        region: droplet.region.slug.to_owned(),
        image: droplet.image.slug.to_owned(),
        hourly_price: droplet.size.hourly_price,
        // The API reports times with a resolution of one second.
        created_at: Some(Timestamp(droplet.created_at.0 / 1000 * 1000)),
    }
}

fn owned<'a>(slugs: impl Iterator<Item = &'a &'static str>) -> Vec<String> {
    slugs.map(|slug| (*slug).to_owned()).collect()
}

fn api_error(call: &Call, refusal: &ApiError) -> CloudError {
    CloudError {
        class: class_of(refusal),
        call: call.to_string(),
        status: Some(refusal.status()),
        message: refusal.to_string(),
        request_id: None,
        attempts: 1,
    }
}

fn corrupt_body_error(call: &Call, kind: CorruptBody) -> CloudError {
    let error = transport_error(call, "connection closed before the response was complete");
    if kind == CorruptBody::Truncated {
        return CloudError { status: Some(200), ..error };
    }
    let message = "response cannot be parsed".to_owned();
    CloudError { class: ErrorClass::Server, status: Some(200), message, ..error }
}

fn transport_error(call: &Call, message: &str) -> CloudError {
    CloudError {
        class: ErrorClass::Transport { sent: true },
        call: call.to_string(),
        status: None,
        message: message.to_owned(),
        request_id: None,
        attempts: 1,
    }
}

/// Returns the error class that a client assigns to it.
fn class_of(refusal: &ApiError) -> ErrorClass {
    match refusal {
        ApiError::DropletLimit => ErrorClass::LimitExceeded,
        ApiError::Unavailable(_) => ErrorClass::Unavailable,
        ApiError::PendingEvent => ErrorClass::TryAgain,
        ApiError::RateLimited { after, .. } => ErrorClass::RateLimited { retry_after: Some(*after) },
        ApiError::Injected { status: 422, message, .. } => class_of_unprocessable(message),
        other => match other.status() {
            401 | 403 => ErrorClass::Unauthorized,
            404 => ErrorClass::NotFound,
            429 => ErrorClass::RateLimited { retry_after: other.retry_after() },
            500.. => ErrorClass::Server,
            _ => ErrorClass::InvalidRequest,
        },
    }
}

/// An injected 422 can only be classified by its message.
fn class_of_unprocessable(message: &str) -> ErrorClass {
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    if says("droplet limit") {
        ErrorClass::LimitExceeded
    } else if says("not available") {
        ErrorClass::Unavailable
    } else if says("try again") || says("pending event") {
        ErrorClass::TryAgain
    } else {
        ErrorClass::InvalidRequest
    }
}

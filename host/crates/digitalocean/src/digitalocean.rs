//! The client of the API, with one method for each call: the real [`CloudProvider`].

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use doproxy_core::domain::{DropletId, Tag};
use doproxy_core::seams::{
    Account, CloudError, CloudInstance, CloudProvider, CreateRequest, ErrorClass, Filter, Image, Region, Size, SshKey,
};
use serde::de::DeserializeOwned;

use crate::http::{ApiRequest, Http, SetupError};
use crate::options::Options;
use crate::request_metrics::RequestCount;

/// Maximum items on a page of the API.
pub(super) const PER_PAGE: usize = 200;

/// Maximum pages of a list; more are treated as an error of the API: 20,000 items, and less than half of the quota of a
/// minute.
const MAX_PAGES: usize = 100;

/// A client of the API. Clones are cheap and share their connections and the rate limiter.
#[derive(Clone)]
pub struct DigitalOcean {
    pub(super) http: Arc<Http>,
}

impl fmt::Debug for DigitalOcean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigitalOcean").field("url", self.http.url()).finish_non_exhaustive()
    }
}

impl DigitalOcean {
    /// Creates a client without sending a request.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        Ok(Self { http: Arc::new(Http::new(options)?) })
    }

    /// Returns the requests sent by this process, by call and result.
    pub fn request_counts(&self) -> Vec<RequestCount> {
        self.http.metrics().snapshot()
    }

    /// Returns the number of requests that may be sent now, excluding those reserved for deletes.
    pub fn remaining_requests(&self) -> usize {
        self.http.rate_limiter().remaining()
    }

    /// Returns all items of a list, page by page.
    ///
    /// Pages are requested by number: a URL in a response may point to another host, which must not see the token.
    /// Items may move between pages during the listing: an item that appears twice is returned once, and one that moves
    /// to a page already read is missed. Absence from a single list therefore never means that an item is gone.
    async fn list_all<T, K>(
        &self,
        path: &str,
        filter: Option<(&'static str, &str)>,
        key: impl Fn(&T) -> K + Send,
    ) -> Result<Vec<T>, CloudError>
    where
        T: DeserializeOwned + Send,
        K: Hash + Eq + Send,
    {
        let mut items: Vec<T> = Vec::new();
        let mut known = HashSet::new();
        let mut seen = 0;
        for number in 1..=MAX_PAGES {
            let mut call = ApiRequest::get(path);
            call.query.push(("per_page", PER_PAGE.to_string()));
            call.query.push(("page", number.to_string()));
            call.query.extend(filter.map(|(name, value)| (name, value.to_owned())));

            let page: crate::wire::Page<T> = self.http.send(&call, crate::wire::parse).await?;
            let on_page = page.items.len();
            seen += on_page;
            let before = items.len();
            items.extend(page.items.into_iter().filter(|item| known.insert(key(item))));

            if on_page == 0 || !page.meta.has_more(seen, on_page, PER_PAGE) {
                return Ok(items);
            }
            if items.len() == before {
                return Err(call.error(ErrorClass::Server, format!("page {number} repeats the pages before it")));
            }
        }
        Err(ApiRequest::get(path).error(ErrorClass::Server, format!("the list does not end within {MAX_PAGES} pages")))
    }
}

impl CloudProvider for DigitalOcean {
    async fn create(&self, request: &CreateRequest) -> Result<Vec<CloudInstance>, CloudError> {
        let call = ApiRequest::create("/v2/droplets", crate::wire::create_body(request));
        let wanted = request.names.len();
        if wanted == 0 || wanted > CreateRequest::MAX_NAMES {
            let message = format!("{wanted} names in one request; the limit is 1 to {}", CreateRequest::MAX_NAMES);
            return Err(call.error(ErrorClass::InvalidRequest, message));
        }

        let created: crate::wire::CreateResponse = self.http.send(&call, crate::wire::parse).await?;
        let mut droplets = created.into_droplets();
        if droplets.len() != wanted {
            // The caller must find out which of them exist.
            let message = format!("the response has {} droplets instead of {wanted}", droplets.len());
            return Err(call.error(ErrorClass::Server, message));
        }
        let place = |name: &str| request.names.iter().position(|wanted| wanted.as_str().eq_ignore_ascii_case(name));
        droplets.sort_by_key(|droplet| place(&droplet.name).unwrap_or(usize::MAX));
        Ok(droplets)
    }

    async fn get(&self, id: DropletId) -> Result<CloudInstance, CloudError> {
        let response: crate::wire::DropletResponse =
            self.http.send(&ApiRequest::get(format!("/v2/droplets/{id}")), crate::wire::parse).await?;
        Ok(response.droplet.into())
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<CloudInstance>, CloudError> {
        let parameter = match filter {
            Filter::Tag(tag) => ("tag_name", tag.as_str()),
            Filter::Name(name) => ("name", name.as_str()),
        };
        let found: Vec<crate::wire::Droplet> =
            self.list_all("/v2/droplets", Some(parameter), crate::wire::Droplet::id).await?;
        let mut droplets: Vec<CloudInstance> = found.into_iter().map(CloudInstance::from).collect();
        if let Filter::Name(name) = filter {
            // Adopting an unrelated droplet would be worse than finding none.
            droplets.retain(|droplet| droplet.name.eq_ignore_ascii_case(name.as_str()));
        }
        Ok(droplets)
    }

    async fn delete(&self, id: DropletId) -> Result<(), CloudError> {
        match self.http.send(&ApiRequest::delete(format!("/v2/droplets/{id}")), crate::wire::parse_empty).await {
            Err(error) if error.class == ErrorClass::NotFound => Ok(()),
            other => other,
        }
    }

    async fn tag(&self, id: DropletId, tag: &Tag) -> Result<(), CloudError> {
        // If the tag cannot be created, it may already exist; if it does not, the second call fails.
        match self.http.send(&ApiRequest::post("/v2/tags", crate::wire::tag_body(tag)), crate::wire::parse_empty).await
        {
            Err(error) if error.class != ErrorClass::InvalidRequest => return Err(error),
            _ => {}
        }
        let call = ApiRequest::post(format!("/v2/tags/{tag}/resources"), crate::wire::tagged_body(id));
        self.http.send(&call, crate::wire::parse_empty).await
    }

    async fn account(&self) -> Result<Account, CloudError> {
        let response: crate::wire::AccountResponse =
            self.http.send(&ApiRequest::get("/v2/account"), crate::wire::parse).await?;
        Ok(response.account.into())
    }

    async fn count(&self) -> Result<u32, CloudError> {
        let mut call = ApiRequest::get("/v2/droplets");
        call.query.push(("per_page", "1".to_owned()));
        let page: crate::wire::Page<serde::de::IgnoredAny> = self.http.send(&call, crate::wire::parse).await?;
        page.meta.total().ok_or_else(|| call.error(ErrorClass::Server, "the list has no total".to_owned()))
    }

    async fn sizes(&self) -> Result<Vec<Size>, CloudError> {
        let sizes: Vec<crate::wire::Size> = self.list_all("/v2/sizes", None, crate::wire::Size::slug).await?;
        Ok(sizes.into_iter().map(Size::from).collect())
    }

    async fn regions(&self) -> Result<Vec<Region>, CloudError> {
        let regions: Vec<crate::wire::Region> = self.list_all("/v2/regions", None, crate::wire::Region::slug).await?;
        Ok(regions.into_iter().map(Region::from).collect())
    }

    async fn image(&self, slug_or_id: &str) -> Result<Image, CloudError> {
        // Other characters in the path would change the call.
        let plain = slug_or_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && slug_or_id.bytes().any(|byte| byte.is_ascii_alphanumeric());
        if !plain {
            let message =
                format!("{slug_or_id:?} is not an image; a slug consists of letters, digits, '-', '_' and '.'");
            return Err(ApiRequest::get("/v2/images").error(ErrorClass::InvalidRequest, message));
        }
        let response: crate::wire::ImageResponse =
            self.http.send(&ApiRequest::get(format!("/v2/images/{slug_or_id}")), crate::wire::parse).await?;
        Ok(response.image.into())
    }

    async fn ssh_keys(&self) -> Result<Vec<SshKey>, CloudError> {
        let keys: Vec<crate::wire::SshKey> = self.list_all("/v2/account/keys", None, crate::wire::SshKey::id).await?;
        Ok(keys.into_iter().map(SshKey::from).collect())
    }
}

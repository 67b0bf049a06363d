//! Operations on a repository: pulling and pushing manifests and blobs. Pulled content always matches the requested
//! digest and size; otherwise the operation fails.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};

use crate::digest::Digest;
use crate::oci::client::{Access, RegistryClient, Request};
use crate::oci::manifest::{Descriptor, INDEX, Index, MANIFEST};
use crate::oci::{Login, OciReference, RegistryError, manifest};

/// Maximum size of a manifest in bytes, as in the specification.
const MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// The delays before a request is retried after a transient failure.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// A repository in a registry.
pub(crate) struct Registry {
    client: RegistryClient,
    name: String,
}

impl Registry {
    /// Opens the repository of `reference`.
    pub(crate) async fn open(reference: &OciReference, access: Access, login: &Login) -> Result<Self, RegistryError> {
        Ok(Self { client: RegistryClient::open(reference, access, login).await?, name: reference.name() })
    }

    /// Returns the manifest for a tag or digest; `None` if it does not exist.
    pub(crate) async fn manifest(&mut self, version: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let what = format!("{}:{version}", self.name);
        let bytes =
            match self.get(&format!("manifests/{version}"), &manifest::accept_header(), &what, MANIFEST_BYTES).await {
                Err(RegistryError::NotFound { .. }) => return Ok(None),
                bytes => bytes?,
            };
        if let Ok(wanted) = version.parse::<Digest>() {
            verify_digest(&bytes, wanted, &what)?;
        }
        Ok(Some(bytes))
    }

    /// Returns the content of a descriptor, at most `most` bytes; `what` is for messages.
    pub(crate) async fn blob(
        &mut self,
        descriptor: &Descriptor,
        most: u64,
        what: &str,
    ) -> Result<Vec<u8>, RegistryError> {
        if descriptor.size > most {
            return Err(RegistryError::TooLarge { what: what.to_owned(), most });
        }
        // One extra byte detects a blob that is longer than its descriptor specifies.
        let bytes =
            self.get(&format!("blobs/{}", descriptor.digest), "*/*", what, descriptor.size.saturating_add(1)).await?;
        verify_digest(&bytes, descriptor.digest, what)?;
        match bytes.len() as u64 {
            is if is == descriptor.size => Ok(bytes),
            is => Err(RegistryError::SizeMismatch { what: what.to_owned(), expected: descriptor.size, actual: is }),
        }
    }

    /// Returns the descriptors of artifacts of one type that refer to a manifest, such as signatures. If the registry
    /// does not support the referrers API, reads the fallback tag defined by the specification.
    pub(crate) async fn referrers(
        &mut self,
        digest: Digest,
        artifact_type: &str,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let what = format!("the referrers of {}@{digest}", self.name);
        let listed = match self.get(&format!("referrers/{digest}"), INDEX, &what, MANIFEST_BYTES).await {
            Err(RegistryError::NotFound { .. } | RegistryError::Rejected { .. }) => {
                self.manifest(&format!("sha256-{}", digest.hex())).await?
            }
            listed => Some(listed?),
        };
        let Some(listed) = listed else { return Ok(Vec::new()) };
        let index: Index = serde_json::from_slice(&listed).map_err(|error| RegistryError::UnexpectedResponse {
            doing: format!("reading {what}"),
            reason: error.to_string(),
        })?;
        Ok(index.manifests.into_iter().filter(|one| one.artifact_type.as_deref() == Some(artifact_type)).collect())
    }

    /// Pushes a blob, unless it exists already.
    pub(crate) async fn put_blob(&mut self, content: &[u8], what: &str) -> Result<(), RegistryError> {
        let doing = &format!("pushing {what}");
        let digest = Digest::of(content);
        let url = self.client.url(&format!("blobs/{digest}"))?;
        let looked = Request { method: Method::HEAD, url, accept: None, body: None, doing };
        if self.client.send(&looked).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let url = self.client.url("blobs/uploads/")?;
        let begun = Request {
            method: Method::POST,
            url: url.clone(),
            accept: None,
            body: Some(("application/octet-stream", b"")),
            doing,
        };
        let response = self.client.send(&begun).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.client.response_error(response, what, doing).await);
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok()).map(str::to_owned);
        let location = location.ok_or_else(|| RegistryError::UnexpectedResponse {
            doing: doing.clone(),
            reason: "the upload location is missing".to_owned(),
        })?;
        let mut url = self.client.resolve_location(&url, &location, doing)?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let sent = Request {
            method: Method::PUT,
            url,
            accept: None,
            body: Some(("application/octet-stream", content)),
            doing,
        };
        let response = self.client.send(&sent).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.client.response_error(response, what, doing).await),
        }
    }

    /// Pushes a manifest under a tag, replacing the previous one. The content that it refers to must exist already.
    pub(crate) async fn put_manifest(&mut self, tag: &str, content: &[u8]) -> Result<(), RegistryError> {
        let what = format!("{}:{tag}", self.name);
        let doing = &format!("pushing {what}");
        let url = self.client.url(&format!("manifests/{tag}"))?;
        let sent = Request { method: Method::PUT, url, accept: None, body: Some((MANIFEST, content)), doing };
        let response = self.client.send(&sent).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.client.response_error(response, &what, doing).await);
        }
        let kept = response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
        match kept.and_then(|kept| kept.parse::<Digest>().ok()) {
            Some(is) if is != Digest::of(content) => {
                Err(RegistryError::DigestMismatch { what, expected: Digest::of(content), actual: is })
            }
            _ => Ok(()),
        }
    }

    /// Pulls content, with retries after transient failures.
    async fn get(&mut self, path: &str, accept: &str, what: &str, most: u64) -> Result<Vec<u8>, RegistryError> {
        let mut pauses = RETRY_DELAYS.iter();
        loop {
            match self.get_once(path, accept, what, most).await {
                Err(error) if error.is_transient() => match pauses.next() {
                    Some(pause) => {
                        tracing::debug!("{error}; retrying in {pause:?}");
                        tokio::time::sleep(*pause).await;
                    }
                    None => return Err(error),
                },
                response => return response,
            }
        }
    }

    async fn get_once(&mut self, path: &str, accept: &str, what: &str, most: u64) -> Result<Vec<u8>, RegistryError> {
        let doing = &format!("pulling {what}");
        let url = self.client.url(path)?;
        let asked = Request { method: Method::GET, url, accept: Some(accept), body: None, doing };
        let response = self.client.send(&asked).await?;
        match response.status() {
            StatusCode::OK => self.client.read(response, most, doing).await,
            _ => Err(self.client.response_error(response, what, doing).await),
        }
    }
}

fn verify_digest(bytes: &[u8], wanted: Digest, what: &str) -> Result<(), RegistryError> {
    match Digest::of(bytes) {
        is if is == wanted => Ok(()),
        is => Err(RegistryError::DigestMismatch { what: what.to_owned(), expected: wanted, actual: is }),
    }
}

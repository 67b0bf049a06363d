//! HTTP endpoints of sources, and requests to them: with a timeout, bounded, without redirects.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_support::tls;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, StatusCode};
use url::{Host, Url};

use crate::error::SourceError;
use crate::sources::text::sanitize;

/// Maximum size of a bearer token file.
const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// A validated URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    /// Reread for each request, so that the token can be rotated.
    token_file: Option<PathBuf>,
}

/// The reason for rejecting a URL. The URL is not repeated, since it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// The text is not a URL.
    #[error("the url is invalid; use a URL such as http://127.0.0.1:9090")]
    NotAUrl,
    /// A scheme other than `https` or `http`.
    #[error("the url must begin with https:// or http://")]
    Scheme,
    /// Plain `http` to another machine.
    #[error(
        "the url is plain http to another machine, which exposes the metrics to tampering; use https, or set `allow_http: true`"
    )]
    NotEncrypted,
    /// A token over plain `http`.
    #[error(
        "bearer_token_file requires https or a loopback address, because plain http exposes the token to the network"
    )]
    TokenNotEncrypted,
    /// A user name or password.
    #[error("the url contains a user name or password; use bearer_token_file instead")]
    UserInfo,
}

impl Endpoint {
    /// Parses and validates a URL. `allow_http` permits plain `http` to another machine, without a token.
    pub fn new(text: &str, token_file: Option<PathBuf>, allow_http: bool) -> Result<Self, InvalidEndpoint> {
        let mut url = Url::parse(text.trim()).map_err(|_| InvalidEndpoint::NotAUrl)?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(InvalidEndpoint::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidEndpoint::UserInfo);
        }
        let host = url.host().ok_or(InvalidEndpoint::NotAUrl)?;
        if !is_tls && !is_loopback(&host) {
            if !allow_http {
                return Err(InvalidEndpoint::NotEncrypted);
            }
            if token_file.is_some() {
                return Err(InvalidEndpoint::TokenNotEncrypted);
            }
        }
        url.set_fragment(None);
        Ok(Self { url, token_file })
    }

    /// Resolves a relative path of the token file against `dir`.
    pub(crate) fn resolve_token_file(&mut self, dir: &Path) {
        if let Some(path) = &mut self.token_file {
            *path = dir.join(&path);
        }
    }

    /// Returns the endpoint of a path below this one.
    pub(super) fn join(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        Self { url, token_file: self.token_file.clone() }
    }
}

impl fmt::Display for Endpoint {
    /// Formats the URL without the query, which may contain a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        url.set_query(None);
        f.write_str(&sanitize(url.as_str()))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// An HTTP client for one endpoint.
#[derive(Debug)]
pub(super) struct HttpProbe {
    endpoint: Endpoint,
    client: Result<Client, String>,
    timeout: Duration,
}

/// A response of any status.
#[derive(Debug)]
pub(super) struct HttpResponse {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl HttpProbe {
    pub(super) fn new(endpoint: Endpoint, timeout: Duration) -> Self {
        let client = client(&endpoint.url, timeout);
        Self { endpoint, client, timeout }
    }

    /// Returns the URL for display.
    pub(super) fn display_url(&self) -> String {
        self.endpoint.to_string()
    }

    /// Sends a request and reads at most `most` bytes of the response.
    pub(super) async fn get(&self, query: &[(&str, String)], most: usize) -> Result<HttpResponse, SourceError> {
        let client = self.client.as_ref().map_err(|error| SourceError::Setup(error.clone()))?;
        let mut request = client.get(self.endpoint.url.clone());
        if !query.is_empty() {
            request = request.query(query);
        }
        if let Some(path) = &self.endpoint.token_file {
            request = request.header(AUTHORIZATION, bearer_header(path)?);
        }
        let failed = |error: reqwest::Error| self.error(&error);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(SourceError::TooLarge { url: self.display_url(), most });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, body })
    }

    fn error(&self, error: &reqwest::Error) -> SourceError {
        if error.is_timeout() {
            return SourceError::TimedOut { what: self.display_url(), after: self.timeout };
        }
        // Only the root cause is used; the outer layers repeat it, or the URL with its query.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        SourceError::Transport { url: self.display_url(), why: sanitize(&cause.to_string()) }
    }
}

fn client(url: &Url, timeout: Duration) -> Result<Client, String> {
    let is_tls = url.scheme() == "https";
    let tls = if is_tls { tls::with_system_certificates() } else { tls::without_certificates() };
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.map_err(|error| error.to_string())?)
        .https_only(is_tls)
        .user_agent(concat!("doproxy/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .timeout(timeout);
    // As for the API: a proxy may forward TLS, but must not see plain requests.
    let builder = if is_tls { builder } else { builder.no_proxy() };
    builder.build().map_err(|error| error.to_string())
}

/// Returns the authorization header for the token in a file that is not world-readable.
fn bearer_header(path: &Path) -> Result<HeaderValue, SourceError> {
    let problem = |problem: String| SourceError::TokenFile { path: path.to_owned(), problem };
    let unreadable = |error: std::io::Error| problem(format!("is unreadable: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(problem("is not a regular file".to_owned()));
    }
    if metadata.permissions().mode() & 0o004 != 0 {
        return Err(problem(format!("is world-readable; run `chmod 600 {}`", path.display())));
    }
    let mut text = String::new();
    file.take(MAX_TOKEN_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    let token = text.trim();
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .ok()
        .filter(|_| !token.is_empty())
        .ok_or_else(|| problem("contains no valid token".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;

//! HTTP requests to one repository: with HTTPS unless the registry is on this machine, with a login once the registry
//! requests it, and with a limit on every response.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use doproxy_support::{sanitize, tls};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;

use crate::oci::challenge::Challenge;
use crate::oci::credentials::{Credentials, Secret};
use crate::oci::reference::is_loopback;
use crate::oci::{Login, OciReference, RegistryError};

/// The type of access to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Access {
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }

    fn permission(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time without receiving data.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum duration of one request including its response: 64 MiB at 1 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(10);

/// Maximum number of redirects that a request follows.
const MAX_REDIRECTS: usize = 5;

/// Maximum size of a response with a message or a token, in bytes.
const MAX_MESSAGE_BYTES: u64 = 64 * 1024;

/// An HTTP request.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: Option<&'a str>,
    /// The media type and content of the body.
    pub(super) body: Option<(&'a str, &'a [u8])>,
    /// The action, for messages: `pulling …`.
    pub(super) doing: &'a str,
}

/// An HTTP client for one repository.
pub(super) struct RegistryClient {
    client: Client,
    login: Login,
    registry: String,
    base: Url,
    /// True if plain HTTP is allowed.
    is_local: bool,
    repository: String,
    access: Access,
    authorization: Option<HeaderValue>,
    credentials: Option<Credentials>,
}

impl RegistryClient {
    /// Determines the scheme of the registry. Sends no credentials.
    pub(super) async fn open(name: &OciReference, access: Access, login: &Login) -> Result<Self, RegistryError> {
        let registry = name.registry();
        let local = name.is_loopback();
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let is_plain = local && accepts_plain_http(host).await?;
        let scheme = if is_plain { "http" } else { "https" };
        let base = format!("{scheme}://{host}/v2/");
        Ok(Self {
            client: build_client(!is_plain, local)?,
            login: login.clone(),
            registry: registry.to_owned(),
            base: base.parse().map_err(|error| RegistryError::Setup(format!("{base}: {error}")))?,
            is_local: local,
            repository: name.repository().to_owned(),
            access,
            authorization: None,
            credentials: None,
        })
    }

    /// Returns the URL of a path within the repository, such as `manifests/latest`.
    pub(super) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let path = format!("{}/{path}", self.repository);
        self.base.join(&path).map_err(|error| RegistryError::Setup(format!("{path}: {error}")))
    }

    /// Resolves a URL from a response, relative to the URL of the request.
    pub(super) fn resolve_location(&self, from: &Url, location: &str, doing: &str) -> Result<Url, RegistryError> {
        let nonsense = |reason: String| RegistryError::UnexpectedResponse { doing: doing.to_owned(), reason };
        let url = from.join(location).map_err(|error| nonsense(format!("invalid URL: {error}")))?;
        self.check_scheme(&url)?;
        Ok(url)
    }

    /// Sends a request, and repeats it with the login if the registry requires one. Returns every other response to the
    /// caller.
    pub(super) async fn send(&mut self, request: &Request<'_>) -> Result<Response, RegistryError> {
        let response = self.send_following_redirects(request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.authorize(&response, request.doing).await?;
        let response = self.send_following_redirects(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED { Err(self.login_error()) } else { Ok(response) }
    }

    /// Reads the body of a response, at most `most` bytes.
    pub(super) async fn read(&self, mut response: Response, most: u64, doing: &str) -> Result<Vec<u8>, RegistryError> {
        let too_large = || RegistryError::TooLarge { what: format!("the response to {doing}"), most };
        if response.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|error| RegistryError::Unreachable {
                doing: doing.to_owned(),
                reason: format!("the response was truncated after {} bytes: {}", body.len(), describe_error(error)),
            })?;
            let Some(chunk) = chunk else { return Ok(body) };
            if (body.len() + chunk.len()) as u64 > most {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Converts an error response.
    pub(super) async fn response_error(&self, response: Response, what: &str, doing: &str) -> RegistryError {
        let status = response.status();
        let body = self.read(response, MAX_MESSAGE_BYTES, doing).await.unwrap_or_default();
        let doing = doing.to_owned();
        let text = self.redact(&error_message(&body));
        let reason = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
        match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound { what: what.to_owned() },
            StatusCode::FORBIDDEN if self.credentials.is_some() => self.login_error(),
            StatusCode::TOO_MANY_REQUESTS => RegistryError::ServerError { doing, reason },
            status if status.is_server_error() => RegistryError::ServerError { doing, reason },
            _ => RegistryError::Rejected { doing, reason },
        }
    }

    /// Sends a request and, for GET and HEAD, follows redirects.
    async fn send_following_redirects(&self, request: &Request<'_>) -> Result<Response, RegistryError> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(request, url.clone()).await?;
            let is_question = matches!(request.method, Method::GET | Method::HEAD);
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match location {
                Some(location) if is_question && response.status().is_redirection() => {
                    url = self.resolve_location(&url, location, request.doing)?;
                }
                _ => return Ok(response),
            }
        }
        Err(RegistryError::UnexpectedResponse {
            doing: request.doing.to_owned(),
            reason: "too many redirects".to_owned(),
        })
    }

    async fn send_once(&self, request: &Request<'_>, url: Url) -> Result<Response, RegistryError> {
        self.check_scheme(&url)?;
        let is_own = url.origin() == self.base.origin();
        let mut sent = self.client.request(request.method.clone(), url);
        if let Some(accept) = request.accept {
            sent = sent.header(ACCEPT, accept);
        }
        // Storage services that a registry redirects to must not receive the credentials.
        if let Some(authorization) = self.authorization.as_ref().filter(|_| is_own) {
            sent = sent.header(AUTHORIZATION, authorization.clone());
        }
        if let Some((media_type, body)) = request.body {
            sent = sent.header(CONTENT_TYPE, media_type).body(body.to_vec());
        }
        sent.send().await.map_err(|error| self.unreachable(request.doing, error))
    }

    /// Allows plain HTTP only for registries on this machine, and then only to addresses on this machine.
    fn check_scheme(&self, url: &Url) -> Result<(), RegistryError> {
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => self.is_local && url.host_str().is_some_and(is_loopback),
            _ => false,
        };
        if is_safe {
            return Ok(());
        }
        let to = sanitize::sanitize_line(&format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()), 200);
        Err(RegistryError::InsecureRedirect { registry: self.registry.clone(), to })
    }

    /// Prepares the authorization requested by the registry.
    async fn authorize(&mut self, response: &Response, doing: &str) -> Result<(), RegistryError> {
        let headers = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok());
        let Some(challenge) = Challenge::from_headers(headers) else {
            let reason = "unsupported authentication scheme".to_owned();
            return Err(RegistryError::UnexpectedResponse { doing: doing.to_owned(), reason });
        };
        self.credentials = self.login.find(&self.registry).await?;
        let header = match (challenge, self.credentials.as_ref().map(|shown| &shown.secret)) {
            (_, Some(Secret::RegistryToken(token))) => format!("Bearer {token}"),
            (Challenge::Basic, Some(Secret::Password { user, password })) => basic_auth(user, password),
            (Challenge::Basic, Some(Secret::IdentityToken(token))) => basic_auth("<token>", token),
            (Challenge::Basic, None) => return Err(RegistryError::LoginRequired { registry: self.registry.clone() }),
            (Challenge::Bearer { realm, service, scope }, _) => {
                format!("Bearer {}", self.token(&realm, service.as_deref(), scope.as_deref()).await?)
            }
        };
        let mut header = HeaderValue::from_str(&header).map_err(|_| RegistryError::InvalidLogin {
            registry: self.registry.clone(),
            login_source: self
                .credentials
                .as_ref()
                .map_or_else(|| "the token service".to_owned(), |shown| shown.source.clone()),
            reason: "the login contains characters that cannot be sent".to_owned(),
        })?;
        header.set_sensitive(true);
        self.authorization = Some(header);
        Ok(())
    }

    /// Requests a token from the token service of the registry; without a login, an anonymous one.
    async fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        struct TokenResponse {
            token: Option<String>,
            access_token: Option<String>,
        }
        let doing = "requesting a token";
        let mut url = self.resolve_location(&self.base, realm, doing)?;
        let wanted = format!("repository:{}:{}", self.repository, self.access.actions());
        let scope = match self.access {
            Access::Pull => scope.unwrap_or(&wanted),
            // The registry may request less access than the push needs.
            Access::Push => &wanted,
        };
        let identity = match self.credentials.as_ref().map(|shown| &shown.secret) {
            Some(Secret::IdentityToken(token)) => Some(token),
            _ => None,
        };
        let mut fields = vec![("scope", scope)];
        fields.extend(service.map(|service| ("service", service)));
        let sent = if let Some(token) = identity {
            fields.extend([
                ("grant_type", "refresh_token"),
                ("client_id", "doproxy"),
                ("refresh_token", token.as_str()),
            ]);
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            self.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        } else {
            url.query_pairs_mut().extend_pairs(fields);
            let sent = self.client.get(url);
            match self.credentials.as_ref().map(|shown| &shown.secret) {
                Some(Secret::Password { user, password }) => sent.basic_auth(user, Some(password)),
                _ => sent,
            }
        };
        let response = sent.send().await.map_err(|error| self.unreachable(doing, error))?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.login_error()),
            _ => return Err(self.response_error(response, "the token service", doing).await),
        }
        let body = self.read(response, MAX_MESSAGE_BYTES, doing).await?;
        // The parser's message could contain a token.
        serde_json::from_slice(&body)
            .ok()
            .and_then(|response: TokenResponse| response.token.or(response.access_token))
            .ok_or_else(|| RegistryError::UnexpectedResponse {
                doing: doing.to_owned(),
                reason: "the response contains no token".to_owned(),
            })
    }

    fn login_error(&self) -> RegistryError {
        match &self.credentials {
            None => RegistryError::LoginRequired { registry: self.registry.clone() },
            Some(shown) => RegistryError::LoginRejected {
                registry: self.registry.clone(),
                user: sanitize::sanitize_line(shown.user(), 100),
                login_source: shown.source.clone(),
                permission: self.access.permission(),
            },
        }
    }

    fn unreachable(&self, doing: &str, error: reqwest::Error) -> RegistryError {
        let reason = self.redact(&describe_error(error));
        RegistryError::Unreachable {
            doing: doing.to_owned(),
            reason: format!("{} is unreachable: {reason}", self.registry),
        }
    }

    /// Sanitizes a message from the registry for terminals, and redacts secrets from the request that it may repeat.
    fn redact(&self, text: &str) -> String {
        let mut text = sanitize::sanitize_line(text, 500);
        let header = self.authorization.as_ref().and_then(|header| header.to_str().ok());
        let value = header.and_then(|header| header.split_once(' ')).map(|(_, value)| value);
        let password = match self.credentials.as_ref().map(|shown| &shown.secret) {
            Some(Secret::Password { password, .. }) => Some(password.as_str()),
            Some(Secret::IdentityToken(token) | Secret::RegistryToken(token)) => Some(token.as_str()),
            None => None,
        };
        for secret in [value, password].into_iter().flatten().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "…");
        }
        text
    }
}

fn basic_auth(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// Reports whether a registry on this machine accepts plain HTTP; an HTTPS registry responds with an error or not at
/// all.
async fn accepts_plain_http(host: &str) -> Result<bool, RegistryError> {
    let client = build_client(false, true)?;
    match client.get(format!("http://{host}/v2/")).send().await {
        Ok(response) => Ok(response.status() != StatusCode::BAD_REQUEST),
        Err(error) if error.is_connect() => Err(RegistryError::Unreachable {
            doing: "connecting to the registry".to_owned(),
            reason: format!("{host} is unreachable: {}", describe_error(error)),
        }),
        Err(_) => Ok(false),
    }
}

fn build_client(with_tls: bool, local: bool) -> Result<Client, RegistryError> {
    let setup = |error: &dyn std::fmt::Display| RegistryError::Setup(error.to_string());
    let tls = if with_tls { tls::with_system_certificates() } else { tls::without_certificates() };
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.map_err(|error| setup(&error))?)
        .user_agent(concat!("doproxy/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(REQUEST_TIMEOUT);
    // A proxy (HTTPS_PROXY, NO_PROXY) cannot reach this machine.
    let builder = if local { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| setup(&error))
}

/// Returns the message in the body of an error response.
fn error_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<OneError>,
    }
    #[derive(Deserialize)]
    struct OneError {
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(Errors { errors }) = serde_json::from_slice(body) else { return String::new() };
    let text: Vec<String> = errors.iter().take(3).map(|error| format!("{} {}", error.code, error.message)).collect();
    text.join("; ").trim().to_owned()
}

/// Formats an error of the HTTP library with its causes, but without the URL.
fn describe_error(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

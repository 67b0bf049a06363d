//! Registry logins from the environment and Docker's configuration.
//!
//! Sources in order of precedence: `DOPROXY_REGISTRY_USERNAME` and `DOPROXY_REGISTRY_PASSWORD` for the single registry
//! in `DOPROXY_REGISTRY`; `DOCKER_AUTH_CONFIG`, the text of a `config.json`; `config.json` in `DOCKER_CONFIG`, or else
//! in `~/.docker`. Within a `config.json`, `credHelpers` has precedence over `credsStore`, and that over `auths`, as in
//! Docker.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::oci::RegistryError;

/// The key of Docker Hub in `config.json`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Timeout of credential helpers; some prompt the user first.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of a `config.json` and of a helper's response, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The sources of registry logins. The `Debug` output contains no secrets.
#[derive(Clone, Default)]
pub struct Login {
    env: Option<EnvLogin>,
    config_text: Option<String>,
    config_dir: Option<PathBuf>,
}

/// A login for one registry.
#[derive(Clone)]
struct EnvLogin {
    registry: String,
    user: String,
    password: String,
}

/// Credentials for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) secret: Secret,
    /// The origin of the credentials, for messages.
    pub(super) source: String,
}

/// The kinds of credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// User name and password.
    Password { user: String, password: String },
    /// An identity token, issued by a token service at the last login in place of a password.
    IdentityToken(String),
    /// A registry token.
    RegistryToken(String),
}

impl Credentials {
    /// Returns the user name, for messages.
    pub(super) fn user(&self) -> &str {
        match &self.secret {
            Secret::Password { user, .. } => user,
            Secret::IdentityToken(_) | Secret::RegistryToken(_) => "the owner of the token",
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("from", &self.source).finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("config_dir", &self.config_dir).finish_non_exhaustive()
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[expect(clippy::struct_field_names, reason = "the name is defined by Docker's file format")]
#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperResponse {
    username: String,
    secret: String,
}

impl Login {
    /// Returns the login sources in the environment of this process.
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
        Self {
            env: text("DOPROXY_REGISTRY").and_then(|registry| {
                let user = text("DOPROXY_REGISTRY_USERNAME")?;
                Some(EnvLogin { registry, user, password: text("DOPROXY_REGISTRY_PASSWORD")? })
            }),
            config_text: text("DOCKER_AUTH_CONFIG"),
            config_dir: path("DOCKER_CONFIG").or_else(|| path("HOME").map(|home| home.join(".docker"))),
        }
    }

    /// Returns the credentials for a registry, if any.
    pub(super) async fn find(&self, registry: &str) -> Result<Option<Credentials>, RegistryError> {
        if let Some(own) = self.env.as_ref().filter(|own| server_of_key(&own.registry) == server_of_key(registry)) {
            let secret = Secret::Password { user: own.user.clone(), password: own.password.clone() };
            return Ok(Some(Credentials { secret, source: "DOPROXY_REGISTRY_USERNAME".to_owned() }));
        }
        if let Some(text) = &self.config_text {
            let variable = Path::new("DOCKER_AUTH_CONFIG");
            if let Some(found) = parse(text.as_bytes(), variable)?.find(registry, variable).await? {
                return Ok(Some(found));
            }
        }
        let Some(path) = self.config_dir.as_ref().map(|dir| dir.join("config.json")) else { return Ok(None) };
        let Some(text) = read(&path)? else { return Ok(None) };
        parse(&text, &path)?.find(registry, &path).await
    }
}

/// Returns the content of the file; `None` if the file does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    let unreadable = |reason: String| RegistryError::InvalidLoginFile { path: path.to_owned(), reason };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!("larger than {MAX_BYTES} bytes")));
    }
    Ok(Some(text))
}

fn parse(text: &[u8], path: &Path) -> Result<DockerConfig, RegistryError> {
    // serde's own message could contain a secret.
    serde_json::from_slice(text).map_err(|error| RegistryError::InvalidLoginFile {
        path: path.to_owned(),
        reason: format!("not in Docker's format, near line {} column {}", error.line(), error.column()),
    })
}

impl DockerConfig {
    async fn find(&self, registry: &str, path: &Path) -> Result<Option<Credentials>, RegistryError> {
        let wanted = server_of_key(registry);
        let named = self.cred_helpers.iter().find(|(key, _)| server_of_key(key) == wanted).map(|(_, helper)| helper);
        if let Some(helper) = named.or(self.creds_store.as_ref().filter(|name| !name.is_empty())) {
            return run_helper(helper, registry).await;
        }
        let Some(auth) = self.auths.iter().find(|(key, _)| server_of_key(key) == wanted).map(|(_, auth)| auth) else {
            return Ok(None);
        };
        let from = path.display().to_string();
        let secret = auth.secret().map_err(|reason| RegistryError::InvalidLogin {
            registry: registry.to_owned(),
            login_source: from.clone(),
            reason: reason.to_owned(),
        })?;
        Ok(secret.map(|secret| Credentials { secret, source: from }))
    }
}

impl Auth {
    fn secret(&self) -> Result<Option<Secret>, &'static str> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Secret::RegistryToken(token)));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Secret::IdentityToken(token)));
        }
        if let Some(auth) = given(&self.auth) {
            let decoded = BASE64_STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let (user, password) = decoded
                .as_deref()
                .and_then(|text| text.trim_end_matches('\0').split_once(':'))
                .ok_or("`auth` is not base64 of USER:PASSWORD")?;
            return Ok(Some(Secret::Password { user: user.to_owned(), password: password.to_owned() }));
        }
        Ok(given(&self.username).zip(given(&self.password)).map(|(user, password)| Secret::Password { user, password }))
    }
}

/// Runs a credential helper with Docker's protocol: <https://github.com/docker/docker-credential-helpers>.
async fn run_helper(helper: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| RegistryError::InvalidLogin {
        registry: registry.to_owned(),
        login_source: program.clone(),
        reason: doproxy_support::sanitize_line(&reason, 300),
    };
    if !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(failed("invalid name of a credential helper".to_owned()));
    }
    let exchange = async {
        let mut child = Command::new(&program)
            .arg("get")
            // The helper does not need access to the DigitalOcean API.
            .env_remove("DIGITALOCEAN_TOKEN")
            .env_remove("DIGITALOCEAN_ACCESS_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            let asked = if server_of_key(registry) == server_of_key(DOCKER_HUB) { DOCKER_HUB } else { registry };
            // Ignore the error: a helper may exit without reading its input.
            let _ = stdin.write_all(asked.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(HELPER_TIMEOUT, exchange)
        .await
        .map_err(|_| failed(format!("no response within {HELPER_TIMEOUT:?}")))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stdout);
        // The protocol reports missing credentials only by this message.
        return if message.contains("credentials not found") { Ok(None) } else { Err(failed(message.into_owned())) };
    }
    let HelperResponse { username, secret } =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("the response violates the protocol".to_owned()))?;
    let secret = match username.as_str() {
        "<token>" => Secret::IdentityToken(secret),
        _ => Secret::Password { user: username, password: secret },
    };
    Ok(Some(Credentials { secret, source: program }))
}

/// Returns the host and port of a key in any form written by Docker: with a scheme, with a path.
fn server_of_key(key: &str) -> &str {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    match host.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests;

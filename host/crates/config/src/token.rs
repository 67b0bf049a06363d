//! Finds the API token in the environment, a systemd credential, a file, or `doproxy.yml`, in that order.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use doproxy_core::domain::Token;
use doproxy_digitalocean::ApiUrl;

use crate::advice::is_world_readable;
use crate::error::ConfigError;
use crate::values::Text;

/// The environment variables for the token; the first one set takes precedence.
const TOKEN_VARIABLES: [&str; 2] = ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"];
/// The environment variable for the base URL of the API.
pub(super) const API_URL_VARIABLE: &str = "DIGITALOCEAN_API_URL";
/// The systemd credential that contains the token: `LoadCredential=doproxy-token:FILE`.
const CREDENTIAL: &str = "doproxy-token";
/// Maximum size of a token file. Tokens are shorter, so a large file given by mistake fails immediately.
const MAX_BYTES: u64 = 4096;

/// The environment variables that doproxy reads.
#[derive(Clone, Default)]
pub struct Environment {
    tokens: [Option<String>; 2],
    credentials: Option<PathBuf>,
    api_url: Option<String>,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { tokens: TOKEN_VARIABLES.map(read), credentials, api_url: read(API_URL_VARIABLE) }
    }

    /// Returns an environment with only this token, for tests and the demo.
    pub fn with_token(token: &str) -> Self {
        Self { tokens: [Some(token.to_owned()), None], credentials: None, api_url: None }
    }

    /// Returns the token of an environment variable.
    fn token(&self, variable: &str) -> Option<String> {
        TOKEN_VARIABLES.into_iter().zip(&self.tokens).find(|(name, _)| *name == variable)?.1.clone()
    }

    /// Returns the path of the systemd credential, if there is one.
    fn credential(&self) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(CREDENTIAL);
        // A credential that exists but cannot be accessed is returned too, so that reading it reports the error.
        path.try_exists().unwrap_or(true).then_some(path)
    }

    /// Returns the API URL of `DIGITALOCEAN_API_URL`, if set.
    pub fn api_url(&self) -> Result<Option<ApiUrl>, ConfigError> {
        let parse = |text: &String| text.parse::<ApiUrl>().map_err(|error| ConfigError::ApiUrl(error.to_string()));
        self.api_url.as_ref().map(parse).transpose()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("api_url", &self.api_url).finish_non_exhaustive()
    }
}

/// The source of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// An environment variable.
    Variable(&'static str),
    /// A systemd credential.
    Credential(PathBuf),
    /// A token file.
    File(PathBuf),
    /// `token` in the configuration.
    Inline(PathBuf),
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::Credential(path) | Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(path) => write!(f, "token in {}", path.display()),
        }
    }
}

/// The token settings of the configuration.
#[derive(Debug, Clone)]
pub(super) struct TokenConfig {
    pub(super) file: Option<PathBuf>,
    pub(super) inline: Option<Text>,
}

/// Returns the source of the token that takes precedence.
pub(super) fn source(configured: &TokenConfig, config: &Path, environment: &Environment) -> Option<TokenSource> {
    let mut variables = TOKEN_VARIABLES.into_iter().zip(&environment.tokens);
    if let Some((name, _)) = variables.find(|(_, text)| text.is_some()) {
        Some(TokenSource::Variable(name))
    } else if let Some(path) = environment.credential() {
        Some(TokenSource::Credential(path))
    } else if let Some(path) = &configured.file {
        Some(TokenSource::File(path.clone()))
    } else {
        configured.inline.as_ref().map(|_| TokenSource::Inline(config.to_owned()))
    }
}

pub(super) fn find(
    configured: &TokenConfig,
    config: &Path,
    environment: &Environment,
) -> Result<(Token, TokenSource), ConfigError> {
    let no_token = || ConfigError::NoToken { path: config.to_owned() };
    let source = source(configured, config, environment).ok_or_else(no_token)?;
    let text = match &source {
        TokenSource::Variable(name) => environment.token(name).ok_or_else(no_token)?,
        TokenSource::Credential(path) | TokenSource::File(path) => read(path)?,
        TokenSource::Inline(_) => configured.inline.as_ref().ok_or_else(no_token)?.as_str().to_owned(),
    };
    let token = Token::parse(&text).ok_or_else(|| ConfigError::InvalidToken { place: source.to_string() })?;
    Ok((token, source))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let problem = |problem: String| ConfigError::TokenFile { path: path.to_owned(), problem };
    let io = |error: std::io::Error| problem(format!("is unreadable: {error}"));
    // Checks the open file, so that it cannot be replaced between check and read.
    let file = std::fs::File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(problem("is not a regular file".to_owned()));
    }
    if is_world_readable(&metadata) {
        return Err(problem(format!("is readable by every user of this machine; run `chmod 600 {}`", path.display())));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

//! Where the API token comes from: the environment, systemd, a file, or `doproxy.yml`, in that order.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::advice::is_world_readable;
use super::values::Text;
use crate::cloud::digitalocean::ApiUrl;
use crate::model::Token;

/// The variables that may hold the token, the first that is set counts.
const TOKEN_VARIABLES: [&str; 2] = ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"];
/// The name of the credential in which systemd hands the token to a service: `LoadCredential=doproxy-token:FILE`.
const CREDENTIAL: &str = "doproxy-token";
/// No token is longer; whoever names a large file by mistake gets an answer at once.
const MAX_BYTES: u64 = 4096;

/// The variables of the environment that this program reads.
#[derive(Clone, Default)]
pub struct Environment {
    tokens: [Option<String>; 2],
    credentials: Option<PathBuf>,
    api_url: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { tokens: TOKEN_VARIABLES.map(read), credentials, api_url: read("DIGITALOCEAN_API_URL") }
    }

    /// One with this token and nothing else, for tests and for the demo.
    pub fn with_token(token: &str) -> Self {
        Self { tokens: [Some(token.to_owned()), None], credentials: None, api_url: None }
    }

    /// The credential that systemd gave, where it gave one.
    fn credential(&self) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(CREDENTIAL);
        // One that is there and cannot be looked at is read all the same, so that the error says why.
        path.try_exists().unwrap_or(true).then_some(path)
    }

    /// The API that `DIGITALOCEAN_API_URL` names, where it is set.
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

/// Where a token was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A variable.
    Variable(&'static str),
    /// A credential of systemd's.
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

/// What the configuration says of the token.
#[derive(Debug, Clone)]
pub(super) struct TokenConfig {
    pub(super) file: Option<PathBuf>,
    pub(super) inline: Option<Text>,
}

pub(super) fn find(
    configured: &TokenConfig,
    config: &Path,
    environment: &Environment,
) -> Result<(Token, TokenSource), ConfigError> {
    let (text, source) = if let Some((name, text)) = TOKEN_VARIABLES
        .into_iter()
        .zip(&environment.tokens)
        .find_map(|(name, text)| text.clone().map(|text| (name, text)))
    {
        (text, TokenSource::Variable(name))
    } else if let Some(path) = environment.credential() {
        (read(&path)?, TokenSource::Credential(path))
    } else if let Some(path) = &configured.file {
        (read(path)?, TokenSource::File(path.clone()))
    } else if let Some(text) = &configured.inline {
        (text.as_str().to_owned(), TokenSource::Inline(config.to_owned()))
    } else {
        return Err(ConfigError::NoToken { path: config.to_owned() });
    };
    let token = Token::parse(&text).ok_or_else(|| ConfigError::InvalidToken { place: source.to_string() })?;
    Ok((token, source))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let problem = |problem: String| ConfigError::TokenFile { path: path.to_owned(), problem };
    let io = |error: std::io::Error| problem(format!("cannot be read: {error}"));
    // The file that is open is the file that is checked.
    let file = std::fs::File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(problem("is no regular file".to_owned()));
    }
    if is_world_readable(&metadata) {
        return Err(problem(format!("can be read by everybody on this machine: `chmod 600 {}`", path.display())));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

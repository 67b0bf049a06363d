//! Configuration errors with their position and a hint.

use std::io;
use std::path::PathBuf;

/// An error in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "failed to read {path}: {source}; run `doproxy init` to write a starter file, or pass its path with `--config`"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The content of the file is invalid.
    #[error("{path}{place}: {message}{hint}", path = path.display(), place = Place(*.at))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line and column, counted from 1.
        at: Option<(usize, usize)>,
        /// The error message.
        message: String,
        /// A hint starting with a separator; may be empty.
        hint: String,
    },
    /// No token is configured.
    #[error("no API token found; set DIGITALOCEAN_TOKEN, or set token_file in {path}")]
    NoToken {
        /// The configuration file.
        path: PathBuf,
    },
    /// The token file cannot be used.
    #[error("the token file {path} {problem}")]
    TokenFile {
        /// The token file.
        path: PathBuf,
        /// The problem and its remedy.
        problem: String,
    },
    /// The configured text is not a valid token.
    #[error(
        "{place} contains no valid API token: it is empty, or contains spaces or characters not allowed in a token"
    )]
    InvalidToken {
        /// The location of the text.
        place: String,
    },
    /// `DIGITALOCEAN_API_URL` is not an acceptable URL.
    #[error("DIGITALOCEAN_API_URL: {0}")]
    ApiUrl(String),
}

struct Place(Option<(usize, usize)>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

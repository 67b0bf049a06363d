//! What is wrong with a configuration, where, and what to do.

use std::io;
use std::path::PathBuf;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; `doproxy init` writes one, `--config FILE` names another")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}{place}: {message}{hint}", path = path.display(), place = Place(*.at))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
        /// What is wrong there.
        message: String,
        /// What to do, with a separator before it; or nothing.
        hint: String,
    },
    /// There is no token.
    #[error("no API token: set DIGITALOCEAN_TOKEN, or name a token_file in {path}")]
    NoToken {
        /// The configuration file.
        path: PathBuf,
    },
    /// The token file cannot be used.
    #[error("the token file {path} {problem}")]
    TokenFile {
        /// The token file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// What stands where a token should be is none.
    #[error("{place} holds no API token: it is empty, or has spaces or characters that no token has")]
    InvalidToken {
        /// Where.
        place: String,
    },
    /// `DIGITALOCEAN_API_URL` is no URL that may be used.
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

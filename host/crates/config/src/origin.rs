//! The origin of a configuration value.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// The origin of a configuration value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
    },
    /// Set in the configuration file or by default, and reduced because of another key.
    LimitedBy {
        /// The key that limits it.
        key: &'static str,
    },
    /// The built-in default.
    Default,
    /// An environment variable.
    Environment {
        /// Its name.
        variable: &'static str,
    },
    /// A systemd credential.
    Credential {
        /// Its path.
        path: PathBuf,
    },
    /// The file named by `token_file`.
    TokenFile {
        /// Its path.
        path: PathBuf,
    },
    /// A command-line option.
    Flag {
        /// Its name with dashes.
        name: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::LimitedBy { key } => write!(f, "limited by {key}"),
            Self::Default => f.write_str("default"),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Credential { path } => write!(f, "credential {}", path.display()),
            Self::TokenFile { path } => write!(f, "token file {}", path.display()),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

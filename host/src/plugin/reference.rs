//! Where a component is to be found, as a person writes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `builtin:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// It comes with this binary.
    Builtin(String),
    /// A file on this machine; a relative path is relative to the working directory.
    File(PathBuf),
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no plugin reference; write {suggestion}")]
pub struct InvalidReference {
    text: String,
    suggestion: String,
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        match text.split_once(':') {
            Some(("builtin", name)) if !name.is_empty() => Ok(Self::Builtin(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => {
                let is_path = text.contains('/') || Path::new(text).extension().is_some_and(|end| end == "wasm");
                let suggestion = match text {
                    path if is_path && !path.contains(':') => format!("file:{path}"),
                    name if super::builtins().any(|builtin| builtin == name) => format!("builtin:{name}"),
                    _ => "builtin:NAME or file:PATH".to_owned(),
                };
                Err(InvalidReference { text: text.to_owned(), suggestion })
            }
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_reads_back_as_it_was_written() {
        for text in ["builtin:target-tracking", "file:/opt/policy.wasm", "file:my policy.wasm"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_none_comes_with_what_was_probably_meant() {
        for (text, remedy) in [
            ("target-tracking", "write builtin:target-tracking"),
            ("./policy.wasm", "write file:./policy.wasm"),
            ("policy", "write builtin:NAME or file:PATH"),
            ("builtin:", "write builtin:NAME or file:PATH"),
            ("oci:ghcr.io/me/policy", "write builtin:NAME or file:PATH"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();

            assert!(error.ends_with(remedy), "{error}");
        }
    }
}

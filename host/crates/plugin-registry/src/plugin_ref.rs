//! Plugin references: the location of a component, as written by users.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::oci::{OciReference, SCHEME};

/// The supported forms of references, for error messages.
const FORMS: &str = "builtin:NAME, file:PATH or oci://REGISTRY/REPOSITORY:TAG";

/// A plugin reference: `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A plugin embedded in this binary.
    Builtin(String),
    /// A local file; a relative path is relative to the working directory.
    File(PathBuf),
    /// A plugin in a registry.
    Oci(Box<OciReference>),
}

/// The error for text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a plugin reference{}; write {suggestion}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct InvalidReference {
    text: String,
    reason: Option<String>,
    suggestion: String,
}

impl InvalidReference {
    /// Returns the error for a reference of another kind where only a registry reference is valid.
    pub(super) fn not_oci(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            reason: Some("not in a registry".to_owned()),
            suggestion: "oci://REGISTRY/REPOSITORY:TAG".to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if let Some(rest) = text.strip_prefix(SCHEME) {
            return OciReference::parse(rest).map(Box::new).map(Self::Oci).map_err(|error| InvalidReference {
                text: text.to_owned(),
                reason: Some(error.to_string()),
                suggestion: "oci://REGISTRY/REPOSITORY:TAG, or …@sha256:DIGEST".to_owned(),
            });
        }
        match text.split_once(':') {
            Some(("builtin", name)) if !name.is_empty() => Ok(Self::Builtin(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => Err(InvalidReference { text: text.to_owned(), reason: None, suggestion: suggestion(text) }),
        }
    }
}

/// Returns the reference that an invalid text probably stands for.
fn suggestion(text: &str) -> String {
    // Forms used by other tools: `oci:…`, `docker://…`, or the bare name.
    let (scheme, name) =
        text.split_once(':').filter(|(scheme, _)| matches!(*scheme, "oci" | "docker")).unwrap_or(("", text));
    let name = name.trim_start_matches('/');
    let tagged = if name.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) {
        name.to_owned()
    } else {
        format!("{name}:TAG")
    };
    let is_path = text.contains('/') || Path::new(text).extension().is_some_and(|end| end == "wasm");
    match text {
        _ if (!scheme.is_empty() || name.contains(':')) && OciReference::parse(&tagged).is_ok() => {
            format!("{SCHEME}{tagged}")
        }
        path if is_path && !path.contains(':') => format!("file:{path}"),
        name if doproxy_plugins::ALL.iter().any(|builtin| builtin.name == name) => format!("builtin:{name}"),
        _ => FORMS.to_owned(),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Oci(reference) => write!(f, "{reference}"),
        }
    }
}

#[cfg(test)]
mod tests;

//! Where a component is to be found, as a person writes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::oci::{OciReference, SCHEME};

/// What a reference may be, for whoever has to write one.
const FORMS: &str = "builtin:NAME, file:PATH or oci://REGISTRY/REPOSITORY:TAG";

/// `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// It comes with this binary.
    Builtin(String),
    /// A file on this machine; a relative path is relative to the working directory.
    File(PathBuf),
    /// In a registry.
    Oci(Box<OciReference>),
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no plugin reference{}; write {suggestion}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct InvalidReference {
    text: String,
    reason: Option<String>,
    suggestion: String,
}

impl InvalidReference {
    /// One of another kind where only a registry can be meant.
    pub(super) fn not_oci(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            reason: Some("it is not in a registry".to_owned()),
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

/// What was probably meant by a text that is no reference.
fn suggestion(text: &str) -> String {
    // As other tools write it: `oci:…`, `docker://…`, or the bare name.
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
        name if super::builtins().any(|builtin| builtin == name) => format!("builtin:{name}"),
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
            ("policy", "write builtin:NAME, file:PATH or oci://REGISTRY/REPOSITORY:TAG"),
            ("builtin:", "write builtin:NAME, file:PATH or oci://REGISTRY/REPOSITORY:TAG"),
            ("oci:registry.example.com/me/policy", "write oci://registry.example.com/me/policy:TAG"),
            ("docker://registry.example.com/me/policy:1", "write oci://registry.example.com/me/policy:1"),
            ("registry.example.com/me/policy:1", "write oci://registry.example.com/me/policy:1"),
            (
                "oci://registry.example.com/me/policy",
                "where none is written; write oci://REGISTRY/REPOSITORY:TAG, or …@sha256:DIGEST",
            ),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();

            assert!(error.ends_with(remedy), "{error}");
        }
    }
}

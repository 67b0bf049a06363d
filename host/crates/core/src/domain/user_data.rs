//! User data: the script or configuration that a droplet boots with, validated before it is sent.
//!
//! cloud-init detects the format from the first line and silently ignores unknown formats, so the droplet would boot
//! unconfigured. Rejecting such data here is the last opportunity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum size accepted by the API, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The format that cloud-init detects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserDataKind {
    /// No user data.
    Empty,
    /// `#!`: run once at first boot.
    Script,
    /// `#cloud-config`.
    CloudConfig,
    /// `#cloud-config-archive`.
    CloudConfigArchive,
    /// `#cloud-config-jsonp`.
    CloudConfigJsonPatch,
    /// `#cloud-boothook`: run at every boot.
    Boothook,
    /// `#include` or `#include-once`: a list of URLs.
    Include,
    /// `#part-handler`.
    PartHandler,
    /// `## template: jinja`.
    Jinja,
    /// `Content-Type: multipart/…`.
    Multipart,
}

impl fmt::Display for UserDataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Script => "shell script",
            Self::CloudConfig => "cloud-config",
            Self::CloudConfigArchive => "cloud-config archive",
            Self::CloudConfigJsonPatch => "cloud-config JSON patch",
            Self::Boothook => "boothook",
            Self::Include => "include list",
            Self::PartHandler => "part handler",
            Self::Jinja => "Jinja template",
            Self::Multipart => "MIME multi-part",
        })
    }
}

/// The reason for rejecting user data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// Larger than the API accepts.
    #[error(
        "user data is {0} bytes; DigitalOcean accepts at most {MAX_BYTES}: load the rest from the droplet, with #include or curl"
    )]
    TooLarge(usize),
    /// cloud-init would silently ignore it. Only the first word is shown because the rest may be secret.
    #[error(
        "user data begins with {0:?}, which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another supported header"
    )]
    UnknownKind(String),
    /// Not plain text, which cloud-init and the API require.
    #[error("user data contains a NUL byte; it must be plain text")]
    NotText,
}

/// User data that the API accepts and cloud-init understands. `Debug` shows its kind and size, not its text, which may
/// be confidential.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData {
    text: String,
    kind: UserDataKind,
}

impl UserData {
    /// Validates size and kind.
    pub fn parse(text: impl Into<String>) -> Result<Self, UserDataError> {
        let text = text.into();
        if text.len() > MAX_BYTES {
            return Err(UserDataError::TooLarge(text.len()));
        }
        if text.contains('\0') {
            return Err(UserDataError::NotText);
        }
        let kind = detect_kind(&text)?;
        Ok(Self { text, kind })
    }

    /// Returns the text as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the format that cloud-init detects.
    pub fn kind(&self) -> UserDataKind {
        self.kind
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({}, {} bytes)", self.kind, self.text.len())
    }
}

/// The prefixes of user data; a longer prefix precedes a shorter one that it starts with.
const KIND_PREFIXES: [(&str, UserDataKind); 9] = [
    ("#!", UserDataKind::Script),
    ("#cloud-config-archive", UserDataKind::CloudConfigArchive),
    ("#cloud-config-jsonp", UserDataKind::CloudConfigJsonPatch),
    ("#cloud-config", UserDataKind::CloudConfig),
    ("#cloud-boothook", UserDataKind::Boothook),
    ("#include", UserDataKind::Include),
    ("#part-handler", UserDataKind::PartHandler),
    ("## template: jinja", UserDataKind::Jinja),
    ("content-type: multipart/", UserDataKind::Multipart),
];

/// Detects the format from the first line like cloud-init's `type_from_starts_with`.
fn detect_kind(text: &str) -> Result<UserDataKind, UserDataError> {
    let trimmed = text.trim_start();
    if trimmed.is_empty() {
        return Ok(UserDataKind::Empty);
    }
    let first_line = trimmed.lines().next().unwrap_or_default();
    let lower = first_line.to_ascii_lowercase();
    if let Some((_, kind)) = KIND_PREFIXES.into_iter().find(|(start, _)| lower.starts_with(start)) {
        return Ok(kind);
    }
    // A MIME message may have other headers before its Content-Type.
    let headers = trimmed.lines().take_while(|line| !line.is_empty());
    if lower.starts_with("mime-version:")
        && headers.into_iter().any(|line| line.to_ascii_lowercase().starts_with("content-type: multipart/"))
    {
        return Ok(UserDataKind::Multipart);
    }
    let first_word = first_line.split([' ', '\t', '=', ':']).next().unwrap_or_default();
    Err(UserDataError::UnknownKind(first_word.chars().take(20).collect()))
}

/// The input of a user-data generator for one droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDataRequest {
    /// The fleet's name.
    pub fleet_name: String,
    /// The droplet's name.
    pub hostname: String,
    /// The droplet's index in the fleet.
    pub index: u32,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug or ID.
    pub image: String,
    /// All its tags, the fleet's own first.
    pub tags: Vec<String>,
    /// The policy's parameters; empty if there are none.
    pub params: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_detected_from_the_first_line() {
        for (text, kind) in [
            ("", UserDataKind::Empty),
            ("#!/bin/sh\necho", UserDataKind::Script),
            ("#cloud-config\npackages: [nginx]", UserDataKind::CloudConfig),
            ("#cloud-config-archive\n[]", UserDataKind::CloudConfigArchive),
            ("## template: jinja\n#cloud-config", UserDataKind::Jinja),
            ("Content-Type: multipart/mixed; boundary=\"x\"\n\n", UserDataKind::Multipart),
            ("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n", UserDataKind::Multipart),
        ] {
            assert_eq!(UserData::parse(text).map(|data| data.kind()), Ok(kind), "{text:?}");
        }
    }

    #[test]
    fn data_ignored_by_cloud_init_is_rejected() {
        for text in ["hello", "packages: [nginx]", "MIME-Version: 1.0\n\nContent-Type: multipart/mixed"] {
            assert!(matches!(UserData::parse(text), Err(UserDataError::UnknownKind(_))), "{text:?}");
        }
    }

    #[test]
    fn oversized_data_is_rejected() {
        let most = format!("#!{}", "x".repeat(MAX_BYTES - 2));

        assert!(UserData::parse(most.clone()).is_ok());
        assert_eq!(UserData::parse(most + "x"), Err(UserDataError::TooLarge(MAX_BYTES + 1)));
    }

    #[test]
    fn rejection_shows_only_the_first_word() {
        let error = UserData::parse("PASSWORD=secret\necho").unwrap_err();

        insta::assert_snapshot!(error, @r#"user data begins with "PASSWORD", which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another supported header"#);
    }

    #[test]
    fn debug_output_hides_the_text() {
        let data = UserData::parse("#!/bin/sh\nPASSWORD=secret").unwrap();

        assert_eq!(format!("{data:?}"), "UserData(shell script, 25 bytes)");
    }
}

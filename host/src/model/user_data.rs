//! User data: what a droplet boots with, checked before it is sent.
//!
//! cloud-init looks at the first line to tell what it was given, and silently ignores what it
//! does not know, so a droplet would boot with nothing done. Refusing it here is the last chance.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most bytes that the API takes.
pub const MAX_BYTES: usize = 64 * 1024;

/// What cloud-init takes the user data for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserDataKind {
    /// Nothing is given.
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

/// Why user data is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// Larger than the API takes.
    #[error(
        "user data is {0} bytes; DigitalOcean takes at most {MAX_BYTES}: load the rest from the droplet, with #include or curl"
    )]
    TooLarge(usize),
    /// cloud-init would silently ignore it. Only its first word is shown, for the rest may be secret.
    #[error(
        "user data begins with {0:?}, which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another line that it knows"
    )]
    UnknownKind(String),
    /// cloud-init and the API take text only.
    #[error("user data holds a NUL byte; it must be plain text")]
    NotText,
}

/// User data that the API takes and cloud-init understands. `Debug` shows its kind and size, not
/// its text, which may hold what is not for a log.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData {
    text: String,
    kind: UserDataKind,
}

impl UserData {
    /// Checks size and kind.
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

    /// The text as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What cloud-init takes it for.
    pub fn kind(&self) -> UserDataKind {
        self.kind
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({}, {} bytes)", self.kind, self.text.len())
    }
}

/// How user data may begin; the longer of two that begin alike comes first.
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

/// Reads the first line as cloud-init's `type_from_starts_with` does.
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

/// What a user-data generator is told of the droplet that it writes for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDataRequest {
    /// The fleet.
    pub fleet_name: String,
    /// The droplet's name.
    pub hostname: String,
    /// Its number in the fleet.
    pub index: u32,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug or id.
    pub image: String,
    /// All its tags, the fleet's own first.
    pub tags: Vec<String>,
    /// What the policy gave along; empty where it gave nothing.
    pub params: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_told_by_the_first_line() {
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
    fn what_cloud_init_would_ignore_is_refused() {
        for text in ["hello", "packages: [nginx]", "MIME-Version: 1.0\n\nContent-Type: multipart/mixed"] {
            assert!(matches!(UserData::parse(text), Err(UserDataError::UnknownKind(_))), "{text:?}");
        }
    }

    #[test]
    fn more_than_the_api_takes_is_refused() {
        let most = format!("#!{}", "x".repeat(MAX_BYTES - 2));

        assert!(UserData::parse(most.clone()).is_ok());
        assert_eq!(UserData::parse(most + "x"), Err(UserDataError::TooLarge(MAX_BYTES + 1)));
    }

    #[test]
    fn what_is_refused_shows_no_more_than_its_first_word() {
        let error = UserData::parse("PASSWORD=secret\necho").unwrap_err();

        insta::assert_snapshot!(error, @r#"user data begins with "PASSWORD", which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another line that it knows"#);
    }

    #[test]
    fn user_data_does_not_show_its_text() {
        let data = UserData::parse("#!/bin/sh\nPASSWORD=secret").unwrap();

        assert_eq!(format!("{data:?}"), "UserData(shell script, 25 bytes)");
    }
}

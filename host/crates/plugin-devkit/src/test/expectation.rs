//! Expectations about the result of a call, and their comparison with the actual result.

use std::fmt;

use doproxy_core::domain::{Decision, Outcome, UserData};
use doproxy_plugin_host::{CallError, PluginError};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::test::values::{Base64Bytes, CountRange, FixtureDuration};

/// The kind of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum OutcomeKind {
    /// Keep the fleet as it is.
    Hold,
    /// Change the size of the fleet.
    ScaleTo,
    /// Create and delete specific droplets.
    Change,
    /// User data.
    UserData,
    /// No result: `validate` rejected the configuration, or the call failed.
    Error,
}

/// The kind of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CallErrorKind {
    /// The configuration is invalid.
    InvalidConfig,
    /// A required series is missing.
    MissingMetric,
    /// The plugin reported a failure.
    Failed,
    /// The plugin trapped.
    Trapped,
    /// The plugin exceeded a limit.
    Limit,
    /// The plugin returned an invalid result.
    Nonsense,
}

impl CallErrorKind {
    /// Returns the kind of an error; `None` if the plugin cannot be called at all.
    pub fn of(error: &PluginError) -> Option<Self> {
        Some(match error {
            PluginError::Config { .. } => Self::InvalidConfig,
            PluginError::Call { source, .. } => match **source {
                CallError::InvalidConfig(_) => Self::InvalidConfig,
                CallError::MissingMetric(_) => Self::MissingMetric,
                CallError::Failed(_) => Self::Failed,
                CallError::Trapped { .. } => Self::Trapped,
                CallError::LimitExceeded { .. } => Self::Limit,
                CallError::InvalidResult(_) => Self::Nonsense,
            },
            PluginError::Engine(_) | PluginError::Cache { .. } | PluginError::Load { .. } => return None,
        })
    }
}

/// The expected result of a call. Missing fields match any result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// The kind of result.
    pub outcome: Option<OutcomeKind>,
    /// The resulting fleet size.
    pub count: Option<CountRange>,
    /// The kind of error.
    pub error: Option<CallErrorKind>,
    /// A pattern that matches in the reason, or in the message of an error.
    pub reason: Option<String>,
    /// The droplets to delete, or to delete first: a prefix of that list.
    pub delete: Option<Vec<u64>>,
    /// Droplets that the list must not contain.
    pub keep: Option<Vec<u64>>,
    /// The requested delay until the next evaluation.
    pub next_check: Option<FixtureDuration>,
    /// The state, byte for byte.
    pub state: Option<Base64Bytes>,
    /// The user-data type detected by cloud-init, such as `cloud-config` or `shell script`.
    pub kind: Option<String>,
    /// A prefix of the user data.
    pub starts_with: Option<String>,
    /// Strings that the user data must contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// Strings that the user data must not contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

/// The actual result of a call.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "at most one value exists at a time")]
pub enum Actual {
    /// A decision for a fleet of this size.
    Decision {
        /// The decision.
        decision: Decision,
        /// The size of the observed fleet.
        size: u32,
    },
    /// User data.
    UserData(String),
    /// The call failed.
    Failed {
        /// The kind of error.
        error: CallErrorKind,
        /// The complete message.
        message: String,
    },
}

impl Actual {
    /// Returns the kind of the result.
    pub fn outcome_kind(&self) -> OutcomeKind {
        match self {
            Self::Failed { .. } => OutcomeKind::Error,
            Self::UserData(_) => OutcomeKind::UserData,
            Self::Decision { decision, .. } => match decision.outcome {
                Outcome::Hold => OutcomeKind::Hold,
                Outcome::ScaleTo(_) => OutcomeKind::ScaleTo,
                Outcome::Change(_) => OutcomeKind::Change,
            },
        }
    }

    /// Returns the fleet size that a decision leads to.
    pub fn count(&self) -> Option<u32> {
        match self {
            Self::Decision { decision, size } => Some(decision.outcome.size(*size)),
            Self::UserData(_) | Self::Failed { .. } => None,
        }
    }

    /// Returns the reason, or the message of a failed call.
    pub fn reason(&self) -> &str {
        match self {
            Self::Decision { decision, .. } => &decision.reason,
            Self::UserData(_) => "",
            Self::Failed { message, .. } => message,
        }
    }

    fn deletions(&self) -> Vec<u64> {
        let Self::Decision { decision, .. } = self else { return Vec::new() };
        match &decision.outcome {
            Outcome::Hold => Vec::new(),
            Outcome::ScaleTo(to) => to.delete_first.iter().map(|id| id.0).collect(),
            Outcome::Change(change) => change.delete.iter().map(|id| id.0).collect(),
        }
    }

    fn state(&self) -> &[u8] {
        match self {
            Self::Decision { decision, .. } => &decision.state,
            Self::UserData(_) | Self::Failed { .. } => &[],
        }
    }
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { error, .. } => write!(f, "error ({error})"),
            Self::UserData(text) => write!(f, "user-data of {} bytes", text.len()),
            Self::Decision { decision, size } => match decision.outcome {
                Outcome::Hold => f.write_str("hold"),
                Outcome::ScaleTo(_) => write!(f, "scale-to {}", decision.outcome.size(*size)),
                Outcome::Change(_) => write!(f, "change to {}", decision.outcome.size(*size)),
            },
        }
    }
}

impl Expectation {
    /// Returns the differences between the actual and the expected result, as lines of text; empty if there are none.
    pub fn mismatches(&self, actual: &Actual) -> Vec<String> {
        let mut found = Vec::new();
        let mut differs = |what: &str, expected: &dyn fmt::Display, actual: &dyn fmt::Display| {
            found.push(format!("{what}: expected {expected}, got {actual}"));
        };
        if let Some(outcome) = self.outcome
            && outcome != actual.outcome_kind()
        {
            differs("outcome", &outcome, actual);
        }
        if let Some(count) = self.count
            && !actual.count().is_some_and(|got| count.contains(got))
        {
            differs("count", &count, &actual.count().map_or_else(|| "no count".to_owned(), |got| got.to_string()));
        }
        if let Some(error) = self.error
            && !matches!(actual, Actual::Failed { error: got, .. } if *got == error)
        {
            differs("error", &error, actual);
        }
        if let Some(pattern) = &self.reason {
            match Regex::new(pattern) {
                Ok(regex) if regex.is_match(actual.reason()) => {}
                Ok(_) => differs("reason", &format_args!("/{pattern}/"), &format_args!("{:?}", actual.reason())),
                Err(error) => found.push(format!("reason: invalid pattern: {error}")),
            }
        }
        found.extend(self.list_mismatches(actual));
        found.extend(self.user_data_mismatches(actual));
        found
    }

    fn list_mismatches(&self, actual: &Actual) -> Vec<String> {
        let mut found = Vec::new();
        let deleted = actual.deletions();
        if let Some(wanted) = &self.delete
            && !deleted.starts_with(wanted)
        {
            found.push(format!("delete: expected {wanted:?} first, got {deleted:?}"));
        }
        if let Some(kept) = self.keep.iter().flatten().find(|id| deleted.contains(id)) {
            found.push(format!("keep: droplet {kept} must be kept, but is in {deleted:?}"));
        }
        if let Some(wanted) = self.next_check {
            let got = if let Actual::Decision { decision, .. } = actual { decision.next_check_ms } else { None };
            if got != Some(wanted.ms()) {
                let got = got.map_or_else(|| "none".to_owned(), |ms| format!("{ms} ms"));
                found.push(format!("next_check: expected {} ms, got {got}", wanted.ms()));
            }
        }
        if let Some(wanted) = &self.state
            && wanted.0 != actual.state()
        {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push(format!("state: expected {:?}, got {:?}", shown(&wanted.0), shown(actual.state())));
        }
        found
    }

    fn user_data_mismatches(&self, actual: &Actual) -> Vec<String> {
        let text = if let Actual::UserData(text) = actual { text.as_str() } else { "" };
        let mut found = Vec::new();
        if let Some(kind) = &self.kind {
            let got = UserData::parse(text).map_or_else(|error| error.to_string(), |data| data.kind().to_string());
            if *kind != got {
                found.push(format!("kind: expected {kind}, got {got}"));
            }
        }
        if let Some(start) = &self.starts_with
            && !text.starts_with(start)
        {
            let got: String = text.chars().take(start.chars().count().max(40)).collect();
            found.push(format!("starts_with: expected {start:?}, got {got:?}"));
        }
        found.extend(
            self.contains
                .iter()
                .filter(|part| !text.contains(part.as_str()))
                .map(|part| format!("contains: {part:?} is missing")),
        );
        found.extend(
            self.lacks
                .iter()
                .filter(|part| text.contains(part.as_str()))
                .map(|part| format!("lacks: {part:?} is present")),
        );
        found
    }

    /// Returns the expectation that matches a result, for recording.
    pub fn from_actual(actual: &Actual) -> Self {
        let exactly = |text: &str| (!text.is_empty()).then(|| format!("^{}$", regex::escape(text)));
        let word = Some(actual.outcome_kind());
        match actual {
            Actual::Failed { error, .. } => Self { outcome: word, error: Some(*error), ..Self::default() },
            Actual::UserData(text) => Self {
                outcome: word,
                kind: UserData::parse(text.as_str()).ok().map(|data| data.kind().to_string()),
                starts_with: Some(text.chars().take(80).collect()),
                ..Self::default()
            },
            Actual::Decision { decision, .. } => Self {
                outcome: word,
                count: actual.count().filter(|_| decision.outcome != Outcome::Hold).map(CountRange::exactly),
                reason: exactly(&decision.reason),
                delete: Some(actual.deletions()).filter(|ids| !ids.is_empty()),
                next_check: decision.next_check_ms.map(|ms| FixtureDuration(std::time::Duration::from_millis(ms))),
                ..Self::default()
            },
        }
    }
}

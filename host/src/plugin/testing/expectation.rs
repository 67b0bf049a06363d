//! What is to come out of a call, and whether it did.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::values::{Base64Bytes, CountRange, FixtureDuration};
use crate::model::{Decision, Outcome, UserData};
use crate::plugin::{CallError, PluginError};

/// An answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// Nothing is to happen.
    Hold,
    /// Another size.
    ScaleTo,
    /// An explicit change.
    Change,
    /// User data.
    UserData,
    /// No answer: `validate` refused the configuration, or the call failed.
    Error,
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hold => "hold",
            Self::ScaleTo => "scale-to",
            Self::Change => "change",
            Self::UserData => "user-data",
            Self::Error => "error",
        })
    }
}

/// How a call failed, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallErrorKind {
    /// The configuration is wrong.
    InvalidConfig,
    /// A series is not there.
    MissingMetric,
    /// It says that it failed.
    Failed,
    /// It broke off.
    Trapped,
    /// It went over a limit.
    Limit,
    /// Its answer cannot be meant.
    Nonsense,
}

impl CallErrorKind {
    /// The word for an error; `None` where the plugin cannot be called at all.
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

impl fmt::Display for CallErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InvalidConfig => "invalid-config",
            Self::MissingMetric => "missing-metric",
            Self::Failed => "failed",
            Self::Trapped => "trapped",
            Self::Limit => "limit",
            Self::Nonsense => "nonsense",
        })
    }
}

/// What is to come out. What is not said may be anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// The kind of answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
    /// The size of the fleet that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<CountRange>,
    /// Which error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CallErrorKind>,
    /// A pattern that is found in the reason, or in the message of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whom to delete, or to delete first: how that list begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<Vec<u64>>,
    /// Whom that list must not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Vec<u64>>,
    /// When it wishes to be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_check: Option<FixtureDuration>,
    /// The state, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Base64Bytes>,
    /// What cloud-init takes the user data for, such as `cloud-config` or `shell script`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How the user data begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_with: Option<String>,
    /// What the user data holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// What the user data must not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Actual {
    /// A decision, for a fleet of this size.
    Decision {
        /// The decision.
        decision: Decision,
        /// The size of the fleet it was about.
        size: u32,
    },
    /// User data.
    UserData(String),
    /// No answer.
    Failed {
        /// How it failed.
        error: CallErrorKind,
        /// The whole message.
        message: String,
    },
}

impl Actual {
    /// In one word.
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

    /// The size that a decision leads to.
    pub fn count(&self) -> Option<u32> {
        match self {
            Self::Decision { decision, size } => Some(decision.outcome.size(*size)),
            Self::UserData(_) | Self::Failed { .. } => None,
        }
    }

    /// The reason, or what a failed call said.
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
    /// What came out and is not as expected, in lines of text; none where all is.
    pub fn mismatches(&self, came: &Actual) -> Vec<String> {
        let mut found = Vec::new();
        let mut differs = |what: &str, expected: &dyn fmt::Display, came: &dyn fmt::Display| {
            found.push(format!("{what}: expected {expected}, got {came}"));
        };
        if let Some(outcome) = self.outcome
            && outcome != came.outcome_kind()
        {
            differs("outcome", &outcome, came);
        }
        if let Some(count) = self.count
            && !came.count().is_some_and(|got| count.contains(got))
        {
            differs("count", &count, &came.count().map_or_else(|| "no count".to_owned(), |got| got.to_string()));
        }
        if let Some(error) = self.error
            && !matches!(came, Actual::Failed { error: got, .. } if *got == error)
        {
            differs("error", &error, came);
        }
        if let Some(pattern) = &self.reason {
            match Regex::new(pattern) {
                Ok(regex) if regex.is_match(came.reason()) => {}
                Ok(_) => differs("reason", &format_args!("/{pattern}/"), &format_args!("{:?}", came.reason())),
                Err(error) => found.push(format!("reason: the pattern is not valid: {error}")),
            }
        }
        found.extend(self.list_mismatches(came));
        found.extend(self.user_data_mismatches(came));
        found
    }

    fn list_mismatches(&self, came: &Actual) -> Vec<String> {
        let mut found = Vec::new();
        let deleted = came.deletions();
        if let Some(wanted) = &self.delete
            && !deleted.starts_with(wanted)
        {
            found.push(format!("delete: expected {wanted:?} first, got {deleted:?}"));
        }
        if let Some(kept) = self.keep.iter().flatten().find(|id| deleted.contains(id)) {
            found.push(format!("keep: droplet {kept} is to be kept, and is in {deleted:?}"));
        }
        if let Some(wanted) = self.next_check {
            let got = if let Actual::Decision { decision, .. } = came { decision.next_check_ms } else { None };
            if got != Some(wanted.ms()) {
                let got = got.map_or_else(|| "no wish".to_owned(), |ms| format!("{ms} ms"));
                found.push(format!("next_check: expected {} ms, got {got}", wanted.ms()));
            }
        }
        if let Some(wanted) = &self.state
            && wanted.0 != came.state()
        {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push(format!("state: expected {:?}, got {:?}", shown(&wanted.0), shown(came.state())));
        }
        found
    }

    fn user_data_mismatches(&self, came: &Actual) -> Vec<String> {
        let text = if let Actual::UserData(text) = came { text.as_str() } else { "" };
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
                .map(|part| format!("contains: {part:?} is not in it")),
        );
        found.extend(
            self.lacks
                .iter()
                .filter(|part| text.contains(part.as_str()))
                .map(|part| format!("lacks: {part:?} is in it")),
        );
        found
    }

    /// What is to be written down for an answer, so that it is expected from then on.
    pub fn from_actual(came: &Actual) -> Self {
        let exactly = |text: &str| (!text.is_empty()).then(|| format!("^{}$", regex::escape(text)));
        let word = Some(came.outcome_kind());
        match came {
            Actual::Failed { error, .. } => Self { outcome: word, error: Some(*error), ..Self::default() },
            Actual::UserData(text) => Self {
                outcome: word,
                kind: UserData::parse(text.as_str()).ok().map(|data| data.kind().to_string()),
                starts_with: Some(text.chars().take(80).collect()),
                ..Self::default()
            },
            Actual::Decision { decision, .. } => Self {
                outcome: word,
                count: came.count().filter(|_| decision.outcome != Outcome::Hold).map(CountRange::exactly),
                reason: exactly(&decision.reason),
                delete: Some(came.deletions()).filter(|ids| !ids.is_empty()),
                next_check: decision.next_check_ms.map(|ms| FixtureDuration(std::time::Duration::from_millis(ms))),
                ..Self::default()
            },
        }
    }
}

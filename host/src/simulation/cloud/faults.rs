//! Faults as plain data: what goes wrong, how often, and for which calls.
//!
//! The same type is the JSON of the emulator's `/_emulator/faults`. Counted faults count down in place, so reading them
//! back shows what is left.

use serde::{Deserialize, Serialize};

use super::SplitMix64;

/// Everything that can be made to go wrong; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// What happens to calls. Latencies and what befalls droplets add up; of the others the first that strikes counts.
    pub calls: Vec<CallFault>,
    /// New droplets that never leave `new`.
    pub stuck_in_new: Frequency,
    /// New droplets that become active and never show an address.
    pub active_without_address: Frequency,
    /// Creates that are answered with 202 and never heard of again.
    pub lost_creates: Frequency,
    /// Deletes that are answered with 204 and not done.
    pub ignored_deletes: Frequency,
    /// How old the world is that lists show, in milliseconds.
    pub list_lag_ms: u64,
    /// How long GET answers 404 for a new droplet, in milliseconds.
    pub not_found_after_create_ms: u64,
    /// Stands in for the account's droplet limit.
    pub droplet_limit: Option<u32>,
    /// Slugs of sizes that no region has at the moment.
    pub sold_out_sizes: Vec<String>,
}

/// What happens to calls that match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFault {
    /// Only calls with this method, in any case; all where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only calls with this path as `/_emulator/calls` shows it, such as `/v2/droplets/{id}`; all where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How often it strikes.
    pub when: Frequency,
    /// What it does.
    pub effect: Effect,
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Not at all.
    #[default]
    Never,
    /// Every time.
    Always,
    /// By chance.
    Rate(Rate),
    /// The next so many times.
    Next(u32),
    /// Not at first, and then some times.
    Later {
        /// How many calls are spared before.
        after: u32,
        /// How many it strikes then; all that follow where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u32>,
    },
}

/// A probability, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

/// A number that is no probability.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a rate is a number from 0 to 1, and {0} is not")]
pub struct InvalidRate(f64);

/// What a fault does to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is answered with an error.
    Status {
        /// The HTTP status.
        code: u16,
        /// The message in the body; one that fits the status where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The `retry-after` header, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
        /// Whether the server does what it was asked before it answers with the error.
        #[serde(default)]
        acted: bool,
    },
    /// The server acts at once and answers this many milliseconds later, so that a client that gives up meanwhile
    /// does not know that it has acted.
    LatencyMs(u64),
    /// The server acts, and the connection ends without an answer.
    DropResponse,
    /// The connection is reset before the server acts.
    Reset,
    /// No answer ever comes, and the connection stays open.
    Silence {
        /// Whether the server does what it was asked.
        #[serde(default)]
        acted: bool,
    },
    /// It is answered with an HTML page and a status that is no success, as a proxy before the API does it.
    Page {
        /// The HTTP status.
        code: u16,
        /// Whether the server does what it was asked before the page is sent.
        #[serde(default)]
        acted: bool,
    },
    /// It is answered with success, and the body is not what it should be.
    Garbled {
        /// What is wrong with the body.
        how: CorruptBody,
        /// Whether the server does what it was asked; where it does not, there is no right body to begin with.
        #[serde(default = "default_true")]
        acted: bool,
    },
    /// The hourly limit is used up, by other programs for all that is known here: 429 without `retry-after`.
    HourlyLimit {
        /// How far away `ratelimit-reset` is, in seconds.
        reset_after_s: u64,
    },
    /// Every droplet gets another private address; then the call goes on.
    MovedAddresses,
    /// Somebody else deletes the youngest droplet; then the call goes on.
    Vanished,
}

/// What is wrong with the body of a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorruptBody {
    /// JSON that ends in the middle; its length is as announced.
    Malformed,
    /// The connection ends before as much has come as was announced.
    Truncated,
    /// An HTML page.
    Page,
    /// The right body under a content type that is not JSON's.
    WrongContentType,
    /// The right body, in which droplets have fields and a status that no client knows.
    Unfamiliar,
}

fn default_true() -> bool {
    true
}

impl Rate {
    /// Checks that `value` is a probability.
    pub fn new(value: f64) -> Result<Self, InvalidRate> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(InvalidRate(value)) }
    }
}

impl TryFrom<f64> for Rate {
    type Error = InvalidRate;
    fn try_from(value: f64) -> Result<Self, InvalidRate> {
        Self::new(value)
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> f64 {
        rate.0
    }
}

impl Frequency {
    /// Whether it strikes this time; one that is counted counts down.
    pub fn triggers(&mut self, chance: &mut SplitMix64) -> bool {
        match self {
            Self::Never | Self::Next(0) => false,
            Self::Always | Self::Later { after: 0, next: None } => true,
            Self::Rate(rate) => chance.next_f64() < rate.0,
            Self::Next(left) => {
                *left -= 1;
                true
            }
            Self::Later { after: 0, next: Some(left) } => {
                let strikes = *left > 0;
                *left = left.saturating_sub(1);
                strikes
            }
            Self::Later { after, .. } => {
                *after -= 1;
                false
            }
        }
    }
}

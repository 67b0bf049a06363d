//! Faults as plain data: their effects, their frequency, and the calls that they match.
//!
//! The same type is the JSON body of the emulator's `/_emulator/faults`. Counted faults count down in place, so reading
//! them back shows the remaining count.

use doproxy_support::SplitMix64;
use serde::{Deserialize, Serialize};

/// The active faults; none by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Faults of API calls. Latencies and droplet changes accumulate; of the other faults, the first that triggers
    /// takes effect.
    pub calls: Vec<CallFault>,
    /// New droplets that stay in `new` forever.
    pub stuck_in_new: Frequency,
    /// New droplets that become active and never show an address.
    pub active_without_address: Frequency,
    /// Creates that are accepted with 202, but whose droplet never appears.
    pub lost_creates: Frequency,
    /// Deletes that are accepted with 204 but not executed.
    pub ignored_deletes: Frequency,
    /// Age of the state that lists show, in milliseconds.
    pub list_lag_ms: u64,
    /// Time for which GET returns 404 for a new droplet, in milliseconds.
    pub not_found_after_create_ms: u64,
    /// Overrides the account's droplet limit.
    pub droplet_limit: Option<u32>,
    /// Slugs of sizes that are sold out in every region.
    pub sold_out_sizes: Vec<String>,
}

/// A fault of the calls that match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFault {
    /// Method to match, ignoring letter case. Matches all methods if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path to match, in the form shown by `/_emulator/calls`, such as `/v2/droplets/{id}`. Matches all paths if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Frequency.
    pub when: Frequency,
    /// Effect.
    pub effect: Effect,
}

/// Frequency of a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Never.
    #[default]
    Never,
    /// Every time.
    Always,
    /// With this probability.
    Rate(Rate),
    /// The next N times.
    Next(u32),
    /// After a number of skipped calls, a limited number of times.
    Later {
        /// Number of calls to skip.
        after: u32,
        /// Number of calls to affect; all subsequent calls if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u32>,
    },
}

/// A probability, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

/// A number outside the range of probabilities.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a rate must be a number from 0 to 1, found {0}")]
pub struct InvalidRate(f64);

/// The effect of a fault on a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The response is an error.
    Status {
        /// The HTTP status.
        code: u16,
        /// Message in the body. Defaults to one that fits the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// `retry-after` header, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u64>,
        /// True if the server executes the call before it returns the error.
        #[serde(default)]
        applied: bool,
    },
    /// The server executes the call at once and responds after this many milliseconds. A client that times out earlier
    /// cannot know that the call was executed.
    LatencyMs(u64),
    /// The server executes the call, and the connection closes without a response.
    DropResponse,
    /// The connection is reset before the server executes the call.
    Reset,
    /// No response is ever sent, and the connection stays open.
    NoResponse {
        /// True if the server executes the call.
        #[serde(default)]
        applied: bool,
    },
    /// The response is an HTML page with an error status, as sent by a proxy in front of the API.
    Page {
        /// The HTTP status.
        code: u16,
        /// True if the server executes the call before it sends the page.
        #[serde(default)]
        applied: bool,
    },
    /// The response reports success but has a corrupt body.
    Corrupt {
        /// Kind of corruption.
        kind: CorruptBody,
        /// True if the server executes the call. If it does not, there is no correct body to start from.
        #[serde(default = "default_true")]
        applied: bool,
    },
    /// The hourly limit is exhausted, as if by other programs: 429 without `retry-after`.
    HourlyLimit {
        /// Time until `ratelimit-reset`, in seconds.
        reset_after_s: u64,
    },
    /// Every droplet receives a new private address; then the call proceeds.
    MovedAddresses,
    /// Another client deletes the newest droplet; then the call proceeds.
    Vanished,
}

/// Corruption of the body of a successful response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorruptBody {
    /// Truncated JSON with a matching content length.
    Malformed,
    /// The connection closes before the announced content length is reached.
    Truncated,
    /// An HTML page.
    Page,
    /// The correct body with a content type other than JSON.
    WrongContentType,
    /// The correct body, with additional droplet fields and a status that no client knows.
    Unfamiliar,
}

fn default_true() -> bool {
    true
}

impl Rate {
    /// Validates that `value` is a probability.
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
    /// Reports whether the fault triggers this time, and decrements the count of a counted one.
    pub fn triggers(&mut self, rng: &mut SplitMix64) -> bool {
        match self {
            Self::Never | Self::Next(0) => false,
            Self::Always | Self::Later { after: 0, next: None } => true,
            Self::Rate(rate) => rng.next_f64() < rate.0,
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

//! The simulated cloud: one state machine shared by the simulator, the emulator and fault tests.
//!
//! [`CloudState`] consists of plain data and its rules. It receives the time as an argument, performs no I/O and draws
//! random numbers from a seed, so that the same calls at the same times give the same responses. The emulator provides
//! the HTTP API.

mod admission;
mod api_error;
pub mod catalog;
pub(crate) mod create_request;
mod droplet;
pub(crate) mod faults;
mod power;
mod rate_limit;
pub(crate) mod state;
mod tags;
#[cfg(test)]
mod tests;

pub use crate::cloud::admission::{Admission, Call, Verdict};
pub use crate::cloud::api_error::ApiError;
pub use crate::cloud::create_request::NewDroplets;
pub use crate::cloud::droplet::{Action, ActionStatus, PowerChange, SimulatedDroplet};
pub use crate::cloud::faults::{CallFault, CorruptBody, Effect, Faults, Frequency, InvalidRate, Rate};
pub use crate::cloud::power::Command;
pub use crate::cloud::rate_limit::{Quota, RateLimits};
pub use crate::cloud::state::{
    CloudState, Created, Listing, OfferedSize, PersistedState, RestoreError, RunningDroplets, Selection, Settings,
};
pub use crate::cloud::tags::TagSummary;

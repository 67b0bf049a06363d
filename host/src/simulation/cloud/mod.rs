//! The simulated cloud: one state machine shared by the simulator, the emulator and fault tests.
//!
//! [`CloudState`] consists of plain data and its rules. It receives the time as an argument, performs no I/O and draws
//! random numbers from a seed, so that the same calls at the same times give the same responses. [`SimulatedCloud`]
//! adds a clock and implements the `CloudProvider` trait. The emulator provides the HTTP API.

mod admission;
mod api_error;
pub mod catalog;
mod client;
mod create_request;
mod droplet;
mod faults;
mod power;
mod rate_limit;
mod rng;
mod state;
mod tags;
#[cfg(test)]
mod tests;

pub use admission::{Admission, Call, Verdict};
pub use api_error::ApiError;
pub use client::SimulatedCloud;
pub use create_request::NewDroplets;
pub use droplet::{Action, ActionStatus, PowerChange, SimulatedDroplet};
pub use faults::{CallFault, CorruptBody, Effect, Faults, Frequency, InvalidRate, Rate};
pub use power::Command;
pub use rate_limit::{Quota, RateLimits};
pub use rng::SplitMix64;
pub use state::{
    CloudState, Created, Listing, OfferedSize, PersistedState, RestoreError, RunningDroplets, Selection, Settings,
};
pub use tags::TagSummary;

//! The simulated cloud: one state machine for the simulator, the emulator and fault tests.
//!
//! [`World`] is plain data and its rules: it is told the time, does no I/O and draws its luck from a seed, so that the
//! same calls at the same times give the same answers. [`SimulatedCloud`] gives it a clock and the `Cloud` seam; the
//! HTTP façade is in `crate::emulator`.

mod admission;
pub mod catalogue;
mod chance;
mod droplet;
mod faults;
mod power;
mod rate;
mod refusal;
mod request;
mod simulated;
mod tags;
#[cfg(test)]
mod tests;
mod world;

pub use admission::{Admission, Call, Verdict};
pub use chance::Chance;
pub use droplet::{Action, ActionStatus, SimulatedDroplet, Switch};
pub use faults::{CallFault, Effect, Faults, Frequency, Garble, InvalidRate, Rate};
pub use power::Command;
pub use rate::{Quota, RateLimits};
pub use refusal::Refusal;
pub use request::NewDroplets;
pub use simulated::SimulatedCloud;
pub use tags::TagCount;
pub use world::{Created, Listing, Machines, OfferedSize, RestoreError, Selection, Settings, State, World};

//! Fixtures and harnesses that the tests of several crates share.

pub mod decision_record;
#[cfg(feature = "environment")]
pub mod environment;
pub mod fuzzing;
pub mod guests;
#[cfg(feature = "environment")]
pub mod registry;
#[cfg(feature = "simulated")]
mod simulated_balancer;
#[cfg(feature = "simulated")]
mod simulated_cloud;

#[cfg(feature = "simulated")]
pub use simulated_balancer::SimulatedBalancer;
#[cfg(feature = "simulated")]
pub use simulated_cloud::SimulatedCloud;

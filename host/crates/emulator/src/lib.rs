//! The simulated cloud and load balancer, and the emulator that serves them as the DigitalOcean API.

mod balancer;
pub mod cloud;
mod droplet_servers;
mod droplet_site;
mod emulator;
mod http;
mod state_file;
#[cfg(test)]
mod tests;

pub use balancer::SimulatedBalancer;
pub use cloud::client::SimulatedCloud;
pub use cloud::create_request::NewDroplets;
pub use cloud::faults::{CallFault, CorruptBody, Effect, Faults, Frequency, Rate};
pub use cloud::state::{CloudState, PersistedState, Selection, Settings};
pub use emulator::{Emulator, Options};

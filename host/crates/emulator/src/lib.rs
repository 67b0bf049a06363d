//! The simulated cloud, and the emulator that serves it as the DigitalOcean API.

pub mod cloud;
mod droplet_servers;
mod droplet_site;
mod emulator;
mod http;
mod state_file;
#[cfg(test)]
mod tests;

pub use cloud::create_request::NewDroplets;
pub use cloud::faults::{CallFault, CorruptBody, Effect, Faults, Frequency, Rate};
pub use cloud::state::{CloudState, PersistedState, Selection, Settings};
pub use emulator::{Emulator, Options};

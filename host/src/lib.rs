//! doproxy autoscales a fleet of DigitalOcean droplets behind HAProxy.
//!
//! Data flows one way: `observe` → `decide` (a plugin) → `guard` → `act`, all on the plain data of [`model`]. Imports
//! also go one way: `cli` → `controller`, `emulator`, `simulation`, `record`, `plugin` → `cloud`, `balancer`,
//! `inventory`, `metrics`, `history` → `model`.

// Shared test code refers to this crate by its public name.
#[cfg(test)]
extern crate self as doproxy;

pub mod balancer;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod controller;
pub mod emulator;
pub mod failpoint;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod history;
pub mod inventory;
pub mod metrics;
pub mod model;
pub mod plugin;
pub mod record;
pub mod simulation;
pub(crate) mod subprocess;
pub mod telemetry;
pub(crate) mod tls;

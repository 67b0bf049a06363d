//! doproxy scales a fleet of DigitalOcean droplets behind HAProxy.
//!
//! Data flows one way: `observe` → `decide` (a plugin) → `guard` → `act`, all over the plain data of [`model`].
//! The imports go one way too: `cli` → `controller`, `emulator`, `simulation`, `record`, `plugin` → `cloud`,
//! `balancer`, `inventory`, `metrics`, `history` → `model`.

// Shared test code names this crate as others do.
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

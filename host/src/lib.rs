//! doproxy scales a fleet of DigitalOcean droplets behind HAProxy.
//!
//! Data flows one way: `observe` → `decide` (a plugin) → `guard` → `act`, all over the plain data of [`model`].
//! The imports go one way too: `cli` → `controller`, `emulator`, `simulation`, `plugin` → `cloud`, `balancer`,
//! `inventory` → `model`.

pub mod balancer;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod controller;
pub mod crash;
pub mod emulator;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inventory;
pub mod model;
pub mod plugin;
pub mod simulation;
pub(crate) mod tls;

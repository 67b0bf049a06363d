//! Scaling policy that keeps a metric at its target, by the formula and the constants of the Kubernetes Horizontal Pod
//! Autoscaler v2.
//!
//! [`decide`] is the whole of it, over plain data; this file only says what the contract's words are in its own.

pub mod config;
pub mod decide;
pub mod history;

#[cfg(target_family = "wasm")]
mod guest;

//! Simulated environments: demand over virtual time, a cloud, a load balancer, and scores for the result.
//!
//! There are two environments. The fast one computes with plain numbers: `trace` provides the demand, `fluid` and
//! `requests` model a pool of droplets that serves it, `runner` runs real policy components through the production
//! guard, and `score` and `limit` rate the result. The complete one consists of `cloud` and `balancer` under a paused
//! clock and runs the production controller; tests and the emulator use it.

pub mod balancer;
pub mod cloud;
pub mod columns;
pub mod compare;
pub mod faults;
pub mod fluid;
pub mod gate;
mod key_values;
pub mod limit;
mod number;
mod observation;
pub mod preset;
pub mod report;
pub mod requests;
pub mod runner;
pub mod scenario;
pub mod score;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod tune;

//! Simulated worlds: a virtual clock's worth of load, a cloud, a balancer, and what came of it.
//!
//! Two of them. The fast one is plain numbers: [`trace`] says what load comes, [`fluid`] and [`requests`] what a pool of
//! droplets does with it, [`runner`] lets real policy components decide in it through the production guard, [`score`]
//! and [`limit`] say how well that was. The whole one is [`cloud`] and [`balancer`] under a paused clock, for the
//! production controller: tests use it, and the emulator.

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

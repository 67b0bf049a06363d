//! Simulated worlds: cloud and balancer today; the load and the clock that drive them later.

pub mod balancer;
pub mod cloud;

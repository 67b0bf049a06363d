//! Simulated worlds: the cloud today; the load, the balancer and the clock that drive it later.

pub mod cloud;

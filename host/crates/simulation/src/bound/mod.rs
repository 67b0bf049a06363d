//! The theoretical limit: the cost of a scheduler that knows the future, and the lowest cost of any policy that leaves
//! a given share of requests unserved.
//!
//! Both problems separate by level: the i-th droplet can be decided independently of the others. `optimum` leaves
//! nothing unserved; `lower_bound` covers every unserved share. Neither models a minimum charge, which would make the
//! levels depend on each other. With a minimum charge both are still lower bounds, but less tight.

mod limit;
mod lower_bound;
mod optimum;
#[cfg(test)]
mod tests;

pub use crate::bound::limit::{Limit, SLO_PCT};
pub use crate::bound::lower_bound::{LowerBound, Point};
pub use crate::bound::optimum::Optimum;

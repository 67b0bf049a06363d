//! Reconciling: moves each droplet one phase further, from what is observed and journaled.
//!
//! `reconcile_pass` goes over everything that is in progress, `create` finishes create requests, `orphans` reports droplets
//! with the fleet's tag that the inventory does not have, and `elapsed` measures how long a droplet waits.

pub(crate) mod create;
pub(crate) mod elapsed;
pub(crate) mod orphans;
pub(crate) mod reconcile_pass;

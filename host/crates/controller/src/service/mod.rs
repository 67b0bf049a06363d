//! service

pub(crate) mod autoscaler;
pub(crate) mod catalog_refresher;
pub(crate) mod conditions;
pub(crate) mod file_watcher;
pub(crate) mod fleet_lock;
pub(crate) mod lock_wait;
pub(crate) mod policy_loader;
pub(crate) mod policy_slot;
pub(crate) mod reconciler;
pub(crate) mod reporter;
pub(crate) mod run;

//! The service: keeps a fleet at the size that its policies decide, with two loops that never wait for each other.
//!
//! The `autoscaler` observes, evaluates the policies and journals operations: each interval, earlier if a policy
//! requests it, and after a reload. It composes four parts: `schedule` has the times of ticks, `config_reload` reloads
//! the configuration, `policy_slots` loads policies into their slots, and `balancer_sampler` reads HAProxy's counters.
//! The `reconciler` executes journaled operations: immediately after a decision, every
//! second while operations are in progress, and periodically to detect missing droplets. A third task,
//! `catalog_refresher`, caches prices and the account's quota, so that a tick makes no API calls. `policy_loader` compiles
//! policies, `file_watcher` detects changed files, `fleet_lock` shares the right to modify the fleet with
//! manual commands and reports long waits, `conditions` tracks ongoing problems, and `reporter` writes log lines and
//! metrics.
//!
//! A panic in any of them is a bug in doproxy: it ends the service, and the supervisor restarts it. All important state
//! is in the journal.

mod autoscaler;
mod balancer_sampler;
mod catalog_refresher;
mod conditions;
mod config_reload;
mod file_watcher;
mod fleet_lock;
mod lock_wait;
mod policy_loader;
mod policy_slot;
mod policy_slots;
mod reconciler;
mod reporter;
mod schedule;
mod service;
mod service_builder;
mod service_spec;
mod shared;

pub use config_reload::{ConfigSource, ReloadedConfig};
pub use policy_loader::{ComponentLookup, PolicyLoader};
pub use policy_slot::PolicySlot;
pub use reporter::event_sink;
pub use service::{Service, ServiceError, ServiceHandle};
pub use service_builder::{Hooks, ServiceBuilder};
pub use service_spec::{PolicySpec, ServiceSpec};

//! The controller: runs ticks, journals operations and reconciles them with the cloud and the load balancer.

mod controller;
mod error;
mod event;
mod import;
mod name_generator;
mod operations;
mod provider_catalog;
mod reconcile;
mod recover;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod tick;
mod user_data;

pub use controller::Controller;
pub use error::ControllerError;
pub use event::{Event, EventSink};
pub use name_generator::NameGenerator;
pub use reconcile::orphans::OrphanDroplet;
pub use reconcile::reconcile_pass::servers;
pub use recover::{OrphanPolicy, RecoverySummary};
pub use service::{
    ComponentLookup, ConfigSource, Hooks, PolicyLoader, PolicySlot, PolicySpec, ReloadedConfig, Service,
    ServiceBuilder, ServiceError, ServiceHandle, ServiceSpec, event_sink,
};
pub use settings::Settings;
pub use tick::{AutoscalerState, TickInput};
pub use user_data::UserDataSource;

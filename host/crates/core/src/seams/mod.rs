//! The seams: traits that adapters implement, with the types and errors that cross them.

pub(crate) mod cloud_provider;
pub(crate) mod inventory;
pub(crate) mod load_balancer;
pub(crate) mod platform;

pub use cloud_provider::{
    Account, AddressKind, CloudError, CloudInstance, CloudProvider, CreateRequest, ErrorClass, Filter, Image, Region,
    Size, SshKey, Status,
};
pub use inventory::{
    CreateIntent, DeleteCause, Inventory, InventoryError, InventoryErrorKind, Maintenance, PolicyState, Provenance,
    Snapshot, Transition,
};
pub use load_balancer::{ApplyResult, LoadBalancer, ProcessStats, Server, ServerState, ServerStats, Stats};
pub use platform::Platform;

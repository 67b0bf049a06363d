//! Prometheus metrics, health and status of a running service, and the HTTP server that exposes them.

pub mod families;
mod health;
mod registry;
mod server;
mod status;
mod telemetry;

pub use registry::{MetricFamily, MetricKind};
pub use server::TelemetryServer;
pub use status::{LastTick, LockWaitStatus, LoopStatus, PolicyStatus, ReloadStatus, Status};
pub use telemetry::Telemetry;

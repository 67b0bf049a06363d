//! Metric sources, the collector that polls them, and the time-series store.

mod collector;
mod error;
mod options;
mod requirements;
mod sources;
mod store;
#[cfg(test)]
mod tests;

pub use collector::{Collector, SeriesStatus, SourceStatus};
pub use options::{AgentMetric, Options, SourceKind, SourceOptions};
pub use requirements::{MetricRequirements, unmet_requirements};
pub use sources::endpoint::Endpoint;
pub use store::downsampling::Retention;
pub use store::error::TimeSeriesError;
pub use store::time_series_store::{SeriesKey, TimeSeriesStore};

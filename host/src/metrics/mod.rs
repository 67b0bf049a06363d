//! Sources of series: HAProxy's own metrics, which are always present, and the configured sources.
//!
//! The [`Collector`] polls each source when it is due and appends new samples to the
//! [`TimeSeriesStore`](crate::history::TimeSeriesStore); policies read from the store and never directly from a source.
//! `haproxy`, `prometheus`, `http`, `command` and `digitalocean` are the sources, `endpoint` sends HTTP requests,
//! `requirements` has the needs of the policies. A source that fails or is late makes its series stale; it never stops
//! or delays a tick. The output of sources is untrusted: it is bounded, NaN and infinity are rejected, and text is
//! sanitized before it is displayed.

mod collector;
mod command;
mod digitalocean;
mod endpoint;
mod error;
mod http_json;
mod options;
mod prometheus;
pub mod rates;
mod requirements;
mod source;
#[cfg(test)]
mod tests;
mod text;

pub use collector::{Collector, SeriesStatus, SourceStatus};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::SourceError;
pub use options::{AgentMetric, Options, SourceKind, SourceOptions};
pub use rates::{BalancerSample, Rates};
pub use requirements::{MetricRequirements, UnmetRequirement, unmet_requirements};

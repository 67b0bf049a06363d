//! Where series come from: HAProxy's own numbers, which the host always has, and the sources of the configuration.
//!
//! The [`Collector`] asks each source when it is due and appends what is new to the [`History`](crate::history::History);
//! what policies see is read from the history and never straight from a source. `haproxy`, `prometheus`, `http`,
//! `command` and `digitalocean` are the sources, `endpoint` asks over HTTP, `needs` says what policies want. A source that
//! fails or is late makes its series stale; it never stops or holds up a tick. What sources say is not trusted: it is
//! bounded, NaN and infinity are refused, and text is cleaned before a person sees it.

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

//! The DigitalOcean adapter: the API client with rate limiter and retries, and monitoring metrics.
//!
//! `digitalocean` has the calls, and `monitoring` those of the monitoring API. `http` executes a call, `rate_limiter`
//! decides when it may be sent and `retry` when it is retried, `error` classifies error responses, `wire` parses the
//! API's JSON, and `api_url` validates the address of the API.
//!
//! The facts about the API are those of its `OpenAPI` description (`digitalocean/openapi`).

mod api_url;
mod digitalocean;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod monitoring;
mod options;
mod rate_limiter;
mod request_metrics;
mod retry;
#[cfg(test)]
mod tests;
mod wire;

pub use api_url::{ApiUrl, InvalidApiUrl};
pub use digitalocean::DigitalOcean;
pub use http::SetupError;
pub use monitoring::{DropletMetric, MeasuredSeries};
pub use options::{Options, Timeouts};
pub use request_metrics::RequestCount;
pub use retry::Retry;

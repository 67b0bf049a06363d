//! The DigitalOcean adapter: the API client with rate limiter and retries, and monitoring metrics.

mod api_url;
mod client;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod monitoring;
mod rate_limiter;
mod request_counts;
mod retry;
#[cfg(test)]
mod tests;
mod wire;

pub use api_url::ApiUrl;
pub use client::{DigitalOcean, Options, Timeouts};
pub use monitoring::{DropletMetric, MeasuredSeries};
pub use retry::Retry;

//! Scaling policy that limits the waiting time of requests, sized by the Erlang C formula.
//!
//! Requests arrive at a rate λ and take a time 1/μ to serve; the offered load is a = λ/μ. n slots serve one request
//! each. With random arrivals and service times (M/M/n), a request waits with the probability
//!
//! ```text
//! B(0) = 1,  B(n) = a·B(n−1) / (n + a·B(n−1))        Erlang B, by the recursion that never overflows
//! C(n) = B(n) / (1 − (a/n)·(1 − B(n)))               Erlang C, for n > a
//! P(wait > t) = C(n)·e^(−(n·μ − λ)·t)
//! ```
//!
//! The fleet gets the fewest droplets whose slots reduce P(wait > t) to p or below. Beyond 10⁵ busy slots it is sized
//! by the limit of Halfin and Whitt instead, with n = a + β·√a: P(wait) = 1/(1 + β·Φ(β)/φ(β)).
//!
//! Sources: A. K. Erlang (1917); S. Halfin and W. Whitt, "Heavy-traffic limits for queues with many exponential
//! servers" (Operations Research 29, 1981). The formula assumes a single queue for all servers, which HAProxy has for a
//! backend whose servers are full; `slots` is then the `maxconn` of a server, or the number of requests it serves at
//! full speed.

pub mod config;
pub mod decide;
pub mod erlang;

use config::Config;
use doproxy_policy_sdk::{MetricRequirement, export_policy};

export_policy! {
    /// The policy.
    pub struct Queueing;
    config: Config,
    schema: include_str!("schema.json"),
    metrics: [MetricRequirement { name: config::DEFAULT_ARRIVALS_METRIC, window_ms: config::MAX_WINDOW_MS }],
    decide: decide::decide,
}

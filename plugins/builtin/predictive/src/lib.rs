//! Scaling policy that prepares droplets for a daily pattern, once its forecasts have proved accurate.
//!
//! The current requirement is `ceil(v/T)` for a total v and a target T per droplet. In addition, the demand is averaged
//! over buckets (5 min) and forecast by additive Holt–Winters smoothing with a damped trend, m buckets to a season (a
//! day):
//!
//! ```text
//! l(t) = α·(y(t) − s(t−m)) + (1−α)·(l(t−1) + φ·b(t−1))          level
//! b(t) = β·(l(t) − l(t−1)) + (1−β)·φ·b(t−1)                      trend
//! s(t) = γ·(y(t) − l(t)) + (1−γ)·s(t−m)                          season
//! f(t, h) = l(t) + (φ + φ² + … + φʰ)·b(t) + s(t+h−m)             forecast, h buckets ahead
//! ```
//!
//! with the configurable factors α 0.2, β 0.02, γ 0.2, φ 0.98. The model learns from the first season and is only
//! evaluated in the second: a forecast is used while the mean absolute error of the forecasts at this horizon, which
//! decays over a season, is below that of the seasonal-naive forecast (the value of one season ago). The forecast acts
//! as a minimum: the policy requests the larger of the current requirement and that of the highest forecast until a new
//! droplet would serve, held for 300 s.
//!
//! Sources: C. C. Holt (1957), P. R. Winters (1960), E. S. Gardner (damped trend, 1985); R. J. Hyndman and G.
//! Athanasopoulos, "Forecasting: Principles and Practice", chapters 5 and 8, for the comparison with the naive
//! forecast. AWS predictive scaling does not shrink a fleet either, and forecasts one boot time ahead.

pub mod config;
pub mod decide;
pub mod memory;
pub mod model;

use config::Config;
use doproxy_policy_sdk::export_policy;

export_policy! {
    /// The policy.
    pub struct Predictive;
    config: Config,
    schema: include_str!("schema.json"),
    decide: decide::decide,
}

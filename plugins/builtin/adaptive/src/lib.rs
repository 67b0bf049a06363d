//! Scaling policy that sizes a fleet by backtesting: it follows the cheapest size that keeps the unserved load within
//! the configured limit.
//!
//! The operator configures the capacity of a droplet and the share of the load that may be left unserved (0.1 %). The
//! policy learns headroom, forecast and scale-in delay. In droplets' worth of work x:
//!
//! 1. **Forecasts.** Fourteen simple methods that forecast x one boot time ahead: the latest value, exponential
//!    averages over 2 to 60 minutes, the peak of the last hour, and some of these adjusted by the minute of the hour or
//!    the time of the season. None is trusted in advance.
//! 2. **Residuals.** The error of each method: a variance v²·(a·f + b·f²) for a forecast f, where v follows the current
//!    roughness, and the distribution of z = (x − f)/deviation, which starts as Student's with four degrees of freedom.
//! 3. **Sizing** as in the newsvendor model: n droplets are optimal if one more is expected to serve less than it
//!    costs, p·(E[(x − n)⁺] − E[(x − n − 1)⁺]) < 1 for a price p of unserved work, in droplets. A fleet grows to the n
//!    of p, but shrinks only to that of 1.35⁴·p: a deleted droplet costs money again until its replacement serves.
//! 4. **Backtest.** Each forecast method at each of 19 prices runs a virtual fleet through the real demand, with the
//!    real boot time and minimum charge of the droplets: 266 fleets. The policy follows the cheapest fleet whose
//!    unserved share is within the remaining allowance: u + (u·D − lost)/(D/2), at least 0.6·u, for a share u (93 % of
//!    the configured one) and the demand D so far. Short histories are not trusted: after d days the worst residual so
//!    far is expected to recur 4.5/(1 + (d/3)²) times, at any time, and the allowance is at most u·(1 + d²/(d² + 49)).
//! 5. **Prepaid droplets stay.** A droplet is not deleted before the end of its minimum billing period.
//!
//! All of it decays: residuals over three and a half days, the backtest over two weeks.
//!
//! Sources: the newsvendor model is F. Y. Edgeworth's (1888) and K. Arrow, T. Harris and J. Marschak's (1951);
//! following the best expert is N. Littlestone and M. Warmuth's (1994) and Y. Freund and R. Schapire's (1997); keeping
//! what is soon needed again is A. R. Karlin et al.'s ski rental (1988); the multiplier that enforces a budget is
//! Lagrange's.

pub mod backtest;
pub mod bytes;
pub mod cadence;
pub mod clock;
pub mod config;
pub mod decide;
pub mod forecast;
pub mod memory;
pub mod residual_model;
pub mod scale_in;

use config::Config;
use doproxy_policy_sdk::export_policy;

export_policy! {
    /// The policy.
    pub struct Adaptive;
    config: Config,
    schema: include_str!("schema.json"),
    decide: decide::decide,
}

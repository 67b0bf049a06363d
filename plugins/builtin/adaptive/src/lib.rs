//! Scaling policy that sizes a fleet by what its own backtest says: the cheapest that leaves no more unserved than is
//! allowed.
//!
//! The operator says what a droplet can carry and how much of the load may find no room (0.1 %). Headroom, forecast and
//! hold are learnt. In droplets' worth of work x:
//!
//! 1. **Forecasts.** Fourteen simple ways to tell x a boot time ahead: the newest value, means that fade over 2 to 60
//!    minutes, the highest of the last hour, and some of them by what a minute of the hour or a time of the season is like.
//!    None is trusted beforehand.
//! 2. **Surprises.** How far off each was: a variance v²·(a·f + b·f²) for a forecast f, v following how rough the times
//!    are, and the distribution of z = (x − f)/deviation, which begins as Student's with four degrees of freedom.
//! 3. **Sizing** as a newsvendor's: n droplets are right where one more is expected to serve less than it costs,
//!    p·(E[(x − n)⁺] − E[(x − n − 1)⁺]) < 1 for a price p of work left undone, in droplets. A fleet grows to the n of p, and
//!    shrinks to that of 1.35⁴·p only: a droplet that is given up has to be paid for until it serves again.
//! 4. **Backtest.** Each forecast at each of 19 prices runs a fleet of its own through the demand that really comes, with
//!    the boot time and the minimum charge that droplets really have: 266 fleets. The cheapest is followed whose share of
//!    demand left unserved is within what is still allowed: u + (u·D − lost)/(D/2), at least 0.6·u, for a share u (93 % of
//!    it) and the demand D so far. What has not been seen for long is not trusted: after d days the worst surprise so far
//!    is expected to come again 4.5/(1 + (d/3)²) times, at any other time, and at most u·(1 + d²/(d² + 49)) is allowed.
//! 5. **Paid for is paid for.** A droplet whose minimum charge is not used up is not removed.
//!
//! All of it fades: surprises over three and a half days, the backtest over two weeks.
//!
//! Sources: the newsvendor is F. Y. Edgeworth's (1888) and K. Arrow, T. Harris and J. Marschak's (1951); following the
//! expert that did best is N. Littlestone and M. Warmuth's (1994) and Y. Freund and R. Schapire's (1997); holding what is
//! soon needed again is A. R. Karlin et al.'s ski rental (1988); the multiplier that holds a budget is Lagrange's.

pub mod backtest;
pub mod bytes;
pub mod clock;
pub mod config;
pub mod decide;
pub mod forecast;
pub mod leaving;
pub mod memory;
pub mod pace;
pub mod surprise;

use doproxy_policy_sdk::{Decision, Manifest, Observation, Policy, Problem, manifest};

use config::Config;

/// The policy.
#[derive(Debug)]
pub struct Adaptive;

impl Policy for Adaptive {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        Config::parse(json)
    }

    fn decide(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
        decide::decide(config, observation, state)
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_policy_sdk::export_policy!(super::Adaptive);
}

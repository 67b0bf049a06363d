//! Scaling policy that asks for floors by the clock, in any time zone.
//!
//! Each rule holds for some time: by a weekly table (days, from, to) or by cron (a start, and an end or a duration). What
//! counts is what holds now, not what happened: a policy that was down when a rule began asks for the same as one that
//! was not. With F the floors and C the ceilings of the rules that hold, it asks for
//!
//! ```text
//! min(max(otherwise, F…), C…)
//! ```
//!
//! A rule that holds from s to e has its floor from s − L on, where L is how long a droplet takes to boot, so that the
//! droplets serve when it begins; its ceiling holds from s to e only.
//!
//! A rule holds where its last start is not before its last end. Starts and ends are civil times of an IANA time zone
//! (the data is in the component, from the crate jiff). One that a change to summer time leaves out happens at the
//! change; of one that happens twice in autumn, the start is the first and the end the second, so that a rule never
//! holds for less than the clock on the wall says.
//!
//! Cron is that of `crontab(5)`: minute, hour, day of month, month, day of week, with `*`, lists, ranges, steps and
//! names; where both days are restricted, either will do. Level semantics are those of GCE's schedules and KEDA's cron
//! scaler; AWS's scheduled actions are edges, which are lost when nobody listens.
//!
//! Beside other policies it is a floor, since the largest wish counts; a ceiling bounds what this policy asks for, and
//! not what others do. Alone, it sets the size of the fleet.

pub mod config;
pub mod cron;
pub mod decide;
pub mod rule;
pub mod zone;

use doproxy_policy_sdk::{Decision, Manifest, Observation, Policy, Problem, manifest};

use config::Config;

/// The policy.
#[derive(Debug)]
pub struct Schedule;

impl Policy for Schedule {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        Config::parse(json)
    }

    fn decide(config: &Config, observation: &Observation, _: &[u8]) -> Decision {
        decide::decide(config, observation)
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_policy_sdk::export_policy!(super::Schedule);
}

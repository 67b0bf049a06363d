//! Scaling policy that sets minimum and maximum sizes by the clock, in any time zone.
//!
//! Each rule is active for some time: by a weekly table (days, from, to) or by cron (a start, and an end or a
//! duration). Only the current time matters, not past events: a policy that was down when a rule started requests the
//! same size as one that was running. With the minimums and maximums of the active rules, the policy requests
//!
//! ```text
//! min(max(default, minimums…), maximums…)
//! ```
//!
//! A rule that is active from s to e has its minimum from s − L on, where L is the boot time of a droplet, so that the
//! droplets serve when it starts; its maximum applies from s to e only.
//!
//! A rule is active if its last start is not before its last end. Starts and ends are civil times of an IANA time zone
//! (the component contains the data, from the crate jiff). A time skipped by a change to summer time occurs at the
//! change; of a time that occurs twice in autumn, the first is the start and the second the end, so that a rule is
//! never active for less time than the wall clock shows.
//!
//! The cron syntax is that of `crontab(5)`: minute, hour, day of month, month, day of week, with `*`, lists, ranges,
//! steps and names; if both day fields are restricted, either may match. The level-triggered semantics are those of
//! GCE's schedules and KEDA's cron scaler; AWS's scheduled actions are edge-triggered and lost while no process
//! listens.
//!
//! Combined with other policies it acts as a minimum, because the largest recommendation wins; a maximum limits only
//! the recommendation of this policy, not those of others. Alone, it sets the size of the fleet.

pub mod config;
pub mod cron;
pub mod decide;
pub mod rule;
pub mod zone;

use config::Config;
use doproxy_policy_sdk::export_policy;

export_policy! {
    /// The policy.
    pub struct Schedule;
    config: Config,
    schema: include_str!("schema.json"),
    decide: |config, observation, _| decide::decide(config, observation),
}

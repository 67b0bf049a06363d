//! Scaling policy that changes the fleet in steps when an alarm fires, with the semantics of AWS step scaling.
//!
//! An alarm compares a metric m with a threshold t, in datapoints that are means over a period (60 s). It fires while
//! `datapoints` of the last `evaluation_periods` breach the threshold: m ≥ t for an `above` alarm, m ≤ t for a `below`
//! alarm. The step that contains d = m − t of the newest datapoint determines the change. Above, a step contains `from
//! ≤ d < to`; below, `from < d ≤ to`. With the step's number n and b droplets that are not starting:
//!
//! | adjustment | leads to |
//! | --- | --- |
//! | `change` | b + n |
//! | `exact` | n |
//! | `percent` | b + r(b·n/100), where r rounds towards 0, to 1 between 0 and 1 and to −1 between −1 and 0, and is then raised to at least `min_magnitude` |
//!
//! Droplets that are starting or warming up count as the result of an earlier step: the fleet grows to the larger of
//! its size and the result of the step, so repeating a step has no effect, and a higher one adds only the difference.
//! While droplets are starting, no step shrinks the fleet. If several alarms fire, the largest size wins.
//!
//! Source: Amazon EC2 Auto Scaling User Guide, "Step and simple scaling policies"; the defaults of 3 of 3 and 15 of 15
//! datapoints are those of the alarms that AWS creates for target tracking.

pub mod adjust;
pub mod alarm;
pub mod config;
pub mod decide;

use config::Config;
use doproxy_policy_sdk::export_policy;

export_policy! {
    /// The policy.
    pub struct Step;
    config: Config,
    schema: include_str!("schema.json"),
    decide: decide::decide,
}

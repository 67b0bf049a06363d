//! The rule of AWS target tracking: a fleet changes when the metric was above its target, or well below it, for several
//! consecutive datapoints.
//!
//! A datapoint is the mean of the metric per ready droplet over a minute. Three consecutive ones above T scale out to
//! `max(size, ceil(need))`, fifteen consecutive ones below 0.9·T scale in to `min(size, ceil(need))`, where the need is
//! the mean of the minute. (Amazon EC2 Auto Scaling User Guide, "Target tracking scaling policies", and the alarms that
//! such a policy creates.)

use doproxy_policy_sdk::FleetCapacity;
use doproxy_policy_sdk::numbers::ceil_u32;
use doproxy_policy_sdk::period::Period;
use serde::{Deserialize, Serialize};

use crate::config::{Target, Tolerance};
use crate::measure::Measurement;
use crate::preset::Alarms;

/// The state of one metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlarmState {
    /// Incomplete datapoint of the metric per ready droplet.
    each: Period,
    /// Incomplete datapoint of the needed droplets.
    need: Period,
    /// Consecutive datapoints above the target.
    above: u32,
    /// Consecutive datapoints below the target.
    below: u32,
}

/// Returns the size a metric needs at `now`; the current size while no alarm is firing.
pub fn recommend(
    alarms: Alarms,
    tolerance: Tolerance,
    capacity: FleetCapacity,
    measured: &Measurement<'_>,
    now: u64,
    memory: &mut Option<AlarmState>,
) -> u32 {
    let Measurement { interval_ms, value, droplets, .. } = *measured;
    let begun = || Period::start(now, interval_ms);
    let memory = memory.get_or_insert_with(|| AlarmState { each: begun(), need: begun(), above: 0, below: 0 });
    let each = match measured.metric.target {
        Target::PerDroplet(_) => value / f64::from(capacity.ready.max(1)),
        Target::Average(_) => value,
    };
    let each = memory.each.add(now, interval_ms, alarms.period_ms, each);
    let need = memory.need.add(now, interval_ms, alarms.period_ms, droplets);
    let (Some(each), Some(need)) = (each, need) else { return capacity.size };

    let ratio = each / measured.metric.target.value();
    let counted = |in_a_row: u32, holds: bool| if holds { in_a_row.saturating_add(1) } else { 0 };
    memory.above = counted(memory.above, ratio > 1.0 + tolerance.scale_out);
    memory.below = counted(memory.below, ratio < 1.0 - tolerance.scale_in);
    if memory.above >= alarms.scale_out_datapoints {
        ceil_u32(need).max(capacity.size)
    } else if memory.below >= alarms.scale_in_datapoints {
        ceil_u32(need).min(capacity.size)
    } else {
        capacity.size
    }
}

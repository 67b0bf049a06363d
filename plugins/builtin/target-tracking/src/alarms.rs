//! The rule of AWS target tracking: a fleet changes when the metric was above its target, or well below it, for some
//! datapoints in a row.
//!
//! A datapoint is the mean over a minute of the metric for each droplet that is ready. Three in a row above T make the
//! fleet grow to `max(size, ceil(need))`, fifteen in a row below 0.9·T make it shrink to `min(size, ceil(need))`, where
//! the need is the mean of the minute. (Amazon EC2 Auto Scaling User Guide, "Target tracking scaling policies", and the
//! alarms that such a policy creates.)

use doproxy_policy_sdk::FleetCapacity;
use doproxy_policy_sdk::numbers::ceil_u32;
use doproxy_policy_sdk::period::Period;
use serde::{Deserialize, Serialize};

use crate::config::{Target, Tolerance};
use crate::measure::Measurement;
use crate::preset::Alarms;

/// What is remembered of one metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlarmState {
    /// The metric for each ready droplet, in the making.
    each: Period,
    /// The need, in the making.
    need: Period,
    /// Datapoints above the target in a row.
    above: u32,
    /// Datapoints below it in a row.
    below: u32,
}

/// The size that a metric needs at `now`; the size there is while no alarm rings.
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

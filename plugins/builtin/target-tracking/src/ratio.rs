//! The rule of the HPA: a metric needs the size given by its ratio to the target, unless that is within the tolerance.
//!
//! A total follows `AverageValue` of an external metric; an average follows `calcPlainMetricReplicas`, which counts
//! starting droplets as idle before it scales out.

use doproxy_policy_sdk::FleetCapacity;
use doproxy_policy_sdk::numbers::ceil_u32;

use crate::config::{Target, Tolerance};
use crate::measure::Measurement;

impl Tolerance {
    /// Reports whether a ratio of a metric to its target is within the tolerance.
    pub fn contains(self, ratio: f64) -> bool {
        if ratio >= 1.0 {
            ratio - 1.0 <= self.scale_out + self.epsilon
        } else {
            1.0 - ratio <= self.scale_in + self.epsilon
        }
    }
}

/// Returns the size a metric needs; the current size if the metric is within the tolerance.
pub fn recommend(tolerance: Tolerance, capacity: FleetCapacity, measured: &Measurement<'_>) -> u32 {
    let FleetCapacity { size, ready, .. } = capacity;
    if tolerance.scale_out <= 0.0 && tolerance.scale_in <= 0.0 {
        return ceil_u32(measured.droplets);
    }
    match measured.metric.target {
        Target::PerDroplet(target) => {
            // Starting droplets already count as idle here, because the total is divided by all.
            let is_near = size > 0 && tolerance.contains(measured.value / (target * f64::from(size)));
            if is_near { size } else { ceil_u32(measured.droplets) }
        }
        Target::Average(target) => {
            let ratio = measured.value / target;
            if tolerance.contains(ratio) {
                return size;
            }
            if ratio < 1.0 || ready == size {
                return ceil_u32(measured.droplets);
            }
            let with_idle = ratio * f64::from(ready) / f64::from(size);
            if tolerance.contains(with_idle) || with_idle < 1.0 { size } else { ceil_u32(measured.droplets) }
        }
    }
}

//! The rule of the HPA: what a metric needs is what its ratio to the target says, unless that is near enough.
//!
//! A total follows `AverageValue` of an external metric, an average follows `calcPlainMetricReplicas`, which counts
//! droplets that are still coming up as idle before it grows a fleet.

use doproxy_policy_sdk::FleetCapacity;
use doproxy_policy_sdk::numbers::ceil_u32;

use crate::config::{Target, Tolerance};
use crate::measure::Measurement;

impl Tolerance {
    /// Whether a metric that is so much of its target counts as on it.
    pub fn contains(self, ratio: f64) -> bool {
        if ratio >= 1.0 {
            ratio - 1.0 <= self.scale_out + self.epsilon
        } else {
            1.0 - ratio <= self.scale_in + self.epsilon
        }
    }
}

/// The size that a metric needs; the size there is where that is near enough.
pub fn recommend(tolerance: Tolerance, capacity: FleetCapacity, measured: &Measurement<'_>) -> u32 {
    let FleetCapacity { size, ready, .. } = capacity;
    if tolerance.scale_out <= 0.0 && tolerance.scale_in <= 0.0 {
        return ceil_u32(measured.droplets);
    }
    match measured.metric.target {
        Target::PerDroplet(target) => {
            // Droplets that are coming up count as idle here already: the total is shared by all.
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

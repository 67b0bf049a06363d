//! The rule of the HPA: what a metric needs is what its ratio to the target says, unless that is near enough.
//!
//! A total follows `AverageValue` of an external metric, an average follows `calcPlainMetricReplicas`, which counts
//! droplets that are still coming up as idle before it grows a fleet.

use policy_kit::Strength;
use policy_kit::numbers::whole_up;

use crate::config::{Target, Tolerance};
use crate::measure::Measured;

impl Tolerance {
    /// Whether a metric that is so much of its target counts as on it.
    pub fn covers(self, ratio: f64) -> bool {
        if ratio >= 1.0 { ratio - 1.0 <= self.out + self.noise } else { 1.0 - ratio <= self.inwards + self.noise }
    }
}

/// The size that a metric needs; the size there is where that is near enough.
pub fn needed(tolerance: Tolerance, strength: Strength, measured: &Measured<'_>) -> u32 {
    let Strength { size, ready, .. } = strength;
    if tolerance.out <= 0.0 && tolerance.inwards <= 0.0 {
        return whole_up(measured.droplets);
    }
    match measured.metric.target {
        Target::PerDroplet(target) => {
            // Droplets that are coming up count as idle here already: the total is shared by all.
            let is_near = size > 0 && tolerance.covers(measured.value / (target * f64::from(size)));
            if is_near { size } else { whole_up(measured.droplets) }
        }
        Target::Average(target) => {
            let ratio = measured.value / target;
            if tolerance.covers(ratio) {
                return size;
            }
            if ratio < 1.0 || ready == size {
                return whole_up(measured.droplets);
            }
            let with_idle = ratio * f64::from(ready) / f64::from(size);
            if tolerance.covers(with_idle) || with_idle < 1.0 { size } else { whole_up(measured.droplets) }
        }
    }
}

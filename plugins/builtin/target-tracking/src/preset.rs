//! Presets with the constants of other autoscalers.

use doproxy_policy_sdk::numbers::EPSILON;
use serde::Deserialize;

use crate::config::{StepLimit, Tolerance};

/// The autoscaler whose constants are the defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Kubernetes' HPA with a `behavior`: a window that delays scale-in and never makes a fleet grow.
    #[default]
    HpaBehavior,
    /// Kubernetes' HPA without a `behavior`: the largest recommendation of the window applies.
    Hpa,
    /// A managed instance group of Google Compute Engine: the peak of the last ten minutes.
    Gce,
    /// Ski rental: the peak over the boot time of a droplet. A droplet deleted now would be needed again before a new
    /// one could serve.
    SkiRental,
    /// The current need, without a window.
    Reactive,
    /// Target tracking of AWS EC2 Auto Scaling.
    Aws,
    /// Knative's pod autoscaler.
    Knative,
}

/// The rule that computes the needed size of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// See [`crate::ratio`].
    Ratio,
    /// See [`crate::alarms`].
    Alarms(Alarms),
    /// See [`crate::panic`].
    Panic(Panic),
}

/// The constants of AWS target tracking: its alarms fire after three minutes above and fifteen below the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarms {
    /// Length of a datapoint, in milliseconds.
    pub period_ms: u64,
    /// Consecutive datapoints above the target that scale out.
    pub scale_out_datapoints: u32,
    /// Consecutive datapoints below the target that scale in.
    pub scale_in_datapoints: u32,
}

/// The constants of Knative's autoscaler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Panic {
    /// `stable-window`, in milliseconds.
    pub stable_ms: u64,
    /// `panic-window-percentage` of it, in milliseconds.
    pub panic_ms: u64,
    /// `panic-threshold-percentage`, as a ratio.
    pub threshold: f64,
    /// `max-scale-up-rate`.
    pub up_rate: u32,
    /// `max-scale-down-rate`.
    pub down_rate: u32,
}

/// Length of the recommendation window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowLength {
    /// In milliseconds.
    Fixed(u64),
    /// The boot time of a droplet.
    BootTime,
}

/// The effect of the largest recommendation in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeakEffect {
    /// It only limits scale-in.
    BlocksScaleIn,
    /// It becomes the target, even if that makes the fleet grow.
    SetsSize,
}

/// The defaults of a preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PresetConstants {
    /// The scaling rule.
    pub rule: Rule,
    /// The tolerated deviation from the target.
    pub tolerance: Tolerance,
    /// Length of the recommendation window.
    pub window: WindowLength,
    /// The effect of the largest recommendation in the window.
    pub peak_effect: PeakEffect,
    /// If set, the initial size counts as a recommendation, so that a start does not shrink the fleet.
    pub counts_initial_size: bool,
    /// Maximum growth in one decision.
    pub scale_out: StepLimit,
    /// If set, the fleet may shrink while droplets are starting.
    pub scale_in_during_startup: bool,
}

/// `behavior.scaleUp` of the HPA: 100 % or 4 droplets, whichever is more.
const DOUBLE_OR_FOUR: StepLimit = StepLimit { percent: Some(100), droplets: Some(4) };

/// The current need, without a window.
const REACTIVE: PresetConstants = PresetConstants {
    rule: Rule::Ratio,
    tolerance: Tolerance { scale_out: 0.0, scale_in: 0.0, epsilon: EPSILON },
    window: WindowLength::Fixed(0),
    peak_effect: PeakEffect::SetsSize,
    counts_initial_size: true,
    scale_out: StepLimit { percent: None, droplets: None },
    scale_in_during_startup: true,
};

impl Preset {
    /// Returns the preset's constants.
    pub fn constants(self) -> PresetConstants {
        match self {
            Self::HpaBehavior => PresetConstants {
                // --horizontal-pod-autoscaler-tolerance and -downscale-stabilization.
                tolerance: Tolerance { scale_out: 0.1, scale_in: 0.1, epsilon: EPSILON },
                window: WindowLength::Fixed(300_000),
                peak_effect: PeakEffect::BlocksScaleIn,
                scale_out: DOUBLE_OR_FOUR,
                ..REACTIVE
            },
            Self::Hpa => PresetConstants {
                // Exact comparison: Kubernetes does not compensate for division errors.
                tolerance: Tolerance { scale_out: 0.1, scale_in: 0.1, epsilon: 0.0 },
                window: WindowLength::Fixed(300_000),
                scale_out: DOUBLE_OR_FOUR,
                ..REACTIVE
            },
            // GCE's ten minutes are of the load, so the initial size does not count.
            Self::Gce => {
                PresetConstants { window: WindowLength::Fixed(600_000), counts_initial_size: false, ..REACTIVE }
            }
            Self::SkiRental => PresetConstants { window: WindowLength::BootTime, ..REACTIVE },
            Self::Reactive => REACTIVE,
            Self::Aws => PresetConstants {
                rule: Rule::Alarms(Alarms { period_ms: 60_000, scale_out_datapoints: 3, scale_in_datapoints: 15 }),
                tolerance: Tolerance { scale_out: 0.0, scale_in: 0.1, epsilon: 0.0 },
                scale_in_during_startup: false,
                ..REACTIVE
            },
            Self::Knative => PresetConstants {
                rule: Rule::Panic(Panic {
                    stable_ms: 60_000,
                    panic_ms: 6_000,
                    threshold: 2.0,
                    up_rate: 1000,
                    down_rate: 2,
                }),
                ..REACTIVE
            },
        }
    }
}

//! The constants of the peers.

use serde::Deserialize;

use crate::config::{StepLimit, Tolerance};
use doproxy_policy_sdk::numbers::EPSILON;

/// Whose constants are taken where the operator sets none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Kubernetes' HPA with a `behavior`: a window that holds back scale-in and never makes a fleet grow.
    #[default]
    HpaBehavior,
    /// Kubernetes' HPA as it is without a `behavior`: the largest recommendation of the window counts.
    Hpa,
    /// A managed instance group of Google Compute Engine: the peak of the last ten minutes.
    Gce,
    /// The peak over the time that a droplet takes to boot: what is deleted now would have to come back sooner than a
    /// new one could.
    SkiRental,
    /// What is needed now, and nothing else.
    Reactive,
    /// Target tracking of AWS EC2 Auto Scaling.
    Aws,
    /// Knative's pod autoscaler.
    Knative,
}

/// How a need comes of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// See [`crate::ratio`].
    Ratio,
    /// See [`crate::alarms`].
    Alarms(Alarms),
    /// See [`crate::panic`].
    Panic(Panic),
}

/// The constants of AWS target tracking: its alarms are three minutes above, and fifteen below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarms {
    /// One datapoint is the mean over so many milliseconds.
    pub period_ms: u64,
    /// So many in a row above the target make the fleet grow.
    pub scale_out_datapoints: u32,
    /// So many in a row below it make it shrink.
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

/// How long a recommendation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowLength {
    /// In milliseconds.
    Fixed(u64),
    /// As long as a droplet takes to boot.
    BootTime,
}

/// What the largest recommendation of the window does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeakEffect {
    /// It keeps the fleet from shrinking below it.
    BlocksScaleIn,
    /// It is what is wanted, also where that makes the fleet grow.
    SetsSize,
}

/// What an operator need not set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PresetConstants {
    /// How a need comes of a metric.
    pub rule: Rule,
    /// How far from the target counts as on it.
    pub tolerance: Tolerance,
    /// How long a recommendation counts.
    pub window: WindowLength,
    /// What the largest of them does.
    pub peak_effect: PeakEffect,
    /// Whether the size that was found at first counts as recommended, so that a start does not shrink a fleet.
    pub counts_initial_size: bool,
    /// Most that it grows in one decision.
    pub scale_out: StepLimit,
    /// Whether it shrinks while droplets come up.
    pub scale_in_during_startup: bool,
}

/// `behavior.scaleUp` of the HPA: 100 % or 4, whichever is more.
const DOUBLE_OR_FOUR: StepLimit = StepLimit { percent: Some(100), droplets: Some(4) };

/// What is needed now.
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
    /// Its constants.
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
                // To the digit: Kubernetes compares without allowing for what a division is off by.
                tolerance: Tolerance { scale_out: 0.1, scale_in: 0.1, epsilon: 0.0 },
                window: WindowLength::Fixed(300_000),
                scale_out: DOUBLE_OR_FOUR,
                ..REACTIVE
            },
            // Its ten minutes are of the load, which says nothing of the size that was found.
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

//! Formats the reason of a decision.

use doproxy_policy_sdk::words::{format_droplets, format_duration, format_number};

use crate::config::Target;
use crate::decide::MetricRecommendation;
use crate::measure::MeasureError;

/// The intermediate sizes of a decision.
pub(crate) struct Sizes {
    /// The current size.
    pub(crate) size: u32,
    /// The size the metrics need, within the fleet limits.
    pub(crate) recommended: u32,
    /// The same, but at least the current size while scale-in is blocked.
    pub(crate) needed: u32,
    /// The size after the recommendation window.
    pub(crate) stabilized: u32,
    /// The size after the step limits.
    pub(crate) target: u32,
    /// Length of the recommendation window, in milliseconds.
    pub(crate) window_ms: u64,
}

/// Returns the reason for a decision by the largest need of `metrics` metrics.
pub(crate) fn format_reason(
    sizes: &Sizes,
    largest: &MetricRecommendation<'_>,
    metrics: usize,
    silent: &[MeasureError<'_>],
) -> String {
    let mut reason = format!("{}: {}", describe_measurement(sizes.size, largest), describe_sizes(sizes));
    if metrics > 1 {
        reason += &format!(" (the highest of {metrics} metrics)");
    }
    if sizes.recommended < sizes.needed {
        let why: Vec<String> = silent.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { "droplets are starting".to_owned() } else { why.join(", ") };
        reason += &format!("; scale-in is blocked while {why}");
    }
    reason
}

/// Describes the measurement.
fn describe_measurement(size: u32, need: &MetricRecommendation<'_>) -> String {
    let measured = &need.measurement;
    let name = &measured.metric.name;
    let value = format_number(measured.value);
    match measured.metric.target {
        Target::PerDroplet(target) => format!(
            "{name} is {value} over {}, {} each for a target of {}",
            format_droplets(size),
            format_number(measured.value / f64::from(size.max(1))),
            format_number(target)
        ),
        Target::Average(target) => {
            format!(
                "{name} is {value} on average over {} for a target of {}",
                format_droplets(size),
                format_number(target)
            )
        }
    }
}

/// Describes the resulting size.
fn describe_sizes(sizes: &Sizes) -> String {
    let Sizes { size, recommended: largest, needed, stabilized: stable, target: wanted, window_ms } = *sizes;
    let window = format_duration(window_ms);
    if largest < needed {
        return format!("{largest} would be enough");
    }
    if wanted == size && needed == size {
        return format!("{} right", if size == 1 { "that is" } else { "the size is" });
    }
    if wanted == size && stable == size {
        return format!("{needed} would be enough, but {stable} were needed within the last {window}");
    }
    if wanted == size {
        return format!("{needed} are needed, but the step limits allow no change");
    }
    let are = if needed == 1 { "is" } else { "are" };
    let held = if stable == needed { String::new() } else { format!(", {stable} within the last {window}") };
    let step = if wanted == stable { String::new() } else { format!(", limited to {wanted} by the step limits") };
    format!("{needed} {are} needed{held}{step}")
}

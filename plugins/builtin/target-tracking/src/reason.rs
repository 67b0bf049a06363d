//! The sentence that an operator reads first.

use doproxy_policy_sdk::words::{format_droplets, format_duration, format_number};

use crate::config::Target;
use crate::decide::MetricRecommendation;
use crate::measure::MeasureError;

/// The sizes on the way to a decision.
pub(crate) struct Sizes {
    /// What is there.
    pub(crate) size: u32,
    /// What the metrics ask for, within the bounds of the fleet.
    pub(crate) recommended: u32,
    /// The same, and no less than what is there where it must not shrink.
    pub(crate) needed: u32,
    /// What is left of it after the window.
    pub(crate) stabilized: u32,
    /// What is left of that after the step limits.
    pub(crate) target: u32,
    /// How long a recommendation counts, in milliseconds.
    pub(crate) window_ms: u64,
}

/// The reason for a decision by the largest need of so many metrics.
pub(crate) fn format_reason(
    sizes: &Sizes,
    largest: &MetricRecommendation<'_>,
    metrics: usize,
    silent: &[MeasureError<'_>],
) -> String {
    let mut reason = format!("{}: {}", describe_measurement(sizes.size, largest), describe_sizes(sizes));
    if metrics > 1 {
        reason += &format!(" (the most of {metrics} metrics)");
    }
    if sizes.recommended < sizes.needed {
        let why: Vec<String> = silent.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { "droplets are coming up".to_owned() } else { why.join(", ") };
        reason += &format!("; it does not shrink while {why}");
    }
    reason
}

/// What was measured.
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

/// What comes of it.
fn describe_sizes(sizes: &Sizes) -> String {
    let Sizes { size, recommended: largest, needed, stabilized: stable, target: wanted, window_ms } = *sizes;
    let window = format_duration(window_ms);
    if largest < needed {
        return format!("{largest} would do");
    }
    if wanted == size && needed == size {
        return format!("{} right", if size == 1 { "that is" } else { "the size is" });
    }
    if wanted == size && stable == size {
        return format!("{needed} would do, and {stable} were needed within the last {window}");
    }
    if wanted == size {
        return format!("{needed} are needed, and the step limits allow no change");
    }
    let are = if needed == 1 { "is" } else { "are" };
    let held = if stable == needed { String::new() } else { format!(", {stable} within the last {window}") };
    let step = if wanted == stable { String::new() } else { format!(", {wanted} is as far as one step goes") };
    format!("{needed} {are} needed{held}{step}")
}

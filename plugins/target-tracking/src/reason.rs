//! The sentence that an operator reads first.

use policy_kit::words::{droplets, short, time};

use crate::config::Target;
use crate::decide::Need;
use crate::measure::Silent;

/// The sizes on the way to a decision.
pub(crate) struct Sizes {
    /// What is there.
    pub(crate) size: u32,
    /// What the metrics ask for, within the bounds of the fleet.
    pub(crate) largest: u32,
    /// The same, and no less than what is there where it must not shrink.
    pub(crate) needed: u32,
    /// What is left of it after the window.
    pub(crate) stable: u32,
    /// What is left of that after the step limits.
    pub(crate) wanted: u32,
    /// How long a recommendation counts, in milliseconds.
    pub(crate) window_ms: u64,
}

/// The reason for a decision by the largest need of so many metrics.
pub(crate) fn of(sizes: &Sizes, largest: &Need<'_>, metrics: usize, silent: &[Silent<'_>]) -> String {
    let mut reason = format!("{}: {}", found(sizes.size, largest), verdict(sizes));
    if metrics > 1 {
        reason += &format!(" (the most of {metrics} metrics)");
    }
    if sizes.largest < sizes.needed {
        let why: Vec<String> = silent.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { "droplets are coming up".to_owned() } else { why.join(", ") };
        reason += &format!("; it does not shrink while {why}");
    }
    reason
}

/// What was measured.
fn found(size: u32, need: &Need<'_>) -> String {
    let measured = &need.measured;
    let name = &measured.metric.name;
    let value = short(measured.value);
    match measured.metric.target {
        Target::PerDroplet(target) => format!(
            "{name} is {value} over {}, {} each for a target of {}",
            droplets(size),
            short(measured.value / f64::from(size.max(1))),
            short(target)
        ),
        Target::Average(target) => {
            format!("{name} is {value} on average over {} for a target of {}", droplets(size), short(target))
        }
    }
}

/// What comes of it.
fn verdict(sizes: &Sizes) -> String {
    let Sizes { size, largest, needed, stable, wanted, window_ms } = *sizes;
    let window = time(window_ms);
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

//! The rule of Knative's autoscaler: the mean of a minute decides until the mean of some seconds needs twice the
//! current size; then the fleet only grows for a minute.
//!
//! With r ready droplets, `want = ceil(mean/T)`, limited to `[floor(r/2), ceil(1000·r)]`. When `ceil(short mean/T)/r`
//! is 2 or more, panic mode starts or is extended; it ends a minute after the last such tick, and until then the
//! largest want since its start applies. A fleet of several droplets starts in panic mode at its size. (`autoscaler.go`
//! of Knative's `pkg/autoscaler/scaling`.)

use doproxy_policy_sdk::FleetCapacity;
use doproxy_policy_sdk::numbers::{ceil_u32, mean};
use serde::{Deserialize, Serialize};

use crate::measure::Measurement;
use crate::preset::Panic;

/// Maximum number of stored samples: a minute at several per second.
const MAX_SAMPLES: usize = 512;

/// The state of one metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PanicState {
    /// Times, and the numbers of needed droplets.
    samples: Vec<(u64, f64)>,
    /// Time at which panic mode started or was extended, and the largest want since its start.
    panic: Option<(u64, u32)>,
}

/// Returns the size a metric needs at `now`.
pub fn recommend(
    panic: Panic,
    capacity: FleetCapacity,
    measured: &Measurement<'_>,
    now: u64,
    memory: &mut Option<PanicState>,
) -> u32 {
    let began = now.saturating_sub(measured.interval_ms);
    let memory = memory.get_or_insert_with(|| PanicState {
        samples: Vec::new(),
        panic: (capacity.size > 1).then_some((began, capacity.size)),
    });
    memory.samples.retain(|(at, _)| *at <= now && now - at < panic.stable_ms);
    memory.samples.push((now, measured.droplets));
    if memory.samples.len() > MAX_SAMPLES {
        memory.samples.remove(0);
    }

    let ready = capacity.ready.max(1);
    let within = |want: u32| want.clamp(ready / panic.down_rate.max(1), ready.saturating_mul(panic.up_rate.max(1)));
    let young = memory.samples.iter().filter(|(at, _)| now - at < panic.panic_ms);
    let short = mean(young.map(|(_, droplets)| *droplets)).map_or(capacity.size, ceil_u32);
    let long = mean(memory.samples.iter().map(|(_, droplets)| *droplets)).map_or(capacity.size, ceil_u32);

    if f64::from(short) / f64::from(ready) >= panic.threshold {
        memory.panic = Some((now, memory.panic.map_or(0, |(_, most)| most)));
    } else if memory.panic.is_some_and(|(since, _)| since.saturating_add(panic.stable_ms) < now || since > now) {
        memory.panic = None;
    }
    let Some((_, most)) = &mut memory.panic else { return within(long) };
    *most = within(long).max(within(short)).max(*most);
    *most
}

//! The algorithms of other autoscalers as functions of the fluid model. For tests only; simulations run components.

use std::collections::VecDeque;

use crate::model::fluid::Setup;
use crate::number::{ROUNDING_TOLERANCE, ceil_to_u32, len_to_f64};
use crate::tests::sizing::View;

/// Converts `seconds` to ticks.
fn ticks(setup: &Setup, seconds: f64) -> usize {
    usize::try_from(crate::number::round_to_u64((seconds / setup.tick_s).floor())).unwrap()
}

fn last<'a>(view: &View<'a>, ticks: usize) -> &'a [f64] {
    &view.demand_history[view.demand_history.len().saturating_sub(ticks)..]
}

fn now(view: &View<'_>) -> f64 {
    *view.demand_history.last().unwrap()
}

fn total(view: &View<'_>) -> u32 {
    view.step.ready + view.step.booting
}

/// Sizes for the current demand at the target utilization `rho`.
pub fn reactive(setup: Setup, rho: f64) -> impl FnMut(View<'_>) -> u32 {
    move |view| ceil_to_u32(now(&view) / (setup.capacity * rho))
}

/// Kubernetes HPA v2 with an external metric and an average value as its target.
pub fn hpa(setup: Setup, rho: f64) -> impl FnMut(View<'_>) -> u32 {
    let mut recommended: VecDeque<(f64, u32)> = VecDeque::new();
    move |view| {
        let at = f64::from(view.tick + 1) * setup.tick_s;
        let (total, per) = (total(&view), setup.capacity * rho);
        if view.tick == 0 {
            recommended.push_back((0.0, view.initial_size));
        }
        let is_near = (now(&view) / (per * f64::from(total)) - 1.0).abs() <= 0.1 + ROUNDING_TOLERANCE;
        let size = if is_near { total } else { ceil_to_u32(now(&view) / per).clamp(setup.min, setup.max) };
        recommended.retain(|(since, _)| at - since <= 300.0);
        let stable = recommended.iter().map(|(_, size)| *size).max().unwrap_or(size).max(size);
        recommended.push_back((at, size));
        stable.min((2 * total).max(total + 4))
    }
}

/// AWS target tracking: 3 minutes to scale out, 15 to scale in.
pub fn aws(setup: Setup, rho: f64) -> impl FnMut(View<'_>) -> u32 {
    let (mut high, mut low) = (0, 0);
    move |view| {
        let needed = ceil_to_u32(now(&view) / (setup.capacity * rho));
        let used = now(&view) / (f64::from(view.step.ready) * setup.capacity);
        high = if used > rho + ROUNDING_TOLERANCE { high + 1 } else { 0 };
        low = if used < 0.9 * rho - ROUNDING_TOLERANCE { low + 1 } else { 0 };
        match total(&view) {
            total if high >= 3 => total.max(needed),
            total if low >= 15 && view.step.booting == 0 => total.min(needed),
            total => total,
        }
    }
}

/// GCE: the peak of the last ten minutes.
pub fn gce(setup: Setup, rho: f64) -> impl FnMut(View<'_>) -> u32 {
    let window = 1 + ticks(&setup, 600.0);
    move |view| last(&view, window).iter().map(|rate| ceil_to_u32(rate / (setup.capacity * rho))).max().unwrap_or(0)
}

/// Sizes for the peak over a droplet's boot time.
pub fn ski_rental(setup: Setup, rho: f64) -> impl FnMut(View<'_>) -> u32 {
    let boot = setup.boot_ticks as usize;
    move |view| {
        let peak =
            last(&view, 1 + boot).iter().map(|rate| ceil_to_u32(rate / (setup.capacity * rho))).max().unwrap_or(0);
        if (view.tick as usize) < boot { peak.max(view.initial_size) } else { peak }
    }
}

/// Knative: a stable mean over 60 s and a panic mean over 6 s.
pub fn kpa(setup: Setup, rho: f64) -> impl FnMut(View<'_>) -> u32 {
    let (stable, short) = (ticks(&setup, 60.0).max(1), ticks(&setup, 6.0).max(1));
    let mut panicking: Option<(f64, u32)> = None;
    move |view| {
        let at = f64::from(view.tick + 1) * setup.tick_s;
        if view.tick == 0 && view.initial_size > 1 {
            panicking = Some((0.0, view.initial_size));
        }
        let ready = view.step.ready.max(1);
        let needs = |ticks: usize| {
            let rates = last(&view, ticks);
            ceil_to_u32(rates.iter().sum::<f64>() / len_to_f64(rates) / (setup.capacity * rho))
        };
        let limited = |size: u32| size.clamp(ready / 2, 1000 * ready);
        let is_over = f64::from(needs(short)) / f64::from(ready) >= 2.0;
        panicking = match panicking {
            Some((_, most)) if is_over => Some((at, most)),
            None if is_over => Some((at, 0)),
            Some((since, _)) if at - since > 60.0 => None,
            other => other,
        };
        match &mut panicking {
            Some((_, most)) => {
                *most = (*most).max(limited(needs(short))).max(limited(needs(stable)));
                *most
            }
            None => limited(needs(stable)),
        }
    }
}

//! The time between two evaluations of the forecasts. Ticks that are short relative to the boot time are merged into
//! steps, which keeps the state small: it has one entry per step of the boot time.

use doproxy_policy_sdk::numbers::to_f64;

/// Maximum number of steps in a boot time, and minimum if a step is several ticks.
const MAX_STEPS: u64 = 16;
const MIN_STEPS: u64 = 6;

/// Boot time before the first measured boot.
const DEFAULT_BOOT_TIME_MS: u64 = 120_000;

/// Length of a step, and the number of steps a droplet takes to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// Length of a step in milliseconds, a whole number of ticks.
    pub step_ms: u64,
    /// Length of a tick in milliseconds, at least 1.
    pub tick_ms: u64,
    /// Steps until a droplet that is ordered at the end of a step serves for a whole step: the boot time plus 1.
    pub lead_steps: usize,
}

impl Cadence {
    /// Creates the cadence for ticks and boots of the given lengths. The step length (`step_ms`) stays unchanged as
    /// long as it is suitable: boot times vary, and the learned state applies to steps of that length.
    pub fn new(tick_ms: u64, boot_time_ms: Option<u64>, step_ms: Option<u64>) -> Self {
        let tick_ms = tick_ms.max(1);
        // No droplet takes longer than a day to boot.
        let boot_ms = boot_time_ms.unwrap_or(DEFAULT_BOOT_TIME_MS).min(86_400_000);
        let fitting = tick_ms.saturating_mul(boot_ms.div_ceil(tick_ms.saturating_mul(MAX_STEPS)).max(1));
        let will_do = |step_ms: &u64| {
            let steps = boot_ms.div_ceil((*step_ms).max(1));
            steps <= MAX_STEPS && (*step_ms == tick_ms || *step_ms > tick_ms && steps >= MIN_STEPS)
        };
        let step_ms = step_ms.filter(will_do).unwrap_or(fitting);
        let boot = boot_ms.div_ceil(step_ms).min(MAX_STEPS);
        Self { step_ms, tick_ms, lead_steps: usize::try_from(boot).unwrap_or(0) + 1 }
    }

    /// Reports whether a step that began at `began` is over. Half a tick early counts as on time, because ticks are not
    /// exact.
    pub fn is_over(&self, began: u64, now: u64) -> bool {
        now.saturating_add(self.tick_ms / 2) >= began.saturating_add(self.step_ms)
    }

    /// Returns the step from `began` to `now`, with `steps` before it.
    pub fn elapsed(&self, began: u64, now: u64, steps: u64) -> ElapsedStep {
        let ms = now.saturating_sub(began);
        let is_gap = began > now || ms > self.step_ms.saturating_mul(3);
        let ms = if is_gap { self.step_ms } else { ms };
        ElapsedStep {
            seconds: to_f64(ms.max(1)) / 1000.0,
            step_ms: self.step_ms,
            steps_since_start: to_f64(steps.saturating_add(1)),
            is_gap,
        }
    }
}

/// A completed step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ElapsedStep {
    /// Its duration.
    pub seconds: f64,
    /// Planned length of a step, in milliseconds.
    pub step_ms: u64,
    /// Number of steps since the start, including this one.
    pub steps_since_start: f64,
    /// If set, steps are missing before this one, or the clock was set back.
    pub is_gap: bool,
}

impl ElapsedStep {
    /// Returns the midpoint of a step that ends at `end`.
    pub fn midpoint(&self, end: u64) -> u64 {
        end.saturating_sub(self.step_ms / 2)
    }

    /// Returns the end of the step `steps` after the one that ends at `end`.
    pub fn end_after(&self, end: u64, steps: usize) -> u64 {
        end.saturating_add(self.step_ms.saturating_mul(steps as u64))
    }
}

/// Returns the weight of a value that lasted `seconds` in an exponential average with a time constant.
pub fn ewma_weight(seconds: f64, constant: f64) -> f64 {
    1.0 - (-seconds / constant).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_is_a_tick_unless_ticks_are_short() {
        let paces = [(60_000, 120_000), (10_000, 120_000), (1000, 60_000), (300_000, 90_000), (60_000, 0)];

        let found = paces
            .map(|(tick, boot)| Cadence::new(tick, Some(boot), None))
            .map(|cadence| (cadence.step_ms, cadence.lead_steps));

        assert_eq!(found, [(60_000, 3), (10_000, 13), (4000, 16), (300_000, 2), (60_000, 1)]);
    }

    #[test]
    fn slightly_varying_boot_time_keeps_the_step() {
        let lengths = [None, Some(10_000), Some(20_000), Some(40_000)];

        assert_eq!(
            lengths.map(|step| Cadence::new(10_000, Some(161_000), step).step_ms),
            [20_000, 20_000, 20_000, 20_000]
        );
        assert_eq!(
            lengths.map(|step| Cadence::new(10_000, Some(159_000), step).step_ms),
            [10_000, 10_000, 20_000, 10_000]
        );
    }

    #[test]
    fn extreme_times_do_not_panic() {
        for tick in [0, 1, u64::MAX] {
            for boot in [None, Some(0), Some(u64::MAX)] {
                let cadence = Cadence::new(tick, boot, None);
                let elapsed = cadence.elapsed(u64::MAX, 0, u64::MAX);

                assert!(cadence.lead_steps <= 17 && elapsed.is_gap && elapsed.seconds > 0.0);
                assert_eq!(elapsed.end_after(u64::MAX, 17), u64::MAX);
            }
        }
    }

    #[test]
    fn slightly_early_tick_ends_the_step() {
        let cadence = Cadence::new(60_000, None, None);

        assert_eq!([29_000, 59_990, 61_000].map(|now| cadence.is_over(0, now)), [false, true, true]);
    }
}

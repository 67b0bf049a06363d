//! The times of ticks: each interval, and earlier if a policy requests it.

use std::time::Duration;

use doproxy_core::domain::Trigger;
use tokio::time::Instant;

/// The delay of the first tick, because rates need two samples; at most one interval.
const FIRST_TICK_DELAY: Duration = Duration::from_secs(5);
/// The minimum time between two scheduled ticks.
const MIN_DELAY: Duration = Duration::from_secs(1);

/// The schedule of ticks.
#[derive(Debug)]
pub(super) struct TickSchedule {
    interval: Duration,
    /// The next tick of the interval.
    next_interval: Instant,
    /// An earlier time that a policy requested.
    requested_at: Option<Instant>,
}

impl TickSchedule {
    /// Creates a schedule that starts now.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, next_interval: Instant::now() + FIRST_TICK_DELAY.min(interval), requested_at: None }
    }

    /// Returns the time of the next tick.
    pub(super) fn next_tick(&self) -> Instant {
        self.requested_at.map_or(self.next_interval, |at| at.min(self.next_interval))
    }

    /// Returns the time until the next tick.
    pub(super) fn remaining(&self) -> Duration {
        self.next_tick().saturating_duration_since(Instant::now())
    }

    /// Returns the trigger of the tick that is due, and schedules the next one. Missed ticks are skipped.
    pub(super) fn take_due(&mut self) -> Trigger {
        if Instant::now() < self.next_interval {
            return Trigger::NextCheck;
        }
        let late = self.next_interval.elapsed();
        let interval = self.interval.max(MIN_DELAY);
        let skipped = u32::try_from(late.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX);
        self.next_interval += interval.saturating_mul(skipped.saturating_add(1));
        Trigger::Interval
    }

    /// Replaces the requested delay after a tick that started at `started`; it counts only if it ends before the next
    /// tick of the interval.
    pub(super) fn request(&mut self, started: Instant, delay: Option<Duration>) {
        let requested = delay.map(|delay| started + delay.max(MIN_DELAY));
        self.requested_at = requested.filter(|at| *at < self.next_interval);
    }

    /// Changes the interval, which starts now if it differs.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        if interval != self.interval {
            self.interval = interval;
            self.next_interval = Instant::now() + interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn first_tick_comes_early() {
        assert_eq!(TickSchedule::new(INTERVAL).remaining(), seconds(5));
        assert_eq!(TickSchedule::new(seconds(2)).remaining(), seconds(2));
    }

    #[tokio::test(start_paused = true)]
    async fn missed_ticks_are_skipped() {
        let mut schedule = TickSchedule::new(INTERVAL);

        advance(seconds(5 + 40)).await;

        assert_eq!((schedule.take_due(), schedule.remaining()), (Trigger::Interval, seconds(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn requested_tick_precedes_the_interval() {
        let mut schedule = TickSchedule::new(INTERVAL);

        schedule.request(Instant::now(), Some(seconds(3)));
        assert_eq!(schedule.remaining(), seconds(3));
        advance(seconds(3)).await;

        assert_eq!(schedule.take_due(), Trigger::NextCheck);
        schedule.request(Instant::now(), None);
        assert_eq!(schedule.remaining(), seconds(2));
    }

    #[tokio::test(start_paused = true)]
    async fn requested_delay_has_a_minimum() {
        let mut schedule = TickSchedule::new(INTERVAL);

        schedule.request(Instant::now(), Some(Duration::ZERO));

        assert_eq!(schedule.remaining(), MIN_DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn request_beyond_the_interval_is_ignored() {
        let mut schedule = TickSchedule::new(INTERVAL);

        schedule.request(Instant::now(), Some(seconds(6)));

        assert_eq!(schedule.remaining(), seconds(5));
    }

    #[tokio::test(start_paused = true)]
    async fn new_interval_starts_now() {
        let mut schedule = TickSchedule::new(INTERVAL);

        schedule.set_interval(INTERVAL);
        assert_eq!(schedule.remaining(), seconds(5));
        schedule.set_interval(seconds(60));

        assert_eq!(schedule.remaining(), seconds(60));
    }
}

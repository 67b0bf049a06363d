//! Recent recommendations and their maximum.

use serde::{Deserialize, Serialize};

/// Maximum number of stored recommendations, far below the 64 KiB limit of a state.
const MAX_ENTRIES: usize = 500;

/// Time and size of a recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Recommendation(u64, u32);

/// The recommendations that still count.
///
/// Only their maximum matters, so a recommendation followed by an equal or larger one is dropped: the remaining ones
/// are older and larger toward the front, and only a handful even after a week.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::window::Window;
///
/// // A scale-in delay of 5 minutes: the fleet stays at the largest recommendation of that time.
/// let mut window = Window::default();
/// assert_eq!(window.peak(0, 300_000, 7), 7);
/// assert_eq!(window.peak(240_000, 300_000, 3), 7);
/// assert_eq!(window.peak(310_000, 300_000, 3), 3);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window(Vec<Recommendation>);

impl Window {
    /// Seeds an empty window with the current size at the beginning of the newest samples, so that a start or a lost
    /// state does not shrink the fleet, as in the HPA.
    pub fn seed(&mut self, now: u64, interval_ms: u64, size: u32) {
        if self.0.is_empty() {
            self.record(now.saturating_sub(interval_ms), size);
        }
    }

    /// Removes recommendations older than `length_ms`, and future ones, which exist if the clock was set back.
    pub fn expire(&mut self, now: u64, length_ms: u64) {
        self.0.retain(|Recommendation(at, _)| *at <= now && now - at <= length_ms);
    }

    /// Returns the largest recommendation.
    pub fn largest(&self) -> Option<u32> {
        self.0.iter().map(|Recommendation(_, size)| *size).max()
    }

    /// Records a recommendation of `size`.
    pub fn record(&mut self, at: u64, size: u32) {
        while self.0.last().is_some_and(|Recommendation(_, last)| *last <= size) {
            self.0.pop();
        }
        self.0.push(Recommendation(at, size));
        self.0.truncate(MAX_ENTRIES);
    }

    /// Records `size` and returns the maximum of it and the recommendations of the last `length_ms`.
    pub fn peak(&mut self, now: u64, length_ms: u64, size: u32) -> u32 {
        self.expire(now, length_ms);
        let peak = self.largest().unwrap_or(size).max(size);
        self.record(now, size);
        peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_equals_the_maximum_of_a_full_list() {
        let sizes = [3, 5, 4, 4, 2, 6, 1, 1, 1, 2, 9, 3, 2, 1, 0, 0, 0, 7, 7, 1];
        let mut window = Window::default();
        for (now, size) in (0_u64..).zip(sizes) {
            let peak = window.peak(now, 4, size);

            let first = usize::try_from(now.saturating_sub(4)).unwrap();
            let last = usize::try_from(now).unwrap();
            assert_eq!(Some(peak), sizes[first..=last].iter().max().copied(), "at {now}");
        }
    }

    #[test]
    fn initial_fleet_does_not_shrink_at_once() {
        let mut window = Window::default();
        window.seed(100_000, 60_000, 7);

        assert_eq!(window.peak(340_000, 300_000, 2), 7);
        window.seed(340_001, 60_000, 99);
        assert_eq!(window.peak(340_001, 300_000, 2), 2);
    }

    #[test]
    fn clock_set_back_removes_future_entries() {
        let mut window = Window::default();
        window.record(5000, 9);

        assert_eq!(window.peak(4000, 60_000, 2), 2);
    }

    #[test]
    fn window_stays_small() {
        let mut window = Window::default();
        for now in 0..100_000_u32 {
            window.record(u64::from(now), 200_000 - now);
        }

        let bytes = crate::state::write(1, &window).len();
        assert!((1..crate::state::MAX_BYTES).contains(&bytes), "{bytes}");
    }
}

//! Sizes that were recommended lately, and the largest of them.

use serde::{Deserialize, Serialize};

/// Most recommendations that are kept: far below the 64 KiB that a state may take.
const MAX_ENTRIES: usize = 500;

/// A size that was recommended, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Recommendation(u64, u32);

/// The recommendations that still count.
///
/// Only their largest matters, so one that is followed by another as large is dropped: what is left grows older and
/// larger towards the front, and is a handful even after a week.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window(Vec<Recommendation>);

impl Window {
    /// Where nothing is remembered, the size that was found counts as recommended at the time that the newest samples
    /// begin with, so that a start or a lost state does not shrink a fleet; as the HPA does.
    pub fn seed(&mut self, now: u64, interval_ms: u64, size: u32) {
        if self.0.is_empty() {
            self.record(now.saturating_sub(interval_ms), size);
        }
    }

    /// Forgets what is older than `length_ms`, or of the future, since a clock was set back.
    pub fn expire(&mut self, now: u64, length_ms: u64) {
        self.0.retain(|Recommendation(at, _)| *at <= now && now - at <= length_ms);
    }

    /// The largest size remembered.
    pub fn largest(&self) -> Option<u32> {
        self.0.iter().map(|Recommendation(_, size)| *size).max()
    }

    /// Remembers that `size` was recommended.
    pub fn record(&mut self, at: u64, size: u32) {
        while self.0.last().is_some_and(|Recommendation(_, last)| *last <= size) {
            self.0.pop();
        }
        self.0.push(Recommendation(at, size));
        self.0.truncate(MAX_ENTRIES);
    }

    /// The largest of `size` and what was recommended within the last `length_ms`; `size` is remembered.
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
    fn the_largest_of_the_window_is_what_a_full_list_would_give() {
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
    fn a_fleet_that_is_found_does_not_shrink_at_once() {
        let mut window = Window::default();
        window.seed(100_000, 60_000, 7);

        assert_eq!(window.peak(340_000, 300_000, 2), 7);
        window.seed(340_001, 60_000, 99);
        assert_eq!(window.peak(340_001, 300_000, 2), 2);
    }

    #[test]
    fn a_clock_that_was_set_back_forgets_what_was_ahead_of_it() {
        let mut window = Window::default();
        window.record(5000, 9);

        assert_eq!(window.peak(4000, 60_000, 2), 2);
    }

    #[test]
    fn the_memory_stays_small() {
        let mut window = Window::default();
        for now in 0..100_000_u32 {
            window.record(u64::from(now), 200_000 - now);
        }

        let bytes = crate::state::write(1, &window).len();
        assert!((1..crate::state::MAX_BYTES).contains(&bytes), "{bytes}");
    }
}

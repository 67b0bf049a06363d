//! What was recommended lately: the policy's only memory, kept in the state that the host hands back.

use serde::{Deserialize, Serialize};

/// The form of the state; another one is forgotten.
const VERSION: u32 = 1;

/// Most recommendations that are kept: far below the 64 KiB that a state may take.
const MOST: usize = 1000;

/// A size that was recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Recommendation(u64, u32);

/// The recommendations that still count.
///
/// Only their largest matters, so one that is followed by another as large is dropped: what is left grows older and
/// larger towards the front, and is a handful even after a week.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    version: u32,
    recommendations: Vec<Recommendation>,
}

impl History {
    /// Reads a state. One that is empty or of another version is no history.
    pub fn read(state: &[u8]) -> Self {
        serde_json::from_slice(state).ok().filter(|history: &Self| history.version == VERSION).unwrap_or_default()
    }

    /// The state to hand back.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.recommendations.is_empty()
    }

    /// Forgets what is older than `window_ms`, or of the future, since a clock was set back.
    pub fn forget(&mut self, now: u64, window_ms: u64) {
        self.recommendations.retain(|Recommendation(at, _)| *at <= now && now - at <= window_ms);
    }

    /// The largest size remembered.
    pub fn largest(&self) -> Option<u32> {
        self.recommendations.iter().map(|Recommendation(_, size)| *size).max()
    }

    /// Remembers that `size` was recommended.
    pub fn remember(&mut self, now: u64, size: u32) {
        self.version = VERSION;
        while self.recommendations.last().is_some_and(|Recommendation(_, last)| *last <= size) {
            self.recommendations.pop();
        }
        self.recommendations.push(Recommendation(now, size));
        self.recommendations.truncate(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_the_window_is_what_a_full_list_would_give() {
        let sizes = [3, 5, 4, 4, 2, 6, 1, 1, 1, 2, 9, 3, 2, 1, 0, 0, 0, 7, 7, 1];
        let mut history = History::default();
        for (now, size) in (0_u64..).zip(sizes) {
            history.forget(now, 4);
            history.remember(now, size);
            history = History::read(&history.write());

            let first = usize::try_from(now.saturating_sub(4)).unwrap();
            let last = usize::try_from(now).unwrap();
            assert_eq!(history.largest(), sizes[first..=last].iter().max().copied(), "at {now}");
        }
    }

    #[test]
    fn a_state_of_another_release_is_forgotten() {
        for state in [&b""[..], b"garbage", br#"{"version":2,"recommendations":[[1,9]]}"#] {
            assert!(History::read(state).is_empty(), "{state:?}");
        }
    }

    #[test]
    fn the_state_stays_small() {
        let mut history = History::default();
        for now in 0..100_000_u32 {
            history.remember(u64::from(now), 200_000 - now);
        }

        assert!(history.write().len() < 64 * 1024, "{}", history.write().len());
    }
}

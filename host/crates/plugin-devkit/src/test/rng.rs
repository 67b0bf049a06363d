//! Random numbers that are identical for the same seed on every machine and in every release.

use doproxy_support::SplitMix64;

/// The random numbers of one case.
#[derive(Debug, Clone)]
pub(super) struct CaseRng(SplitMix64);

impl CaseRng {
    /// Returns the generator for one case of a search. It is independent of the random numbers used by previous cases.
    pub(super) fn for_case(seed: u64, case: u32) -> Self {
        Self(SplitMix64::from_seed(SplitMix64::from_seed(seed ^ (u64::from(case) << 32)).next_u64()))
    }

    pub(super) fn next_byte(&mut self) -> u8 {
        self.0.next_u64().to_le_bytes()[0]
    }

    /// Returns a number from `least` to `most`.
    pub(super) fn between(&mut self, least: u32, most: u32) -> u32 {
        let width = u64::from(most.saturating_sub(least)) + 1;
        least.saturating_add(u32::try_from(self.0.next_u64() % width).unwrap_or(0))
    }

    /// Returns true with a probability of `percent` percent.
    pub(super) fn with_percent(&mut self, percent: u32) -> bool {
        self.between(0, 99) < percent
    }

    /// Returns a number from 0 up to, but excluding, 1.
    pub(super) fn next_f64(&mut self) -> f64 {
        self.0.next_f64()
    }

    /// Returns one of several values.
    pub(super) fn choose<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        match self.between(0, u32::try_from(others.len()).unwrap_or(0)) {
            0 => first,
            place => usize::try_from(place - 1).ok().and_then(|place| others.get(place)).copied().unwrap_or(first),
        }
    }
}

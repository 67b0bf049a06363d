//! Random numbers that are identical for the same seed on every machine and in every release.

/// `SplitMix64`, by Sebastiano Vigna (<https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug, Clone)]
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    /// Returns the generator for one case of a search. It is independent of the random numbers used by previous cases.
    pub(super) fn for_case(seed: u64, case: u32) -> Self {
        Self(Self(seed ^ (u64::from(case) << 32)).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `least` to `most`.
    pub(super) fn between(&mut self, least: u32, most: u32) -> u32 {
        let width = u64::from(most.saturating_sub(least)) + 1;
        least.saturating_add(u32::try_from(self.next() % width).unwrap_or(0))
    }

    /// Returns true with a probability of `percent` percent.
    pub(super) fn with_percent(&mut self, percent: u32) -> bool {
        self.between(0, 99) < percent
    }

    /// Returns a number from 0 up to, but excluding, 1.
    pub(super) fn next_f64(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a float has 53 bits of precision")]
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }

    /// Returns one of several values.
    pub(super) fn choose<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        match self.between(0, u32::try_from(others.len()).unwrap_or(0)) {
            0 => first,
            place => usize::try_from(place - 1).ok().and_then(|place| others.get(place)).copied().unwrap_or(first),
        }
    }
}

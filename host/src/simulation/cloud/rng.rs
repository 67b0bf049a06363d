//! Luck that repeats: `SplitMix64` (Steele, Lea, Flood 2014), chosen because its whole state is one number that the
//! state file can keep.

use serde::{Deserialize, Serialize};

/// A seeded source of luck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The same seed gives the same luck.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next number from 0 up to, and without, 1.
    pub fn next_f64(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
        let bits = (self.next_u64() >> 11) as f64;
        bits * (f64::EPSILON / 2.0)
    }
}

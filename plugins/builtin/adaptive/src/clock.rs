//! Seasonal profiles: the level and the roughness of the demand at the same time of every period.

use std::time::Duration;

use doproxy_policy_sdk::numbers::{saturating_u32, to_f64};

use crate::bytes::{Reader, Writer};

/// Maximum number of slots of a period: a week of five-minute slots.
pub const MAX_SLOTS: u64 = 2016;

/// A period divided into slots of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Length in milliseconds, above 0.
    pub length_ms: u64,
    /// Number of slots, at least 1.
    pub slots: usize,
}

impl Period {
    /// An hour of one-minute slots.
    pub const HOUR: Self = Self { length_ms: 3_600_000, slots: 60 };

    /// Creates a season of five-minute slots, or of as many as fit into the state.
    pub fn season(length: Duration) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
        let slots = (length_ms / 300_000).clamp(1, MAX_SLOTS);
        Self { length_ms, slots: usize::try_from(slots).unwrap_or(1) }
    }

    /// Returns the slot of a time in milliseconds since the Unix epoch.
    pub fn slot(self, at: u64) -> usize {
        let into = u128::from(at % self.length_ms) * self.slots as u128 / u128::from(self.length_ms);
        usize::try_from(into).unwrap_or(0).min(self.slots - 1)
    }
}

/// The learned properties of a period's slots.
#[derive(Debug, Clone, PartialEq)]
pub struct SeasonalProfile {
    /// The period.
    pub period: Period,
    slots: Vec<Slot>,
}

/// The learned properties of one slot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    /// Level of the demand, relative to other times.
    height: f64,
    /// Squared forecast error, relative to other times.
    variance: f64,
    /// Number of observations, up to 255.
    observations: usize,
}

impl SeasonalProfile {
    /// Creates a profile without observations.
    pub fn new(period: Period) -> Self {
        Self { period, slots: vec![Slot { height: 1.0, variance: 1.0, observations: 0 }; period.slots] }
    }

    /// Returns the level of a slot.
    pub fn height(&self, slot: usize) -> f64 {
        self.slots[slot].height.max(0.02)
    }

    /// Returns the variance of a slot.
    pub fn variance(&self, slot: usize) -> f64 {
        self.slots[slot].variance.clamp(0.01, 50.0)
    }

    /// Returns the number of observations of a slot.
    pub fn observations(&self, slot: usize) -> usize {
        self.slots[slot].observations
    }

    /// Learns the level of the demand. The first value is adopted unchanged, and every value has at least the weight
    /// `share`.
    pub fn learn_height(&mut self, slot: usize, height: f64, share: f64) {
        let slot = &mut self.slots[slot];
        let share = share.max(1.0 / (to_f64(saturating_u32(slot.observations).into()) + 1.0));
        slot.height += share * (height.clamp(0.02, 50.0) - slot.height);
    }

    /// Learns a squared error, relative to the usual one.
    pub fn learn_variance(&mut self, slot: usize, square: f64, share: f64) {
        let slot = &mut self.slots[slot];
        let share = share.max(1.0 / (to_f64(saturating_u32(slot.observations).into()) + 2.0));
        slot.variance += share * (square.min(100.0) - slot.variance);
    }

    /// Counts an observation of a slot.
    pub fn record_observation(&mut self, slot: usize) {
        self.slots[slot].observations = (self.slots[slot].observations + 1).min(255);
    }

    /// Writes the profile into the state.
    pub fn write(&self, to: &mut Writer) {
        for slot in &self.slots {
            to.write_bf16(slot.height);
            to.write_bf16(slot.variance);
            to.write_u8(slot.observations);
        }
    }

    /// Reads the profile from the state.
    pub fn read(from: &mut Reader<'_>, period: Period) -> Option<Self> {
        let slot =
            |_| Some(Slot { height: from.read_bf16()?, variance: from.read_bf16()?, observations: from.read_u8()? });
        Some(Self { period, slots: (0..period.slots).map(slot).collect::<Option<Vec<Slot>>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_maps_to_a_slot_of_its_period() {
        let day = Period::season(Duration::from_hours(24));

        assert_eq!((day.slots, Period::season(Duration::from_hours(24 * 7)).slots), (288, 2016));
        assert_eq!([0, 299_999, 300_000, 86_399_999, 86_400_000].map(|at| day.slot(at)), [0, 0, 1, 287, 0]);
        assert_eq!(Period::HOUR.slot(u64::MAX), 25);
        assert_eq!(Period::season(Duration::from_secs(1)).slot(12_345), 0);
    }

    #[test]
    fn first_value_is_adopted_and_later_ones_averaged() {
        let mut clock = SeasonalProfile::new(Period::HOUR);
        for height in [4.0, 2.0] {
            clock.learn_height(7, height, 0.1);
            clock.record_observation(7);
        }

        assert_eq!((clock.height(7), clock.height(8), clock.observations(7)), (3.0, 1.0, 2));
    }
}

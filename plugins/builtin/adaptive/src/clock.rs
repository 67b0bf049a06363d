//! What is alike at the same time of every period: how high the demand is then, and how rough.

use std::time::Duration;

use doproxy_policy_sdk::numbers::{saturating_u32, to_f64};

use crate::bytes::{Reader, Writer};

/// Most slots of a period: a week of five minutes.
pub const MAX_SLOTS: u64 = 2016;

/// A period that is cut into slots of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Milliseconds, above 0.
    pub length_ms: u64,
    /// At least 1.
    pub slots: usize,
}

impl Period {
    /// An hour of minutes.
    pub const HOUR: Self = Self { length_ms: 3_600_000, slots: 60 };

    /// A season in slots of five minutes, or as many as fit into the state.
    pub fn season(length: Duration) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
        let slots = (length_ms / 300_000).clamp(1, MAX_SLOTS);
        Self { length_ms, slots: usize::try_from(slots).unwrap_or(1) }
    }

    /// The slot of a time in milliseconds since the Unix epoch.
    pub fn slot(self, at: u64) -> usize {
        let into = u128::from(at % self.length_ms) * self.slots as u128 / u128::from(self.length_ms);
        usize::try_from(into).unwrap_or(0).min(self.slots - 1)
    }
}

/// What was learnt of the slots of a period.
#[derive(Debug, Clone, PartialEq)]
pub struct SeasonalProfile {
    /// The period.
    pub period: Period,
    slots: Vec<Slot>,
}

/// What was learnt of one slot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    /// How high the demand is, over what it is at other times.
    height: f64,
    /// How large the squared errors of forecasts are, over what they are at other times.
    variance: f64,
    /// How often it was seen, up to 255.
    observations: usize,
}

impl SeasonalProfile {
    /// One that knows nothing.
    pub fn new(period: Period) -> Self {
        Self { period, slots: vec![Slot { height: 1.0, variance: 1.0, observations: 0 }; period.slots] }
    }

    /// The height of a slot.
    pub fn height(&self, slot: usize) -> f64 {
        self.slots[slot].height.max(0.02)
    }

    /// The variance of a slot.
    pub fn variance(&self, slot: usize) -> f64 {
        self.slots[slot].variance.clamp(0.01, 50.0)
    }

    /// How often a slot was seen.
    pub fn observations(&self, slot: usize) -> usize {
        self.slots[slot].observations
    }

    /// Takes in how high the demand is; the first time is taken as it is, and none counts less than `share`.
    pub fn learn_height(&mut self, slot: usize, height: f64, share: f64) {
        let slot = &mut self.slots[slot];
        let share = share.max(1.0 / (to_f64(saturating_u32(slot.observations).into()) + 1.0));
        slot.height += share * (height.clamp(0.02, 50.0) - slot.height);
    }

    /// Takes in a squared error, over what is usual.
    pub fn learn_variance(&mut self, slot: usize, square: f64, share: f64) {
        let slot = &mut self.slots[slot];
        let share = share.max(1.0 / (to_f64(saturating_u32(slot.observations).into()) + 2.0));
        slot.variance += share * (square.min(100.0) - slot.variance);
    }

    /// Notes that a slot was seen.
    pub fn record_observation(&mut self, slot: usize) {
        self.slots[slot].observations = (self.slots[slot].observations + 1).min(255);
    }

    /// Puts it into a state.
    pub fn write(&self, to: &mut Writer) {
        for slot in &self.slots {
            to.write_bf16(slot.height);
            to.write_bf16(slot.variance);
            to.write_u8(slot.observations);
        }
    }

    /// Takes it out of a state.
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
    fn a_time_has_its_slot_in_every_period() {
        let day = Period::season(Duration::from_hours(24));

        assert_eq!((day.slots, Period::season(Duration::from_hours(24 * 7)).slots), (288, 2016));
        assert_eq!([0, 299_999, 300_000, 86_399_999, 86_400_000].map(|at| day.slot(at)), [0, 0, 1, 287, 0]);
        assert_eq!(Period::HOUR.slot(u64::MAX), 25);
        assert_eq!(Period::season(Duration::from_secs(1)).slot(12_345), 0);
    }

    #[test]
    fn the_first_time_is_believed_and_later_ones_are_averaged() {
        let mut clock = SeasonalProfile::new(Period::HOUR);
        for height in [4.0, 2.0] {
            clock.learn_height(7, height, 0.1);
            clock.record_observation(7);
        }

        assert_eq!((clock.height(7), clock.height(8), clock.observations(7)), (3.0, 1.0, 2));
    }
}

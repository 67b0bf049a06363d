//! The policy state: JSON for the short part, then four bytes for each number of the slots, so that a season fits into
//! 64 KiB.

use doproxy_policy_sdk::state;
use doproxy_policy_sdk::window::Window;
use serde::{Deserialize, Serialize};

use crate::config::Calendar;
use crate::model::{Model, ModelHead};

/// Version of the state format; a state in another format is discarded.
const VERSION: u32 = 1;

/// Terminator of the JSON, which does not contain it.
const HEAD_TERMINATOR: u8 = b'\n';

/// The policy state.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyState {
    /// Recent recommendations.
    pub window: Window,
    /// The incomplete bucket: its number, its count of values, and their sum.
    pub bucket: (u64, u32, f64),
    /// The model.
    pub model: Model,
}

#[derive(Deserialize)]
struct StoredHead {
    window: Window,
    bucket: (u64, u32, f64),
    head: ModelHead,
}

#[derive(Serialize)]
struct StoredHeadRef<'a> {
    window: &'a Window,
    bucket: (u64, u32, f64),
    head: &'a ModelHead,
}

impl PolicyState {
    /// Reads the state; returns a new one that starts at `bucket` if there is none or if it belongs to another
    /// calendar.
    pub fn read(state: &[u8], calendar: Calendar, bucket: u64) -> Self {
        parse(state, calendar).unwrap_or_else(|| Self {
            window: Window::default(),
            bucket: (bucket, 0, 0.0),
            model: Model::new(calendar, bucket),
        })
    }

    /// Encodes the state.
    pub fn write(&self) -> Vec<u8> {
        let head = StoredHeadRef { window: &self.window, bucket: self.bucket, head: &self.model.head };
        let mut state = state::write(VERSION, &head);
        state.push(HEAD_TERMINATOR);
        let slots = self.model.season.iter().chain(&self.model.last_seen);
        state.extend(slots.flat_map(|number| number.to_le_bytes()));
        state
    }
}

fn parse(state: &[u8], calendar: Calendar) -> Option<PolicyState> {
    let end = state.iter().position(|byte| *byte == HEAD_TERMINATOR)?;
    let (head, slots) = state.split_at(end);
    let StoredHead { window, bucket, head } = state::read(VERSION, head)?;
    let (numbers, rest) = slots.get(1..)?.as_chunks::<4>();
    let season: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let (season, last) = season.split_at_checked(calendar.slots)?;
    let model = Model { head, season: season.to_vec(), last_seen: last.to_vec() };
    (rest.is_empty() && model.matches_calendar(calendar)).then_some(PolicyState { window, bucket, model })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MAX_SLOTS, Smoothing};

    fn filled(calendar: Calendar) -> PolicyState {
        let mut memory = PolicyState::read(b"", calendar, 7);
        let smoothing = Smoothing { alpha: 0.2, beta: 0.02, gamma: 0.2, phi: 0.98 };
        for bucket in 0..calendar.slots as u64 * 3 {
            memory.model.learn(calendar, smoothing, bucket, f64::from(u32::MAX) / 7.0, 60);
        }
        for size in 0..5000 {
            memory.window.record(u64::MAX - 9000 + u64::from(size), u32::MAX - size);
        }
        memory
    }

    #[test]
    fn written_state_is_read_back() {
        let calendar = Calendar { bucket_ms: 300_000, slots: 12 };
        let memory = filled(calendar);

        assert_eq!(PolicyState::read(&memory.write(), calendar, 0), memory);
    }

    #[test]
    fn longest_season_fits_the_host_limit() {
        let calendar = Calendar { bucket_ms: 300_000, slots: usize::try_from(MAX_SLOTS).unwrap() };

        let bytes = filled(calendar).write().len();

        assert!((32_000..state::MAX_BYTES).contains(&bytes), "{bytes}");
    }

    #[test]
    fn invalid_or_foreign_state_is_discarded() {
        let calendar = Calendar { bucket_ms: 300_000, slots: 12 };
        let state = filled(calendar).write();
        let longer = [&state[..], &[0]].concat();

        for (state, calendar) in [
            (&state[..], Calendar { bucket_ms: 60_000, slots: 12 }),
            (&state[..], Calendar { bucket_ms: 300_000, slots: 13 }),
            (&state[..state.len() - 4], calendar),
            (&longer[..], calendar),
            (&b"\n"[..], calendar),
            (&b"1 {}\n"[..], calendar),
        ] {
            assert_eq!(PolicyState::read(state, calendar, 7).write(), PolicyState::read(b"", calendar, 7).write());
        }
    }
}

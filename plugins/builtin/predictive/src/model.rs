//! The model: learning from buckets, forecasts, and their evaluation.

use doproxy_policy_sdk::numbers::{mean, to_f64};
use serde::{Deserialize, Serialize};

use crate::config::{Calendar, Smoothing};

/// Maximum number of forecasts awaiting evaluation.
const MAX_PENDING: usize = 64;

/// Mean absolute errors that decay over a season.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ForecastErrors {
    /// Of this model.
    pub model: f64,
    /// Of the seasonal-naive forecast.
    pub naive: f64,
    /// Number of evaluated forecasts.
    pub evaluated: u64,
}

/// The forecasts of both methods for one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pending {
    bucket: u64,
    model: f64,
    naive: f64,
}

/// The state of the model except the slots.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelHead {
    /// Length of a bucket in milliseconds; detects a changed configuration.
    bucket_ms: u64,
    /// The next bucket.
    next_bucket: u64,
    /// Buckets since the beginning, including those without data.
    bucket_count: u64,
    /// Set after the first season.
    is_trained: bool,
    level: f64,
    trend: f64,
    errors: ForecastErrors,
    pending: Vec<Pending>,
}

/// The model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The state except the slots.
    pub head: ModelHead,
    /// Seasonal component of each slot.
    pub season: Vec<f32>,
    /// Latest demand in each slot; NaN if there was none.
    pub last_seen: Vec<f32>,
}

impl Model {
    /// Creates an untrained model that begins with a bucket.
    pub fn new(calendar: Calendar, bucket: u64) -> Self {
        Self {
            head: ModelHead { bucket_ms: calendar.bucket_ms, next_bucket: bucket, ..ModelHead::default() },
            season: vec![0.0; calendar.slots],
            last_seen: vec![f32::NAN; calendar.slots],
        }
    }

    /// Reports whether the model belongs to this calendar.
    pub fn matches_calendar(&self, calendar: Calendar) -> bool {
        self.head.bucket_ms == calendar.bucket_ms
            && self.season.len() == calendar.slots
            && self.last_seen.len() == calendar.slots
    }

    /// Returns the errors, once a season of forecasts was evaluated.
    pub fn errors(&self) -> Option<ForecastErrors> {
        let errors = self.head.errors;
        (errors.evaluated >= self.slots() && errors.model.is_finite() && errors.naive.is_finite()).then_some(errors)
    }

    /// Reports whether the forecasts are more accurate than the naive ones.
    pub fn beats_naive(&self) -> bool {
        self.errors().is_some_and(|errors| errors.model < errors.naive)
    }

    /// Learns that `bucket` had a mean demand of `value`. Skipped buckets had no known demand; after a season of them,
    /// or if the clock was set back, the model is reset.
    pub fn learn(&mut self, calendar: Calendar, smoothing: Smoothing, bucket: u64, value: f64, lead: u64) {
        if bucket < self.head.next_bucket || bucket - self.head.next_bucket >= self.slots() {
            *self = Self::new(calendar, bucket);
        }
        self.head.bucket_count =
            self.head.bucket_count.saturating_add(bucket - self.head.next_bucket).saturating_add(1);
        self.head.next_bucket = bucket.saturating_add(1);
        self.score_forecasts(bucket, value);
        let slot = self.slot(bucket);
        if self.head.is_trained {
            self.smooth(smoothing, slot, value);
        }
        self.last_seen[slot] = to_f32(value);
        if !self.head.is_trained && self.head.bucket_count >= self.slots() {
            self.initialize_season();
        }
        self.queue_forecast(smoothing, bucket, lead);
    }

    /// Returns the forecast `steps` buckets after the last learned one; `None` in the first season.
    pub fn forecast(&self, smoothing: Smoothing, steps: u64) -> Option<f64> {
        if !self.head.is_trained || steps == 0 {
            return None;
        }
        // φ + φ² + … + φʰ for a small number of steps.
        let (damped, _) = (0..steps.min(self.slots()))
            .fold((0.0, 1.0), |(sum, power), _| (sum + power * smoothing.phi, power * smoothing.phi));
        let slot = self.slot(self.head.next_bucket.saturating_add(steps - 1));
        let forecast = self.head.level + damped * self.head.trend + f64::from(self.season[slot]);
        Some(forecast.max(0.0)).filter(|forecast| forecast.is_finite())
    }

    fn slots(&self) -> u64 {
        self.season.len().max(1) as u64
    }

    fn slot(&self, bucket: u64) -> usize {
        usize::try_from(bucket % self.slots()).unwrap_or(0)
    }

    fn score_forecasts(&mut self, bucket: u64, value: f64) {
        let fading = 1.0 / to_f64(self.slots());
        let errors = &mut self.head.errors;
        for pending in self.head.pending.iter().filter(|pending| pending.bucket == bucket) {
            // Start with a plain average, so that the very first error does not dominate a season.
            let weight = fading.max(1.0 / to_f64(errors.evaluated.saturating_add(1)));
            errors.model += weight * ((pending.model - value).abs() - errors.model);
            errors.naive += weight * ((pending.naive - value).abs() - errors.naive);
            errors.evaluated = errors.evaluated.saturating_add(1);
        }
        self.head.pending.retain(|pending| pending.bucket > bucket);
    }

    fn smooth(&mut self, smoothing: Smoothing, slot: usize, value: f64) {
        let Smoothing { alpha, beta, gamma, phi } = smoothing;
        let ModelHead { level: before, trend, .. } = self.head;
        let season = f64::from(self.season[slot]);
        let level = alpha * (value - season) + (1.0 - alpha) * (before + phi * trend);
        self.head.trend = beta * (level - before) + (1.0 - beta) * phi * trend;
        self.head.level = level;
        self.season[slot] = to_f32(gamma * (value - level) + (1.0 - gamma) * season);
    }

    /// Initializes the level with the mean of the season, and the season with the differences to it.
    fn initialize_season(&mut self) {
        let known = self.last_seen.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value));
        let Some(level) = mean(known) else { return };
        self.head.level = level;
        for (season, last) in self.season.iter_mut().zip(&self.last_seen) {
            *season = if last.is_finite() { to_f32(f64::from(*last) - level) } else { 0.0 };
        }
        self.head.is_trained = true;
    }

    fn queue_forecast(&mut self, smoothing: Smoothing, bucket: u64, lead: u64) {
        let target = bucket.saturating_add(lead);
        let naive = f64::from(self.last_seen[self.slot(target)]);
        if let Some(model) = self.forecast(smoothing, lead)
            && naive.is_finite()
            && self.head.pending.len() < MAX_PENDING
        {
            self.head.pending.push(Pending { bucket: target, model, naive });
        }
    }
}

/// Converts to single precision, which is sufficient for a slot.
fn to_f32(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest representable value")]
    let narrowed = value as f32;
    narrowed.clamp(f32::MIN, f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALENDAR: Calendar = Calendar { bucket_ms: 300_000, slots: 24 };
    const SMOOTHING: Smoothing = Smoothing { alpha: 0.2, beta: 0.02, gamma: 0.2, phi: 0.98 };

    /// Returns a day of 24 buckets with a peak at noon and a daily variation.
    fn demand(bucket: u64, differs: impl Fn(u64) -> f64) -> f64 {
        let hour = to_f64(bucket % 24);
        (100.0 - 80.0 * (hour * std::f64::consts::TAU / 24.0).cos() + differs(bucket)).max(0.0)
    }

    fn noise(bucket: u64) -> f64 {
        // xorshift: deterministic on all platforms.
        let mut state = bucket.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 31;
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 27;
        to_f64(state % 2001) / 100.0 - 10.0
    }

    fn train(buckets: u64, differs: impl Fn(u64) -> f64) -> Model {
        let mut model = Model::new(CALENDAR, 0);
        for bucket in 0..buckets {
            model.learn(CALENDAR, SMOOTHING, bucket, demand(bucket, &differs), 2);
        }
        model
    }

    #[test]
    fn one_smoothing_step_matches_the_formula() {
        let mut model = Model::new(Calendar { bucket_ms: 1, slots: 2 }, 0);
        let calendar = Calendar { bucket_ms: 1, slots: 2 };
        let smoothing = Smoothing { alpha: 0.5, beta: 0.5, gamma: 0.5, phi: 0.5 };
        for (bucket, value) in [(0, 10.0), (1, 20.0), (2, 14.0)] {
            model.learn(calendar, smoothing, bucket, value, 1);
        }

        // First season: level 15, seasons -5 and 5. Then l = 0.5·(14+5) + 0.5·15, b = 0.5·(17−15), s = 0.5·(14−17) − 2.5.
        assert_eq!((model.head.level, model.head.trend, model.season[0]), (17.0, 1.0, -4.0));
        assert_eq!(model.forecast(smoothing, 1), Some(17.0 + 0.5 + 5.0));
        assert_eq!(model.forecast(smoothing, 2), Some(17.0 + 0.75 - 4.0));
        // Both methods had forecast 10 for this bucket.
        assert_eq!(model.head.errors, ForecastErrors { model: 4.0, naive: 4.0, evaluated: 1 });
    }

    #[test]
    fn one_season_trains_and_one_evaluates() {
        assert_eq!(train(23, noise).forecast(SMOOTHING, 1), None);
        assert!(train(24, noise).forecast(SMOOTHING, 1).is_some());
        assert_eq!(train(24 + 24, noise).errors(), None);
        assert!(train(24 + 26, noise).errors().is_some());
    }

    #[test]
    fn model_beats_naive_on_noisy_repetition() {
        let model = train(24 * 7, noise);

        assert!(model.beats_naive(), "{:?}", model.errors());
        let noon = model.forecast(SMOOTHING, 13).unwrap();
        assert!((noon - 180.0).abs() < 15.0, "{noon}");
    }

    #[test]
    fn model_does_not_beat_naive_on_exact_repetition() {
        assert!(!train(24 * 7, |_| 0.0).beats_naive());
    }

    #[test]
    fn daily_growth_is_followed() {
        let model = train(24 * 9, |bucket| 2.0 * to_f64(bucket));

        assert!(model.beats_naive(), "{:?}", model.errors());
    }

    #[test]
    fn short_gap_is_skipped_and_long_one_resets() {
        let mut model = train(24 * 4, noise);
        let trusted = model.beats_naive();
        model.learn(CALENDAR, SMOOTHING, 24 * 4 + 10, demand(24 * 4 + 10, noise), 2);
        assert_eq!(model.beats_naive(), trusted);
        assert!(model.forecast(SMOOTHING, 1).is_some());

        model.learn(CALENDAR, SMOOTHING, 24 * 6, 5.0, 2);
        assert_eq!(model.forecast(SMOOTHING, 1), None);
    }

    #[test]
    fn clock_set_back_resets_the_model() {
        let mut model = train(24 * 4, noise);

        model.learn(CALENDAR, SMOOTHING, 3, 5.0, 2);

        assert_eq!(model.forecast(SMOOTHING, 1), None);
        assert_eq!(model.head.next_bucket, 4);
    }
}

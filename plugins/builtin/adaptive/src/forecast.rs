//! Methods that forecast the demand one boot time ahead. Each is simple; the backtest determines which one fits.

use std::collections::VecDeque;

use crate::bytes::{Reader, Writer};
use crate::cadence::{ElapsedStep, ewma_weight};
use crate::clock::{Period, SeasonalProfile};
use crate::residual_model::{MIN_FORECAST, ResidualModel, Tail};

/// The value on which a forecast is based.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// The latest value.
    Last,
    /// An exponential moving average with a time constant in seconds.
    Mean(f64),
    /// The highest value of the last hour.
    Peak,
}

/// The seasonal component of a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeasonalClock {
    /// The minute of the hour.
    Hour,
    /// The time of the season.
    Season,
}

/// A forecast method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Name of the method, for a phrase that begins with "forecast from".
    pub name: &'static str,
    basis: Basis,
    /// Time constant of the roughness, in seconds.
    roughness_s: f64,
    /// The period whose times differ in roughness, if any.
    seasonal_clock: Option<SeasonalClock>,
    /// If set, the times also differ in level.
    has_seasonal_level: bool,
}

const fn unseasonal(name: &'static str, basis: Basis, roughness_s: f64) -> Method {
    Method { name, basis, roughness_s, seasonal_clock: None, has_seasonal_level: false }
}

const fn seasonal(name: &'static str, basis: Basis, clock: SeasonalClock, has_heights: bool) -> Method {
    Method { name, basis, roughness_s: SLOW_S, seasonal_clock: Some(clock), has_seasonal_level: has_heights }
}

const SLOW_S: f64 = 3000.0;
const QUICK_S: f64 = 600.0;

/// All forecast methods.
pub const METHODS: [Method; 14] = [
    unseasonal("the latest value", Basis::Last, SLOW_S),
    unseasonal("the latest value with quickly adapting roughness", Basis::Last, QUICK_S),
    unseasonal("the two-minute average", Basis::Mean(120.0), SLOW_S),
    unseasonal("the five-minute average", Basis::Mean(300.0), SLOW_S),
    unseasonal("the twenty-minute average", Basis::Mean(1200.0), SLOW_S),
    unseasonal("the twenty-minute average with quickly adapting roughness", Basis::Mean(1200.0), QUICK_S),
    unseasonal("the one-hour average with quickly adapting roughness", Basis::Mean(3600.0), QUICK_S),
    seasonal(
        "the latest value and the usual jumps at this minute of the hour",
        Basis::Last,
        SeasonalClock::Hour,
        false,
    ),
    seasonal(
        "the twenty-minute average and the usual level at this minute of the hour",
        Basis::Mean(1200.0),
        SeasonalClock::Hour,
        true,
    ),
    seasonal(
        "the five-minute average and the usual level at this minute of the hour",
        Basis::Mean(300.0),
        SeasonalClock::Hour,
        true,
    ),
    seasonal(
        "the five-minute average and the usual level at this time of the season",
        Basis::Mean(300.0),
        SeasonalClock::Season,
        true,
    ),
    seasonal(
        "the one-hour average and the usual level at this time of the season",
        Basis::Mean(3600.0),
        SeasonalClock::Season,
        true,
    ),
    seasonal(
        "the latest value and the usual jumps at this time of the season",
        Basis::Last,
        SeasonalClock::Season,
        false,
    ),
    unseasonal("the peak of the last hour", Basis::Peak, SLOW_S),
];

/// Time constant of the residuals, in seconds: three and a half days.
const RESIDUALS_S: f64 = 302_400.0;
/// Time constant of the worst residual, in seconds: four days.
const WORST_RESIDUAL_S: f64 = 345_600.0;
/// Cap of the worst residual, as a multiple of the forecast; larger values are treated as this.
const MAX_WORST_RATIO: f64 = 3.0;

/// Minimum duration of an average before values are called high or low relative to it, in seconds.
const MIN_HISTORY_S: f64 = 1200.0;

/// Number of parts of the last hour; the highest value of each part is stored.
const PEAK_PARTS: usize = 12;
const PEAK_PART_MS: u64 = 300_000;

/// A forecast method and its learned state.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecaster {
    method: Method,
    residuals: ResidualModel,
    /// The average or the latest value, with the seasonal level removed; `None` before the first value.
    base: Option<f64>,
    /// Current roughness, relative to the usual variance.
    variance_ratio: f64,
    /// The largest ratio of demand to forecast, with half a droplet added to both.
    worst_ratio: f64,
    profile: Option<SeasonalProfile>,
    /// Highest values of the parts of the last hour, newest first, and the number of the newest part.
    peaks: [f64; PEAK_PARTS],
    newest_part: u64,
    /// Forecasts for the next steps, nearest first.
    pending: VecDeque<Forecast>,
}

/// A forecast and the roughness at its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// In droplets' worth of work.
    pub demand: f64,
    /// Ratio of the deviation to the usual one.
    pub roughness: f64,
}

/// The forecast for the next steps.
#[derive(Debug, Clone)]
pub struct ForecastHorizon {
    /// The step with the highest requirement.
    pub forecast: Forecast,
    /// Distribution of the demand.
    pub tail: Tail,
    /// Standard deviation of the demand.
    pub deviation: f64,
    /// Demand if the worst residual occurred now, in droplets.
    pub worst: f64,
}

impl Forecaster {
    /// Creates a forecaster that has learned nothing.
    pub fn new(kind: Method, season: Period) -> Self {
        Self::with_residuals(kind, season, ResidualModel::default())
    }

    fn with_residuals(kind: Method, season: Period, residuals: ResidualModel) -> Self {
        let clock = kind.seasonal_clock.map(|kind_of_clock| match kind_of_clock {
            SeasonalClock::Hour => SeasonalProfile::new(Period::HOUR),
            SeasonalClock::Season => SeasonalProfile::new(season),
        });
        Self {
            method: kind,
            residuals,
            base: None,
            variance_ratio: 1.0,
            worst_ratio: 1.0,
            profile: clock,
            peaks: [0.0; PEAK_PARTS],
            newest_part: 0,
            pending: VecDeque::new(),
        }
    }

    /// Observes the demand of the step that ends now. `ahead` is the number of steps between a forecast and its target.
    pub fn observe(&mut self, demand: f64, is_news: bool, at: u64, elapsed: &ElapsedStep, ahead: usize) {
        let slot = self.slot(elapsed.midpoint(at));
        if elapsed.is_gap {
            self.pending.clear();
        }
        // The boot time decreased.
        while self.pending.len() > ahead {
            self.pending.pop_front();
        }
        if self.pending.len() == ahead
            && let Some(expected) = self.pending.pop_front()
        {
            self.learn_residual(demand, expected, is_news, slot, elapsed, ahead);
        }
        self.update_base(demand, at, slot, elapsed);
    }

    fn slot(&self, at: u64) -> usize {
        self.profile.as_ref().map_or(0, |clock| clock.period.slot(at))
    }

    /// Learns the error of a forecast.
    fn learn_residual(
        &mut self,
        demand: f64,
        expected: Forecast,
        is_news: bool,
        slot: usize,
        elapsed: &ElapsedStep,
        ahead: usize,
    ) {
        let off = (demand - expected.demand) / self.residuals.deviation(expected.demand);
        let square = (off * off).min(25.0);
        let usual = match &mut self.profile {
            None => 1.0,
            Some(clock) => {
                let share = if self.method.seasonal_clock == Some(SeasonalClock::Hour) { 0.1 } else { 0.2 };
                clock.learn_variance(slot, square / self.variance_ratio.max(0.05), share);
                clock.variance(slot).max(0.05)
            }
        };
        self.variance_ratio += ewma_weight(elapsed.seconds, self.method.roughness_s.max(3.0 * elapsed.seconds))
            * ((square / usual).min(25.0) - self.variance_ratio);
        // Forecasts of neighboring steps have correlated errors, and an unchanged value may be an old one.
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let weight = if is_news { 1.0 / ahead as f64 } else { 0.0 };
        let kept = 1.0 - ewma_weight(elapsed.seconds, RESIDUALS_S);
        self.residuals.learn(expected.demand, demand, expected.roughness, weight, kept);
        self.worst_ratio = 1.0 + (self.worst_ratio - 1.0) * (1.0 - ewma_weight(elapsed.seconds, WORST_RESIDUAL_S));
        // A seasonal change is expected once it was observed.
        let is_known = self.profile.as_ref().is_none_or(|clock| match self.method.seasonal_clock {
            Some(SeasonalClock::Hour) => clock.observations(slot) >= 3,
            _ => clock.observations(slot) >= 1 || elapsed.steps_since_start * elapsed.seconds < period_seconds(clock),
        });
        if is_known {
            self.worst_ratio = self.worst_ratio.max(((demand + 0.5) / (expected.demand + 0.5)).min(MAX_WORST_RATIO));
        }
    }

    /// Updates the base value and the seasonal level.
    fn update_base(&mut self, demand: f64, at: u64, slot: usize, elapsed: &ElapsedStep) {
        self.record_peak(demand, at);
        let height = match &self.profile {
            Some(clock) if self.method.has_seasonal_level => clock.height(slot),
            _ => 1.0,
        };
        let level = demand / height;
        let before = self.base.unwrap_or(level);
        let base = match self.method.basis {
            Basis::Last => level,
            Basis::Peak => self.peaks.iter().copied().fold(0.0, f64::max),
            // Start with a plain average, so that the first value has no extra weight.
            Basis::Mean(time_s) => {
                before + ewma_weight(elapsed.seconds, time_s).max(1.0 / elapsed.steps_since_start) * (level - before)
            }
        };
        self.base = Some(base);
        // The first minutes have no meaningful average for comparison.
        let is_settled = elapsed.steps_since_start * elapsed.seconds >= MIN_HISTORY_S;
        if let Some(clock) = self.profile.as_mut().filter(|_| is_settled) {
            if self.method.has_seasonal_level {
                let share = if self.method.seasonal_clock == Some(SeasonalClock::Hour) { 0.15 } else { 0.3 };
                clock.learn_height(slot, demand / base.max(MIN_FORECAST), share);
            }
            clock.record_observation(slot);
        }
    }

    fn record_peak(&mut self, demand: f64, at: u64) {
        let part = at / PEAK_PART_MS;
        let gone = usize::try_from(part.saturating_sub(self.newest_part)).unwrap_or(PEAK_PARTS).min(PEAK_PARTS);
        self.peaks.rotate_right(gone % PEAK_PARTS);
        self.peaks[..gone].fill(0.0);
        self.newest_part = part;
        self.peaks[0] = self.peaks[0].max(demand);
    }

    /// Forecasts up to `ahead` steps ahead.
    pub fn forecast_horizon(&mut self, at: u64, elapsed: &ElapsedStep, ahead: usize) -> ForecastHorizon {
        let last = self.forecast(at, elapsed, ahead);
        self.pending.push_back(last);
        let needs = |expected: &Forecast| {
            expected.demand + 2.0 * expected.roughness * self.residuals.deviation(expected.demand)
        };
        let mut expected = last;
        if self.profile.is_some() {
            for step in 1..ahead {
                let nearer = self.forecast(at, elapsed, step);
                if needs(&nearer) > needs(&expected) {
                    expected = nearer;
                }
            }
        }
        ForecastHorizon {
            forecast: expected,
            tail: self.residuals.tail(),
            deviation: expected.roughness * self.residuals.deviation(expected.demand),
            worst: (expected.demand + 0.5) * self.worst_ratio - 0.5,
        }
    }

    fn forecast(&self, at: u64, elapsed: &ElapsedStep, step: usize) -> Forecast {
        let base = self.base.unwrap_or_default();
        let rough = self.variance_ratio.max(0.0).sqrt().clamp(0.3, 4.0);
        let Some(clock) = &self.profile else { return Forecast { demand: base.max(MIN_FORECAST), roughness: rough } };
        let slot = clock.period.slot(elapsed.midpoint(elapsed.end_after(at, step)));
        let height = if self.method.has_seasonal_level { clock.height(slot) } else { 1.0 };
        Forecast {
            demand: (base * height).max(MIN_FORECAST),
            roughness: rough * clock.variance(slot).sqrt().clamp(0.1, 7.0),
        }
    }

    /// Writes the learned state.
    pub fn write(&self, to: &mut Writer) {
        self.residuals.write(to);
        to.write_u8(usize::from(self.base.is_some()));
        to.write_f32(self.base.unwrap_or_default());
        to.write_f32(self.variance_ratio);
        to.write_f32(self.worst_ratio);
        if let Some(clock) = &self.profile {
            clock.write(to);
        }
        if self.method.basis == Basis::Peak {
            to.write_u64(self.newest_part);
            self.peaks.iter().for_each(|peak| to.write_f32(*peak));
        }
        to.write_u8(self.pending.len());
        for expected in &self.pending {
            to.write_f32(expected.demand);
            to.write_f32(expected.roughness);
        }
    }

    /// Reads the learned state.
    pub fn read(from: &mut Reader<'_>, kind: Method, season: Period) -> Option<Self> {
        let mut read = Self::with_residuals(kind, season, ResidualModel::read(from)?);
        let has_base = from.read_u8()? == 1;
        read.base = Some(from.read_f32()?).filter(|_| has_base);
        read.variance_ratio = from.read_f32()?;
        read.worst_ratio = from.read_f32()?;
        if let Some(clock) = &mut read.profile {
            *clock = SeasonalProfile::read(from, clock.period)?;
        }
        if kind.basis == Basis::Peak {
            read.newest_part = from.read_u64()?;
            for peak in &mut read.peaks {
                *peak = from.read_f32()?;
            }
        }
        for _ in 0..from.read_u8()? {
            let (demand, roughness) = (from.read_f32()?.max(MIN_FORECAST), from.read_f32()?.max(0.01));
            read.pending.push_back(Forecast { demand, roughness });
        }
        Some(read)
    }
}

fn period_seconds(clock: &SeasonalProfile) -> f64 {
    doproxy_policy_sdk::numbers::to_f64(clock.period.length_ms) / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cadence::Cadence;

    /// Returns the forecast of each method after a number of minutes, three minutes ahead.
    fn forecasts(minutes: u64, demand: impl Fn(u64) -> f64) -> Vec<f64> {
        let cadence = Cadence::new(60_000, Some(120_000), None);
        let season = Period::season(Duration::from_hours(24));
        let forecast = |kind: &Method| {
            let mut forecaster = Forecaster::new(*kind, season);
            let mut forecast = 0.0;
            for minute in 0..minutes {
                let (began, now) = (minute * 60_000, (minute + 1) * 60_000);
                let elapsed = cadence.elapsed(began, now, minute);
                forecaster.observe(demand(minute), true, now, &elapsed, cadence.lead_steps);
                forecaster.forecast_horizon(now, &elapsed, cadence.lead_steps);
                forecast = forecaster.forecast(now, &elapsed, cadence.lead_steps).demand;
            }
            forecast
        };
        METHODS.iter().map(forecast).collect()
    }

    #[test]
    fn all_methods_agree_on_constant_demand() {
        let forecasts = forecasts(300, |_| 4.0);

        assert!(forecasts.iter().all(|forecast| (forecast - 4.0).abs() < 1e-6), "{forecasts:?}");
    }

    #[test]
    fn hourly_methods_forecast_an_hourly_peak() {
        // Three minutes before the hour.
        let forecasts = forecasts(600 - 2, |minute| if minute % 60 == 0 { 8.0 } else { 2.0 });

        assert!((forecasts[0] - 2.0).abs() < 1e-9 && (forecasts[13] - 8.0).abs() < 1e-9, "{forecasts:?}");
        assert!((6.0..9.0).contains(&forecasts[8]) && (6.0..9.0).contains(&forecasts[9]), "{forecasts:?}");
    }

    #[test]
    fn daily_peak_is_forecast_on_the_second_day() {
        let forecasts = forecasts(1440 + 598, |minute| if minute % 1440 >= 600 { 9.0 } else { 3.0 });

        assert!((6.0..10.0).contains(&forecasts[10]), "{forecasts:?}");
    }

    #[test]
    fn gap_clears_pending_forecasts() {
        let mut forecaster = Forecaster::new(METHODS[0], Period::HOUR);
        let cadence = Cadence::new(60_000, Some(0), None);
        for (step, (demand, began)) in [(1.0, 0), (1.0, 60_000), (90.0, 9_000_000)].into_iter().enumerate() {
            let now = if step == 2 { 99_000_000 } else { began + 60_000 };
            let elapsed = cadence.elapsed(began, now, step as u64);
            forecaster.observe(demand, true, now, &elapsed, cadence.lead_steps);
            forecaster.forecast_horizon(now, &elapsed, cadence.lead_steps);
        }

        assert!((forecaster.worst_ratio - 1.0).abs() < 1e-9, "{}", forecaster.worst_ratio);
    }

    #[test]
    fn written_state_is_read_back() {
        let cadence = Cadence::new(60_000, Some(120_000), None);
        for kind in METHODS {
            let mut forecaster = Forecaster::new(kind, Period::HOUR);
            for minute in 0..200_u32 {
                let now = 60_000 * (u64::from(minute) + 1);
                let elapsed = cadence.elapsed(now - 60_000, now, minute.into());
                forecaster.observe(f64::from(minute % 7), true, now, &elapsed, cadence.lead_steps);
                forecaster.forecast_horizon(now, &elapsed, cadence.lead_steps);
            }
            let mut writer = Writer::new();
            forecaster.write(&mut writer);
            let bytes = writer.finish();

            let read = Forecaster::read(&mut Reader::new(&bytes), kind, Period::HOUR).unwrap();

            let mut again = Writer::new();
            read.write(&mut again);
            assert_eq!(again.finish(), bytes, "{}", kind.name);
        }
    }
}

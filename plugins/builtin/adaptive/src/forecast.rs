//! Ways to forecast the demand a boot time ahead. Each is simple; the backtest finds out which of them suits.

use std::collections::VecDeque;

use crate::bytes::{Reader, Writer};
use crate::clock::{Period, SeasonalProfile};
use crate::pace::{ElapsedStep, ewma_weight};
use crate::surprise::{MIN_FORECAST, ResidualModel, Tail};

/// What a forecast goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// The newest value.
    Last,
    /// A mean that fades with a time constant, in seconds.
    Mean(f64),
    /// The highest value of the last hour.
    Peak,
}

/// Which clock a forecast looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeasonalClock {
    /// The minute of the hour.
    Hour,
    /// The time of the season.
    Season,
}

/// A way to forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// What it is called, in a sentence that begins with "forecast by".
    pub name: &'static str,
    basis: Basis,
    /// How long it is remembered how rough the times are: a time constant in seconds.
    roughness_s: f64,
    /// Where it expects some times of a period to be rougher than others.
    seasonal_clock: Option<SeasonalClock>,
    /// And also higher.
    has_seasonal_level: bool,
}

const fn unseasonal(name: &'static str, basis: Basis, roughness_s: f64) -> Method {
    Method { name, basis, roughness_s, seasonal_clock: None, has_seasonal_level: false }
}

const fn seasonal(name: &'static str, basis: Basis, rhythm: SeasonalClock, has_heights: bool) -> Method {
    Method { name, basis, roughness_s: SLOW_S, seasonal_clock: Some(rhythm), has_seasonal_level: has_heights }
}

const SLOW_S: f64 = 3000.0;
const QUICK_S: f64 = 600.0;

/// All of them.
pub const METHODS: [Method; 14] = [
    unseasonal("the newest value", Basis::Last, SLOW_S),
    unseasonal("the newest value, in times that change quickly", Basis::Last, QUICK_S),
    unseasonal("the mean of two minutes", Basis::Mean(120.0), SLOW_S),
    unseasonal("the mean of five minutes", Basis::Mean(300.0), SLOW_S),
    unseasonal("the mean of twenty minutes", Basis::Mean(1200.0), SLOW_S),
    unseasonal("the mean of twenty minutes, in times that change quickly", Basis::Mean(1200.0), QUICK_S),
    unseasonal("the mean of an hour, in times that change quickly", Basis::Mean(3600.0), QUICK_S),
    seasonal("the newest value, and how it jumps at this minute of the hour", Basis::Last, SeasonalClock::Hour, false),
    seasonal(
        "the mean of twenty minutes, and what this minute of the hour is like",
        Basis::Mean(1200.0),
        SeasonalClock::Hour,
        true,
    ),
    seasonal(
        "the mean of five minutes, and what this minute of the hour is like",
        Basis::Mean(300.0),
        SeasonalClock::Hour,
        true,
    ),
    seasonal(
        "the mean of five minutes, and what this time of the season is like",
        Basis::Mean(300.0),
        SeasonalClock::Season,
        true,
    ),
    seasonal(
        "the mean of an hour, and what this time of the season is like",
        Basis::Mean(3600.0),
        SeasonalClock::Season,
        true,
    ),
    seasonal(
        "the newest value, and how it jumps at this time of the season",
        Basis::Last,
        SeasonalClock::Season,
        false,
    ),
    unseasonal("the highest of the last hour", Basis::Peak, SLOW_S),
];

/// How long surprises count, as a time constant in seconds: three and a half days.
const RESIDUALS_S: f64 = 302_400.0;
/// How long the worst surprise counts, likewise: four days.
const WORST_RESIDUAL_S: f64 = 345_600.0;
/// More than this many times what was expected is no more of a warning.
const MAX_WORST_RATIO: f64 = 3.0;

/// How long a mean is taken before anything is called high or low against it, in seconds.
const MIN_HISTORY_S: f64 = 1200.0;

/// The parts of the last hour of which the highest value is kept.
const PEAK_PARTS: usize = 12;
const PEAK_PART_MS: u64 = 300_000;

/// A way to forecast, and what it has learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecaster {
    method: Method,
    residuals: ResidualModel,
    /// The mean or the newest value, with the heights taken out; `None` before the first.
    base: Option<f64>,
    /// How rough the times are, as a share of the variance.
    variance_ratio: f64,
    /// The largest surprise: demand over forecast, with half a droplet added to both.
    worst_ratio: f64,
    profile: Option<SeasonalProfile>,
    /// Highest values of the parts of the last hour, the newest first, and which part that is.
    peaks: [f64; PEAK_PARTS],
    newest_part: u64,
    /// What was forecast for the next steps, the nearest first.
    pending: VecDeque<Forecast>,
}

/// A forecast, and how rough the times are for which it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// In droplets' worth of work.
    pub demand: f64,
    /// Deviations are so many times as large as usual.
    pub roughness: f64,
}

/// What the next steps may bring.
#[derive(Debug, Clone)]
pub struct ForecastHorizon {
    /// The step that needs most.
    pub forecast: Forecast,
    /// The distribution of what comes.
    pub tail: Tail,
    /// The standard deviation of what comes.
    pub deviation: f64,
    /// What would come if the worst surprise came now, in droplets.
    pub worst: f64,
}

impl Forecaster {
    /// One that knows nothing.
    pub fn new(kind: Method, season: Period) -> Self {
        Self::with_residuals(kind, season, ResidualModel::default())
    }

    fn with_residuals(kind: Method, season: Period, surprises: ResidualModel) -> Self {
        let clock = kind.seasonal_clock.map(|rhythm| match rhythm {
            SeasonalClock::Hour => SeasonalProfile::new(Period::HOUR),
            SeasonalClock::Season => SeasonalProfile::new(season),
        });
        Self {
            method: kind,
            residuals: surprises,
            base: None,
            variance_ratio: 1.0,
            worst_ratio: 1.0,
            profile: clock,
            peaks: [0.0; PEAK_PARTS],
            newest_part: 0,
            pending: VecDeque::new(),
        }
    }

    /// Takes in the demand of the step that ends now. `ahead` is how many steps ahead is forecast.
    pub fn observe(&mut self, demand: f64, is_news: bool, at: u64, elapsed: &ElapsedStep, ahead: usize) {
        let slot = self.slot(elapsed.midpoint(at));
        if elapsed.is_gap {
            self.pending.clear();
        }
        // Droplets boot faster than they did.
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

    /// Learns how far off a forecast was.
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
        // Forecasts of neighbouring steps are off together, and a value that has not changed may be an old one.
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let weight = if is_news { 1.0 / ahead as f64 } else { 0.0 };
        let kept = 1.0 - ewma_weight(elapsed.seconds, RESIDUALS_S);
        self.residuals.learn(expected.demand, demand, expected.roughness, weight, kept);
        self.worst_ratio = 1.0 + (self.worst_ratio - 1.0) * (1.0 - ewma_weight(elapsed.seconds, WORST_RESIDUAL_S));
        // What comes by the clock is no surprise once it was seen.
        let is_known = self.profile.as_ref().is_none_or(|clock| match self.method.seasonal_clock {
            Some(SeasonalClock::Hour) => clock.observations(slot) >= 3,
            _ => clock.observations(slot) >= 1 || elapsed.steps_since_start * elapsed.seconds < period_seconds(clock),
        });
        if is_known {
            self.worst_ratio = self.worst_ratio.max(((demand + 0.5) / (expected.demand + 0.5)).min(MAX_WORST_RATIO));
        }
    }

    /// Brings the basis up to date, and what is like at this time of the period.
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
            // At first a mean of everything, so that the first value does not count for more than others.
            Basis::Mean(time_s) => {
                before + ewma_weight(elapsed.seconds, time_s).max(1.0 / elapsed.steps_since_start) * (level - before)
            }
        };
        self.base = Some(base);
        // The first minutes are compared with nothing but themselves.
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

    /// Looks `ahead` steps ahead.
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

    /// Puts what it has learnt into a state.
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

    /// Takes it out of a state.
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
    use super::*;
    use crate::pace::Cadence;
    use std::time::Duration;

    /// What each way forecasts after so many minutes, three minutes ahead.
    fn forecasts(minutes: u64, demand: impl Fn(u64) -> f64) -> Vec<f64> {
        let pace = Cadence::new(60_000, Some(120_000), None);
        let season = Period::season(Duration::from_hours(24));
        let forecast = |kind: &Method| {
            let mut forecaster = Forecaster::new(*kind, season);
            let mut forecast = 0.0;
            for minute in 0..minutes {
                let (began, now) = (minute * 60_000, (minute + 1) * 60_000);
                let elapsed = pace.elapsed(began, now, minute);
                forecaster.observe(demand(minute), true, now, &elapsed, pace.lead_steps);
                forecaster.forecast_horizon(now, &elapsed, pace.lead_steps);
                forecast = forecaster.forecast(now, &elapsed, pace.lead_steps).demand;
            }
            forecast
        };
        METHODS.iter().map(forecast).collect()
    }

    #[test]
    fn all_agree_on_what_never_changes() {
        let forecasts = forecasts(300, |_| 4.0);

        assert!(forecasts.iter().all(|forecast| (forecast - 4.0).abs() < 1e-6), "{forecasts:?}");
    }

    #[test]
    fn those_that_look_at_the_clock_see_what_comes_by_it() {
        // It is three minutes before the hour.
        let forecasts = forecasts(600 - 2, |minute| if minute % 60 == 0 { 8.0 } else { 2.0 });

        assert!((forecasts[0] - 2.0).abs() < 1e-9 && (forecasts[13] - 8.0).abs() < 1e-9, "{forecasts:?}");
        assert!((6.0..9.0).contains(&forecasts[8]) && (6.0..9.0).contains(&forecasts[9]), "{forecasts:?}");
    }

    #[test]
    fn what_comes_every_day_is_known_on_the_second() {
        let forecasts = forecasts(1440 + 598, |minute| if minute % 1440 >= 600 { 9.0 } else { 3.0 });

        assert!((6.0..10.0).contains(&forecasts[10]), "{forecasts:?}");
    }

    #[test]
    fn after_a_gap_nothing_is_held_against_a_forecast() {
        let mut forecaster = Forecaster::new(METHODS[0], Period::HOUR);
        let pace = Cadence::new(60_000, Some(0), None);
        for (step, (demand, began)) in [(1.0, 0), (1.0, 60_000), (90.0, 9_000_000)].into_iter().enumerate() {
            let now = if step == 2 { 99_000_000 } else { began + 60_000 };
            let elapsed = pace.elapsed(began, now, step as u64);
            forecaster.observe(demand, true, now, &elapsed, pace.lead_steps);
            forecaster.forecast_horizon(now, &elapsed, pace.lead_steps);
        }

        assert!((forecaster.worst_ratio - 1.0).abs() < 1e-9, "{}", forecaster.worst_ratio);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let pace = Cadence::new(60_000, Some(120_000), None);
        for kind in METHODS {
            let mut forecaster = Forecaster::new(kind, Period::HOUR);
            for minute in 0..200_u32 {
                let now = 60_000 * (u64::from(minute) + 1);
                let elapsed = pace.elapsed(now - 60_000, now, minute.into());
                forecaster.observe(f64::from(minute % 7), true, now, &elapsed, pace.lead_steps);
                forecaster.forecast_horizon(now, &elapsed, pace.lead_steps);
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

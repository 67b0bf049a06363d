//! Ways to forecast the demand a boot time ahead. Each is simple; the backtest finds out which of them suits.

use std::collections::VecDeque;

use crate::bytes::{Reader, Writer};
use crate::clock::{Clock, Period};
use crate::pace::{Elapsed, share};
use crate::surprise::{LEAST, Surprises, Tail};

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
pub enum Rhythm {
    /// The minute of the hour.
    Hour,
    /// The time of the season.
    Season,
}

/// A way to forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// What it is called, in a sentence that begins with "forecast by".
    pub name: &'static str,
    basis: Basis,
    /// How long it is remembered how rough the times are: a time constant in seconds.
    roughness_s: f64,
    /// Where it expects some times of a period to be rougher than others.
    rhythm: Option<Rhythm>,
    /// And also higher.
    has_heights: bool,
}

const fn plain(name: &'static str, basis: Basis, roughness_s: f64) -> Kind {
    Kind { name, basis, roughness_s, rhythm: None, has_heights: false }
}

const fn timed(name: &'static str, basis: Basis, rhythm: Rhythm, has_heights: bool) -> Kind {
    Kind { name, basis, roughness_s: SLOW_S, rhythm: Some(rhythm), has_heights }
}

const SLOW_S: f64 = 3000.0;
const QUICK_S: f64 = 600.0;

/// All of them.
pub const KINDS: [Kind; 14] = [
    plain("the newest value", Basis::Last, SLOW_S),
    plain("the newest value, in times that change quickly", Basis::Last, QUICK_S),
    plain("the mean of two minutes", Basis::Mean(120.0), SLOW_S),
    plain("the mean of five minutes", Basis::Mean(300.0), SLOW_S),
    plain("the mean of twenty minutes", Basis::Mean(1200.0), SLOW_S),
    plain("the mean of twenty minutes, in times that change quickly", Basis::Mean(1200.0), QUICK_S),
    plain("the mean of an hour, in times that change quickly", Basis::Mean(3600.0), QUICK_S),
    timed("the newest value, and how it jumps at this minute of the hour", Basis::Last, Rhythm::Hour, false),
    timed(
        "the mean of twenty minutes, and what this minute of the hour is like",
        Basis::Mean(1200.0),
        Rhythm::Hour,
        true,
    ),
    timed("the mean of five minutes, and what this minute of the hour is like", Basis::Mean(300.0), Rhythm::Hour, true),
    timed(
        "the mean of five minutes, and what this time of the season is like",
        Basis::Mean(300.0),
        Rhythm::Season,
        true,
    ),
    timed("the mean of an hour, and what this time of the season is like", Basis::Mean(3600.0), Rhythm::Season, true),
    timed("the newest value, and how it jumps at this time of the season", Basis::Last, Rhythm::Season, false),
    plain("the highest of the last hour", Basis::Peak, SLOW_S),
];

/// How long surprises count, as a time constant in seconds: three and a half days.
const SURPRISES_S: f64 = 302_400.0;
/// How long the worst surprise counts, likewise: four days.
const WORST_S: f64 = 345_600.0;
/// More than this many times what was expected is no more of a warning.
const MOST_WORST: f64 = 3.0;

/// How long a mean is taken before anything is called high or low against it, in seconds.
const SETTLED_S: f64 = 1200.0;

/// The parts of the last hour of which the highest value is kept.
const PARTS: usize = 12;
const PART_MS: u64 = 300_000;

/// A way to forecast, and what it has learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecaster {
    kind: Kind,
    surprises: Surprises,
    /// The mean or the newest value, with the heights taken out; `None` before the first.
    base: Option<f64>,
    /// How rough the times are, as a share of the variance.
    rough: f64,
    /// The largest surprise: demand over forecast, with half a droplet added to both.
    worst: f64,
    clock: Option<Clock>,
    /// Highest values of the parts of the last hour, the newest first, and which part that is.
    peaks: [f64; PARTS],
    part: u64,
    /// What was forecast for the next steps, the nearest first.
    pending: VecDeque<Expected>,
}

/// A forecast, and how rough the times are for which it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// In droplets' worth of work.
    pub demand: f64,
    /// Deviations are so many times as large as usual.
    pub roughness: f64,
}

/// What the next steps may bring.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The step that needs most.
    pub expected: Expected,
    /// The distribution of what comes.
    pub tail: Tail,
    /// The standard deviation of what comes.
    pub deviation: f64,
    /// What would come if the worst surprise came now, in droplets.
    pub worst: f64,
}

impl Forecaster {
    /// One that knows nothing.
    pub fn new(kind: Kind, season: Period) -> Self {
        Self::with(kind, season, Surprises::default())
    }

    fn with(kind: Kind, season: Period, surprises: Surprises) -> Self {
        let clock = kind.rhythm.map(|rhythm| match rhythm {
            Rhythm::Hour => Clock::new(Period::HOUR),
            Rhythm::Season => Clock::new(season),
        });
        Self {
            kind,
            surprises,
            base: None,
            rough: 1.0,
            worst: 1.0,
            clock,
            peaks: [0.0; PARTS],
            part: 0,
            pending: VecDeque::new(),
        }
    }

    /// Takes in the demand of the step that ends now. `ahead` is how many steps ahead is forecast.
    pub fn take(&mut self, demand: f64, is_news: bool, at: u64, elapsed: &Elapsed, ahead: usize) {
        let slot = self.slot(elapsed.middle(at));
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
            self.be_surprised(demand, expected, is_news, slot, elapsed, ahead);
        }
        self.follow(demand, at, slot, elapsed);
    }

    fn slot(&self, at: u64) -> usize {
        self.clock.as_ref().map_or(0, |clock| clock.period.slot(at))
    }

    /// Learns how far off a forecast was.
    fn be_surprised(
        &mut self,
        demand: f64,
        expected: Expected,
        is_news: bool,
        slot: usize,
        elapsed: &Elapsed,
        ahead: usize,
    ) {
        let off = (demand - expected.demand) / self.surprises.deviation(expected.demand);
        let square = (off * off).min(25.0);
        let usual = match &mut self.clock {
            None => 1.0,
            Some(clock) => {
                let share = if self.kind.rhythm == Some(Rhythm::Hour) { 0.1 } else { 0.2 };
                clock.learn_variance(slot, square / self.rough.max(0.05), share);
                clock.variance(slot).max(0.05)
            }
        };
        self.rough += share(elapsed.seconds, self.kind.roughness_s.max(3.0 * elapsed.seconds))
            * ((square / usual).min(25.0) - self.rough);
        // Forecasts of neighbouring steps are off together, and a value that has not changed may be an old one.
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let weight = if is_news { 1.0 / ahead as f64 } else { 0.0 };
        let kept = 1.0 - share(elapsed.seconds, SURPRISES_S);
        self.surprises.learn(expected.demand, demand, expected.roughness, weight, kept);
        self.worst = 1.0 + (self.worst - 1.0) * (1.0 - share(elapsed.seconds, WORST_S));
        // What comes by the clock is no surprise once it was seen.
        let is_known = self.clock.as_ref().is_none_or(|clock| match self.kind.rhythm {
            Some(Rhythm::Hour) => clock.seen(slot) >= 3,
            _ => clock.seen(slot) >= 1 || elapsed.steps_since_start * elapsed.seconds < clock_seconds(clock),
        });
        if is_known {
            self.worst = self.worst.max(((demand + 0.5) / (expected.demand + 0.5)).min(MOST_WORST));
        }
    }

    /// Brings the basis up to date, and what is like at this time of the period.
    fn follow(&mut self, demand: f64, at: u64, slot: usize, elapsed: &Elapsed) {
        self.note_peak(demand, at);
        let height = match &self.clock {
            Some(clock) if self.kind.has_heights => clock.height(slot),
            _ => 1.0,
        };
        let level = demand / height;
        let before = self.base.unwrap_or(level);
        let base = match self.kind.basis {
            Basis::Last => level,
            Basis::Peak => self.peaks.iter().copied().fold(0.0, f64::max),
            // At first a mean of everything, so that the first value does not count for more than others.
            Basis::Mean(time_s) => {
                before + share(elapsed.seconds, time_s).max(1.0 / elapsed.steps_since_start) * (level - before)
            }
        };
        self.base = Some(base);
        // The first minutes are compared with nothing but themselves.
        let is_settled = elapsed.steps_since_start * elapsed.seconds >= SETTLED_S;
        if let Some(clock) = self.clock.as_mut().filter(|_| is_settled) {
            if self.kind.has_heights {
                let share = if self.kind.rhythm == Some(Rhythm::Hour) { 0.15 } else { 0.3 };
                clock.learn_height(slot, demand / base.max(LEAST), share);
            }
            clock.note(slot);
        }
    }

    fn note_peak(&mut self, demand: f64, at: u64) {
        let part = at / PART_MS;
        let gone = usize::try_from(part.saturating_sub(self.part)).unwrap_or(PARTS).min(PARTS);
        self.peaks.rotate_right(gone % PARTS);
        self.peaks[..gone].fill(0.0);
        self.part = part;
        self.peaks[0] = self.peaks[0].max(demand);
    }

    /// Looks `ahead` steps ahead.
    pub fn look(&mut self, at: u64, elapsed: &Elapsed, ahead: usize) -> Outlook {
        let last = self.expected(at, elapsed, ahead);
        self.pending.push_back(last);
        let needs = |expected: &Expected| {
            expected.demand + 2.0 * expected.roughness * self.surprises.deviation(expected.demand)
        };
        let mut expected = last;
        if self.clock.is_some() {
            for step in 1..ahead {
                let nearer = self.expected(at, elapsed, step);
                if needs(&nearer) > needs(&expected) {
                    expected = nearer;
                }
            }
        }
        Outlook {
            expected,
            tail: self.surprises.tail(),
            deviation: expected.roughness * self.surprises.deviation(expected.demand),
            worst: (expected.demand + 0.5) * self.worst - 0.5,
        }
    }

    fn expected(&self, at: u64, elapsed: &Elapsed, step: usize) -> Expected {
        let base = self.base.unwrap_or_default();
        let rough = self.rough.max(0.0).sqrt().clamp(0.3, 4.0);
        let Some(clock) = &self.clock else { return Expected { demand: base.max(LEAST), roughness: rough } };
        let slot = clock.period.slot(elapsed.middle(elapsed.after(at, step)));
        let height = if self.kind.has_heights { clock.height(slot) } else { 1.0 };
        Expected { demand: (base * height).max(LEAST), roughness: rough * clock.variance(slot).sqrt().clamp(0.1, 7.0) }
    }

    /// Puts what it has learnt into a state.
    pub fn write(&self, to: &mut Writer) {
        self.surprises.write(to);
        to.few(usize::from(self.base.is_some()));
        to.real(self.base.unwrap_or_default());
        to.real(self.rough);
        to.real(self.worst);
        if let Some(clock) = &self.clock {
            clock.write(to);
        }
        if self.kind.basis == Basis::Peak {
            to.whole(self.part);
            self.peaks.iter().for_each(|peak| to.real(*peak));
        }
        to.few(self.pending.len());
        for expected in &self.pending {
            to.real(expected.demand);
            to.real(expected.roughness);
        }
    }

    /// Takes it out of a state.
    pub fn read(from: &mut Reader<'_>, kind: Kind, season: Period) -> Option<Self> {
        let mut read = Self::with(kind, season, Surprises::read(from)?);
        let has_base = from.few()? == 1;
        read.base = Some(from.real()?).filter(|_| has_base);
        read.rough = from.real()?;
        read.worst = from.real()?;
        if let Some(clock) = &mut read.clock {
            *clock = Clock::read(from, clock.period)?;
        }
        if kind.basis == Basis::Peak {
            read.part = from.whole()?;
            for peak in &mut read.peaks {
                *peak = from.real()?;
            }
        }
        for _ in 0..from.few()? {
            let (demand, roughness) = (from.real()?.max(LEAST), from.real()?.max(0.01));
            read.pending.push_back(Expected { demand, roughness });
        }
        Some(read)
    }
}

fn clock_seconds(clock: &Clock) -> f64 {
    policy_kit::numbers::real(clock.period.length_ms) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::Pace;
    use std::time::Duration;

    /// What each way forecasts after so many minutes, three minutes ahead.
    fn forecasts(minutes: u64, demand: impl Fn(u64) -> f64) -> Vec<f64> {
        let pace = Pace::of(60_000, Some(120_000), None);
        let season = Period::season(Duration::from_hours(24));
        let forecast = |kind: &Kind| {
            let mut forecaster = Forecaster::new(*kind, season);
            let mut forecast = 0.0;
            for minute in 0..minutes {
                let (began, now) = (minute * 60_000, (minute + 1) * 60_000);
                let elapsed = pace.elapsed(began, now, minute);
                forecaster.take(demand(minute), true, now, &elapsed, pace.ahead);
                forecaster.look(now, &elapsed, pace.ahead);
                forecast = forecaster.expected(now, &elapsed, pace.ahead).demand;
            }
            forecast
        };
        KINDS.iter().map(forecast).collect()
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
        let mut forecaster = Forecaster::new(KINDS[0], Period::HOUR);
        let pace = Pace::of(60_000, Some(0), None);
        for (step, (demand, began)) in [(1.0, 0), (1.0, 60_000), (90.0, 9_000_000)].into_iter().enumerate() {
            let now = if step == 2 { 99_000_000 } else { began + 60_000 };
            let elapsed = pace.elapsed(began, now, step as u64);
            forecaster.take(demand, true, now, &elapsed, pace.ahead);
            forecaster.look(now, &elapsed, pace.ahead);
        }

        assert!((forecaster.worst - 1.0).abs() < 1e-9, "{}", forecaster.worst);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let pace = Pace::of(60_000, Some(120_000), None);
        for kind in KINDS {
            let mut forecaster = Forecaster::new(kind, Period::HOUR);
            for minute in 0..200_u32 {
                let now = 60_000 * (u64::from(minute) + 1);
                let elapsed = pace.elapsed(now - 60_000, now, minute.into());
                forecaster.take(f64::from(minute % 7), true, now, &elapsed, pace.ahead);
                forecaster.look(now, &elapsed, pace.ahead);
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

//! The backtest: every forecast method at every price of a lost request runs a virtual fleet through the real demand,
//! with the real boot time of the droplets. The policy follows the cheapest virtual fleet that stays within the allowed
//! unserved share.

use std::collections::VecDeque;

use doproxy_policy_sdk::Limits;
use doproxy_policy_sdk::numbers::{ceil_u32, to_f64};

use crate::bytes::{Reader, Writer};
use crate::cadence::{ElapsedStep, ewma_weight};
use crate::forecast::{ForecastHorizon, METHODS};

/// Number of prices.
pub const PRICE_COUNT: usize = 19;
/// One virtual fleet for each forecast method and price.
const FLEET_COUNT: usize = METHODS.len() * PRICE_COUNT;
const FIRST_PRICE: f64 = 6.0;
const PRICE_RATIO: f64 = 1.35;
/// A droplet is given up only if it is not worth its cost even at a price this many steps higher: starting it again
/// costs money until it serves.
const SCALE_IN_PRICE_STEPS: usize = 4;
/// The fleet followed initially: the latest value as forecast, at this price.
const INITIAL_FLEET: usize = 8;

/// Time constant of the cost and unserved totals, in seconds: two weeks.
const TIME_CONSTANT_S: f64 = 1_209_600.0;
const DAY_S: f64 = 86_400.0;
/// Demand assumed initially, in days, with an unserved share that falls with the price.
const PRIOR_DAYS: f64 = 0.03;
/// The price at which the initially assumed unserved share equals the allowed one, and the power by which it falls with
/// the price.
const PRIOR_PRICE: f64 = 60.0;
const PRIOR_POWER: f64 = 1.2;
/// Upper bound on the weight of a single event, as a share of the allowed loss: one extreme outlier does not define the
/// rule.
const MAX_EVENT_SHARE: f64 = 0.4;
/// Initially expected recurrences of the worst residual; the number halves after [`STRESS_HALF_DAYS`].
const STRESS_EVENTS: f64 = 4.5;
const STRESS_HALF_DAYS: f64 = 3.0;
/// Lower bound of the loss allowed from now on, relative to the overall allowance, after more than that was lost.
const MIN_ALLOWED_RATIO: f64 = 0.6;
/// After less was lost, the upper bound is 1 initially and approaches 2; half of the increase is reached after this
/// many days.
const SURPLUS_HALF_DAYS: f64 = 7.0;
/// A deficit or surplus is recovered over half the observed time, but over at least two days.
const MIN_RECOVERY_DAYS: f64 = 2.0;
/// Share of the allowance held in reserve, so that a late event does not exceed it.
const SAFETY_MARGIN: f64 = 0.07;
/// Upper bound of a fleet, as a multiple of the highest demand, plus two droplets.
const MAX_OVER_PEAK: f64 = 1.3;
/// Number of parts into which the minimum billing period of a new droplet is divided.
const CHARGE_PARTS: usize = 4;

/// Returns the price with an index: the value of a tick's work of one droplet, in ticks of a droplet.
pub fn price(number: usize) -> f64 {
    FIRST_PRICE * PRICE_RATIO.powi(i32::try_from(number).unwrap_or(0))
}

/// Returns the prices for which each forecast method computes sizes.
pub fn prices() -> impl Iterator<Item = f64> {
    (0..PRICE_COUNT + SCALE_IN_PRICE_STEPS).map(price)
}

/// The range of acceptable fleet sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Band {
    /// A smaller fleet grows to this size.
    pub min: u32,
    /// A larger fleet shrinks to this size.
    pub max: u32,
}

impl Band {
    /// Returns the size to which a fleet of `size` changes.
    pub fn clamp(self, size: u32) -> u32 {
        size.clamp(self.min, self.max.max(self.min))
    }
}

/// The totals of a virtual fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct VirtualFleet {
    /// Droplet ticks paid for, counted in steps.
    paid: f64,
    /// Unserved demand, in droplets' worth of work; the loss of large events is capped.
    unserved: f64,
    /// Demand unserved so far in the current event.
    event_unserved: f64,
    /// Demand that would have been unserved if the worst residual had occurred in each step.
    stress_unserved: f64,
    /// Droplets bought in the last parts of the minimum billing period, newest first. These are still paid for.
    bought: [u32; CHARGE_PARTS],
}

/// The virtual fleets and the totals of the real one.
#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    fleets: Vec<VirtualFleet>,
    /// Fleet sizes at the end of the last steps, newest last.
    sizes: VecDeque<Vec<u32>>,
    /// Weighted number of steps, and the demand in them.
    steps: f64,
    demand: f64,
    /// Demand the real fleet left unserved.
    unserved: f64,
    /// The highest demand.
    peak_demand: f64,
    /// Observed minimum billing period: the longest time for which a droplet was prepaid, in seconds, decaying.
    min_charge_s: f64,
    /// Elapsed time in its newest part, in seconds.
    part_s: f64,
    /// Index of the followed fleet.
    selected: usize,
}

/// The selected fleet and the numbers behind the selection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Index of the forecast method in [`METHODS`].
    pub method: usize,
    /// Index of the price.
    pub price_index: usize,
    /// The price.
    pub price: f64,
    /// Share of demand that the selected virtual fleet left unserved.
    pub backtest_unserved: f64,
    /// Droplets of the selected virtual fleet, relative to the number the demand would fill.
    pub cost: f64,
    /// Share of demand that the real fleet left unserved.
    pub actual_unserved: f64,
}

impl Backtest {
    /// Creates an empty backtest with fleets of `size`.
    pub fn new(size: u32) -> Self {
        Self {
            fleets: vec![VirtualFleet::default(); FLEET_COUNT],
            sizes: VecDeque::from([vec![size; FLEET_COUNT]]),
            steps: 0.0,
            demand: 0.0,
            unserved: 0.0,
            peak_demand: 0.0,
            min_charge_s: 0.0,
            part_s: 0.0,
            selected: INITIAL_FLEET,
        }
    }

    /// Serves a step's demand, which `ready` real droplets served, with all fleets. `allowed` is the share that may be
    /// left unserved, and `paid_for_s` the longest remaining prepaid time of any droplet, in seconds.
    pub fn serve(
        &mut self,
        demand: f64,
        ready: u32,
        allowed: f64,
        paid_for_s: f64,
        elapsed: &ElapsedStep,
        ahead: usize,
    ) {
        let kept = 1.0 - ewma_weight(elapsed.seconds, TIME_CONSTANT_S);
        self.min_charge_s = (self.min_charge_s * kept).max(paid_for_s);
        self.peak_demand = (self.peak_demand * kept).max(demand);
        self.steps = self.steps * kept + 1.0;
        self.demand = self.demand * kept + demand;
        self.unserved = self.unserved * kept + (demand - f64::from(ready)).max(0.0);
        let half_a_day = self.demand / self.steps * DAY_S / 2.0 / elapsed.seconds;
        let most = MAX_EVENT_SHARE * allowed * self.demand.max(half_a_day);
        let Some(newest) = self.sizes.back().cloned() else { return };
        // A droplet serves if it existed in all of the last steps.
        let mut ready = newest.clone();
        for sizes in self.sizes.iter().rev().take(ahead) {
            ready.iter_mut().zip(sizes).for_each(|(ready, size)| *ready = (*ready).min(*size));
        }
        for ((fleet, ready), size) in self.fleets.iter_mut().zip(ready).zip(&newest) {
            let lost = (demand - f64::from(ready)).max(0.0);
            fleet.paid = fleet.paid * kept + f64::from(*size);
            fleet.unserved = fleet.unserved * kept + lost.min((most - fleet.event_unserved).max(0.0));
            fleet.event_unserved = if lost > 0.0 { fleet.event_unserved + lost } else { 0.0 };
            fleet.stress_unserved *= kept;
        }
        self.age_purchases(elapsed.seconds);
        // The next resize starts from the current sizes.
        while self.sizes.len() >= ahead.max(1) {
            self.sizes.pop_front();
        }
        self.sizes.push_back(newest);
    }

    /// Ages the purchases of the fleets. If droplets are billed per step, no purchase is retained.
    fn age_purchases(&mut self, seconds: f64) {
        self.part_s += seconds;
        let part_s = self.min_charge_s / to_f64(CHARGE_PARTS as u64);
        let over = if self.min_charge_s > 1.5 * seconds { self.part_s / part_s } else { f64::INFINITY };
        let gone = (1..=CHARGE_PARTS).take_while(|parts| to_f64(*parts as u64) <= over).count();
        if gone > 0 {
            for fleet in &mut self.fleets {
                fleet.bought.rotate_right(gone);
                fleet.bought[..gone].fill(0);
            }
            self.part_s = if over.is_finite() { self.part_s % part_s } else { 0.0 };
        }
    }

    /// Resizes the fleets of one forecast method.
    pub fn resize(&mut self, kind: usize, horizon: &ForecastHorizon, limits: Limits) -> Vec<Band> {
        let sizes = horizon.tail.sizes(horizon.forecast.demand, horizon.forecast.roughness, prices());
        // Cap the size: a demand far above any observed one does not justify more droplets.
        let most = ceil_u32(MAX_OVER_PEAK * self.peak_demand + 2.0);
        let limits = Limits { min: limits.min, max: limits.max.min(most.max(limits.min)) };
        let band = |price: usize| Band {
            min: limits.clamp(sizes[price]),
            max: limits.clamp(sizes[price + SCALE_IN_PRICE_STEPS]),
        };
        let bands: Vec<Band> = (0..PRICE_COUNT).map(band).collect();
        if let Some(sizes) = self.sizes.back_mut() {
            let fleets = self.fleets[kind * PRICE_COUNT..].iter_mut().zip(&mut sizes[kind * PRICE_COUNT..]);
            for ((fleet, size), band) in fleets.zip(&bands) {
                fleet.stress_unserved += (horizon.worst - f64::from(*size)).max(0.0);
                let before = *size;
                let paid_for = fleet.bought.iter().fold(0_u32, |all, bought| all.saturating_add(*bought));
                *size = band.clamp(before).max(paid_for.min(before));
                fleet.bought[0] = fleet.bought[0].saturating_add(size.saturating_sub(before));
            }
        }
        bands
    }

    /// Selects the fleet to follow from now on.
    pub fn select(&mut self, allowed: f64, elapsed: &ElapsedStep, ahead: usize) -> Choice {
        if elapsed.steps_since_start * elapsed.seconds >= 3600.0 {
            self.selected = self.cheapest(allowed, elapsed, ahead).unwrap_or(self.selected);
        }
        let fleet = &self.fleets[self.selected];
        let demand = self.demand.max(f64::MIN_POSITIVE);
        Choice {
            method: self.selected / PRICE_COUNT,
            price_index: self.selected % PRICE_COUNT,
            price: price(self.selected % PRICE_COUNT),
            backtest_unserved: fleet.unserved / demand,
            cost: fleet.paid / demand,
            actual_unserved: self.unserved / demand,
        }
    }

    /// Returns the cheapest fleet within the allowance, or the one with the smallest loss if there is none.
    fn cheapest(&self, allowed: f64, elapsed: &ElapsedStep, ahead: usize) -> Option<usize> {
        let allowed = allowed * (1.0 - SAFETY_MARGIN);
        let days = self.steps * elapsed.seconds / DAY_S;
        let day = self.demand / self.steps.max(1.0) * DAY_S / elapsed.seconds;
        let prior = PRIOR_DAYS * day;
        let to_come = (0.5 * self.demand).max(MIN_RECOVERY_DAYS * day);
        let over = (allowed * self.demand - self.unserved) / to_come.max(f64::MIN_POSITIVE);
        let most = 1.0 + confidence(days, SURPLUS_HALF_DAYS);
        let may_be_lost = (allowed + over).clamp(MIN_ALLOWED_RATIO * allowed, most * allowed);
        let times = STRESS_EVENTS * (1.0 - confidence(days, STRESS_HALF_DAYS));
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let worst = times * ahead as f64 / self.steps.max(1.0);
        let at_first: [f64; PRICE_COUNT] =
            std::array::from_fn(|number| allowed * prior * (PRIOR_PRICE / price(number)).powf(PRIOR_POWER));
        let all = (self.demand + prior).max(f64::MIN_POSITIVE);
        let share_of = |(fleet, at_first): (&VirtualFleet, &f64)| {
            (fleet.unserved + worst * fleet.stress_unserved + at_first) / all
        };
        let shares: Vec<f64> = self.fleets.iter().zip(at_first.iter().cycle()).map(share_of).collect();
        let by_cost = |one: &usize, other: &usize| self.fleets[*one].paid.total_cmp(&self.fleets[*other].paid);
        let by_share = |one: &usize, other: &usize| shares[*one].total_cmp(&shares[*other]);
        let will_do = (0..FLEET_COUNT).filter(|number| shares[*number] <= may_be_lost);
        will_do.min_by(by_cost).or_else(|| (0..FLEET_COUNT).min_by(by_share))
    }

    /// Writes the backtest into the state.
    pub fn write(&self, to: &mut Writer) {
        to.write_f32(self.steps);
        to.write_f32(self.demand);
        to.write_f32(self.unserved);
        to.write_f32(self.peak_demand);
        to.write_f32(self.min_charge_s);
        to.write_f32(self.part_s);
        to.write_u16(u32::try_from(self.selected).unwrap_or(0));
        to.write_u8(self.sizes.len());
        self.sizes.iter().flatten().for_each(|size| to.write_u16(*size));
        for fleet in &self.fleets {
            for number in [fleet.paid, fleet.unserved, fleet.event_unserved, fleet.stress_unserved] {
                to.write_f32(number);
            }
            fleet.bought.iter().for_each(|bought| to.write_u16(*bought));
        }
    }

    /// Reads the backtest from the state.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut read = Self::new(0);
        read.steps = from.read_f32()?;
        read.demand = from.read_f32()?;
        read.unserved = from.read_f32()?;
        read.peak_demand = from.read_f32()?;
        read.min_charge_s = from.read_f32()?.max(0.0);
        read.part_s = from.read_f32()?.max(0.0);
        read.selected = usize::try_from(from.read_u16()?).ok().filter(|chosen| *chosen < read.fleets.len())?;
        read.sizes.clear();
        for _ in 0..from.read_u8()? {
            read.sizes.push_back((0..FLEET_COUNT).map(|_| from.read_u16()).collect::<Option<Vec<u32>>>()?);
        }
        if read.sizes.is_empty() {
            return None;
        }
        for fleet in &mut read.fleets {
            for number in [&mut fleet.paid, &mut fleet.unserved, &mut fleet.event_unserved, &mut fleet.stress_unserved]
            {
                *number = from.read_f32()?;
            }
            for bought in &mut fleet.bought {
                *bought = from.read_u16()?;
            }
        }
        Some(read)
    }
}

/// Returns the weight of observed days relative to the prior: from 0 to 1, and a half after `half` days.
fn confidence(days: f64, half: f64) -> f64 {
    let square = (days / half) * (days / half);
    square / (1.0 + square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cadence::Cadence;
    use crate::forecast::Forecast;
    use crate::residual_model::ResidualModel;

    const LIMITS: Limits = Limits { min: 1, max: 100 };

    fn horizon(demand: f64) -> ForecastHorizon {
        let expected = Forecast { demand, roughness: 1.0 };
        ForecastHorizon { forecast: expected, tail: ResidualModel::default().tail(), deviation: 1.0, worst: 0.0 }
    }

    /// Runs a backtest in which every method makes the same, correct forecast.
    fn backtest_after_days(steps: u64, demand: f64) -> (Backtest, Choice) {
        let mut backtest = Backtest::new(1);
        let cadence = Cadence::new(60_000, Some(120_000), None);
        for step in 0..steps {
            let elapsed = cadence.elapsed(step * 60_000, (step + 1) * 60_000, step);
            backtest.serve(demand, 10, 0.001, 0.0, &elapsed, cadence.lead_steps);
            for kind in 0..METHODS.len() {
                backtest.resize(kind, &horizon(demand), LIMITS);
            }
            backtest.select(0.001, &elapsed, cadence.lead_steps);
        }
        let choice = backtest.select(0.001, &cadence.elapsed(0, 60_000, steps), cadence.lead_steps);
        (backtest, choice)
    }

    #[test]
    fn superfluous_droplets_favor_a_lower_price() {
        let (_, at_first) = backtest_after_days(10, 4.0);
        let (_, later) = backtest_after_days(1000, 4.0);

        assert!((at_first.price - price(INITIAL_FLEET)).abs() < 1e-9);
        assert!(later.price < 15.0 && later.cost < at_first.cost, "{later:?}");
        assert!(later.actual_unserved.abs() < 1e-9);
    }

    #[test]
    fn fleet_serves_after_its_droplets_booted() {
        let (backtest, _) = backtest_after_days(4, 4.0);

        // One droplet served in the first three steps; the droplets ordered after the first step served in the fourth.
        let lost: Vec<f64> = [0, PRICE_COUNT - 1].map(|number| backtest.fleets[number].event_unserved).into();
        assert_eq!(lost, [0.0, 0.0]);
        let (backtest, _) = backtest_after_days(3, 4.0);
        assert!((backtest.fleets[0].event_unserved - 9.0).abs() < 1e-9, "{:?}", backtest.fleets[0]);
    }

    #[test]
    fn band_grows_to_min_and_shrinks_to_max() {
        let band = Band { min: 3, max: 5 };

        assert_eq!([1, 3, 4, 5, 9].map(|size| band.clamp(size)), [3, 3, 4, 5, 5]);
    }

    #[test]
    fn fleet_keeps_prepaid_droplets_until_expiry() {
        // Minutes for which all but the first droplet stay after a short burst of demand.
        let kept = |charge_s: f64| {
            let mut backtest = Backtest::new(1);
            let cadence = Cadence::new(60_000, Some(0), None);
            let mut size_after = |minute: u64, demand: f64| {
                let elapsed = cadence.elapsed(minute * 60_000, (minute + 1) * 60_000, minute);
                backtest.serve(demand, 1, 0.001, charge_s, &elapsed, cadence.lead_steps);
                backtest.resize(0, &horizon(demand), LIMITS);
                backtest.sizes.back().unwrap()[0]
            };
            let large = size_after(0, 10.0);
            (1..60).take_while(|minute| size_after(*minute, 1.0) + 1 == large).count()
        };

        assert_eq!(kept(0.0), 0);
        assert_eq!(kept(60.0), 0);
        assert!((7..=10).contains(&kept(600.0)), "{}", kept(600.0));
    }

    #[test]
    fn confidence_grows_with_observed_days() {
        let found = [0.0, 3.0, 9.0].map(|days| format!("{:.3}", confidence(days, 3.0)));

        assert_eq!(found, ["0.000", "0.500", "0.900"]);
    }

    #[test]
    fn written_state_is_read_back() {
        let (backtest, _) = backtest_after_days(100, 4.0);
        let mut writer = Writer::new();
        backtest.write(&mut writer);
        let bytes = writer.finish();

        let read = Backtest::read(&mut Reader::new(&bytes)).unwrap();

        let mut again = Writer::new();
        read.write(&mut again);
        assert_eq!(again.finish(), bytes);
        assert_eq!(read.sizes, backtest.sizes);
    }
}

//! The backtest: every way to forecast, at every price of a lost request, runs a fleet of its own through the demand that
//! really came, with the boot time that droplets really take. The cheapest that leaves no more unserved than may be is
//! followed.

use std::collections::VecDeque;

use crate::bytes::{Reader, Writer};
use crate::forecast::{KINDS, Outlook};
use crate::pace::{Elapsed, share};
use policy_kit::Limits;
use policy_kit::numbers::{real, whole_up};

/// How many prices there are.
pub const PRICES: usize = 19;
/// One for each forecast and price.
const FLEETS: usize = KINDS.len() * PRICES;
const FIRST_PRICE: f64 = 6.0;
const RISE: f64 = 1.35;
/// A droplet is given up where it would not be worth it at a price so many steps higher: starting one again is paid for
/// until it serves.
const KEEP: usize = 4;
/// The price at first, of the newest value.
const AT_FIRST: usize = 8;

/// How long what was paid and lost counts, as a time constant in seconds: two weeks.
const MEMORY_S: f64 = 1_209_600.0;
const DAY_S: f64 = 86_400.0;
/// How much demand is taken for granted at first, in days: with a share unserved that falls with the price.
const PRIOR_DAYS: f64 = 0.03;
/// The price at which the share that may be is left unserved at first, and by which power that falls.
const PRIOR_PRICE: f64 = 60.0;
const PRIOR_POWER: f64 = 1.2;
/// The most that one event counts, as a share of what may be lost: one that is beyond all others is no rule.
const MOST_OF_AN_EVENT: f64 = 0.4;
/// How often the worst surprise is expected to come again, at first; half as often when so many days were seen.
const STRESS: f64 = 4.5;
const STRESS_DAYS: f64 = 3.0;
/// What may be lost from now on, over what may be lost on the whole, is at least this, when more was lost.
const LEAST_ALLOWED: f64 = 0.6;
/// When less was lost it is up to 1 at first and nearly 2 later, half of that when so many days were seen.
const SAVED_DAYS: f64 = 7.0;
/// What was lost or saved is made up for in half as long as what was seen, and in two days at least.
const AT_LEAST_DAYS: f64 = 2.0;
/// What is kept back of it, so that a late event is no breach.
const RESERVE: f64 = 0.07;
/// A fleet has no more room than for so many times the highest demand, and two droplets.
const MOST_OVER_HIGHEST: f64 = 1.3;
/// Into how many parts the time is cut for which a new droplet is paid at least.
const PARTS: usize = 4;

/// The price of a number: what a tick's work of a droplet is worth, in ticks of a droplet.
pub fn price(number: usize) -> f64 {
    FIRST_PRICE * RISE.powi(i32::try_from(number).unwrap_or(0))
}

/// The prices by which one way to forecast is asked for sizes.
pub fn prices() -> impl Iterator<Item = f64> {
    (0..PRICES + KEEP).map(price)
}

/// Which sizes are right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Band {
    /// A smaller fleet grows to this.
    pub least: u32,
    /// A larger one shrinks to this.
    pub most: u32,
}

impl Band {
    /// What becomes of a fleet of `size`.
    pub fn hold(self, size: u32) -> u32 {
        size.clamp(self.least, self.most.max(self.least))
    }
}

/// What became of a fleet that is only calculated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Fleet {
    /// Ticks that were paid for, of steps.
    paid: f64,
    /// Demand that was left unserved, in droplets' worth of work, with large events cut off.
    lost: f64,
    /// What the event that goes on has lost so far.
    event: f64,
    /// What would have been lost if the worst surprise had come in each step.
    stress: f64,
    /// Droplets that were bought in the last parts of the minimum charge, the newest first: those that are paid for.
    bought: [u32; PARTS],
}

/// All fleets, and the real one's balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    fleets: Vec<Fleet>,
    /// Their sizes at the end of the last steps, the newest last.
    sizes: VecDeque<Vec<u32>>,
    /// Steps that count, and the demand in them.
    steps: f64,
    demand: f64,
    /// What the real fleet has left unserved.
    lost: f64,
    /// The highest demand.
    highest: f64,
    /// What was seen of the minimum charge: the longest that a droplet was paid for beforehand, in seconds, fading.
    charge_s: f64,
    /// How much of the newest part of it is over, in seconds.
    part_s: f64,
    /// Which is followed.
    chosen: usize,
}

/// What a choice goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Which way to forecast, of [`KINDS`].
    pub kind: usize,
    /// Which price, by its number.
    pub number: usize,
    /// The price.
    pub price: f64,
    /// Its fleet's share of demand that was left unserved.
    pub lost: f64,
    /// Its fleet's droplets over those that the demand would have filled.
    pub cost: f64,
    /// The share that the real fleet has left unserved.
    pub really_lost: f64,
}

impl Backtest {
    /// One that has seen nothing, with fleets of `size`.
    pub fn new(size: u32) -> Self {
        Self {
            fleets: vec![Fleet::default(); FLEETS],
            sizes: VecDeque::from([vec![size; FLEETS]]),
            steps: 0.0,
            demand: 0.0,
            lost: 0.0,
            highest: 0.0,
            charge_s: 0.0,
            part_s: 0.0,
            chosen: AT_FIRST,
        }
    }

    /// Serves a step's demand, which `ready` real droplets served, with all fleets. `allowed` is the share that may be
    /// left unserved, and `paid_for_s` the longest that one of the droplets is paid for from now on, in seconds.
    pub fn serve(&mut self, demand: f64, ready: u32, allowed: f64, paid_for_s: f64, elapsed: &Elapsed, ahead: usize) {
        let kept = 1.0 - share(elapsed.seconds, MEMORY_S);
        self.charge_s = (self.charge_s * kept).max(paid_for_s);
        self.highest = (self.highest * kept).max(demand);
        self.steps = self.steps * kept + 1.0;
        self.demand = self.demand * kept + demand;
        self.lost = self.lost * kept + (demand - f64::from(ready)).max(0.0);
        let half_a_day = self.demand / self.steps * DAY_S / 2.0 / elapsed.seconds;
        let most = MOST_OF_AN_EVENT * allowed * self.demand.max(half_a_day);
        let Some(newest) = self.sizes.back().cloned() else { return };
        // A droplet serves when it was there in all of the last steps.
        let mut ready = newest.clone();
        for sizes in self.sizes.iter().rev().take(ahead) {
            ready.iter_mut().zip(sizes).for_each(|(ready, size)| *ready = (*ready).min(*size));
        }
        for ((fleet, ready), size) in self.fleets.iter_mut().zip(ready).zip(&newest) {
            let lost = (demand - f64::from(ready)).max(0.0);
            fleet.paid = fleet.paid * kept + f64::from(*size);
            fleet.lost = fleet.lost * kept + lost.min((most - fleet.event).max(0.0));
            fleet.event = if lost > 0.0 { fleet.event + lost } else { 0.0 };
            fleet.stress *= kept;
        }
        self.pass(elapsed.seconds);
        // What they have now is what is resized.
        while self.sizes.len() >= ahead.max(1) {
            self.sizes.pop_front();
        }
        self.sizes.push_back(newest);
    }

    /// Lets what the fleets have bought grow older. Where droplets are paid for by the step nothing is kept of it.
    fn pass(&mut self, seconds: f64) {
        self.part_s += seconds;
        let part_s = self.charge_s / real(PARTS as u64);
        let over = if self.charge_s > 1.5 * seconds { self.part_s / part_s } else { f64::INFINITY };
        let gone = (1..=PARTS).take_while(|parts| real(*parts as u64) <= over).count();
        if gone > 0 {
            for fleet in &mut self.fleets {
                fleet.bought.rotate_right(gone);
                fleet.bought[..gone].fill(0);
            }
            self.part_s = if over.is_finite() { self.part_s % part_s } else { 0.0 };
        }
    }

    /// Resizes the fleets of one way to forecast.
    pub fn resize(&mut self, kind: usize, outlook: &Outlook, limits: Limits) -> Vec<Band> {
        let sizes = outlook.tail.sizes(outlook.expected.demand, outlook.expected.roughness, prices());
        // Nobody buys more for fear of what has never been near.
        let most = whole_up(MOST_OVER_HIGHEST * self.highest + 2.0);
        let limits = Limits { min: limits.min, max: limits.max.min(most.max(limits.min)) };
        let band = |price: usize| Band { least: limits.clamp(sizes[price]), most: limits.clamp(sizes[price + KEEP]) };
        let bands: Vec<Band> = (0..PRICES).map(band).collect();
        if let Some(sizes) = self.sizes.back_mut() {
            let fleets = self.fleets[kind * PRICES..].iter_mut().zip(&mut sizes[kind * PRICES..]);
            for ((fleet, size), band) in fleets.zip(&bands) {
                fleet.stress += (outlook.worst - f64::from(*size)).max(0.0);
                let before = *size;
                let paid_for = fleet.bought.iter().fold(0_u32, |all, bought| all.saturating_add(*bought));
                *size = band.hold(before).max(paid_for.min(before));
                fleet.bought[0] = fleet.bought[0].saturating_add(size.saturating_sub(before));
            }
        }
        bands
    }

    /// Chooses whom to follow from now on.
    pub fn choose(&mut self, allowed: f64, elapsed: &Elapsed, ahead: usize) -> Choice {
        if elapsed.steps_since_start * elapsed.seconds >= 3600.0 {
            self.chosen = self.cheapest(allowed, elapsed, ahead).unwrap_or(self.chosen);
        }
        let fleet = &self.fleets[self.chosen];
        let demand = self.demand.max(f64::MIN_POSITIVE);
        Choice {
            kind: self.chosen / PRICES,
            number: self.chosen % PRICES,
            price: price(self.chosen % PRICES),
            lost: fleet.lost / demand,
            cost: fleet.paid / demand,
            really_lost: self.lost / demand,
        }
    }

    /// The cheapest of those that will do, or the one that loses least.
    fn cheapest(&self, allowed: f64, elapsed: &Elapsed, ahead: usize) -> Option<usize> {
        let allowed = allowed * (1.0 - RESERVE);
        let days = self.steps * elapsed.seconds / DAY_S;
        let day = self.demand / self.steps.max(1.0) * DAY_S / elapsed.seconds;
        let prior = PRIOR_DAYS * day;
        let to_come = (0.5 * self.demand).max(AT_LEAST_DAYS * day);
        let over = (allowed * self.demand - self.lost) / to_come.max(f64::MIN_POSITIVE);
        let most = 1.0 + trust(days, SAVED_DAYS);
        let may_be_lost = (allowed + over).clamp(LEAST_ALLOWED * allowed, most * allowed);
        let times = STRESS * (1.0 - trust(days, STRESS_DAYS));
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let worst = times * ahead as f64 / self.steps.max(1.0);
        let at_first: [f64; PRICES] =
            std::array::from_fn(|number| allowed * prior * (PRIOR_PRICE / price(number)).powf(PRIOR_POWER));
        let all = (self.demand + prior).max(f64::MIN_POSITIVE);
        let share_of = |(fleet, at_first): (&Fleet, &f64)| (fleet.lost + worst * fleet.stress + at_first) / all;
        let shares: Vec<f64> = self.fleets.iter().zip(at_first.iter().cycle()).map(share_of).collect();
        let by_cost = |one: &usize, other: &usize| self.fleets[*one].paid.total_cmp(&self.fleets[*other].paid);
        let by_share = |one: &usize, other: &usize| shares[*one].total_cmp(&shares[*other]);
        let will_do = (0..FLEETS).filter(|number| shares[*number] <= may_be_lost);
        will_do.min_by(by_cost).or_else(|| (0..FLEETS).min_by(by_share))
    }

    /// Puts it into a state.
    pub fn write(&self, to: &mut Writer) {
        to.real(self.steps);
        to.real(self.demand);
        to.real(self.lost);
        to.real(self.highest);
        to.real(self.charge_s);
        to.real(self.part_s);
        to.count(u32::try_from(self.chosen).unwrap_or(0));
        to.few(self.sizes.len());
        self.sizes.iter().flatten().for_each(|size| to.count(*size));
        for fleet in &self.fleets {
            for number in [fleet.paid, fleet.lost, fleet.event, fleet.stress] {
                to.real(number);
            }
            fleet.bought.iter().for_each(|bought| to.count(*bought));
        }
    }

    /// Takes it out of a state.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut read = Self::new(0);
        read.steps = from.real()?;
        read.demand = from.real()?;
        read.lost = from.real()?;
        read.highest = from.real()?;
        read.charge_s = from.real()?.max(0.0);
        read.part_s = from.real()?.max(0.0);
        read.chosen = usize::try_from(from.count()?).ok().filter(|chosen| *chosen < read.fleets.len())?;
        read.sizes.clear();
        for _ in 0..from.few()? {
            read.sizes.push_back((0..FLEETS).map(|_| from.count()).collect::<Option<Vec<u32>>>()?);
        }
        if read.sizes.is_empty() {
            return None;
        }
        for fleet in &mut read.fleets {
            for number in [&mut fleet.paid, &mut fleet.lost, &mut fleet.event, &mut fleet.stress] {
                *number = from.real()?;
            }
            for bought in &mut fleet.bought {
                *bought = from.count()?;
            }
        }
        Some(read)
    }
}

/// How much days that were seen count against those that were not: from 0 to 1, and a half after `half` days.
fn trust(days: f64, half: f64) -> f64 {
    let square = (days / half) * (days / half);
    square / (1.0 + square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Expected;
    use crate::pace::Pace;
    use crate::surprise::Surprises;

    const LIMITS: Limits = Limits { min: 1, max: 100 };

    fn outlook(demand: f64) -> Outlook {
        let expected = Expected { demand, roughness: 1.0 };
        Outlook { expected, tail: Surprises::default().tail(), deviation: 1.0, worst: 0.0 }
    }

    /// A backtest in which every way forecasts the same, which really comes.
    fn played(steps: u64, demand: f64) -> (Backtest, Choice) {
        let mut backtest = Backtest::new(1);
        let pace = Pace::of(60_000, Some(120_000), None);
        for step in 0..steps {
            let elapsed = pace.elapsed(step * 60_000, (step + 1) * 60_000, step);
            backtest.serve(demand, 10, 0.001, 0.0, &elapsed, pace.ahead);
            for kind in 0..KINDS.len() {
                backtest.resize(kind, &outlook(demand), LIMITS);
            }
            backtest.choose(0.001, &elapsed, pace.ahead);
        }
        let choice = backtest.choose(0.001, &pace.elapsed(0, 60_000, steps), pace.ahead);
        (backtest, choice)
    }

    #[test]
    fn droplets_that_are_not_needed_make_a_lower_price_win() {
        let (_, at_first) = played(10, 4.0);
        let (_, later) = played(1000, 4.0);

        assert!((at_first.price - price(AT_FIRST)).abs() < 1e-9);
        assert!(later.price < 15.0 && later.cost < at_first.cost, "{later:?}");
        assert!(later.really_lost.abs() < 1e-9);
    }

    #[test]
    fn a_fleet_serves_when_its_droplets_have_booted() {
        let (backtest, _) = played(4, 4.0);

        // One droplet served in the first three steps, and what was ordered after the first in the fourth.
        let lost: Vec<f64> = [0, PRICES - 1].map(|number| backtest.fleets[number].event).into();
        assert_eq!(lost, [0.0, 0.0]);
        let (backtest, _) = played(3, 4.0);
        assert!((backtest.fleets[0].event - 9.0).abs() < 1e-9, "{:?}", backtest.fleets[0]);
    }

    #[test]
    fn a_band_grows_to_its_least_and_shrinks_to_its_most() {
        let band = Band { least: 3, most: 5 };

        assert_eq!([1, 3, 4, 5, 9].map(|size| band.hold(size)), [3, 3, 4, 5, 5]);
    }

    #[test]
    fn a_fleet_keeps_what_it_has_paid_for_until_that_is_used_up() {
        // How many minutes all but the first droplet stay after a demand that is over at once.
        let kept = |charge_s: f64| {
            let mut backtest = Backtest::new(1);
            let pace = Pace::of(60_000, Some(0), None);
            let mut size_after = |minute: u64, demand: f64| {
                let elapsed = pace.elapsed(minute * 60_000, (minute + 1) * 60_000, minute);
                backtest.serve(demand, 1, 0.001, charge_s, &elapsed, pace.ahead);
                backtest.resize(0, &outlook(demand), LIMITS);
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
    fn days_that_were_seen_are_trusted_more_and_more() {
        let found = [0.0, 3.0, 9.0].map(|days| format!("{:.3}", trust(days, 3.0)));

        assert_eq!(found, ["0.000", "0.500", "0.900"]);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (backtest, _) = played(100, 4.0);
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

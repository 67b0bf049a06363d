//! The lowest cost of any policy that leaves a given number of requests unserved.
//!
//! With a price on each lost request (a Lagrange multiplier), each level on its own is a cheapest path through two
//! states, running and not running (Viterbi's algorithm). The sum over all levels lies on the lower convex hull of
//! (unserved, cost), and every point of that hull is a lower bound for all policies.

use crate::model::fluid::Setup;
use crate::number::to_f64;

/// Lost requests and cost of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Billed ticks.
    pub ticks: f64,
    /// Lost requests.
    pub unserved: f64,
}

/// The lower bound on cost for every unserved share.
#[derive(Debug, Clone)]
pub struct LowerBound {
    boot_ticks: u32,
    levels: Vec<Level>,
    /// Cost and loss independent of any decision: droplets below the minimum, and requests beyond the maximum.
    fixed: Point,
}

/// A droplet that is running or not.
#[derive(Debug, Clone, Default)]
struct Level {
    /// True if it is running at the start.
    initially_running: bool,
    /// Ticks in which it is needed.
    needs: Vec<Need>,
}

/// A tick in which a level is needed.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// Ticks since it was last needed.
    gap: u32,
    /// Requests lost without it.
    requests: f64,
}

/// The cheapest path to a state so far.
#[derive(Debug, Clone, Copy, Default)]
struct PathCost {
    /// Total cost, including the price of lost requests.
    total: f64,
    ticks: u64,
    unserved: f64,
}

impl PathCost {
    fn plus_ticks(self, ticks: u32) -> Self {
        Self { total: self.total + f64::from(ticks), ticks: self.ticks + u64::from(ticks), ..self }
    }

    fn plus_unserved(self, requests: f64, price: f64) -> Self {
        Self { total: self.total + price * requests, unserved: self.unserved + requests, ..self }
    }

    fn cheaper_of(self, other: Self) -> Self {
        if other.total < self.total { other } else { self }
    }
}

impl LowerBound {
    /// Computes the bound for `demand` in requests per second, with `first` droplets ready at the start.
    pub fn of(setup: &Setup, demand: &[f64], first: u32) -> Self {
        let mut fixed = Point { ticks: f64::from(setup.min) * to_f64(demand.len() as u64), unserved: 0.0 };
        let mut levels: Vec<Level> = Vec::new();
        // Tick after the last need of each level.
        let mut since: Vec<u32> = Vec::new();
        let (bottom, top) = (f64::from(setup.min) * setup.capacity, f64::from(setup.max) * setup.capacity);
        for (now, demand) in (0_u32..).zip(demand.iter().copied()) {
            fixed.unserved += (demand - top).max(0.0) * setup.tick_s;
            let mut left = demand.min(top) - bottom;
            let mut level = 0;
            while left > 0.0 {
                if level == levels.len() {
                    let there = setup.min + u32::try_from(level).unwrap_or(u32::MAX) < first;
                    levels.push(Level { initially_running: there, needs: Vec::new() });
                    since.push(0);
                }
                let requests = left.min(setup.capacity) * setup.tick_s;
                levels[level].needs.push(Need { gap: now - since[level], requests });
                since[level] = now + 1;
                left -= setup.capacity;
                level += 1;
            }
        }
        Self { boot_ticks: setup.boot_ticks, levels, fixed }
    }

    /// Returns the lowest billed ticks for `unserved` lost requests; `whole` is the cost of losing none.
    pub fn min_ticks(&self, whole: Point, unserved: f64) -> f64 {
        let mut dear = whole;
        let mut cheap = self.at_price(0.0);
        if unserved <= dear.unserved {
            return dear.ticks;
        }
        if unserved >= cheap.unserved {
            return cheap.ticks;
        }
        loop {
            let price = (dear.ticks - cheap.ticks) / (cheap.unserved - dear.unserved);
            let between = self.at_price(price);
            let on_the_line = dear.ticks + price * dear.unserved;
            // Rounding error of sums of this magnitude.
            let nothing = 1e-9 * on_the_line.max(1.0);
            let is_new = between.unserved > dear.unserved && between.unserved < cheap.unserved;
            if !is_new || between.ticks + price * between.unserved >= on_the_line - nothing {
                return dear.ticks - price * (unserved - dear.unserved);
            }
            if between.unserved <= unserved {
                dear = between;
            } else {
                cheap = between;
            }
        }
    }

    /// Returns the point of the hull at which a lost request costs `price` ticks.
    pub fn at_price(&self, price: f64) -> Point {
        self.levels.iter().fold(self.fixed, |sum, level| {
            let way = level.cheapest(self.boot_ticks, price);
            Point { ticks: sum.ticks + to_f64(way.ticks), unserved: sum.unserved + way.unserved }
        })
    }
}

impl Level {
    fn cheapest(&self, boot_ticks: u32, price: f64) -> PathCost {
        let mut away = PathCost::default();
        // A level that is not running at the start must be started, like any other that is not running.
        let mut there = if self.initially_running { away } else { away.plus_ticks(boot_ticks) };
        for need in &self.needs {
            let kept = there.plus_ticks(need.gap.min(boot_ticks)).plus_ticks(1);
            let started = away.plus_ticks(boot_ticks).plus_ticks(1);
            (there, away) = (kept.cheaper_of(started), away.cheaper_of(there).plus_unserved(need.requests, price));
        }
        there.cheaper_of(away)
    }
}

//! Forecast residuals of one method, and the expected loss of a fleet of n droplets.
//!
//! A demand y (in droplets' worth of work) with the forecast f has the residual z = (y − f)/(v·√(a·f + b·f²)). The two
//! parts of the variance are that of counts, which grows with the demand, and that of proportions of it; weighted least
//! squares fits them to the squared errors. v is the current roughness. The observed z are counted in bins, from which
//! E[(z − c)⁺] follows: the average loss with headroom c.

use crate::bytes::{Reader, Writer};

/// Number of bins.
const BINS: usize = 56;
/// Number of bins of width 0.25; each bin above them is a tenth wider than the previous one.
const FINE_BINS: usize = 32;
const LOWEST: f64 = -3.0;
const GROWTH: f64 = 1.1;

/// Weight of the prior distribution, in residuals.
const PRIOR_WEIGHT: f64 = 20.0;
/// Initial coefficients of the variance.
const INITIAL_NOISE: f64 = 0.1;
const INITIAL_SWING: f64 = 0.04;

/// Lower bound of a forecast, in droplets; otherwise a forecast of 0 would have no deviation.
pub const MIN_FORECAST: f64 = 0.02;

/// The learned residuals of one forecast method.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualModel {
    /// The coefficients a and b.
    noise: f64,
    swing: f64,
    /// The sums of the fit: f·f, f·f², f²·f², f·e², f²·e², each weighted.
    sums: [f64; 5],
    /// Number of z in each bin; newer ones have more weight.
    counts: [f64; BINS],
}

/// The distribution of z, prepared for queries.
#[derive(Debug, Clone)]
pub struct Tail {
    noise: f64,
    swing: f64,
    /// P(z > edge).
    exceedance: [f64; BINS + 1],
    /// E[(z − edge)⁺].
    excess: [f64; BINS + 1],
}

impl Default for ResidualModel {
    fn default() -> Self {
        let mut counts = [0.0; BINS];
        for (bin, count) in counts.iter_mut().enumerate() {
            let from = if bin == 0 { 1.0 } else { prior(EDGES[bin]) };
            let to = if bin + 1 == BINS { 0.0 } else { prior(EDGES[bin + 1]) };
            *count = PRIOR_WEIGHT * (from - to);
        }
        Self { noise: INITIAL_NOISE, swing: INITIAL_SWING, sums: [0.0; 5], counts }
    }
}

impl ResidualModel {
    /// Returns the standard deviation of a forecast at the usual roughness.
    pub fn deviation(&self, forecast: f64) -> f64 {
        deviation(self.noise, self.swing, forecast)
    }

    /// Learns that `demand` occurred instead of `forecast` at a roughness of `roughness`. `weight` is the amount of new
    /// information in it, and `kept` the share of the older information to retain, both from 0 to 1.
    pub fn learn(&mut self, forecast: f64, demand: f64, roughness: f64, weight: f64, kept: f64) {
        let off = (demand - forecast) / roughness;
        let deviation = self.deviation(forecast);
        let kept_counts = 1.0 - (1.0 - kept) * weight;
        self.counts.iter_mut().for_each(|count| *count *= kept_counts);
        self.counts[bin(off / deviation)] += weight;

        let variance = deviation * deviation;
        // Cap at six deviations: an outlier does not describe the usual variance.
        let square = (off * off).min(36.0 * variance + 1e-3);
        let trust = 1.0 / (variance * variance + 1e-4);
        let (once, twice) = (forecast, forecast * forecast);
        let news = [once * once, once * twice, twice * twice, once * square, twice * square];
        for (sum, news) in self.sums.iter_mut().zip(news) {
            *sum = *sum * kept + trust * news;
        }
        let [oo, ot, tt, oe, te] = self.sums;
        // Regularize the diagonal: all demand may have been the same.
        let (oo, tt) = (oo * 1.001 + 1e-3, tt * 1.001 + 1e-3);
        let determinant = oo * tt - ot * ot;
        let (noise, swing) = ((oe * tt - te * ot) / determinant, (te * oo - oe * ot) / determinant);
        (self.noise, self.swing) = match (noise < 0.0, swing < 0.0) {
            (true, _) => (0.0, te / tt),
            (_, true) => (oe / oo, 0.0),
            _ => (noise, swing),
        };
        if !(self.noise.is_finite() && self.swing.is_finite()) {
            (self.noise, self.swing) = (INITIAL_NOISE, INITIAL_SWING);
        }
    }

    /// Returns the current distribution.
    pub fn tail(&self) -> Tail {
        let all: f64 = self.counts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let (mut above, mut excess) = ([0.0; BINS + 1], [0.0; BINS + 1]);
        for bin in (0..BINS).rev() {
            let share = self.counts[bin] / all;
            above[bin] = above[bin + 1] + share;
            excess[bin] = excess[bin + 1] + (EDGES[bin + 1] - EDGES[bin]) * (above[bin + 1] + 0.5 * share);
        }
        Tail { noise: self.noise, swing: self.swing, exceedance: above, excess }
    }

    /// Writes the residuals into the state.
    pub fn write(&self, to: &mut Writer) {
        let parts = [self.noise, self.swing];
        parts.iter().chain(&self.sums).chain(&self.counts).for_each(|number| to.write_f32(*number));
    }

    /// Reads the residuals from the state.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut read = Self { noise: from.read_f32()?, swing: from.read_f32()?, sums: [0.0; 5], counts: [0.0; BINS] };
        for number in read.sums.iter_mut().chain(&mut read.counts) {
            *number = from.read_f32()?;
        }
        let is_sound = read.noise >= 0.0 && read.swing >= 0.0 && read.counts.iter().all(|count| *count >= 0.0);
        is_sound.then_some(read)
    }
}

impl Tail {
    /// Returns E[(z − c)⁺].
    fn excess(&self, room: f64) -> f64 {
        if room <= LOWEST {
            return self.excess[0] + (LOWEST - room);
        }
        let bin = bin(room);
        if room >= EDGES[BINS] {
            return 0.0;
        }
        // Within a bin, z is uniformly distributed.
        let (into, width) = (room - EDGES[bin], EDGES[bin + 1] - EDGES[bin]);
        let share = self.exceedance[bin] - self.exceedance[bin + 1];
        self.excess[bin] - self.exceedance[bin] * into + share / width * into * into / 2.0
    }

    /// Returns the smallest fleet for each of `prices`, in ascending order, for which one more droplet would cost more
    /// than it is expected to serve. A price is the value of a tick's work of one droplet, in ticks of a droplet.
    pub fn sizes(&self, forecast: f64, roughness: f64, prices: impl Iterator<Item = f64>) -> Vec<u32> {
        let deviation = deviation(self.noise, self.swing, forecast) * roughness;
        let served_by_next = |size: u32| {
            let room = f64::from(size) - forecast;
            deviation * (self.excess(room / deviation) - self.excess((room + 1.0) / deviation))
        };
        let most = to_u32(forecast + deviation * EDGES[BINS] + 2.0);
        let mut size = 0;
        let mut next = served_by_next(0);
        // The first search starts near the forecast, each later one at the previous result.
        let mut stride = (to_u32(forecast) / 2).max(1);
        let mut sizes = Vec::new();
        for price in prices {
            if price * next >= 1.0 {
                let (mut low, mut high) = (size, size);
                while price * next >= 1.0 && high < most {
                    low = high;
                    high = high.saturating_add(stride).min(most);
                    stride = stride.saturating_mul(2);
                    next = served_by_next(high);
                }
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    let there = served_by_next(middle);
                    if price * there >= 1.0 {
                        low = middle;
                    } else {
                        (high, next) = (middle, there);
                    }
                }
                size = high;
            }
            stride = 1;
            sizes.push(size);
        }
        sizes
    }
}

fn deviation(noise: f64, swing: f64, forecast: f64) -> f64 {
    (noise * forecast + swing * forecast * forecast + 1e-6).sqrt()
}

/// Boundaries of the bins.
static EDGES: [f64; BINS + 1] = {
    let mut edges = [LOWEST; BINS + 1];
    let mut index = 1;
    while index <= BINS {
        edges[index] = if index <= FINE_BINS { edges[index - 1] + 0.25 } else { edges[index - 1] * GROWTH };
        index += 1;
    }
    edges
};

/// Returns the bin of a z; values beyond the range belong to the first or last bin.
fn bin(z: f64) -> usize {
    EDGES[1..BINS].partition_point(|edge| *edge <= z)
}

/// Returns P(z > c) before any observation: Student's distribution with four degrees of freedom, scaled to a variance
/// of 1. Its tail matches events that occur once a year.
fn prior(c: f64) -> f64 {
    let square = c * c;
    let root = (1.0 + square / 2.0).sqrt();
    let half = 0.375 * (c * std::f64::consts::SQRT_2 / root) * (1.0 - square / 6.0 / (1.0 + square / 2.0));
    (0.5 - half).clamp(0.0, 1.0)
}

/// Converts a number of droplets to an integer, saturating.
fn to_u32(number: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let whole = number.min(1e9) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn residuals(values: impl IntoIterator<Item = f64>) -> ResidualModel {
        let mut residuals = ResidualModel::default();
        for value in values {
            residuals.learn(10.0, value, 1.0, 1.0, 0.999);
        }
        residuals
    }

    /// Returns values from 10 − width to 10 + width in no particular order.
    fn alternating(width: f64) -> impl Iterator<Item = f64> {
        (0..3000_u32).map(move |step| 10.0 + width * (f64::from(step * 37 % 101) / 50.0 - 1.0))
    }

    #[test]
    fn prior_is_students_distribution() {
        let found = [0.0, 1.0, 3.0, 5.0, 10.0].map(|c| format!("{:.5}", prior(c)));

        assert_eq!(found, ["0.50000", "0.11510", "0.00662", "0.00106", "0.00007"]);
    }

    #[test]
    fn deviation_matches_the_observed_one() {
        let deviation = residuals(alternating(2.0)).deviation(10.0);

        assert!((1.05..1.25).contains(&deviation), "2/√3 is 1.15, but the deviation is {deviation}");
    }

    #[test]
    fn higher_price_needs_more_headroom_only_with_errors() {
        let prices = [2.0, 20.0, 200.0];

        assert_eq!(residuals(alternating(0.0)).tail().sizes(10.0, 1.0, prices.into_iter()), [10, 10, 10]);
        assert_eq!(residuals(alternating(2.0)).tail().sizes(10.0, 1.0, prices.into_iter()), [10, 12, 12]);
        assert_eq!(residuals(alternating(2.0)).tail().sizes(10.0, 3.0, prices.into_iter()), [10, 15, 16]);
    }

    #[test]
    fn noise_and_swing_are_separated() {
        let mut residuals = ResidualModel::default();
        for step in 0..4000_u32 {
            let demand = [1.0, 4.0, 16.0][step as usize % 3];
            let off = if step % 2 == 0 { 0.5 } else { -0.5 };
            residuals.learn(demand, demand + off * demand.sqrt(), 1.0, 1.0, 1.0);
        }

        assert!((residuals.noise - 0.25).abs() < 0.01 && residuals.swing < 0.003, "{residuals:?}");
    }

    proptest! {
        #[test]
        fn size_stops_where_one_more_is_not_worth_it(
            values in prop::collection::vec(0.0_f64..40.0, 0..50), forecast in MIN_FORECAST..60.0, price in 1.1_f64..2000.0,
        ) {
            let tail = residuals(values).tail();

            let size = tail.sizes(forecast, 1.0, [price].into_iter())[0];

            let deviation = deviation(tail.noise, tail.swing, forecast);
            let lost = |room: u32| deviation * tail.excess((f64::from(room) - forecast) / deviation);
            prop_assert!(price * (lost(size) - lost(size + 1)) < 1.0 + 1e-6);
            prop_assert!(size == 0 || price * (lost(size - 1) - lost(size)) >= 1.0 - 1e-6);
        }

        #[test]
        fn written_state_is_read_back(values in prop::collection::vec(prop::num::f64::NORMAL, 0..20)) {
            let mut residuals = ResidualModel::default();
            for value in values {
                residuals.learn(value.abs().clamp(MIN_FORECAST, 1e9), value.clamp(0.0, 1e9), 1.0, 0.5, 0.99);
            }
            let mut writer = Writer::new();
            residuals.write(&mut writer);
            let bytes = writer.finish();

            let read = ResidualModel::read(&mut Reader::new(&bytes)).unwrap();

            let mut again = Writer::new();
            read.write(&mut again);
            prop_assert_eq!(again.finish(), bytes);
        }
    }
}

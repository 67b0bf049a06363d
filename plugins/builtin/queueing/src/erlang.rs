//! The formulas; see the crate documentation.

use std::f64::consts::PI;

use doproxy_policy_sdk::numbers::{ceil_u32, to_f64};

/// Offered load above which the limit replaces the recursion, whose cost is one step per slot.
const MAX_RECURSION_LOAD: f64 = 1e5;

/// The request rate and the service time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Requests per second, 0 or more.
    pub arrivals: f64,
    /// Seconds to serve one, above 0.
    pub service: f64,
}

/// The required service level: at most `probability` of waiting longer than `wait` seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceLevel {
    /// Wait in seconds, 0 or more.
    pub wait: f64,
    /// Probability, above 0 and below 1.
    pub probability: f64,
}

impl Traffic {
    /// Returns the offered load: the mean number of busy slots.
    pub fn offered_load(self) -> f64 {
        self.arrivals * self.service
    }

    /// Returns the probability of waiting longer than `wait` seconds for one of `slots`; 1 if they are overloaded.
    pub fn wait_probability(self, wait: f64, slots: u64) -> f64 {
        let offered = self.offered_load();
        if offered <= 0.0 {
            return 0.0;
        }
        if offered >= to_f64(slots) {
            return 1.0;
        }
        let waits = if offered > MAX_RECURSION_LOAD {
            halfin_whitt((to_f64(slots) - offered) / offered.sqrt())
        } else {
            erlang_c(offered, slots, erlang_b(offered, slots))
        };
        self.wait_exceedance(wait, slots, waits)
    }

    /// Returns the probability of a wait longer than `wait`: a request that waits at all does so with e^(−(n·μ − λ)·t).
    fn wait_exceedance(self, wait: f64, slots: u64, waits: f64) -> f64 {
        // For a service time near zero the rate is infinite, and its product with 0 is NaN.
        if wait <= 0.0 { waits } else { waits * (-(to_f64(slots) - self.offered_load()) / self.service * wait).exp() }
    }

    /// Returns the fewest droplets of `slots` each that meet a service level, at most `most`.
    pub fn droplets(self, promise: ServiceLevel, slots: u32, most: u32) -> u32 {
        let offered = self.offered_load();
        if offered <= 0.0 {
            return 0;
        }
        if offered.is_nan() || offered >= f64::from(most) * f64::from(slots) {
            return most;
        }
        if offered > MAX_RECURSION_LOAD {
            self.droplets_by_bisection(promise, slots, most)
        } else {
            self.droplets_by_recursion(promise, slots, most)
        }
    }

    fn droplets_by_recursion(self, promise: ServiceLevel, slots: u32, most: u32) -> u32 {
        let offered = self.offered_load();
        let (mut b, mut busy) = (1.0, 0_u64);
        for droplets in 1..most {
            for _ in 0..slots {
                busy += 1;
                b = erlang_b_step(offered, busy, b);
            }
            let keeps_up = to_f64(busy) > offered;
            if keeps_up && self.wait_exceedance(promise.wait, busy, erlang_c(offered, busy, b)) <= promise.probability {
                return droplets;
            }
        }
        most
    }

    /// Bisection: additional slots never make waiting more likely.
    fn droplets_by_bisection(self, promise: ServiceLevel, slots: u32, most: u32) -> u32 {
        let (mut few, mut enough) = (ceil_u32(self.offered_load() / f64::from(slots)).min(most), most);
        while few < enough {
            let middle = few + (enough - few) / 2;
            if self.wait_probability(promise.wait, u64::from(middle) * u64::from(slots)) <= promise.probability {
                enough = middle;
            } else {
                few = middle + 1;
            }
        }
        enough
    }
}

/// Erlang B: the probability that all of `slots` are busy if no request waits.
pub fn erlang_b(offered: f64, slots: u64) -> f64 {
    (1..=slots).fold(1.0, |b, busy| erlang_b_step(offered, busy, b))
}

fn erlang_b_step(offered: f64, slots: u64, before: f64) -> f64 {
    offered * before / (to_f64(slots) + offered * before)
}

/// Erlang C, from Erlang B for as many slots: the probability of waiting.
pub fn erlang_c(offered: f64, slots: u64, b: f64) -> f64 {
    b / (1.0 - offered / to_f64(slots) * (1.0 - b))
}

/// Returns the probability of waiting for a large number of slots, β·√a more than are busy.
pub fn halfin_whitt(beta: f64) -> f64 {
    // Above this, the probability is below 10⁻¹⁵ and the series below would lose its precision.
    if beta > 8.0 {
        return 0.0;
    }
    let density = (-beta * beta / 2.0).exp() / (2.0 * PI).sqrt();
    1.0 / (1.0 + beta * normal_cdf(beta, density) / density)
}

/// Computes Φ by its series Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …), whose terms all have the same sign.
fn normal_cdf(x: f64, density: f64) -> f64 {
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    for _ in 0..200 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + density * sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(value: f64, reference: f64) -> bool {
        (value - reference).abs() < 6e-7
    }

    #[test]
    fn erlang_b_and_c_match_the_tables() {
        for (offered, slots, b, c) in [
            (1.0, 2, 0.200_000, 0.333_333),
            (5.0, 8, 0.070_048, 0.167_267),
            (10.0, 12, 0.119_739, 0.449_388),
            (30.0, 36, 0.042_887, 0.211_887),
            (100.0, 110, 0.027_463, 0.237_008),
        ] {
            let found = erlang_b(offered, slots);
            assert!(near(found, b), "B({offered}, {slots}) is {found}");
            let found = erlang_c(offered, slots, found);
            assert!(near(found, c), "C({offered}, {slots}) is {found}");
        }
    }

    #[test]
    fn fewest_servers_match_the_examples() {
        for (arrivals, rate, wait, probability, servers) in [
            (100.0, 10.0, 0.05, 0.01, 15),
            (100.0, 10.0, 0.0, 0.01, 19),
            (1000.0, 10.0, 0.05, 0.01, 108),
            (50.0, 1.0, 0.5, 0.05, 55),
        ] {
            let traffic = Traffic { arrivals, service: 1.0 / rate };

            assert_eq!(traffic.droplets(ServiceLevel { wait, probability }, 1, 10_000), servers, "{traffic:?}");
        }
    }

    #[test]
    fn halfin_whitt_limit_matches_the_table() {
        for (beta, waits) in [(0.25, 0.720_932), (0.5, 0.504_539), (1.0, 0.223_361), (2.0, 0.026_881)] {
            let found = halfin_whitt(beta);
            assert!(near(found, waits), "{beta}: {found}");
        }
    }

    #[test]
    fn limit_agrees_with_the_recursion_for_many_slots() {
        for offered in [5_000.0, 50_000.0] {
            let slots = ceil_u32(offered + 1.5 * f64::sqrt(offered));
            let exact = erlang_c(offered, u64::from(slots), erlang_b(offered, u64::from(slots)));
            let limit = halfin_whitt((f64::from(slots) - offered) / offered.sqrt());

            // The limit deviates by a fraction of 1/√a.
            assert!((exact - limit).abs() < 0.2 / offered.sqrt(), "{offered}: {exact} {limit}");
        }
        let many = Traffic { arrivals: 2e6, service: 1.0 };
        let droplets = many.droplets(ServiceLevel { wait: 0.0, probability: 0.05 }, 100, 1_000_000);
        assert!((20_000..20_100).contains(&droplets), "{droplets}");
    }

    #[test]
    fn slots_are_rounded_to_whole_droplets() {
        let traffic = Traffic { arrivals: 100.0, service: 0.1 };

        // 15 slots, in groups of four.
        assert_eq!(traffic.droplets(ServiceLevel { wait: 0.05, probability: 0.01 }, 4, 100), 4);
        assert_eq!(traffic.droplets(ServiceLevel { wait: 0.05, probability: 0.01 }, 100, 100), 1);
        assert_eq!(traffic.droplets(ServiceLevel { wait: 0.05, probability: 0.01 }, 1, 12), 12);
    }

    proptest! {
        #[test]
        fn probabilities_are_valid_and_fall_with_slots(offered in 0.0..3000.0_f64, more in 1..200_u64, wait in 0.0..2.0_f64) {
            let traffic = Traffic { arrivals: offered * 4.0, service: 0.25 };
            let slots = u64::from(ceil_u32(offered)) + 1;
            let (before, after) = (traffic.wait_probability(wait, slots), traffic.wait_probability(wait, slots + more));
            prop_assert!((0.0..=1.0).contains(&before) && (0.0..=before).contains(&after), "{before} {after}");
        }

        #[test]
        fn more_requests_never_need_fewer_droplets(
            arrivals in 0.0..100_000.0_f64, more in 0.0..50_000.0_f64, service in 0.001..5.0_f64, slots in 1..64_u32,
        ) {
            let promise = ServiceLevel { wait: 0.1, probability: 0.05 };
            let needed = |arrivals| Traffic { arrivals, service }.droplets(promise, slots, 10_000);
            // One droplet of tolerance where the limit replaces the recursion.
            prop_assert!(needed(arrivals + more) + 1 >= needed(arrivals));
        }
    }
}

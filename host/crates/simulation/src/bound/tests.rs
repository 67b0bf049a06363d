use proptest::prelude::*;

use crate::bound::*;
use crate::model::fluid::{Overload, Setup};
use crate::number::to_f64;

fn setup(boot_ticks: u32, min: u32) -> Setup {
    Setup { tick_s: 1.0, capacity: 1.0, boot_ticks, min, max: 100, initial: None, overload: Overload::Loss }
}

/// Returns the cost and loss of every possible run of a pool with at most `most` droplets.
fn all_runs(setup: &Setup, demand: &[f64], most: u32) -> Vec<Point> {
    let first = setup.initial_size(demand);
    let ways = (u64::from(most) + 1 - u64::from(setup.min)).pow(u32::try_from(demand.len()).unwrap());
    let mut runs = Vec::new();
    for mut code in 0..ways {
        let (mut before, mut point) = (first, Point::default());
        for demand in demand {
            let choices = u64::from(most) + 1 - u64::from(setup.min);
            let ready = setup.min + u32::try_from(code % choices).unwrap();
            code /= choices;
            // A droplet that becomes ready has booted, and its boot time is billed.
            point.ticks += f64::from(ready + ready.saturating_sub(before) * setup.boot_ticks);
            point.unserved += (demand - f64::from(ready)).max(0.0);
            before = ready;
        }
        runs.push(point);
    }
    runs
}

fn small_demand() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec((0_u32..=9).prop_map(|thirds| f64::from(thirds) / 3.0), 1..=6)
}

proptest! {
    #[test]
    fn optimum_is_cheapest_run_that_serves_all(demand in small_demand(), boot in 0_u32..4, min in 0_u32..2) {
        let setup = setup(boot, min);

        let found = Limit::of(&setup, &demand).optimum().ticks;

        let served = all_runs(&setup, &demand, 3).into_iter().filter(|run| run.unserved < 1e-9);
        let cheapest = served.map(|run| run.ticks).min_by(f64::total_cmp).unwrap();
        prop_assert!((to_f64(found) - cheapest).abs() < 1e-9, "{found} is not {cheapest}");
    }

    #[test]
    fn limit_bounds_all_runs_and_is_tight(demand in small_demand(), boot in 0_u32..4, min in 0_u32..2) {
        let setup = setup(boot, min);
        let limit = Limit::of(&setup, &demand);

        let runs = all_runs(&setup, &demand, 3);

        for run in &runs {
            let least = limit.min_ticks(run.unserved);
            prop_assert!(run.ticks >= least - 1e-6, "{run:?} is below {least}");
        }
        for price in [0.1, 0.5, 1.0, 1.7, 3.0, 10.0] {
            let corner = limit.lower_bound.at_price(price);
            let cheapest = runs.iter().map(|run| run.ticks + price * run.unserved).min_by(f64::total_cmp).unwrap();
            prop_assert!((corner.ticks + price * corner.unserved - cheapest).abs() < 1e-6, "at {price}: {corner:?}");
        }
    }

    #[test]
    fn optimum_serves_all_at_stated_cost(demand in small_demand(), boot in 0_u32..4) {
        let setup = setup(boot, 1);
        let first = setup.initial_size(&demand);

        let optimum = Limit::of(&setup, &demand).optimum().clone();

        let mut before = first;
        let mut ticks = 0;
        for (demand, ready) in demand.iter().zip(&optimum.ready) {
            prop_assert!(*ready >= setup.required(*demand));
            ticks += u64::from(ready + ready.saturating_sub(before) * boot);
            before = *ready;
        }
        prop_assert_eq!(ticks, optimum.ticks);
    }
}

#[test]
fn optimum_bridges_gaps_up_to_boot_time() {
    let required = |gap: usize| [vec![2], vec![1; gap], vec![2]].concat();

    assert_eq!(Optimum::of(&required(2), 2, 2), Optimum { ticks: 8, ready: vec![2, 2, 2, 2] });
    assert_eq!(Optimum::of(&required(3), 2, 2), Optimum { ticks: 9, ready: vec![2, 1, 1, 1, 2] });
}

#[test]
fn limit_decreases_with_unserved_share() {
    let demand: Vec<f64> = (0..200).map(|tick| 5.0 + 4.0 * (f64::from(tick) / 9.0).sin()).collect();
    let limit = Limit::of(&setup(3, 1), &demand);
    let all: f64 = demand.iter().sum();

    let least: Vec<f64> = (0_u32..=100).map(|share| limit.min_ticks(all * f64::from(share) / 100.0)).collect();

    assert!(least.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{least:?}");
    assert!((least[0] - to_f64(limit.optimum().ticks)).abs() < 1e-9);
}

use serde_json::Value;

use crate::bound::Limit;
use crate::model::fluid::{Overload, Run, Setup};
use crate::score::{PriceModel, Score};
use crate::tests::peers;
use crate::tests::sizing::{View, run};

/// A run of the independent simulator, with its state per tick and its measures.
pub(super) struct Vector {
    pub(super) setup: Setup,
    pub(super) demand: Vec<f64>,
    rows: Vec<Vec<f64>>,
    facts: Value,
}

macro_rules! vector {
    ($name:literal) => {
        Vector::parse(
            include_str!(concat!("../../../../../tests/fixtures/fluid/micro_", $name, ".csv")),
            include_str!(concat!("../../../../../tests/fixtures/fluid/micro_", $name, ".json")),
        )
    };
}

impl Vector {
    /// Loads the Kubernetes HPA vector.
    pub(super) fn hpa() -> Self {
        vector!("hpa")
    }

    fn parse(rows: &str, facts: &str) -> Self {
        let facts: Value = serde_json::from_str(facts).unwrap();
        let rows: Vec<Vec<f64>> =
            rows.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
        let number = |key: &str| facts[key].as_f64().unwrap();
        let setup = Setup {
            tick_s: number("dt"),
            capacity: number("C"),
            boot_ticks: u32::try_from(facts["B"].as_u64().unwrap()).unwrap(),
            min: 1,
            max: 1_000_000,
            initial: None,
            overload: if facts["mode"] == "queue" { Overload::Queue } else { Overload::Loss },
        };
        Self { setup, demand: rows.iter().map(|row| row[1]).collect(), rows, facts }
    }

    fn assert_reproduced(&self, rule: impl FnMut(View<'_>) -> u32) {
        self.assert_matches_run(&run(&self.setup, &self.demand, rule));
    }

    /// Asserts that integers are equal and requests differ by less than a millionth.
    pub(super) fn assert_matches_run(&self, run: &Run) {
        let limit = Limit::of(&self.setup, &self.demand);
        for (index, step) in run.steps.iter().enumerate() {
            let row = &self.rows[index];
            let whole = [step.required, step.ready, step.booting, limit.optimum().ready[index]].map(f64::from);
            #[expect(clippy::float_cmp, reason = "whole numbers")]
            let is_same = whole == [row[2], row[3], row[4], row[7]];
            assert!(is_same, "tick {index}: {whole:?}");
            assert!((step.unserved - row[5]).abs() < 1e-6, "tick {index}: {step:?}");
            assert!((step.backlog - row[6]).abs() < 1e-6, "tick {index}: {step:?}");
        }
        assert_eq!(Some(run.cost_meter.ticks), self.facts["metrics"]["billed_ticks"].as_u64());
        assert_eq!(Some(limit.optimum().ticks), self.facts["opt_billed_ticks"].as_u64());
        self.assert_measures(run, &limit);
    }

    fn assert_measures(&self, run: &Run, limit: &Limit) {
        let priced = |minimum_s: f64| Score::of(run, &self.setup, &PriceModel { hourly: 1.0, minimum_s }, limit);
        let score = priced(0.0);
        for (name, found) in [
            ("theta_u", score.theta_u),
            ("theta_o", score.theta_o),
            ("tau_u", score.tau_u),
            ("tau_o", score.tau_o),
            ("upsilon", score.upsilon),
            ("sigma", score.sigma),
            ("unserved_pct", score.unserved_pct),
            ("adaptations_per_h", score.adaptations_per_h),
            ("droplet_hours", score.droplet_hours),
            ("dh_min60s", priced(60.0).cost),
            ("dh_min1008s", priced(1008.0).cost),
            ("dh_min4032s", priced(4032.0).cost),
        ] {
            let wanted = self.facts["metrics"][name].as_f64().unwrap();
            assert!((found - wanted).abs() < 1e-9, "{name} is {found}, expected {wanted}");
        }
    }
}

#[test]
fn reactive_vectors_are_reproduced() {
    let vector = vector!("reactive");
    vector.assert_reproduced(peers::reactive(vector.setup, 1.0));
    let vector = vector!("queue_reactive");
    vector.assert_reproduced(peers::reactive(vector.setup, 1.0));
}

#[test]
fn hpa_vectors_are_reproduced() {
    let vector = vector!("hpa");
    vector.assert_reproduced(peers::hpa(vector.setup, 0.7));
}

#[test]
fn aws_knative_and_ski_rental_vectors_are_reproduced() {
    let vector = vector!("aws_tt");
    vector.assert_reproduced(peers::aws(vector.setup, 0.7));
    let vector = vector!("kpa");
    vector.assert_reproduced(peers::kpa(vector.setup, 0.7));
    let vector = vector!("ski_rental");
    vector.assert_reproduced(peers::ski_rental(vector.setup, 0.7));
}

#[test]
fn ten_minute_peak_serves_more_than_boot_time_peak() {
    let vector = vector!("reactive");

    let gce = run(&vector.setup, &vector.demand, peers::gce(vector.setup, 0.7));
    let hold = run(&vector.setup, &vector.demand, peers::ski_rental(vector.setup, 0.7));

    let unserved = |run: &Run| run.steps.iter().map(|step| step.unserved).sum::<f64>();
    assert!(unserved(&gce) <= unserved(&hold));
}

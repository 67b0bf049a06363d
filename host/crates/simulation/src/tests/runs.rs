use std::time::Duration;

use doproxy_core::domain::{FleetName, GuardRules, HourlyPrice, Limits, Mode, ObservedTemplate, Timestamp};
use doproxy_core::pipeline::ScalingRules;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;

use crate::compare::compare;
use crate::faults::FaultSchedule;
use crate::model::fluid::{Overload, Setup};
use crate::model::requests::{Distribution, Service};
use crate::preset::Preset;
use crate::runner::{Progress, RunResult, simulate};
use crate::scenario::{BootTime, Model, Scenario};
use crate::score::PriceModel;
use crate::tests::peers;
use crate::tests::sizing::run;
use crate::tests::vectors::Vector;
use crate::traces::Generator;

fn scenario(setup: Setup, demand: Vec<f64>) -> Scenario {
    let tick = Duration::from_secs_f64(setup.tick_s);
    Scenario {
        fleet: FleetName::sanitized("www"),
        template: ObservedTemplate {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: Vec::new(),
            hourly_price: HourlyPrice::from_dollars(0.00893),
        },
        start: Timestamp(1_700_000_000_000),
        tick,
        demand,
        setup,
        boot_time: BootTime::Fixed(tick.saturating_mul(setup.boot_ticks)),
        slots: 10,
        price_model: PriceModel { hourly: 0.00893, minimum_s: 0.0 },
        model: Model::Fluid,
        faults: FaultSchedule::default(),
        scaling_rules: None,
        seed: 7,
    }
}

/// Returns a scenario of two days with a daily wave, noise and a spike.
pub(super) fn two_days() -> Scenario {
    let setup = Setup {
        tick_s: 60.0,
        capacity: 50.0,
        boot_ticks: 2,
        min: 1,
        max: 100,
        initial: None,
        overload: Overload::Loss,
    };
    let shapes = "diurnal:mean=400,swing=0.7+noise:share=0.08+spike:at=26h,height=600,length=12m";
    let generator: Generator = shapes.parse().unwrap();
    let trace = generator.trace(Duration::from_mins(1), Duration::from_hours(48), 11);
    scenario(setup, trace.rates)
}

pub(super) fn host() -> PluginHost {
    PluginHost::new(PluginSettings::default()).unwrap()
}

pub(super) async fn preset(host: &PluginHost, name: &str, capacity: f64) -> ConfiguredPolicy {
    let policy = host.policy(&Reference::Builtin("target-tracking".to_owned())).await.unwrap();
    let config = Preset::find(name).unwrap().config(capacity, 0.7).to_string();
    policy.validate(&config).await.unwrap();
    ConfiguredPolicy { name: name.to_owned(), mode: Mode::Active, policy, config }
}

async fn simulate_policy(scenario: &Scenario, name: &str) -> RunResult {
    simulate(scenario, &preset(&host(), name, scenario.setup.capacity).await, &Progress::default()).await
}

#[tokio::test]
async fn hpa_preset_reproduces_hpa_vectors() {
    let vector = Vector::hpa();
    let scenario = scenario(vector.setup, vector.demand.clone());

    let result = simulate_policy(&scenario, "hpa").await;

    vector.assert_matches_run(&result.run);
}

#[tokio::test]
async fn hpa_and_gce_presets_match_reference_over_two_days() {
    let scenario = two_days();

    let (hpa, gce) = (simulate_policy(&scenario, "hpa").await, simulate_policy(&scenario, "gce").await);

    assert_eq!(hpa.run, run(&scenario.setup, &scenario.demand, peers::hpa(scenario.setup, 0.7)));
    assert_eq!(gce.run, run(&scenario.setup, &scenario.demand, peers::gce(scenario.setup, 0.7)));
    assert_eq!((hpa.failures, gce.failures), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparison_is_independent_of_thread_count() {
    let (host, scenario) = (host(), two_days());
    let policies = [preset(&host, "hpa", 50.0).await, preset(&host, "gce", 50.0).await];
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let compared = pool.install(|| compare(&scenario, &policies, &Progress::default())).unwrap();
        let rows: Vec<_> = compared.policies.iter().map(|(row, _)| row).chain(&compared.baselines).collect();
        serde_json::to_string(&rows).unwrap()
    };

    let (one, two) = tokio::task::block_in_place(|| (on(1), on(2)));

    assert_eq!(one, two);
}

#[tokio::test]
async fn no_preset_beats_the_limit() {
    let scenario = two_days();
    let (host, limit) = (host(), scenario.limit());
    for name in ["hpa", "gce", "aws", "kpa", "ski-rental", "reactive"] {
        let policy = preset(&host, name, scenario.setup.capacity).await;
        let result = simulate(&scenario, &policy, &Progress::default()).await;

        let row = crate::compare::policy_row(&scenario, &limit, &policy, &result);

        assert!(row.score.cost_over_limit >= 1.0, "{row:?}");
        assert!(row.score.cost_over_optimum >= row.score.cost_over_limit * 0.9, "{row:?}");
    }
}

#[tokio::test]
async fn guard_limits_size_and_counts_restrictions() {
    let mut scenario = two_days();
    scenario.scaling_rules = Some(ScalingRules {
        limits: Limits { min: 4, max: 12, max_hourly_cost: None, max_create: 2, max_delete: 1 },
        rules: GuardRules::default(),
    });
    (scenario.setup.min, scenario.setup.max) = (4, 12);

    let result = simulate_policy(&scenario, "hpa").await;

    assert!(result.run.steps.iter().all(|step| (4..=12).contains(&(step.ready + step.booting))));
    for pair in result.run.steps.windows(2) {
        let (before, after) = (pair[0].ready + pair[0].booting, pair[1].ready + pair[1].booting);
        assert!(after <= before + 2 && before <= after + 1, "{before} → {after}");
    }
    assert!(result.restrictions.contains_key("max_create_per_tick"), "{:?}", result.restrictions);
}

#[tokio::test]
async fn size_is_constant_during_api_and_metric_outages() {
    for fault in ["api-outage:from=6h,length=4h", "metric-outage:from=6h,length=4h"] {
        let mut scenario = two_days();
        scenario.faults = FaultSchedule(vec![fault.parse().unwrap()]);

        let result = simulate_policy(&scenario, "hpa").await;

        let is_away = |tick: u32| (6 * 60..10 * 60).contains(&(tick + 1));
        assert!(result.changes.iter().any(|change| !is_away(change.tick)));
        assert!(!result.changes.iter().any(|change| is_away(change.tick)), "{fault}");
    }
}

#[tokio::test]
async fn slow_boots_increase_unserved_requests() {
    let unserved = |result: &RunResult| result.run.steps.iter().map(|step| step.unserved).sum::<f64>();
    let fair = simulate_policy(&two_days(), "hpa").await;
    let mut scenario = two_days();
    scenario.faults = FaultSchedule(vec!["slow-boots:from=0,length=48h,factor=10".parse().unwrap()]);

    let slow = simulate_policy(&scenario, "hpa").await;

    assert!(unserved(&slow) > 2.0 * unserved(&fair), "{} and {}", unserved(&slow), unserved(&fair));
}

#[tokio::test]
async fn request_model_matches_fluid_sizes_and_measures_latency() {
    let mut scenario = two_days();
    scenario.demand.truncate(600);
    let flowing = simulate_policy(&scenario, "hpa").await;
    scenario.model = Model::Requests(Service { mean_s: 0.2, distribution: Distribution::Exponential, timeout_s: 5.0 });

    let single = simulate_policy(&scenario, "hpa").await;

    let ready = |result: &RunResult| result.run.steps.iter().map(|step| u64::from(step.ready)).sum::<u64>();
    let (one, other) = (ready(&flowing), ready(&single));
    assert!(one.abs_diff(other) * 20 < one, "{one} and {other}");
    let latency = single.latency.unwrap();
    assert!(latency.p50_ms > 100.0 && latency.p99_ms > latency.p50_ms, "{latency:?}");
    assert_eq!(flowing.latency, None);
}

//! Cross-check of the two environments: the production controller, over the simulated cloud and load balancer with a
//! paused clock, observes, decides and acts exactly like the fast simulation.

use std::time::Duration;

use doproxy_core::domain::{
    DropletRequest, FleetName, GuardRules, HourlyPrice, Limits, Mode, ObservedTemplate, Sample, Series, Template,
    Timestamp, Trigger, UserData,
};
use doproxy_core::pipeline::{BalancerSample, FleetLoad, ScalingRules};
use doproxy_emulator::cloud;
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;
use doproxy_simulation::{
    BootTime, FaultSchedule, Generator, Model, Overload, Preset, PriceModel, Progress, Scenario, Setup, simulate,
};
use doproxy_support::Clock;
use doproxy_test_support::{SimulatedBalancer, SimulatedCloud};

use crate::controller::Controller;
use crate::event::EventSink;
use crate::name_generator::NameGenerator;
use crate::settings::Settings;
use crate::tick::TickInput;
use crate::user_data::UserDataSource;

const TICK: Duration = Duration::from_mins(1);

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
fn two_days() -> Scenario {
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

fn host() -> PluginHost {
    PluginHost::new(PluginSettings::default()).unwrap()
}

async fn preset(host: &PluginHost, name: &str, capacity: f64) -> ConfiguredPolicy {
    let policy = host.policy(&Reference::Builtin("target-tracking".to_owned())).await.unwrap();
    let config = Preset::find(name).unwrap().config(capacity, 0.7).to_string();
    policy.validate(&config).await.unwrap();
    ConfiguredPolicy { name: name.to_owned(), mode: Mode::Active, policy, config }
}

/// Returns the first hours of a day with integer request counts and droplets that are ready before the next tick ends.
fn morning_scenario() -> Scenario {
    let mut scenario = two_days();
    scenario.demand = scenario.demand[400..520].iter().map(|rate| rate.round()).collect();
    scenario.setup.boot_ticks = 0;
    scenario.boot_time = BootTime::Fixed(Duration::ZERO);
    let limits = Limits { min: 1, max: 100, max_hourly_cost: None, max_create: 100, max_delete: 100 };
    scenario.scaling_rules = Some(ScalingRules { limits, rules: GuardRules::unrestricted() });
    scenario
}

/// Fleet size at the end of each tick, and the size it was changed to.
type Sizes = Vec<(u32, u32)>;

/// The simulated platform of this test.
enum Simulated {}

impl doproxy_core::seams::Platform for Simulated {
    type Cloud = SimulatedCloud;
    type Balancer = SimulatedBalancer;
    type Inventory = SqliteInventory;
}

async fn simulate_in_production(scenario: &Scenario) -> (Sizes, Vec<String>) {
    let clock = Clock::starting_at(Timestamp(1_800_000_000_000));
    let cloud = cloud::CloudState::new(cloud::Settings {
        boot_time: Duration::from_secs(20),
        rate_limits: None,
        ..cloud::Settings::default()
    });
    let balancer = SimulatedBalancer::default();
    let dir = tempfile::tempdir().unwrap();
    let controller: Controller<Simulated> = Controller::new(
        SimulatedCloud::new(cloud, clock),
        balancer.clone(),
        SqliteInventory::open(dir.path().join("doproxy.db")).unwrap(),
        settings(),
        clock,
        NameGenerator::random(),
        EventSink::new(|_| {}),
    );
    let first = DropletRequest { count: scenario.setup.initial_size(&scenario.demand), ..DropletRequest::default() };
    controller.create(&first).await.unwrap();
    let policy = preset(&host(), "hpa", scenario.setup.capacity).await;
    let mut state = controller.restore_state(vec![policy]).await.unwrap();
    let bounds = scenario.scaling_rules.clone().unwrap();
    let (mut sizes, mut reasons) = (Vec::new(), Vec::new());
    let mut before = controller.stats().await.unwrap();
    for rate in &scenario.demand {
        tokio::time::sleep(TICK.saturating_sub(clock.now().since(before.at))).await;
        balancer.record_requests(doproxy_simulation::round_to_u64(rate * TICK.as_secs_f64()), TICK);
        let now = controller.stats().await.unwrap();
        let metrics = [rate_between(&before, &now)];
        let input = TickInput {
            load: &FleetLoad::new(Some(&before), &now),
            metrics: &metrics,
            trigger: Trigger::Interval,
            api_unreachable: None,
            balancer_unreachable: false,
        };
        let mut tick = controller.plan(&mut state, &bounds, &input).await.unwrap();
        controller.commit(&mut state, &mut tick).await.unwrap();
        let plan = &tick.record.plan;
        sizes.push((plan.from, plan.to));
        if !plan.is_empty() {
            reasons.push(tick.record.evaluations[0].decision.reason.clone());
        }
        controller.finish_tick(&tick).await.unwrap().into_result().unwrap();
        before = now;
    }
    (sizes, reasons)
}

/// Returns the series that the host derives from two samples of the counters.
fn rate_between(before: &BalancerSample, now: &BalancerSample) -> Series {
    let requests = now.stats.requests_total - before.stats.requests_total;
    let value = doproxy_simulation::to_f64(requests) / now.at.since(before.at).as_secs_f64();
    Series {
        name: "haproxy.requests_per_second".to_owned(),
        unit: "requests/s".to_owned(),
        labels: Vec::new(),
        interval_ms: 60_000,
        stale: false,
        samples: vec![Sample { at: now.at, value }],
    }
}

fn settings() -> Settings {
    Settings {
        fleet: FleetName::sanitized("www"),
        hostname_prefix: "www".into(),
        template: Template {
            size: "s-1vcpu-1gb".into(),
            region: "nyc3".into(),
            image: "debian-12-x64".into(),
            tags: vec![],
        },
        ssh_keys: vec![],
        vpc_uuid: None,
        monitoring: false,
        address: doproxy_core::seams::AddressKind::Private,
        user_data: UserDataSource::Fixed(UserData::parse("#!/bin/sh\ntrue\n").unwrap()),
        deadlines: doproxy_core::domain::Deadlines {
            drain: Duration::ZERO,
            ..doproxy_core::domain::Deadlines::default()
        },
        max_create_per_hour: 1000,
        allow_empty_cloud: false,
    }
}

#[tokio::test(start_paused = true)]
async fn production_controller_matches_fast_simulation() {
    let scenario = morning_scenario();

    let (sizes, reasons) = simulate_in_production(&scenario).await;

    let result =
        simulate(&scenario, &preset(&host(), "hpa", scenario.setup.capacity).await, &Progress::default()).await;
    let mut size_after = result.run.steps.iter().skip(1).map(|step| step.ready + step.booting);
    let fast: Sizes = result
        .run
        .steps
        .iter()
        .map(|step| step.ready + step.booting)
        .map(|size| (size, size_after.next().unwrap_or(size)))
        .collect();
    let last = fast.len() - 1;
    assert_eq!(sizes[..last], fast[..last]);
    assert_eq!(reasons, result.changes.iter().map(|change| change.reason.clone()).collect::<Vec<_>>());
    assert!(reasons.len() > 4, "too few changes to be meaningful: {reasons:?}");
}

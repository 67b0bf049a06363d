//! The cost of a tick without waiting for the API and HAProxy: a fleet of 500, and five series of 1,440 samples.

use std::net::{IpAddr, Ipv4Addr};

use divan::{Bencher, black_box};
use doproxy_controller::{AutoscalerState, Controller, EventSink, NameGenerator, Settings, TickInput, UserDataSource};
use doproxy_core::domain::{
    Droplet, DropletId, DropletName, FleetName, GuardRules, HourlyPrice, Limits, Mode, Phase, Sample, Series, Template,
    Timestamp, Trigger, UserData,
};
use doproxy_core::pipeline::{FleetLoad, ScalingRules};
use doproxy_core::seams::{AddressKind, Inventory, LoadBalancer, Platform, Server, ServerState};
use doproxy_emulator::{CloudState, cloud};
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost, PluginSettings};
use doproxy_support::Clock;
use doproxy_test_support::{SimulatedBalancer, SimulatedCloud};
use tokio::runtime::{Builder, Runtime};

const DROPLETS: u32 = 500;

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn template() -> Template {
    Template { size: "s-1vcpu-1gb".into(), region: "nyc3".into(), image: "debian-12-x64".into(), tags: vec![] }
}

fn policy(runtime: &Runtime) -> ConfiguredPolicy {
    let host = PluginHost::new(PluginSettings::default()).expect("an engine");
    let reference = "builtin:target-tracking".parse().expect("a reference");
    let policy = runtime.block_on(host.policy(&reference)).expect("the policy");
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#.to_owned();
    ConfiguredPolicy { name: "web".to_owned(), mode: Mode::Active, policy, config }
}

/// The simulated platform of these tests.
#[derive(Debug)]
enum Simulated {}

impl Platform for Simulated {
    type Cloud = SimulatedCloud;
    type Balancer = SimulatedBalancer;
    type Inventory = SqliteInventory;
}

type BenchedController = Controller<Simulated>;

/// Creates a serving fleet.
fn fleet(runtime: &Runtime, folder: &std::path::Path) -> BenchedController {
    let clock = Clock::from_wall_clock();
    let balancer = SimulatedBalancer::default();
    let inventory = SqliteInventory::open(folder.join("doproxy.db")).expect("an inventory");
    let mut servers = Vec::new();
    for index in 0..DROPLETS {
        let id = DropletId(1_000 + u64::from(index));
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + index));
        let name = DropletName::parse(format!("www-{index}-k3f9tq")).expect("a name");
        let droplet = Droplet {
            name: name.clone(),
            index,
            id: Some(id),
            phase: Phase::Serving,
            phase_since: Timestamp(1),
            created_at: Timestamp(1),
            template: template(),
            hourly_price: HourlyPrice::from_micro_dollars(8_930),
            address: Some(address),
            protected: false,
        };
        runtime.block_on(inventory.adopt(&droplet)).expect("a droplet");
        balancer.set_sessions(id, 10);
        servers.push(Server { id, hostname: name, address, state: ServerState::Serving });
    }
    let Ok(_) = runtime.block_on(balancer.apply(&servers));
    let settings = Settings {
        fleet: FleetName::parse("bench").expect("a name"),
        hostname_prefix: "www".to_owned(),
        template: template(),
        ssh_keys: vec![],
        vpc_uuid: None,
        monitoring: false,
        address: AddressKind::Private,
        user_data: UserDataSource::Fixed(UserData::parse("").expect("user data")),
        deadlines: doproxy_core::domain::Deadlines::default(),
        max_create_per_hour: 1_000,
        allow_empty_cloud: false,
    };
    let cloud = SimulatedCloud::new(
        CloudState::new(cloud::Settings { rate_limits: None, ..cloud::Settings::default() }),
        clock,
    );
    Controller::new(cloud, balancer, inventory, settings, clock, NameGenerator::random(), EventSink::new(|_| {}))
}

fn bounds() -> ScalingRules {
    let limits = Limits { min: 1, max: 1_000, max_hourly_cost: None, max_create: 10, max_delete: 10 };
    ScalingRules { limits, rules: GuardRules::default() }
}

/// A whole tick: observe, evaluate, guard, record. The collector provides the series from memory.
#[divan::bench]
fn tick_of_500_droplets(bencher: Bencher<'_, '_>) {
    let (runtime, dir) = (runtime(), tempfile::tempdir().expect("a folder"));
    let controller = fleet(&runtime, dir.path());
    let bounds = bounds();
    let mut state: AutoscalerState =
        runtime.block_on(controller.restore_state(vec![policy(&runtime)])).expect("the state");
    let before = runtime.block_on(controller.stats()).expect("counters");
    let metrics: Vec<Series> = (0..5).map(series).collect();

    bencher.bench_local(|| {
        runtime.block_on(async {
            let now = controller.stats().await.expect("counters");
            let input = TickInput {
                load: &FleetLoad::new(Some(&before), &now),
                metrics: &metrics,
                trigger: Trigger::Interval,
                api_unreachable: None,
                balancer_unreachable: false,
            };
            let mut tick = controller.plan(&mut state, &bounds, &input).await.expect("a plan");
            controller.commit(&mut state, &mut tick).await.expect("a commit");
            black_box(tick);
        });
    });
}

fn series(number: u32) -> Series {
    let name = if number == 0 { "haproxy.sessions".to_owned() } else { format!("series.{number}") };
    let samples = (0..1_440).map(|at| Sample { at: Timestamp(at * 60_000), value: 5_000.0 }).collect();
    Series { name, unit: "sessions".to_owned(), labels: vec![], interval_ms: 60_000, stale: false, samples }
}

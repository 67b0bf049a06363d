//! The cost of a simulated tick, including policy component, guard and scoring.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use doproxy_core::domain::{FleetName, GuardRules, HourlyPrice, Limits, Mode, ObservedTemplate, Timestamp};
use doproxy_core::pipeline::ScalingRules;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost, PluginSettings};
use doproxy_simulation::{
    BootTime, FaultSchedule, Generator, Model, Overload, PRESETS, PriceModel, Progress, Scenario, Setup, compare,
};
use tokio::runtime::Builder;

fn main() {
    divan::main();
}

const CAPACITY: f64 = 100.0;

/// A week of one-minute ticks, a fleet of about seven droplets, with the full production pipeline around the policy.
fn week() -> Scenario {
    let generator: Generator =
        "diurnal:mean=470,swing=0.8+noise:share=0.05+spike:at=20h,height=800,length=2h,every=48h"
            .parse()
            .expect("shapes");
    let trace = generator.trace(Duration::from_mins(1), Duration::from_hours(7 * 24), 1);
    let limits = Limits { min: 1, max: 100, max_hourly_cost: None, max_create: 100, max_delete: 100 };
    Scenario {
        fleet: FleetName::sanitized("www"),
        template: ObservedTemplate {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: Vec::new(),
            hourly_price: HourlyPrice::from_dollars(0.00893),
        },
        start: Timestamp(0),
        tick: trace.interval,
        demand: trace.rates,
        setup: Setup {
            tick_s: 60.0,
            capacity: CAPACITY,
            boot_ticks: 2,
            min: 1,
            max: 100,
            initial: None,
            overload: Overload::Loss,
        },
        boot_time: BootTime::Fixed(Duration::from_mins(2)),
        slots: 10,
        price_model: PriceModel { hourly: 0.00893, minimum_s: 0.0 },
        model: Model::Fluid,
        faults: FaultSchedule::default(),
        scaling_rules: Some(ScalingRules { limits, rules: GuardRules::default() }),
        seed: 1,
    }
}

/// Runs `policies` at a time, on one thread per core; the result for 1 is that of a single core.
#[divan::bench(args = [1, 4], sample_count = 10, sample_size = 1)]
fn week_of_minutes(bencher: Bencher<'_, '_>, policies: usize) {
    let scenario = week();
    let host = PluginHost::new(PluginSettings::default()).expect("an engine");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let reference = "builtin:target-tracking".parse().expect("a reference");
    let policies: Vec<ConfiguredPolicy> = (0..policies)
        .map(|index| ConfiguredPolicy {
            name: index.to_string(),
            mode: Mode::Active,
            policy: runtime.block_on(host.policy(&reference)).expect("the policy"),
            config: PRESETS[index % PRESETS.len()].config(CAPACITY, 0.7).to_string(),
        })
        .collect();
    let ticks = scenario.demand.len() * policies.len();

    bencher
        .counter(ItemsCount::new(ticks))
        .bench_local(|| compare(&scenario, &policies, &Progress::default()).expect("a comparison"));
}

//! The cost of a plugin: loading one from the compile cache, and each call with its new instance.

use divan::{Bencher, black_box};
use doproxy_core::domain::{
    DropletId, DropletName, HourlyPrice, Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Phase, Sample,
    Series, Timestamp, UserDataRequest,
};
use doproxy_plugin_host::{PluginHost, PluginSettings};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A cold start, as for a new command: engine, cache, component, first instance.
#[divan::bench]
fn load_target_tracking_from_warm_cache(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let home = tempfile::tempdir().expect("a directory");
    let reference = "builtin:target-tracking".parse().expect("a reference");
    let load = || {
        let settings = PluginSettings { cache_dir: Some(home.path().join("cache")), ..PluginSettings::default() };
        let host = PluginHost::new(settings).expect("an engine");
        runtime.block_on(host.policy(&reference)).expect("the policy")
    };
    load();

    bencher.bench_local(load);
}

#[divan::bench(args = [3, 100, 1000])]
fn decide(bencher: Bencher<'_, '_>, fleet: u64) {
    let runtime = runtime();
    let host = PluginHost::new(PluginSettings::default()).expect("an engine");
    let reference = "builtin:target-tracking".parse().expect("a reference");
    let policy = runtime.block_on(host.policy(&reference)).expect("the policy");
    let observation = observation(fleet);
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#;
    let decide = || runtime.block_on(policy.decide(config, black_box(&observation), b"")).expect("a decision");
    let state = decide().value.state;

    bencher.bench_local(|| runtime.block_on(policy.decide(config, black_box(&observation), &state)));
}

#[divan::bench]
fn generate(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let host = PluginHost::new(PluginSettings::default()).expect("an engine");
    let reference = "builtin:cloud-init".parse().expect("a reference");
    let generator = runtime.block_on(host.generator(&reference)).expect("the generator");
    let config = r##"{"parts": [
        {"kind": "cloud-config", "template": "#cloud-config\nhostname: {{ hostname }}\npackages: [nginx]\n"},
        {"kind": "script", "template": "#!/bin/sh\necho {{ hostname }} > /var/www/html/index.html\n"}
    ]}"##;
    let request = UserDataRequest {
        fleet_name: "www".to_owned(),
        hostname: "web-7".to_owned(),
        index: 7,
        size: "s-1vcpu-1gb".to_owned(),
        region: "nyc3".to_owned(),
        image: "ubuntu-24-04-x64".to_owned(),
        tags: vec!["doproxy:www".to_owned()],
        params: String::new(),
    };

    bencher.bench_local(|| runtime.block_on(generator.generate(config, black_box(&request))).expect("user data"));
}

/// Builds an observation of a serving fleet with the host's six series.
fn observation(fleet: u64) -> Observation {
    let now = Timestamp(1_795_469_145_678);
    let series = |name: &str, value: f64| Series {
        name: name.to_owned(),
        unit: String::new(),
        labels: Vec::new(),
        interval_ms: 15_000,
        stale: false,
        samples: vec![Sample { at: now, value }],
    };
    Observation {
        now,
        tick: 7,
        fleet_name: "www".to_owned(),
        templates: vec![ObservedTemplate {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: Vec::new(),
            hourly_price: HourlyPrice::from_dollars(0.00893),
        }],
        fleet: (0..fleet)
            .map(|index| ObservedDroplet {
                id: Some(DropletId(500_000_000 + index)),
                name: DropletName::parse(format!("auto-nginx-{index}")).expect("a name"),
                phase: Phase::Serving,
                phase_since: now,
                created_at: now,
                template: 0,
                paid_until: Some(now),
                healthy: true,
                protected: false,
                load: Some(Load {
                    sessions: 12,
                    max_sessions: Some(100),
                    requests_per_second: 34.5,
                    ..Load::default()
                }),
            })
            .collect(),
        metrics: vec![
            series("haproxy.requests_per_second", 3450.0),
            series("haproxy.sessions", 1200.0),
            series("haproxy.queued", 0.0),
            series("haproxy.errors_per_second", 0.1),
            series("haproxy.utilization", 0.12),
            series("haproxy.response_time_ms", 23.4),
        ],
        limits: Limits { min: 1, max: 2000, max_hourly_cost: None, max_create: 10, max_delete: 10 },
        boot_time_ms: Some(40_000),
        last_scale_out: Some(now),
        last_scale_in: None,
        facts: Vec::new(),
    }
}

//! Tests of the plugin host with real components: the built-in ones and handmade hostile ones.

mod compiler;
mod contained;
mod contract;
mod first_party;
mod hostile;

use doproxy_core::domain::{
    DropletName, HourlyPrice, Limits as FleetLimits, Observation, ObservedDroplet, ObservedTemplate, Phase, Sample,
    Series, Timestamp, UserDataRequest,
};
use doproxy_plugin_host::{Limits, PluginHost, PluginSettings};

/// Creates a host that compiles in this process, which is faster.
fn host() -> PluginHost {
    PluginHost::new(PluginSettings::default()).unwrap()
}

/// Creates a host that compiles in a sandbox process, as `doproxy` does.
fn sandboxed_host(limits: Limits) -> PluginHost {
    let compiler = Some(env!("CARGO_BIN_EXE_doproxy").into());
    PluginHost::new(PluginSettings { limits, compiler, ..PluginSettings::default() }).unwrap()
}

/// Builds an observation of `size` serving droplets with one metric.
fn observation(size: u64, metric: &str, value: f64) -> Observation {
    let now = Timestamp(1_795_469_145_678);
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
        fleet: (0..size)
            .map(|index| ObservedDroplet {
                id: Some(doproxy_core::domain::DropletId(index)),
                name: DropletName::parse(format!("web-{index}")).unwrap(),
                phase: Phase::Serving,
                phase_since: now,
                created_at: now,
                template: 0,
                paid_until: None,
                healthy: true,
                protected: false,
                load: None,
            })
            .collect(),
        metrics: vec![Series {
            name: metric.to_owned(),
            unit: "sessions".to_owned(),
            labels: Vec::new(),
            interval_ms: 15_000,
            stale: false,
            samples: vec![Sample { at: now, value }],
        }],
        limits: FleetLimits { min: 1, max: 50, max_hourly_cost: None, max_create: 10, max_delete: 10 },
        boot_time_ms: None,
        last_scale_out: None,
        last_scale_in: None,
        facts: Vec::new(),
    }
}

fn request() -> UserDataRequest {
    UserDataRequest {
        fleet_name: "www".to_owned(),
        hostname: "web-7".to_owned(),
        index: 7,
        size: "s-1vcpu-1gb".to_owned(),
        region: "nyc3".to_owned(),
        image: "ubuntu-24-04-x64".to_owned(),
        tags: vec!["doproxy:www".to_owned()],
        params: r#"{"role": "blue"}"#.to_owned(),
    }
}

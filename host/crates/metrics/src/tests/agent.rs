//! `digitalocean` against the emulator.

use std::sync::atomic::{AtomicU64, Ordering};

use doproxy_core::domain::{DropletId, Token};
use doproxy_digitalocean as digitalocean;
use doproxy_digitalocean::DigitalOcean;
use doproxy_emulator as emulator;
use doproxy_emulator::{CallFault, Effect, Emulator, Faults, Frequency, NewDroplets, Settings};

use crate::sources::digitalocean::DigitalOceanSource;
use crate::tests::*;

async fn emulator() -> (Emulator, DigitalOcean) {
    // These networks do not overlap with those of the emulator's own tests.
    static SEEDS: AtomicU64 = AtomicU64::new(200);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let emulator = Emulator::start(emulator::Options {
        droplet_port: free.local_addr().unwrap().port(),
        settings: Settings { seed: SEEDS.fetch_add(1, Ordering::Relaxed), ..Settings::default() },
        ..emulator::Options::default()
    });
    let emulator = emulator.await.unwrap();
    let options = digitalocean::Options::new(emulator.url().parse().unwrap(), Token::parse("any").unwrap());
    let cloud = DigitalOcean::new(options).unwrap();
    (emulator, cloud)
}

fn droplets(emulator: &Emulator, count: usize, monitoring: bool) -> (Vec<DropletId>, Timestamp) {
    emulator.with_state(|cloud, now| {
        let request = NewDroplets {
            names: (0..count).map(|n| format!("web-{n}")).collect(),
            size: "s-1vcpu-1gb".to_owned(),
            image: "debian-12-x64".to_owned(),
            monitoring,
            ..NewDroplets::default()
        };
        let created = cloud.create(now.minus(Duration::from_hours(1)), &request).unwrap();
        (created.into_iter().map(|one| one.droplet).collect(), now)
    })
}

const ALL: [AgentMetric; 3] = [AgentMetric::Cpu, AgentMetric::Memory, AgentMetric::Load1];

#[tokio::test]
async fn fleet_is_aggregated_over_rotating_polls() {
    let (emulator, cloud) = emulator().await;
    let (ids, now) = droplets(&emulator, 3, true);
    let source = DigitalOceanSource::new(Some(cloud), ALL.to_vec(), 2, Duration::from_secs(30));
    let poll = Poll { now, interval: Duration::from_mins(2), droplets: ids.clone().into(), ..poll() };
    emulator.with_state(|cloud_state, _| cloud_state.reset_calls());

    let first = source.poll(&poll).await.unwrap();
    let calls: u64 = emulator.with_state(|cloud_state, _| cloud_state.calls().values().sum());
    let second = source.poll(&poll).await.unwrap();

    assert_eq!(calls, 2 * 4);
    let value = |polled: &PollResult, suffix: &str| {
        let PollResult::Series(readings) = polled else { panic!("{polled:?}") };
        readings.iter().find(|one| one.suffix == suffix).unwrap().samples[0].value
    };
    // The emulator derives the utilization of a droplet from its ID.
    #[expect(clippy::cast_precision_loss, reason = "numbers below 60")]
    let busy: Vec<f64> = ids.iter().map(|id| (10 + id.0 % 50) as f64).collect();
    let near = |found: f64, expected: f64, room: f64| assert!((found - expected).abs() <= room, "{found} {expected}");
    near(value(&first, ".load_1_mean"), f64::midpoint(busy[0], busy[1]) / 100.0, 0.011);
    near(value(&second, ".load_1_mean"), (busy[0] + busy[1] + busy[2]) / 300.0, 0.011);
    near(value(&second, ".load_1_max"), busy[2] / 100.0, 0.011);
    near(value(&second, ".memory_max"), busy[2], 0.1);
    near(value(&second, ".cpu_mean"), busy[1], 2.0);
    near(value(&second, ".cpu_max"), busy[2], 2.0);
    emulator.stop().await;
}

#[tokio::test]
async fn droplets_without_agent_produce_a_hint() {
    let (emulator, cloud) = emulator().await;
    let (ids, now) = droplets(&emulator, 1, false);
    let source = DigitalOceanSource::new(Some(cloud), ALL.to_vec(), 5, Duration::from_secs(30));

    let error = source.poll(&Poll { now, droplets: ids.into(), ..poll() }).await.unwrap_err();
    let nobody = source.poll(&poll()).await.unwrap();

    insta::assert_snapshot!(error, @"no droplet reports metrics; set `droplet_options.monitoring: true` to install the agent on new droplets, and allow some minutes for its first report");
    assert_eq!(nobody, PollResult::Series(Vec::new()));
    emulator.stop().await;
}

#[tokio::test]
async fn failed_api_call_is_reported_without_retry() {
    let (emulator, cloud) = emulator().await;
    let (ids, now) = droplets(&emulator, 1, true);
    let source = DigitalOceanSource::new(Some(cloud), vec![AgentMetric::Cpu], 5, Duration::from_secs(30));
    emulator.with_state(|cloud_state, _| {
        let effect = Effect::Status { code: 500, message: None, retry_after_s: None, applied: false };
        let fault = CallFault { method: None, path: None, when: Frequency::Always, effect };
        cloud_state.set_faults(Faults { calls: vec![fault], ..Faults::default() });
        cloud_state.reset_calls();
    });

    let failed = source.poll(&Poll { now, droplets: ids.into(), ..poll() }).await;

    let output = failed.unwrap_err().to_string();
    assert!(output.starts_with("GET /v2/monitoring/metrics/droplet/cpu failed with status 500"), "{output}");
    assert_eq!(emulator.with_state(|cloud_state, _| cloud_state.calls().values().sum::<u64>()), 1);
    emulator.stop().await;
}

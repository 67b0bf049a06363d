//! Parity of the two `CloudProvider` implementations: the HTTP client and the simulated cloud must be
//! indistinguishable.

use std::fmt::Debug;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doproxy_core::domain::{DropletId, DropletName, Tag, Template, Token, UserData};
use doproxy_core::seams::{CloudError, CloudInstance, CloudProvider, CreateRequest, Filter};
use doproxy_digitalocean as digitalocean;
use doproxy_digitalocean::{ApiUrl, DigitalOcean, Retry};
use doproxy_emulator::{CallFault, CloudState, CorruptBody, Effect, Emulator, Faults, Frequency, Options, Settings};
use doproxy_support::Clock;
use doproxy_test_support::SimulatedCloud;

/// Returns options for tests that run in parallel: each gets its own network and port.
fn options() -> Options {
    static SEEDS: AtomicU64 = AtomicU64::new(0);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    Options {
        droplet_port: free.local_addr().unwrap().port(),
        settings: Settings { seed: SEEDS.fetch_add(1, Ordering::Relaxed), ..Settings::default() },
        ..Options::default()
    }
}

fn request(names: &[&str], size: &str) -> CreateRequest {
    CreateRequest {
        names: names.iter().map(|name| DropletName::parse(*name).unwrap()).collect(),
        template: Template {
            size: size.to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-22-04-x64".to_owned(),
            tags: vec![Tag::parse("www").unwrap()],
        },
        ssh_keys: vec!["512189".to_owned()],
        user_data: UserData::parse("#!/bin/sh\n").unwrap(),
        vpc_uuid: None,
        monitoring: true,
    }
}

/// Formats the part of a result that both must agree on: a success without its time, the class and message of a
/// failure.
fn normalize_result<T: Debug>(what: &str, result: Result<T, CloudError>) -> String {
    match result {
        Ok(value) => format!("{what}: {value:?}"),
        Err(CloudError { class, status: None, .. }) => format!("{what}: {class:?}"),
        Err(CloudError { class, status, message, .. }) => format!("{what}: {class:?} {status:?} {message}"),
    }
}

fn without_timestamp(droplet: CloudInstance) -> CloudInstance {
    CloudInstance { created_at: None, ..droplet }
}

fn without_timestamps(droplets: Vec<CloudInstance>) -> Vec<CloudInstance> {
    droplets.into_iter().map(without_timestamp).collect()
}

/// Makes one call of each kind, and calls that fail.
async fn run_scenario(cloud: &impl CloudProvider) -> Vec<String> {
    let first = DropletId(3_164_444);
    let (www, blue) = (Tag::parse("www").unwrap(), Tag::parse("blue").unwrap());
    vec![
        normalize_result(
            "create",
            cloud.create(&request(&["web-0", "web-1"], "s-1vcpu-1gb")).await.map(without_timestamps),
        ),
        normalize_result("create one", cloud.create(&request(&["web-2"], "1gb")).await.map(without_timestamps)),
        normalize_result("create nonsense", cloud.create(&request(&["web-3"], "huge")).await),
        normalize_result("get", cloud.get(first).await.map(without_timestamp)),
        normalize_result("get nothing", cloud.get(DropletId(1)).await),
        normalize_result("tag", cloud.tag(first, &blue).await),
        normalize_result("tag nothing", cloud.tag(DropletId(1), &blue).await),
        normalize_result("list by tag", cloud.list(&Filter::Tag(blue)).await.map(without_timestamps)),
        normalize_result(
            "list by name",
            cloud.list(&Filter::Name(DropletName::parse("web-1").unwrap())).await.map(without_timestamps),
        ),
        normalize_result("delete", cloud.delete(first).await),
        normalize_result("delete again", cloud.delete(first).await),
        normalize_result("list", cloud.list(&Filter::Tag(www)).await.map(without_timestamps)),
        normalize_result("account", cloud.account().await),
        normalize_result("sizes", cloud.sizes().await),
        normalize_result("regions", cloud.regions().await),
        normalize_result("image", cloud.image("debian-12-x64").await),
        normalize_result("image nothing", cloud.image("none").await),
        normalize_result("SSH keys", cloud.ssh_keys().await),
    ]
}

/// Runs the same scenario against both clouds.
async fn run_against_both(faults: Faults) -> (Vec<String>, Vec<String>) {
    // Droplets boot immediately, so that the results do not depend on the speed of the scenario.
    let settings = Settings { boot_time: Duration::ZERO, ..options().settings };
    let mut cloud = CloudState::new(settings.clone());
    cloud.set_faults(faults.clone());
    let simulated = SimulatedCloud::new(cloud, Clock::from_wall_clock());
    // An error means that another test has already installed it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let emulator = Emulator::start(Options { settings, faults, ..options() }).await.unwrap();
    let token = Token::parse("any").unwrap();
    let retry = Retry { max_attempts: 1, ..Retry::default() };
    let real =
        digitalocean::Options { retry, ..digitalocean::Options::new(ApiUrl::parse(&emulator.url()).unwrap(), token) };
    let real = DigitalOcean::new(real).unwrap();

    let stories = (run_scenario(&real).await, run_scenario(&simulated).await);
    emulator.stop().await;
    stories
}

#[tokio::test]
async fn client_matches_simulated_cloud() {
    let (real, simulated) = run_against_both(Faults::default()).await;

    assert_eq!(real, simulated);
    let failed = real.iter().filter(|line| line.contains("InvalidRequest") || line.contains("NotFound")).count();
    assert_eq!(failed, 4, "{real:#?}");
}

#[tokio::test]
async fn api_errors_match_simulated_cloud() {
    let status = |code, message: &str, retry_after_s| Effect::Status {
        code,
        message: (!message.is_empty()).then(|| message.to_owned()),
        retry_after_s,
        applied: code == 500,
    };
    for effect in [
        status(401, "", None),
        status(403, "", None),
        status(404, "", None),
        status(409, "", None),
        status(422, "this will exceed your droplet limit", None),
        status(422, "Size is not available in this region.", None),
        status(422, "Please try again.", None),
        status(422, "Droplet already has a pending event.", None),
        status(422, "Nonsense.", None),
        status(429, "", Some(0)),
        status(500, "", None),
        status(503, "", None),
        Effect::DropResponse,
        Effect::Reset,
        Effect::Page { code: 502, applied: false },
        Effect::Page { code: 504, applied: true },
        Effect::Corrupt { kind: CorruptBody::WrongContentType, applied: true },
        Effect::MovedAddresses,
        Effect::Vanished,
    ] {
        let fault = CallFault { method: None, path: None, when: Frequency::Always, effect: effect.clone() };

        let (real, simulated) = run_against_both(Faults { calls: vec![fault], ..Faults::default() }).await;

        assert_eq!(real, simulated, "{effect:?}");
    }
}

#[tokio::test]
async fn droplet_faults_match_simulated_cloud() {
    for faults in [
        Faults { stuck_in_new: Frequency::Next(1), ..Faults::default() },
        Faults { active_without_address: Frequency::Always, ..Faults::default() },
        Faults { lost_creates: Frequency::Next(1), ..Faults::default() },
        Faults { ignored_deletes: Frequency::Always, ..Faults::default() },
        Faults { list_lag_ms: 3_600_000, not_found_after_create_ms: 3_600_000, ..Faults::default() },
        Faults { droplet_limit: Some(2), sold_out_sizes: vec!["1gb".to_owned()], ..Faults::default() },
    ] {
        let (real, simulated) = run_against_both(faults.clone()).await;

        assert_eq!(real, simulated, "{faults:?}");
    }
}

#[tokio::test]
async fn http_only_faults_map_to_client_errors() {
    for kind in [CorruptBody::Malformed, CorruptBody::Truncated, CorruptBody::Page] {
        for applied in [true, false] {
            let effect = Effect::Corrupt { kind, applied };
            let fault = CallFault { method: None, path: None, when: Frequency::Always, effect: effect.clone() };

            let (real, simulated) = run_against_both(Faults { calls: vec![fault], ..Faults::default() }).await;

            // The real client's messages have more detail, and so does its status when a create was executed.
            let prefix = |lines: Vec<String>| -> Vec<String> {
                lines.iter().map(|line| line.split(" Some(20").next().unwrap_or_default().to_owned()).collect()
            };
            assert_eq!(prefix(real), prefix(simulated), "{effect:?}");
        }
    }
}
